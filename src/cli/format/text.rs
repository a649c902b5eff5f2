//! Text that a container controls, made harmless and short enough for a table.

pub(crate) use wharf_inspect::text::{is_printable, quote};

/// Returns the text with a space for each tab and line break, and U+FFFD for all else that isn't
/// printable.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if is_printable(c) => c,
            _ => char::REPLACEMENT_CHARACTER,
        })
        .collect()
}

/// Returns at most `most` characters, the last one an ellipsis when some are left out.
pub(crate) fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_unescaped() {
        assert_eq!(clean("a\tb\x1b[31m\u{200f}"), "a b\u{fffd}[31m\u{fffd}");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(ellipsis("12345678901234567890", 20), "12345678901234567890");
        assert_eq!(ellipsis("123456789012345678901", 20), "1234567890123456789…");
        assert_eq!(ellipsis("abc", 1), "…");
    }
}
