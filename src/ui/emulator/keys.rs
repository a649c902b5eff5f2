//! What a terminal sends for a key, and for a text that is pasted.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vt100::Screen;

/// Returns the bytes of a key as xterm sends them, in the modes that the program has set; none for a
/// key that a terminal has no bytes for.
pub(crate) fn encode(event: &KeyEvent, screen: &Screen) -> Vec<u8> {
    let modifiers = event.modifiers;
    let alt = modifiers.contains(KeyModifiers::ALT);
    let mut bytes = match event.code {
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => control(c),
        KeyCode::Char(c) => c.encode_utf8(&mut [0; 4]).as_bytes().to_vec(),
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::Esc => vec![0x1b],
        KeyCode::Backspace if modifiers.contains(KeyModifiers::CONTROL) => vec![0x08],
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Null => vec![0],
        // These say by themselves with what they were pressed.
        code => return special(code, modifiers, screen.application_cursor()),
    };
    if alt {
        bytes.insert(0, 0x1b);
    }
    bytes
}

/// Returns the byte of a character with control; those without one are as without it.
fn control(c: char) -> Vec<u8> {
    let byte = match c {
        'a'..='z' | 'A'..='Z' => u32::from(c.to_ascii_uppercase()) - 0x40,
        ' ' | '@' | '2' => 0x00,
        '[' | '3' => 0x1b,
        '\\' | '4' => 0x1c,
        ']' | '5' => 0x1d,
        '^' | '6' => 0x1e,
        '_' | '/' | '7' => 0x1f,
        '?' | '8' => 0x7f,
        _ => return c.encode_utf8(&mut [0; 4]).as_bytes().to_vec(),
    };
    vec![u8::try_from(byte).unwrap_or_default()]
}

fn special(code: KeyCode, modifiers: KeyModifiers, application: bool) -> Vec<u8> {
    let held = [(KeyModifiers::SHIFT, 1), (KeyModifiers::ALT, 2), (KeyModifiers::CONTROL, 4)];
    let held: u8 =
        1 + held.iter().filter(|(m, _)| modifiers.contains(*m)).map(|(_, n)| n).sum::<u8>();
    let letter = |last: char| match (held, application) {
        (1, true) => format!("\x1bO{last}"),
        (1, false) => format!("\x1b[{last}"),
        _ => format!("\x1b[1;{held}{last}"),
    };
    let number = |n: u8| match held {
        1 => format!("\x1b[{n}~"),
        _ => format!("\x1b[{n};{held}~"),
    };
    let text = match code {
        KeyCode::Up => letter('A'),
        KeyCode::Down => letter('B'),
        KeyCode::Right => letter('C'),
        KeyCode::Left => letter('D'),
        KeyCode::End => letter('F'),
        KeyCode::Home => letter('H'),
        KeyCode::BackTab => "\x1b[Z".to_owned(),
        KeyCode::Insert => number(2),
        KeyCode::Delete => number(3),
        KeyCode::PageUp => number(5),
        KeyCode::PageDown => number(6),
        KeyCode::F(n @ 1..=4) => {
            let last = char::from(b'P' + n - 1);
            if held == 1 { format!("\x1bO{last}") } else { format!("\x1b[1;{held}{last}") }
        }
        KeyCode::F(n) => {
            // There are gaps where a VT220's keyboard has them.
            const NUMBERS: [u8; 16] =
                [15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 31, 32, 33, 34];
            match usize::from(n).checked_sub(5).and_then(|n| NUMBERS.get(n)) {
                Some(n) => number(*n),
                None => String::new(),
            }
        }
        _ => String::new(),
    };
    text.into_bytes()
}

/// Returns the bytes of a pasted text. Where the program asked to be told of it, nothing in it can end
/// the paste early.
pub(crate) fn paste(text: &str, screen: &Screen) -> Vec<u8> {
    let text: String = text
        .replace("\r\n", "\r")
        .chars()
        .map(|c| if c == '\n' { '\r' } else { c })
        .filter(|c| !c.is_control() || matches!(c, '\r' | '\t'))
        .collect();
    if screen.bracketed_paste() {
        format!("\x1b[200~{text}\x1b[201~").into_bytes()
    } else {
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Emulator;
    use wharf_model::TermSize;

    fn bytes(before: &str, code: KeyCode, modifiers: KeyModifiers) -> String {
        let mut it = Emulator::new(TermSize { columns: 80, rows: 24 });
        it.feed(before.as_bytes());
        String::from_utf8(encode(&KeyEvent::new(code, modifiers), it.screen())).unwrap()
    }

    const NONE: KeyModifiers = KeyModifiers::NONE;
    const CTRL: KeyModifiers = KeyModifiers::CONTROL;
    const ALT: KeyModifiers = KeyModifiers::ALT;
    const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

    #[test]
    fn keys_are_what_xterm_sends() {
        let table = [
            (KeyCode::Char('a'), NONE, "a"),
            (KeyCode::Char('A'), SHIFT, "A"),
            (KeyCode::Char('ü'), NONE, "ü"),
            (KeyCode::Char('c'), CTRL, "\x03"),
            (KeyCode::Char(' '), CTRL, "\x00"),
            (KeyCode::Char('5'), CTRL, "\x1d"),
            (KeyCode::Char('x'), ALT, "\x1bx"),
            (KeyCode::Char('c'), CTRL.union(ALT), "\x1b\x03"),
            (KeyCode::Esc, NONE, "\x1b"),
            (KeyCode::Enter, NONE, "\r"),
            (KeyCode::Enter, ALT, "\x1b\r"),
            (KeyCode::Backspace, NONE, "\x7f"),
            (KeyCode::Tab, NONE, "\t"),
            (KeyCode::BackTab, SHIFT, "\x1b[Z"),
            (KeyCode::Up, NONE, "\x1b[A"),
            (KeyCode::Left, CTRL, "\x1b[1;5D"),
            (KeyCode::Home, NONE, "\x1b[H"),
            (KeyCode::Delete, NONE, "\x1b[3~"),
            (KeyCode::PageUp, ALT.union(SHIFT), "\x1b[5;4~"),
            (KeyCode::F(1), NONE, "\x1bOP"),
            (KeyCode::F(4), SHIFT, "\x1b[1;2S"),
            (KeyCode::F(5), NONE, "\x1b[15~"),
            (KeyCode::F(12), NONE, "\x1b[24~"),
            (KeyCode::F(63), NONE, ""),
            (KeyCode::CapsLock, NONE, ""),
        ];
        for (code, modifiers, wanted) in table {
            assert_eq!(bytes("", code, modifiers), wanted, "{code:?} {modifiers:?}");
        }
        assert_eq!(bytes("\x1b[?1h", KeyCode::Up, NONE), "\x1bOA", "application cursor keys");
        assert_eq!(bytes("\x1b[?1h", KeyCode::End, NONE), "\x1bOF");
        assert_eq!(bytes("\x1b[?1h", KeyCode::Up, CTRL), "\x1b[1;5A");
    }

    #[test]
    fn a_paste_is_text_and_can_not_end_itself() {
        let mut it = Emulator::new(TermSize { columns: 80, rows: 24 });
        assert_eq!(paste("a\nb\r\nc\td\x1b[A\u{9b}e", it.screen()), b"a\rb\rc\td[Ae");
        it.feed(b"\x1b[?2004h");
        assert_eq!(paste("x\x1b[201~y", it.screen()), b"\x1b[200~x[201~y\x1b[201~");
    }
}
