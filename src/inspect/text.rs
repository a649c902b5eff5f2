//! Text that a container or image controls, as one can look at it.

/// Returns whether a character is shown as itself: not a control, format or private-use character,
/// and no space but the common one (the classes that can move the cursor, reorder or hide text).
pub fn is_printable(c: char) -> bool {
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
pub fn quote(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_does_nothing_to_a_terminal() {
        assert_eq!(quote("sh -c \"a\\b\"\n"), r#""sh -c \"a\\b\"\n""#);
        assert_eq!(quote("\x1b[2J\u{9b}1m\u{202e}é…"), "\"\\x1b[2J\\u009b1m\\u202eé…\"");
        assert_eq!(quote("\u{e0001}"), "\"\\U000e0001\"");
    }
}
