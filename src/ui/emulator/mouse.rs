//! What a terminal sends for the mouse, to a program that asked for it.

use crossterm::event::{KeyModifiers, MouseButton, MouseEventKind};
use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mode, Screen};

/// Returns the bytes that tell the program what the mouse did in a cell, counted from 0; none if the
/// program doesn't want to know that.
pub(crate) fn encode(
    kind: MouseEventKind,
    modifiers: KeyModifiers,
    (column, row): (u16, u16),
    screen: &Screen,
) -> Option<Vec<u8>> {
    let mode = screen.mouse_protocol_mode();
    let button = |button: MouseButton| match button {
        MouseButton::Left => 0,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    };
    let moves = matches!(mode, Mode::ButtonMotion | Mode::AnyMotion);
    let (code, release) = match kind {
        _ if mode == Mode::None => return None,
        MouseEventKind::Down(b) => (button(b), false),
        MouseEventKind::Up(b) if mode != Mode::Press => (button(b), true),
        MouseEventKind::Drag(b) if moves => (button(b) + 32, false),
        MouseEventKind::Moved if mode == Mode::AnyMotion => (3 + 32, false),
        MouseEventKind::ScrollUp => (64, false),
        MouseEventKind::ScrollDown => (65, false),
        MouseEventKind::ScrollLeft => (66, false),
        MouseEventKind::ScrollRight => (67, false),
        _ => return None,
    };
    let held = [(KeyModifiers::SHIFT, 4), (KeyModifiers::ALT, 8), (KeyModifiers::CONTROL, 16)];
    let held: u16 = match mode {
        Mode::Press => 0,
        _ => held.iter().filter(|(m, _)| modifiers.contains(*m)).map(|(_, n)| n).sum(),
    };
    let (x, y) = (column.saturating_add(1), row.saturating_add(1));
    match screen.mouse_protocol_encoding() {
        Encoding::Sgr => {
            let last = if release { 'm' } else { 'M' };
            Some(format!("\x1b[<{};{x};{y}{last}", code + held).into_bytes())
        }
        encoding => {
            // The old forms don't say which button was let go.
            let code = if release { 3 } else { code } + held;
            let mut bytes = b"\x1b[M".to_vec();
            for value in [code, x, y] {
                let value = value + 32;
                match encoding {
                    Encoding::Utf8 => {
                        let letter = char::from_u32(u32::from(value))?;
                        bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    // What is too far right or below for a byte can't be told.
                    _ => bytes.push(u8::try_from(value).ok()?),
                }
            }
            Some(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Emulator;
    use wharf_model::TermSize;

    fn bytes(before: &str, kind: MouseEventKind, at: (u16, u16)) -> Option<String> {
        let mut it = Emulator::new(TermSize { columns: 300, rows: 24 });
        it.feed(before.as_bytes());
        let bytes = encode(kind, KeyModifiers::NONE, at, it.screen())?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn the_mouse_is_told_as_the_program_asked() {
        let left = MouseButton::Left;
        let (down, up) = (MouseEventKind::Down(left), MouseEventKind::Up(left));
        let drag = MouseEventKind::Drag(left);
        assert_eq!(bytes("", down, (0, 0)), None, "nobody asked");
        let sgr = "\x1b[?1000h\x1b[?1006h";
        assert_eq!(bytes(sgr, down, (4, 2)).unwrap(), "\x1b[<0;5;3M");
        assert_eq!(bytes(sgr, up, (4, 2)).unwrap(), "\x1b[<0;5;3m");
        assert_eq!(bytes(sgr, drag, (4, 2)), None);
        assert_eq!(bytes("\x1b[?1002h\x1b[?1006h", drag, (4, 2)).unwrap(), "\x1b[<32;5;3M");
        assert_eq!(bytes(sgr, MouseEventKind::ScrollDown, (0, 0)).unwrap(), "\x1b[<65;1;1M");
        assert_eq!(bytes(sgr, MouseEventKind::Moved, (0, 0)), None);
        assert_eq!(bytes("\x1b[?1000h", down, (0, 0)).unwrap(), "\x1b[M !!");
        assert_eq!(bytes("\x1b[?1000h", up, (0, 0)).unwrap(), "\x1b[M#!!");
        assert_eq!(bytes("\x1b[?1000h", down, (250, 0)), None, "too far for a byte");
        assert_eq!(bytes("\x1b[?1000h\x1b[?1005h", down, (250, 0)).unwrap(), "\x1b[M \u{11b}!");
    }
}
