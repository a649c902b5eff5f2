//! A chart of one or more values over time, in braille or in ASCII. One dot is one sample wide;
//! a sample that isn't known leaves a gap.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use wharf_stats::Column;

/// One line of a chart.
pub(super) struct Plot {
    /// The samples, oldest first, two for each cell of the width.
    pub(super) columns: Vec<Column>,
    /// How it looks.
    pub(super) style: Style,
    /// The letter for terminals without braille.
    pub(super) letter: char,
}

/// What a chart shows.
pub(super) struct Graph {
    /// The lines; a single one is filled down to zero.
    pub(super) plots: Vec<Plot>,
    /// The value at the top.
    pub(super) top: f64,
    /// A value to draw a dotted line at, if it is on the chart.
    pub(super) limit: Option<f64>,
    /// How that line looks.
    pub(super) limit_style: Style,
    /// The column under a vertical line, whose values are read.
    pub(super) cursor: Option<usize>,
    /// How that line looks.
    pub(super) cursor_style: Style,
    /// From which column to which one time is being chosen.
    pub(super) drawn: Option<(usize, usize)>,
    /// How those columns look.
    pub(super) drawn_style: Style,
    /// The columns where something happened that is told by a mark.
    pub(super) marks: Vec<usize>,
    /// How the marks look.
    pub(super) mark_style: Style,
    /// Whether there is more than ASCII's letters.
    pub(super) unicode: bool,
    /// Whether the lines are drawn with letters, not with braille.
    pub(super) letters: bool,
}

/// The dots of a braille cell from top to bottom, for its left and its right half.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

struct Grid {
    width: usize,
    height: usize,
    cells: Vec<(u8, Style)>,
}

impl Grid {
    /// Sets the dot `row` rows above the bottom.
    fn set(&mut self, column: usize, row: usize, style: Style) {
        let Some(from_top) = (self.height * 4).checked_sub(row + 1) else { return };
        let (x, y) = (column / 2, from_top / 4);
        if x < self.width
            && let Some(cell) = self.cells.get_mut(y * self.width + x)
        {
            cell.0 |= DOTS[column % 2][from_top % 4];
            cell.1 = style;
        }
    }
}

impl Graph {
    /// Draws it.
    pub(super) fn draw(&self, buffer: &mut Buffer, area: Rect) {
        if area.is_empty() || self.top <= 0.0 {
            return;
        }
        if self.letters {
            self.ascii(buffer, area);
        } else {
            self.braille(buffer, area);
        }
        self.upright(buffer, area);
    }

    /// Draws what stands upright over the lines: the marks at the top, and the cursor.
    fn upright(&self, buffer: &mut Buffer, area: Rect) {
        let width = usize::from(area.width);
        if let Some((from, to)) = self.drawn {
            let cell = |column: usize| u16::try_from((column / 2).min(width - 1)).unwrap_or(0);
            let (from, to) = (cell(from.min(to)), cell(from.max(to)));
            let place = Rect { x: area.x + from, width: to - from + 1, ..area };
            buffer.set_style(place, self.drawn_style);
        }
        for mark in &self.marks {
            self.cell(buffer, area, (mark / 2).min(width - 1), '!', self.mark_style);
        }
        if let Some(cursor) = self.cursor.filter(|cursor| cursor / 2 < width) {
            let letter = if self.unicode { '│' } else { '|' };
            for y in 0..usize::from(area.height) {
                self.cell(buffer, area, y * width + cursor / 2, letter, self.cursor_style);
            }
        }
    }

    /// Returns the row of a value, 0 at the bottom, of so many.
    fn row(&self, value: f64, rows: usize) -> usize {
        let share = (value / self.top).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
        let row = (share * (rows - 1) as f64).round() as usize;
        row
    }

    fn braille(&self, buffer: &mut Buffer, area: Rect) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let rows = height * 4;
        let mut grid = Grid { width, height, cells: vec![(0, Style::new()); width * height] };
        if let Some(limit) = self.limit.filter(|l| *l <= self.top) {
            let row = self.row(limit, rows);
            for column in (0..width * 2).step_by(2) {
                grid.set(column, row, self.limit_style);
            }
        }
        let fill = self.plots.len() == 1;
        for plot in self.plots.iter().rev() {
            let mut before: Option<usize> = None;
            let skip = plot.columns.len().saturating_sub(width * 2);
            for (column, value) in plot.columns.iter().skip(skip).enumerate() {
                let Some(max) = value.max else {
                    before = None;
                    continue;
                };
                let row = self.row(f64::from(max), rows);
                let from = match (fill, before) {
                    (true, _) => 0,
                    (false, Some(before)) => before.min(row),
                    (false, None) => row,
                };
                let to = if fill { row } else { before.unwrap_or(row).max(row) };
                for dot in from..=to {
                    grid.set(column, dot, plot.style);
                }
                before = Some(row);
            }
        }
        for (n, (dots, style)) in grid.cells.iter().enumerate() {
            if *dots == 0 {
                continue;
            }
            let letter = char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' ');
            self.cell(buffer, area, n, letter, *style);
        }
    }

    fn ascii(&self, buffer: &mut Buffer, area: Rect) {
        let (width, rows) = (usize::from(area.width), usize::from(area.height));
        let mut put = |x: usize, row: usize, letter: char, style: Style| {
            if let Some(y) = rows.checked_sub(row + 1) {
                self.cell(buffer, area, y * width + x, letter, style);
            }
        };
        if let Some(limit) = self.limit.filter(|l| *l <= self.top) {
            let row = self.row(limit, rows);
            (0..width).step_by(2).for_each(|x| put(x, row, '-', self.limit_style));
        }
        let fill = self.plots.len() == 1;
        for plot in self.plots.iter().rev() {
            let skip = plot.columns.len().saturating_sub(width * 2);
            for (x, pair) in plot.columns[skip..].chunks(2).enumerate() {
                let most = pair
                    .iter()
                    .filter_map(|c| c.max)
                    .fold(None, |most: Option<f32>, v| Some(most.map_or(v, |m| m.max(v))));
                let Some(most) = most else { continue };
                let row = self.row(f64::from(most), rows);
                for below in if fill { 0..=row } else { row..=row } {
                    put(x, below, plot.letter, plot.style);
                }
            }
        }
    }

    fn cell(&self, buffer: &mut Buffer, area: Rect, n: usize, letter: char, style: Style) {
        let width = usize::from(area.width);
        let (Ok(x), Ok(y)) = (u16::try_from(n % width), u16::try_from(n / width)) else { return };
        if let Some(cell) = buffer.cell_mut((area.x + x, area.y + y)) {
            cell.set_char(letter).set_style(style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(values: &[Option<f32>], unicode: bool) -> Buffer {
        let area = Rect::new(0, 0, 4, 2);
        let mut buffer = Buffer::empty(area);
        let columns =
            values.iter().map(|v| Column { min: *v, avg: *v, max: *v }).collect::<Vec<_>>();
        let plots = vec![Plot { columns, style: Style::new(), letter: '#' }];
        graph(plots, unicode).draw(&mut buffer, area);
        buffer
    }

    fn graph(plots: Vec<Plot>, unicode: bool) -> Graph {
        Graph {
            plots,
            top: 7.0,
            limit: None,
            limit_style: Style::new(),
            cursor: None,
            cursor_style: Style::new(),
            drawn: None,
            drawn_style: Style::new(),
            marks: Vec::new(),
            mark_style: Style::new(),
            unicode,
            letters: !unicode,
        }
    }

    #[test]
    fn the_cursor_and_marks_stand_over_the_values() {
        let area = Rect::new(0, 0, 4, 2);
        for (unicode, lines) in [(true, [" │ !", "⣀│⣀⣀"]), (false, [" | !", "#|##"])] {
            let mut buffer = Buffer::empty(area);
            let columns = vec![Column { min: None, avg: Some(0.0), max: Some(0.0) }; 8];
            let plots = vec![Plot { columns, style: Style::new(), letter: '#' }];
            let graph = Graph { cursor: Some(3), marks: vec![7, 2], ..graph(plots, unicode) };
            graph.draw(&mut buffer, area);
            assert_eq!(buffer, Buffer::with_lines(lines));
        }
    }

    #[test]
    fn values_are_filled_and_gaps_stay_empty() {
        let wave = [Some(0.0), Some(7.0), None, None, Some(3.0), Some(4.0), Some(1.0), None];
        assert_eq!(draw(&wave, true), Buffer::with_lines(["⢸ ⢀ ", "⣸ ⣿⡄"]));
        let wave = [Some(0.0), Some(7.0), None, None, Some(3.0), Some(2.0), Some(1.0), None];
        assert_eq!(draw(&wave, false), Buffer::with_lines(["#   ", "# ##"]));
    }
}
