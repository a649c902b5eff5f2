//! A frame's changes as bytes: as few as tell a terminal of them.
//!
//! What the terminal has already isn't said again. Somebody else may have written to it between two frames,
//! so each goes to its first cell by row and column, and every so many frames the colours are said whole:
//! wrong ones don't stay.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// So many blanks are erased rather than written.
const ERASED: usize = 6;

/// Every so many frames begin with whole colours.
const WHOLE: u32 = 16;

/// What is seen of a blank, beside its background.
const SEEN_ON_BLANKS: Modifier = Modifier::UNDERLINED
    .union(Modifier::REVERSED)
    .union(Modifier::CROSSED_OUT)
    .union(Modifier::SLOW_BLINK)
    .union(Modifier::RAPID_BLINK);

/// Attributes with the numbers that set them and take them away (ECMA-48, SGR).
const ATTRIBUTES: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// What is known of a terminal between two frames.
#[derive(Default)]
pub struct Encoder {
    /// What it writes in, once that is said.
    style: Option<Style>,
    frames: u32,
}

impl Encoder {
    /// Appends as many of a frame's changes as fit into so many bytes, in their order and one at least,
    /// and returns how many these are. The terminal has so many columns.
    pub fn encode(
        &mut self,
        updates: &[(u16, u16, &Cell)],
        columns: u16,
        room: usize,
        bytes: &mut Vec<u8>,
    ) -> usize {
        let most = bytes.len().saturating_add(room);
        self.frames = self.frames.wrapping_add(1);
        let style = self.style.filter(|_| !self.frames.is_multiple_of(WHOLE));
        let mut pen = Pen { bytes, columns, at: None, is_sure: false, style };
        let mut done = 0;
        while let Some((x, y, cell)) = updates.get(done) {
            let before = (pen.bytes.len(), pen.style);
            pen.go(*x, *y);
            let blanks = blanks(updates.get(done..).unwrap_or_default());
            let count = if blanks >= ERASED { blanks } else { 1 };
            if count > 1 {
                pen.erase(count);
            } else {
                pen.write(cell);
            }
            if pen.bytes.len() > most && done > 0 {
                pen.bytes.truncate(before.0);
                pen.style = before.1;
                break;
            }
            done += count;
        }
        self.style = pen.style;
        done
    }
}

/// Returns how many blanks without a background follow each other in a row at the beginning.
fn blanks(updates: &[(u16, u16, &Cell)]) -> usize {
    let Some((begin, row, _)) = updates.first() else { return 0 };
    let follow = updates.iter().zip(*begin..).take_while(|((x, y, cell), at)| {
        (x, y) == (at, row)
            && cell.symbol() == " "
            && cell.bg == Color::Reset
            && !cell.modifier.intersects(SEEN_ON_BLANKS)
    });
    follow.count()
}

/// Foreground, background and attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Style {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Style {
    /// What a terminal has after a reset.
    const NONE: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };
}

struct Pen<'b> {
    bytes: &'b mut Vec<u8>,
    columns: u16,
    /// The column and row of the terminal's cursor; none at a row's end, where terminals differ.
    at: Option<(u16, u16)>,
    /// Whether all terminals agree about that: they don't about the cells of some letters.
    is_sure: bool,
    /// What the terminal writes in, once that is said.
    style: Option<Style>,
}

impl Pen<'_> {
    fn write(&mut self, cell: &Cell) {
        let symbol = cell.symbol();
        let exact = Style { fg: cell.fg, bg: cell.bg, modifier: cell.modifier };
        let is_blank = symbol == " " && !cell.modifier.intersects(SEEN_ON_BLANKS);
        self.dress(if is_blank { self.blank(cell.bg) } else { exact });
        self.bytes.extend_from_slice(symbol.as_bytes());
        let mut letters = symbol.chars();
        let letter = letters.next().filter(|_| letters.next().is_none());
        self.is_sure &= letter.is_some_and(|it| it.is_ascii() || ('⠀'..='⣿').contains(&it));
        let cells = u16::try_from(symbol.width()).unwrap_or(1);
        self.at = self.at.map(|(x, y)| (x.saturating_add(cells), y));
        self.at = self.at.filter(|(x, _)| *x < self.columns);
    }

    fn erase(&mut self, count: usize) {
        self.dress(self.blank(Color::Reset));
        self.control(count, b'X');
    }

    /// Returns the style that costs least for a blank with this background.
    fn blank(&self, bg: Color) -> Style {
        let now = self.style.unwrap_or(Style::NONE);
        Style { fg: now.fg, bg, modifier: now.modifier - SEEN_ON_BLANKS }
    }

    /// Takes the cursor to a cell.
    fn go(&mut self, x: u16, y: u16) {
        if self.at == Some((x, y)) {
            return;
        }
        let begin = self.bytes.len();
        match self.at.filter(|_| self.is_sure) {
            None => self.jump(x, y),
            Some((from_x, from_y)) => {
                match (y.checked_sub(from_y), from_y.saturating_sub(y)) {
                    (Some(0), _) => {}
                    // The screen has that row, so nothing scrolls.
                    (Some(down @ 1..=3), _) => self.bytes.extend((0..down).map(|_| b'\n')),
                    (Some(down), _) => self.control(down.into(), b'B'),
                    (None, up) => self.control(up.into(), b'A'),
                }
                match (x.checked_sub(from_x), from_x.saturating_sub(x)) {
                    (Some(0), _) => {}
                    (Some(right), _) => self.control(right.into(), b'C'),
                    (None, _) if x == 0 => self.bytes.push(b'\r'),
                    (None, left @ 1..=3) => self.bytes.extend((0..left).map(|_| b'\x08')),
                    (None, left) => self.control(left.into(), b'D'),
                }
                let end = self.bytes.len();
                self.jump(x, y);
                // The shorter of the two.
                if self.bytes.len() - end < end - begin {
                    self.bytes.drain(begin..end);
                } else {
                    self.bytes.truncate(end);
                }
            }
        }
        (self.at, self.is_sure) = (Some((x, y)), true);
    }

    fn jump(&mut self, x: u16, y: u16) {
        self.bytes.extend_from_slice(b"\x1b[");
        self.number(u32::from(y) + 1);
        if x > 0 {
            self.bytes.push(b';');
            self.number(u32::from(x) + 1);
        }
        self.bytes.push(b'H');
    }

    /// Sets colours and attributes.
    fn dress(&mut self, wanted: Style) {
        let now = self.style.replace(wanted);
        if now == Some(wanted) {
            return;
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(b"\x1b[");
        self.differences(Style::NONE, wanted, true);
        self.bytes.push(b'm');
        if let Some(now) = now {
            let middle = self.bytes.len();
            self.bytes.extend_from_slice(b"\x1b[");
            self.differences(now, wanted, false);
            self.bytes.push(b'm');
            // The shorter of the two.
            if self.bytes.len() - middle < middle - begin {
                self.bytes.drain(begin..middle);
            } else {
                self.bytes.truncate(middle);
            }
        }
    }

    /// Appends the numbers that lead from one style to another, the first of them the reset if asked.
    fn differences(&mut self, from: Style, to: Style, reset: bool) {
        let mut is_first = true;
        let mut code = |pen: &mut Self, codes: &[u8]| {
            for number in codes {
                if !std::mem::take(&mut is_first) {
                    pen.bytes.push(b';');
                }
                pen.number(u32::from(*number));
            }
        };
        let changes = from != to;
        if reset && changes {
            code(self, &[0]);
        }
        let mut has = from.modifier;
        for (attribute, _, off) in ATTRIBUTES {
            if has.contains(attribute) && !to.modifier.contains(attribute) {
                code(self, &[off]);
                // One number takes away all that it stands for.
                let gone = ATTRIBUTES.iter().filter(|(_, _, number)| *number == off);
                gone.for_each(|(attribute, ..)| has.remove(*attribute));
            }
        }
        for (attribute, on, _) in ATTRIBUTES {
            if to.modifier.contains(attribute) && !has.contains(attribute) {
                code(self, &[on]);
            }
        }
        for (from, to, ground) in [(from.fg, to.fg, 30), (from.bg, to.bg, 40)] {
            if from == to {
                continue;
            }
            match (named(to), to) {
                (Some(number @ 0..8), _) => code(self, &[ground + number]),
                (Some(number), _) => code(self, &[ground + 60 + number - 8]),
                (None, Color::Indexed(index)) => code(self, &[ground + 8, 5, index]),
                (None, Color::Rgb(r, g, b)) => code(self, &[ground + 8, 2, r, g, b]),
                (None, _) => code(self, &[ground + 9]),
            }
        }
    }

    /// Appends a control sequence with a count, which is left out when it is one.
    fn control(&mut self, count: usize, end: u8) {
        self.bytes.extend_from_slice(b"\x1b[");
        if count != 1 {
            self.number(u32::try_from(count).unwrap_or(u32::MAX));
        }
        self.bytes.push(end);
    }

    fn number(&mut self, number: u32) {
        use std::io::Write as _;
        // Memory takes everything.
        let _ = write!(self.bytes, "{number}");
    }
}

/// Returns the number among the sixteen that have names, which more terminals know than know others.
pub(crate) fn named(color: Color) -> Option<u8> {
    Some(match color {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(index @ 0..16) => index,
        Color::Indexed(_) | Color::Rgb(..) | Color::Reset => return None,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style as Painted;

    use super::*;

    const AREA: Rect = Rect { x: 0, y: 0, width: 40, height: 8 };

    /// Numbers that look random and are the same each time.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % bound
        }

        fn color(&mut self) -> Color {
            match self.below(8) {
                0..4 => Color::Reset,
                4 => Color::Green,
                5 => Color::Indexed(12),
                6 => Color::Indexed(75),
                _ => Color::Rgb(1, 20, 200),
            }
        }

        /// Draws something somewhere.
        fn scribble(&mut self, buffer: &mut Buffer) {
            // Pairs of cells, so that no wide letter is cut in two.
            const TEXTS: [&str; 6] = ["some words", "⣀⣤⣿⡇", "              ", "│▁█│", "日本", "7s"];
            let text = TEXTS[usize::try_from(self.below(6)).unwrap()];
            let mut style = Painted::new().fg(self.color()).bg(self.color());
            // The emulator knows no blinking or hiding, and takes dim and bold for one thing.
            const ATTRIBUTES: [Modifier; 4] =
                [Modifier::BOLD, Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED];
            if self.below(2) == 0 {
                style = style.add_modifier(ATTRIBUTES[usize::try_from(self.below(4)).unwrap()]);
            }
            let x = u16::try_from(self.below(20) * 2).unwrap();
            let y = u16::try_from(self.below(8)).unwrap();
            buffer.set_string(x, y, text, style);
        }
    }

    fn parser() -> vt100::Parser {
        let size = [AREA.height, AREA.width].map(|cells| cells.try_into().unwrap());
        vt100::Parser::new(size[0], size[1], 0)
    }

    /// Returns what a terminal shows in a cell: its letter and how it looks.
    fn look(screen: &vt100::Screen, x: u16, y: u16) -> String {
        let cell = screen.cell(y, x).unwrap();
        let text = if cell.has_contents() { cell.contents() } else { " " };
        let marks = (cell.bold(), cell.italic(), cell.underline(), cell.inverse());
        let blank = text == " " && !cell.underline() && !cell.inverse();
        let how = if blank {
            format!("{:?}", cell.bgcolor())
        } else {
            format!("{:?} {:?} {marks:?}", cell.fgcolor(), cell.bgcolor())
        };
        format!("{text} {how}")
    }

    #[test]
    fn a_terminal_shows_what_was_drawn() {
        let mut numbers = Numbers(7);
        let mut shown = Buffer::empty(AREA);
        let mut next = Buffer::empty(AREA);
        let mut terminal = parser();
        let mut encoder = Encoder::default();
        for frame in 0..400 {
            (0..=numbers.below(4)).for_each(|_| numbers.scribble(&mut next));
            let updates = shown.diff(&next);
            let mut bytes = Vec::new();
            // Now and then the line has no room for all of it.
            let room = if numbers.below(4) == 0 { 30 } else { usize::MAX };
            let done = encoder.encode(&updates, AREA.width, room, &mut bytes);
            let rest = updates.get(done..).unwrap();
            let mut more = Vec::new();
            assert_eq!(encoder.encode(rest, AREA.width, usize::MAX, &mut more), rest.len());
            terminal.process(&bytes);
            terminal.process(&more);
            shown.clone_from(&next);
            // The same by one that goes to each cell of all of it.
            let mut whole = parser();
            for (x, y, cell) in Buffer::empty(AREA).diff(&next) {
                let mut bytes = Vec::new();
                Encoder::default().encode(&[(x, y, cell)], AREA.width, usize::MAX, &mut bytes);
                whole.process(&bytes);
            }
            for (x, y) in (0..AREA.height).flat_map(|y| (0..AREA.width).map(move |x| (x, y))) {
                let (found, wanted) = (look(terminal.screen(), x, y), look(whole.screen(), x, y));
                assert_eq!(found, wanted, "frame {frame}, {x} {y}: {bytes:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let mut next = Buffer::empty(AREA);
        next.set_string(0, 0, "0123456789", Painted::new());
        let blank = Buffer::empty(AREA);
        let updates = blank.diff(&next);
        for room in 0..40 {
            let mut bytes = b"before".to_vec();
            let done = Encoder::default().encode(&updates, AREA.width, room, &mut bytes);
            assert!((1..=10).contains(&done));
            assert!(done == 1 || bytes.len() <= 6 + room, "{room}: {bytes:?}");
            let mut terminal = parser();
            terminal.process(&bytes[6..]);
            assert_eq!(terminal.screen().contents(), "0123456789"[..done]);
        }
    }

    #[test]
    fn a_column_of_numbers_costs_little() {
        let (mut shown, mut next) = (Buffer::empty(AREA), Buffer::empty(AREA));
        for y in 0..8 {
            shown.set_string(20, y, "3s", Painted::new());
            next.set_string(20, y, "4s", Painted::new());
        }
        let mut bytes = Vec::new();
        Encoder::default().encode(&shown.diff(&next), AREA.width, usize::MAX, &mut bytes);
        let first = b"\x1b[1;21H\x1b[m4".len();
        assert_eq!(bytes.len(), first + 7 * b"\n\x084".len(), "{bytes:?}");
    }

    #[test]
    fn colours_are_said_again_only_now_and_then() {
        let mut encoder = Encoder::default();
        let mut cell = Cell::new("x");
        cell.set_style(Painted::new().fg(Color::Indexed(75)));
        let frames = (0..33).map(|_| {
            let mut bytes = Vec::new();
            encoder.encode(&[(2, 3, &cell)], AREA.width, usize::MAX, &mut bytes);
            bytes
        });
        let frames: Vec<_> = frames.collect();
        let whole = frames.iter().filter(|frame| *frame == b"\x1b[4;3H\x1b[0;38;5;75mx").count();
        let short = frames.iter().filter(|frame| *frame == b"\x1b[4;3Hx").count();
        assert_eq!((whole, short), (3, 30), "{frames:?}");
    }

    #[test]
    fn attributes_are_taken_away_one_by_one_where_that_is_shorter() {
        let mut next = Buffer::empty(AREA);
        let color = Painted::new().fg(Color::Indexed(75)).bg(Color::Indexed(24));
        next.set_string(0, 0, "a", color.add_modifier(Modifier::BOLD));
        next.set_string(1, 0, "b", color);
        next.set_string(2, 0, "c", Painted::new());
        let mut bytes = Vec::new();
        let blank = Buffer::empty(AREA);
        Encoder::default().encode(&blank.diff(&next), AREA.width, usize::MAX, &mut bytes);
        assert_eq!(bytes, b"\x1b[1H\x1b[0;1;38;5;75;48;5;24ma\x1b[22mb\x1b[mc");
    }
}
