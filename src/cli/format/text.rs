//! Text that a container controls, made harmless and short enough for a table.

/// Returns whether a character is shown as itself: not a control, format or private-use character,
/// and no space but the common one (the classes that can move the cursor, reorder or hide text).
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            u32::from(c),
            0xa0 | 0xad
                | 0x600..=0x605
                | 0x61c
                | 0x6dd
                | 0x70f
                | 0x1680
                | 0x180e
                | 0x2000..=0x200f
                | 0x2028..=0x202f
                | 0x205f..=0x206f
                | 0x3000
                | 0xe000..=0xf8ff
                | 0xfeff
                | 0xfff9..=0xfffb
                | 0xe0000..=0x10_ffff
        )
}

/// Returns the text in double quotes, with escapes for quotes, backslashes and what isn't
/// printable, in the syntax of Go's string literals, which is how docker shows commands.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

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
        assert_eq!(quote("sh -c \"a\\b\"\n"), r#""sh -c \"a\\b\"\n""#);
        assert_eq!(quote("\x1b[2J\u{9b}1m\u{202e}é…"), "\"\\x1b[2J\\u009b1m\\u202eé…\"");
        assert_eq!(quote("\u{e0001}"), "\"\\U000e0001\"");
        assert_eq!(clean("a\tb\x1b[31m\u{200f}"), "a b\u{fffd}[31m\u{fffd}");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(ellipsis("12345678901234567890", 20), "12345678901234567890");
        assert_eq!(ellipsis("123456789012345678901", 20), "1234567890123456789…");
        assert_eq!(ellipsis("abc", 1), "…");
    }
}
