//! Tests of what reaches the screen.

use proptest::prelude::*;

use super::*;

fn plain(bytes: &[u8]) -> String {
    String::from_utf8(plain_text(bytes).into_owned()).unwrap()
}

fn spans(text: &str) -> Vec<(String, Style)> {
    Sanitizer::new().line(text.as_bytes()).into_iter().map(|s| (s.text, s.style)).collect()
}

#[test]
fn sequences_have_no_effect_and_leave_no_trace() {
    for (text, shown) in [
        ("a\u{1b}[2Jb\u{1b}[1;1Hc", "abc"),
        ("a\u{1b}]0;title\u{7}b\u{1b}]52;c;aGk=\u{1b}\\c", "abc"),
        ("a\u{1b}Pq#0;2;0;0;0\u{1b}\\b\u{1b}_apc\u{1b}\\c", "abc"),
        ("a\u{1b}(0b\u{1b}Mc\u{1b}7d\u{1b}#8e", "abcde"),
        ("a\u{9b}31mb\u{9d}0;t\u{9c}c", "abc"),
        ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
        ("open \u{1b}]0;never closed", "open "),
        ("half \u{1b}[31", "half "),
        ("half \u{1b}", "half "),
        ("bell\u{7}\u{0}\u{7f}s", "bells"),
        ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{e0041}f", "abcdef"),
        ("broken \u{1b}[31\u{1b}[0mx", "broken x"),
        ("family \u{1f468}\u{200d}\u{1f469}", "family \u{1f468}\u{200d}\u{1f469}"),
    ] {
        assert_eq!(plain(text.as_bytes()), shown, "{text:?}");
    }
    assert_eq!(plain(b"bad \xff\x9b31m \xc3"), "bad \u{fffd}\u{fffd}31m \u{fffd}");
}

#[test]
fn tabs_returns_and_backspaces() {
    assert_eq!(plain(b"a\tbc\td"), "a       bc      d");
    assert_eq!(plain("\u{6f22}\tx".as_bytes()), "\u{6f22}      x", "two columns wide");
    assert_eq!(plain(b"12345678\tx"), "12345678        x");
    assert_eq!(plain(b"line\r"), "line");
    assert_eq!(plain(b"10 %\r50 %\r100 %\r"), "100 %");
    assert_eq!(plain(b"abc\x08\x08X"), "aX");
    assert_eq!(plain(b"\x08\x08X"), "X");
}

#[test]
fn colours_become_styles() {
    let red = Style { fg: Some(Color::Indexed(1)), ..Style::default() };
    let text = "\u{1b}[31mred\u{1b}[1;4mboth\u{1b}[0m \u{1b}[38;5;208;48;2;1;2;3mx\u{1b}[mend";
    assert_eq!(
        spans(text),
        [
            ("red".into(), red),
            ("both".into(), Style { bold: true, underline: true, ..red }),
            (" ".into(), Style::default()),
            (
                "x".into(),
                Style {
                    fg: Some(Color::Indexed(208)),
                    bg: Some(Color::Rgb(1, 2, 3)),
                    ..Style::default()
                }
            ),
            ("end".into(), Style::default()),
        ]
    );
    for (codes, color) in [
        ("97", Color::Indexed(15)),
        ("38:5:7", Color::Indexed(7)),
        ("38:2::9:8:7", Color::Rgb(9, 8, 7)),
        ("38:2:9:8:7", Color::Rgb(9, 8, 7)),
    ] {
        let found = spans(&format!("\u{1b}[{codes}mx"));
        assert_eq!(found[0].1.fg, Some(color), "{codes}");
    }
    // What is no colour changes nothing; private sequences aren't colours.
    for codes in ["38;5;999", "38;9;1", "?31", ">4;2", "38"] {
        assert_eq!(spans(&format!("\u{1b}[{codes}mx"))[0].1, Style::default(), "{codes}");
    }
}

#[test]
fn a_style_lasts_over_lines() {
    let mut sanitizer = Sanitizer::new();
    sanitizer.line(b"\x1b[33mfirst");
    let second = sanitizer.line(b"second\x1b[0m");
    assert_eq!(second[0].style.fg, Some(Color::Indexed(3)));
    assert_eq!(sanitizer.style(), Style::default());
}

#[test]
fn names_hide_nothing() {
    assert!(matches!(sanitize_line("plain caf\u{e9}"), Cow::Borrowed(_)));
    assert_eq!(sanitize_line("a\u{1b}[31mb\nc\td\u{202e}"), "a\u{fffd}[31mb c d\u{fffd}");
}

proptest! {
    #[test]
    fn nothing_dangerous_passes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for text in [plain(&bytes), sanitize_line(&String::from_utf8_lossy(&bytes)).into_owned()] {
            prop_assert!(!text.chars().any(is_hazard), "{:?}", text);
        }
    }

    #[test]
    fn nor_in_anything_like_a_sequence(text in "(\u{1b}|\u{9b}|\u{9d}|\\[|\\]|[0-9;:]|m|\\\\|\u{7}|x|\r|\t|\u{8}){0,60}") {
        let text = plain(text.as_bytes());
        prop_assert!(!text.chars().any(is_hazard), "{:?}", text);
    }
}
