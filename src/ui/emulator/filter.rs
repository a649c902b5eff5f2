//! What `vt100` leaves out of a terminal, put in before it: the sets of line-drawing letters, that
//! `top` and many dialogs draw their frames with, and a few short forms of what it knows by a longer
//! name.

use std::borrow::Cow;

/// DEC's special graphics, from `` ` `` (0x60) to `~` (0x7e).
const DRAWING: [char; 31] = [
    '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼',
    '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];

/// Where in a control sequence the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In none.
    #[default]
    Text,
    /// After an ESC, which is held back.
    Escape,
    /// After an ESC and the first byte of more, both held back.
    Set(u8),
    /// Before the first byte of a control sequence, whose beginning is held back.
    Begun,
    /// In a control sequence.
    Control,
    /// In a string that a control sequence has begun.
    Text8,
}

/// Passes bytes on, some of them changed.
#[derive(Debug, Default)]
pub(super) struct Filter {
    at: At,
    /// Whether G0 and G1 are the line-drawing letters.
    drawing: [bool; 2],
    /// Which of them is in force.
    shifted: bool,
    /// How many bytes of [`WIDENS`] have come, which are held back.
    held: usize,
}

/// Variation selector 16, which makes the letter before it as wide as a picture. `vt100` 0.18 fails on
/// it at the end of a row, and terminals differ about it: it is left out, and the letter stays as wide
/// as it was.
const WIDENS: [u8; 3] = [0xef, 0xb8, 0x8f];

impl Filter {
    fn draws(&self) -> bool {
        self.drawing[usize::from(self.shifted)]
    }

    /// Returns what the grid is to be given.
    pub(super) fn pass<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let plain = |byte: &u8| !matches!(byte, 0x0e | 0x0f | 0x1b | 0xef);
        let passes = self.at == At::Text && self.held == 0 && !self.draws();
        if passes && bytes.iter().all(plain) {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            if byte == WIDENS[self.held] {
                self.held = (self.held + 1) % WIDENS.len();
                continue;
            }
            for byte in WIDENS.into_iter().take(std::mem::take(&mut self.held)) {
                self.step(byte, &mut out);
            }
            // Its first byte is none of its others.
            if byte == WIDENS[0] {
                self.held = 1;
            } else {
                self.step(byte, &mut out);
            }
        }
        Cow::Owned(out)
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.at, byte) {
            // These begin anew, or end what was begun, wherever they are.
            (_, 0x1b) => self.at = At::Escape,
            (_, 0x18 | 0x1a) => {
                out.push(byte);
                self.at = At::Text;
            }
            (At::Text, 0x0e) => self.shifted = true,
            (At::Text, 0x0f) => self.shifted = false,
            (At::Text, 0x60..=0x7e) if self.draws() => {
                let letter = DRAWING[usize::from(byte - 0x60)];
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (At::Text, _) => out.push(byte),
            (At::Escape, b'[') => self.at = At::Begun,
            (At::Escape, b']' | b'P' | b'X' | b'^' | b'_') => {
                out.extend_from_slice(&[0x1b, byte]);
                self.at = At::Text8;
            }
            (At::Escape, 0x20..=0x2f) => self.at = At::Set(byte),
            (At::Escape, _) => {
                self.at = At::Text;
                match byte {
                    // The next line, and its beginning.
                    b'E' => out.extend_from_slice(b"\r\n"),
                    b'D' => out.push(b'\n'),
                    _ => {
                        if byte == b'c' {
                            (self.drawing, self.shifted) = ([false; 2], false);
                        }
                        out.extend_from_slice(&[0x1b, byte]);
                    }
                }
            }
            (At::Set(which @ (b'(' | b')')), 0x30..=0x7e) => {
                self.drawing[usize::from(which == b')')] = byte == b'0';
                self.at = At::Text;
            }
            (At::Set(_), 0x20..=0x2f) => {}
            (At::Set(which), _) => {
                out.extend_from_slice(&[0x1b, which, byte]);
                self.at = At::Text;
            }
            // The cursor kept and brought back.
            (At::Begun, b's') => {
                out.extend_from_slice(b"\x1b7");
                self.at = At::Text;
            }
            (At::Begun, b'u') => {
                out.extend_from_slice(b"\x1b8");
                self.at = At::Text;
            }
            (At::Begun, _) => {
                out.extend_from_slice(b"\x1b[");
                out.push(byte);
                self.at = if (0x40..=0x7e).contains(&byte) { At::Text } else { At::Control };
            }
            (At::Control, 0x40..=0x7e) => {
                out.push(byte);
                self.at = At::Text;
            }
            (At::Text8, 0x07) => {
                out.push(byte);
                self.at = At::Text;
            }
            (At::Control | At::Text8, _) => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &[&[u8]]) -> String {
        let mut filter = Filter::default();
        let out: Vec<u8> = parts.iter().flat_map(|part| filter.pass(part).into_owned()).collect();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_drawn_with_letters() {
        assert_eq!(all(&[b"\x1b(0lqk\x1b(B lq"]), "┌─┐ lq");
        assert_eq!(all(&[b"\x1b)0a\x0elqk\x0fb"]), "a┌─┐b");
        assert_eq!(all(&[b"\x1b(0q\x1bcq"]), "─\x1bcq", "a reset ends it");
        // Only text: not what a control sequence is made of.
        assert_eq!(all(&[b"\x1b(0\x1b[1mq\x1b]0;qq\x07q"]), "\x1b[1m─\x1b]0;qq\x07─");
    }

    #[test]
    fn sequences_may_be_cut_anywhere() {
        let whole =
            b"\x1b(0lq\x1b(B\x1b[31mx\x1b[s\x1b[5;5Hy\x1b[u\x1bE\x1b]2;t\x1b\\z\xe6\x97\xa5";
        let wanted = "┌─\x1b[31mx\x1b7\x1b[5;5Hy\x1b8\r\n\x1b]2;t\x1b\\z日";
        assert_eq!(all(&[whole]), wanted);
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            assert_eq!(all(&[first, second]), wanted, "{cut}");
        }
    }
}
