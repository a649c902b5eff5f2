//! A terminal for a program in a container: bytes go in, a grid of cells comes out, and with it what
//! the program is owed as an answer. Nothing that a program writes goes further than the grid: titles,
//! clipboards and everything else that a terminal could be told to do ends here.
//!
//! The grid is `vt100`'s, which the tests of this project read screens with too: it is kept (its last
//! release is weeks old), used by many, and adds some 100 KiB, where `alacritty_terminal` and `termwiz`
//! bring terminals' settings, fonts and system calls. It answers no questions and knows no sets of
//! line-drawing letters; [`Emulator`] does the one and [`filter`] the other.

mod filter;
mod keys;
mod mouse;

use std::num::NonZero;

use vt100::{Callbacks, Parser, Screen};
use wharf_model::TermSize;

pub(crate) use keys::{encode as key_bytes, paste as paste_bytes};
pub(crate) use mouse::encode as mouse_bytes;

use filter::Filter;

/// Lines that are kept of what has left the screen. A cell takes 32 bytes, so this is 3 MiB at a width
/// of 100.
const KEPT_LINES: usize = 1000;

/// The least size: narrower than a wide letter there is nothing to draw.
const LEAST: u16 = 2;

/// The greatest: what the memory of a screen is bounded by, whatever a terminal says of itself.
const MOST: u16 = 1000;

/// Bytes of answers to what was written at once; who asks more often than that isn't listening.
const ANSWERS: usize = 4096;

/// What is answered to a program that asks.
#[derive(Debug, Default)]
struct Answers {
    bytes: Vec<u8>,
}

impl Answers {
    fn say(&mut self, text: &str) {
        if self.bytes.len() + text.len() <= ANSWERS {
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }
}

impl Callbacks for Answers {
    /// Answers the questions of ECMA-48, DEC and xterm that programs wait on: everything said is a
    /// fixed text with numbers, never something that the program has written before.
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        first: Option<u8>,
        second: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        let asked = parameters.first().and_then(|group| group.first()).copied().unwrap_or(0);
        let place = || {
            let ((row, column), (_, columns)) = (screen.cursor_position(), screen.size());
            // After the last column it waits to wrap, which isn't a place.
            (row + 1, column.min(columns.get() - 1) + 1)
        };
        match (first, second, last, asked) {
            // Device status, and where the cursor is.
            (None, None, 'n', 5) => self.say("\x1b[0n"),
            (None, None, 'n', 6) => {
                let (row, column) = place();
                self.say(&format!("\x1b[{row};{column}R"));
            }
            (Some(b'?'), None, 'n', 6) => {
                let (row, column) = place();
                self.say(&format!("\x1b[?{row};{column}R"));
            }
            // Device attributes: a VT220 with colours.
            (None, None, 'c', 0) => self.say("\x1b[?62;22c"),
            (Some(b'>'), None, 'c', 0) => self.say("\x1b[>0;100;0c"),
            // The size in cells.
            (None, None, 't', 18) => {
                let (rows, columns) = screen.size();
                self.say(&format!("\x1b[8;{rows};{columns}t"));
            }
            // No mode beyond those that are handled is known.
            (Some(b'?'), Some(b'$'), 'p', mode) => self.say(&format!("\x1b[?{mode};0$y")),
            (Some(b'$'), None, 'p', mode) => self.say(&format!("\x1b[{mode};0$y")),
            _ => {}
        }
    }
}

/// A terminal without a window.
pub struct Emulator {
    parser: Parser<Answers>,
    filter: Filter,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("size", &self.size()).finish_non_exhaustive()
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count.clamp(LEAST, MOST)).unwrap_or(NonZero::<u16>::MIN)
}

impl Emulator {
    /// Returns an empty one.
    pub fn new(size: TermSize) -> Self {
        let (rows, columns) = (cells(size.rows), cells(size.columns));
        let parser = Parser::new_with_callbacks(rows, columns, KEPT_LINES, Answers::default());
        Self { parser, filter: Filter::default() }
    }

    /// Returns its size.
    pub fn size(&self) -> TermSize {
        let (rows, columns) = self.parser.screen().size();
        TermSize { columns: columns.get(), rows: rows.get() }
    }

    /// Gives it another size; false if it has it already.
    pub fn resize(&mut self, size: TermSize) -> bool {
        let (rows, columns) = (cells(size.rows), cells(size.columns));
        if self.parser.screen().size() == (rows, columns) {
            return false;
        }
        self.parser.set_size(rows, columns);
        true
    }

    /// Takes in what the program wrote; returns what it is to be answered.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let bytes = self.filter.pass(bytes);
        self.parser.process(&bytes);
        std::mem::take(&mut self.parser.callbacks_mut().bytes)
    }

    /// Returns what is on its screen, or above it while it is looked back.
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Returns how many lines it is looked back.
    pub fn back(&self) -> usize {
        self.parser.screen().scrollback()
    }

    /// Looks back by so many lines more, or fewer.
    pub fn look_back(&mut self, by: isize) {
        let lines = self.back().saturating_add_signed(by);
        self.parser.screen_mut().set_scrollback(lines);
    }

    /// Looks at what is written now.
    pub fn look_here(&mut self) {
        self.parser.screen_mut().set_scrollback(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulator(columns: u16, rows: u16) -> Emulator {
        Emulator::new(TermSize { columns, rows })
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn questions_are_answered_with_numbers_alone() {
        let mut it = emulator(20, 5);
        assert_eq!(text(&it.feed(b"ab\r\n\x1b[6n")), "\x1b[2;1R");
        assert_eq!(text(&it.feed(b"01234567890123456789\x1b[6n")), "\x1b[2;20R");
        assert_eq!(text(&it.feed(b"\x1b[c\x1b[5n")), "\x1b[?62;22c\x1b[0n");
        assert_eq!(text(&it.feed(b"\x1b[>c\x1b[?6n")), "\x1b[>0;100;0c\x1b[?2;20R");
        assert_eq!(text(&it.feed(b"\x1b[18t")), "\x1b[8;5;20t");
        assert_eq!(text(&it.feed(b"\x1b[?2026$p")), "\x1b[?2026;0$y");
        // What could bring back what was written isn't answered: titles, selections, settings.
        assert_eq!(
            it.feed(b"\x1b]2;rm -rf\x07\x1b[21t\x1b]52;c;?\x07\x1bP$qm\x1b\\\x1b]10;?\x07"),
            b""
        );
        let many = it.feed(&b"\x1b[6n".repeat(100_000));
        assert!(many.len() <= ANSWERS, "{}", many.len());
    }

    #[test]
    fn the_alternate_screen_leaves_the_first_as_it_was() {
        let mut it = emulator(20, 3);
        it.feed(b"one\r\ntwo\r\n");
        it.feed(b"\x1b[?1049h\x1b[Hvi\x1b[?25l");
        assert!(it.screen().alternate_screen() && it.screen().hide_cursor());
        assert_eq!(it.screen().contents(), "vi");
        it.feed(b"\x1b[?1049l\x1b[?25h");
        assert_eq!(it.screen().contents(), "one\ntwo");
    }

    #[test]
    fn what_has_left_the_screen_can_be_looked_at_and_is_bounded() {
        let mut it = emulator(10, 3);
        for n in 0..5000 {
            it.feed(format!("{n}\r\n").as_bytes());
        }
        it.look_back(1);
        assert_eq!(it.screen().contents(), "4997\n4998\n4999");
        it.look_back(isize::MAX);
        assert_eq!(it.back(), KEPT_LINES);
        it.look_here();
        assert_eq!(it.screen().contents(), "4998\n4999");
    }

    #[test]
    fn a_size_is_taken_once_and_within_bounds() {
        let mut it = emulator(0, 0);
        assert_eq!(it.size(), TermSize { columns: 2, rows: 2 });
        assert!(it.resize(TermSize { columns: 80, rows: 24 }));
        assert!(!it.resize(TermSize { columns: 80, rows: 24 }));
        it.resize(TermSize { columns: u16::MAX, rows: u16::MAX });
        assert_eq!(it.size(), TermSize { columns: 1000, rows: 1000 });
    }

    /// A small generator, so that a failure can be had again by its seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit
        }
    }

    #[test]
    fn no_bytes_bring_it_down() {
        let parts: Vec<Vec<u8>> = [
            "\x1b[",
            "\x1b]",
            "\x1bP",
            "\x1b(0",
            "\x1b)0",
            "\x0e",
            "\x0f",
            ";",
            "?",
            "38;2;1;2;3m",
            "1049h",
            "1049l",
            "47h",
            "6h",
            "6l",
            "r",
            "2;3r",
            "999;999H",
            "H",
            "A",
            "B",
            "C",
            "D",
            "J",
            "3J",
            "K",
            "L",
            "M",
            "P",
            "@",
            "S",
            "T",
            "X",
            "b",
            "65535b",
            "d",
            "G",
            "\x1bM",
            "\x1bc",
            "\x1b7",
            "\x1b8",
            "\r",
            "\n",
            "\t",
            "\x08",
            "日",
            "e\u{301}",
            "❤\u{fe0f}",
            "\u{fe0f}",
            "\u{200d}",
            "👨\u{200d}👩",
            "x",
            "y",
            " ",
            "\x1b[s",
            "\x1b[u",
            "\x1bE",
            "\x1bD",
            "\x1b#8",
            "\x18",
            "\u{9b}",
            "\x07",
            "\x1b\\",
            "65535;65535r",
            "1;1r",
            "4h",
            "q",
            " q",
            "99999999",
        ]
        .iter()
        .map(|part| part.as_bytes().to_vec())
        .collect();
        for seed in 1..=300 {
            let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let size = |random: &mut Random| TermSize {
                columns: u16::try_from(random.below(12)).unwrap(),
                rows: u16::try_from(random.below(7)).unwrap(),
            };
            let first = size(&mut random);
            let mut it = Emulator::new(first);
            for _ in 0..600 {
                match random.below(40) {
                    0 => {
                        let next = size(&mut random);
                        it.resize(next);
                    }
                    1 => {
                        let by = isize::try_from(random.below(9)).unwrap() - 4;
                        it.look_back(by);
                    }
                    2..=5 => {
                        let noise: Vec<u8> =
                            (0..9).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
                        it.feed(&noise);
                    }
                    _ => {
                        let part = parts[random.below(parts.len())].clone();
                        it.feed(&part);
                    }
                }
                let size = it.size();
                let screen = it.screen();
                for row in 0..size.rows {
                    for column in 0..size.columns {
                        let cell = screen.cell(row, column).unwrap();
                        assert!(!cell.contents().chars().any(char::is_control));
                    }
                }
            }
        }
    }
}
