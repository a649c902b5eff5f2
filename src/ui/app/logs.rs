//! The log tab: a window of lines around what is on screen. The whole log stays where it is; the
//! runtime sends more lines when the window comes near its end.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation;
use wharf_logs::{Case, Matcher};
use wharf_model::ContainerId;

use crate::message::{Place, RawLine};
use crate::text::width;

/// How many lines are kept.
pub(crate) const WINDOW: usize = 600;

/// How many lines are asked for at once.
pub(crate) const BATCH: usize = 200;

/// A line and its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The line.
    pub line: RawLine,
    /// How many cells its text takes.
    pub width: usize,
    /// Whether every letter takes one cell.
    plain: bool,
}

/// The log tab.
#[derive(Debug)]
pub struct LogPane {
    /// Whose log is open.
    pub id: Option<ContainerId>,
    /// When the container was started, as of the opening.
    pub started: Option<chrono::DateTime<chrono::Utc>>,
    /// Whether there will be no more lines.
    pub ended: bool,
    /// The number of this opening; replies to others are out of date.
    pub generation: u64,
    /// The lines that are known, oldest first.
    pub lines: VecDeque<Shown>,
    /// The first line on screen.
    pub top: usize,
    /// The first row of it on screen, when it is wrapped.
    pub skip: usize,
    /// Cells scrolled to the right.
    pub left: usize,
    /// Whether the newest lines are kept in sight.
    pub follow: bool,
    /// Whether long lines are wrapped.
    pub wrap: bool,
    /// Whether times are shown.
    pub times: bool,
    /// What is searched for.
    pub pattern: String,
    /// The same, compiled.
    pub matcher: Option<Matcher>,
    /// Whether only matching lines are shown.
    pub only: bool,
    /// How many matches there are so far, and whether that is all.
    pub matches: Option<(u64, bool)>,
    /// The match that was last gone to.
    pub hit: Option<u64>,
    /// Whether there are no lines before the window.
    pub at_start: bool,
    /// Whether there are no lines after the window.
    pub at_end: bool,
    /// Whether new lines came while nobody followed.
    pub more: bool,
    /// Whether lines are awaited.
    pub waiting: bool,
    /// Why there are none.
    pub error: Option<String>,
}

impl Default for LogPane {
    fn default() -> Self {
        Self {
            id: None,
            started: None,
            ended: false,
            generation: 0,
            lines: VecDeque::new(),
            top: 0,
            skip: 0,
            left: 0,
            follow: true,
            wrap: false,
            times: false,
            pattern: String::new(),
            matcher: None,
            only: false,
            matches: None,
            hit: None,
            at_start: false,
            at_end: false,
            more: false,
            waiting: false,
            error: None,
        }
    }
}

impl LogPane {
    /// Begins anew with another container's log. How it is shown stays as it is.
    pub fn open(&mut self, id: ContainerId, generation: u64) {
        let (wrap, times) = (self.wrap, self.times);
        *self = Self { id: Some(id), generation, wrap, times, waiting: true, ..Self::default() };
    }

    /// Sets what is searched for.
    ///
    /// # Errors
    /// When it isn't a regular expression.
    pub fn set_pattern(&mut self, pattern: &str) -> Result<(), String> {
        let matcher = match pattern {
            "" => None,
            text => Some(Matcher::new(text, Case::Smart).map_err(|e| e.to_string())?),
        };
        pattern.clone_into(&mut self.pattern);
        self.matcher = matcher;
        self.matches = None;
        self.hit = None;
        Ok(())
    }

    /// Returns how many rows a line takes in a pane of so many columns.
    pub fn rows_of(&self, line: &Shown, columns: usize) -> usize {
        if !self.wrap {
            return 1;
        }
        let room = columns.saturating_sub(self.gutter()).max(1);
        if line.plain {
            return line.width.div_ceil(room).max(1);
        }
        // A wide letter that doesn't fit leaves a blank behind.
        let letters = line.line.spans.iter().flat_map(|s| s.text.graphemes(true));
        let (rows, _) = letters.map(width).fold((1, 0), |(rows, column), cells| {
            if column + cells > room { (rows + 1, cells) } else { (rows, column + cells) }
        });
        rows
    }

    /// Returns how many cells the mark and the time take.
    pub fn gutter(&self) -> usize {
        if self.times { 14 } else { 1 }
    }

    /// Takes lines into the window, which has `columns` and `rows`.
    pub fn take(&mut self, place: Place, lines: Vec<RawLine>, columns: usize, rows: usize) {
        self.waiting = false;
        self.error = None;
        let new = lines.into_iter().map(|line| Shown {
            width: line.spans.iter().map(|s| width(&s.text)).sum(),
            plain: line.spans.iter().all(|s| s.text.is_ascii()),
            line,
        });
        match place {
            Place::Tail | Place::Head | Place::Around(_) => {
                self.lines = new.collect();
                self.top = 0;
                self.skip = 0;
            }
            Place::After => {
                let next = self.lines.back().map(|l| l.line.next);
                self.lines.extend(new.filter(|l| next.is_none_or(|n| l.line.position >= n)));
                let extra = self.lines.len().saturating_sub(WINDOW);
                // What is on screen stays.
                let extra = if self.follow { extra } else { extra.min(self.top) };
                if extra > 0 {
                    self.lines.drain(..extra);
                    self.top -= extra.min(self.top);
                    self.at_start = false;
                }
            }
            Place::Before => {
                let first = self.lines.front().map(|l| l.line.position);
                let old: Vec<_> =
                    new.filter(|l| first.is_none_or(|f| l.line.position < f)).collect();
                self.top += old.len();
                for line in old.into_iter().rev() {
                    self.lines.push_front(line);
                }
                let keep = WINDOW.max(self.top + rows * 2);
                if self.lines.len() > keep {
                    self.lines.truncate(keep);
                    self.at_end = false;
                }
            }
        }
        match place {
            Place::Tail => self.to_end(columns, rows),
            Place::Around(position) => self.show(position, columns, rows),
            Place::After if self.follow => self.to_end(columns, rows),
            _ => self.clamp(columns, rows),
        }
    }

    /// Puts the last line of the window on the last row.
    pub fn to_end(&mut self, columns: usize, rows: usize) {
        (self.top, self.skip) = self.end(columns, rows);
    }

    /// Puts the line at a position in the upper third.
    pub fn show(&mut self, position: u64, columns: usize, rows: usize) {
        let at = self.lines.iter().position(|l| l.line.position >= position);
        self.top = at.unwrap_or(self.lines.len());
        self.skip = 0;
        self.scroll(-isize::try_from(rows / 3).unwrap_or(0), columns, rows);
    }

    /// Returns the line and row that are on top when the end is in sight.
    fn end(&self, columns: usize, rows: usize) -> (usize, usize) {
        let mut room = rows;
        for (at, line) in self.lines.iter().enumerate().rev() {
            let height = self.rows_of(line, columns);
            if height >= room {
                return (at, height - room);
            }
            room -= height;
        }
        (0, 0)
    }

    fn clamp(&mut self, columns: usize, rows: usize) {
        let end = self.end(columns, rows);
        if (self.top, self.skip) > end {
            (self.top, self.skip) = end;
        }
        let height = self.lines.get(self.top).map_or(1, |l| self.rows_of(l, columns));
        self.skip = self.skip.min(height - 1);
    }

    /// Scrolls by rows.
    pub fn scroll(&mut self, by: isize, columns: usize, rows: usize) {
        let mut left = by;
        while left > 0 && self.top < self.lines.len() {
            let height = self.rows_of(&self.lines[self.top], columns);
            if self.skip + 1 < height {
                self.skip += 1;
            } else {
                self.top += 1;
                self.skip = 0;
            }
            left -= 1;
        }
        while left < 0 && (self.top > 0 || self.skip > 0) {
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                self.top -= 1;
                let height = self.lines.get(self.top).map_or(1, |l| self.rows_of(l, columns));
                self.skip = height - 1;
            }
            left += 1;
        }
        self.clamp(columns, rows);
    }

    /// Returns whether the last known line is in sight.
    pub fn sees_end(&self, columns: usize, rows: usize) -> bool {
        (self.top, self.skip) >= self.end(columns, rows)
    }

    /// Returns how many known lines are below the screen, at least.
    pub fn below(&self, rows: usize) -> usize {
        self.lines.len().saturating_sub(self.top + rows)
    }

    /// Returns the position from which the next match is searched.
    pub fn search_from(&self) -> Option<u64> {
        self.hit.or_else(|| {
            // Nothing gone to yet: begin with what is on screen.
            self.lines.get(self.top).map(|l| l.line.position)
        })
    }
}

#[cfg(test)]
mod tests {
    use wharf_logs::{Span, Style};
    use wharf_model::LogStream;

    use super::*;

    fn lines(range: std::ops::Range<u64>, cells: usize) -> Vec<RawLine> {
        let line = |n: u64| RawLine {
            position: n,
            next: n + 1,
            time: None,
            stream: LogStream::Stdout,
            spans: vec![Span { text: "x".repeat(cells), style: Style::default() }],
        };
        range.map(line).collect()
    }

    #[test]
    fn the_window_follows_the_end_and_stays_bounded() {
        let mut pane = LogPane::default();
        pane.take(Place::Tail, lines(0..100, 5), 80, 10);
        assert_eq!(pane.top, 90);
        pane.take(Place::After, lines(98..1000, 5), 80, 10);
        assert_eq!(pane.lines.len(), WINDOW);
        assert_eq!(pane.lines.back().unwrap().line.position, 999);
        assert_eq!(pane.top, WINDOW - 10);
    }

    #[test]
    fn what_is_on_screen_stays_when_lines_come_before_or_after() {
        let mut pane = LogPane { follow: false, ..LogPane::default() };
        pane.take(Place::Around(1050), lines(1000..1100, 5), 80, 9);
        let on_top = |p: &LogPane| p.lines[p.top].line.position;
        assert_eq!(on_top(&pane), 1047);
        pane.take(Place::Before, lines(400..1000, 5), 80, 9);
        assert_eq!(on_top(&pane), 1047);
        pane.take(Place::After, lines(1100..2000, 5), 80, 9);
        assert_eq!(on_top(&pane), 1047);
    }

    #[test]
    fn wrapped_lines_scroll_row_by_row() {
        let mut pane = LogPane { wrap: true, ..LogPane::default() };
        pane.take(Place::Head, lines(0..3, 25), 11, 4);
        assert_eq!((pane.top, pane.skip), (0, 0));
        pane.scroll(4, 11, 4);
        assert_eq!((pane.top, pane.skip), (1, 1));
        pane.scroll(50, 11, 4);
        assert_eq!((pane.top, pane.skip), (1, 2));
        pane.scroll(-50, 11, 4);
        assert_eq!((pane.top, pane.skip), (0, 0));
    }
}
