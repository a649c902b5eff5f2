//! The log tab: a window of lines around what is on screen. The whole log stays where it is; the
//! runtime sends more lines when the window comes near its end.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use unicode_segmentation::UnicodeSegmentation;
use wharf_logs::{Bars, Case, Matcher, Span};
use wharf_model::ContainerId;

use crate::message::{Place, RawLine};
use crate::text::width;

/// How many lines are kept.
pub(crate) const WINDOW: usize = 600;

/// How many lines are asked for at once.
pub(crate) const BATCH: usize = 200;

/// How many lines may be unfolded at a time.
const UNFOLDED: usize = 50;

/// A container whose log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOrigin {
    /// Which.
    pub id: ContainerId,
    /// What it is called.
    pub name: String,
    /// Its engine, by its place.
    pub host: usize,
}

/// How much of a log is shown, by the digit of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    /// All of it.
    #[default]
    All,
    /// What was written since an instant.
    Since(DateTime<Utc>),
}

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
    /// Whose log is open; several are merged by time.
    pub origins: Vec<LogOrigin>,
    /// The containers whose logs are to be merged; empty shows that of the selected one.
    pub merged: Vec<ContainerId>,
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
    /// The selected line; none while the newest is followed.
    pub cursor: Option<u64>,
    /// Where a selection of several lines began.
    pub anchor: Option<u64>,
    /// Lines that are unfolded, with their rows.
    pub unfolded: BTreeMap<u64, Vec<Vec<Span>>>,
    /// Whether JSON is shown as it was written.
    pub raw: bool,
    /// How much of the log is shown.
    pub period: Period,
    /// How much was written when.
    pub bars: Option<Bars>,
    /// How many bars were asked for.
    pub columns: usize,
    /// The instant to show once the log is open.
    pub goto: Option<DateTime<Utc>>,
    /// How many of the last records were asked for of a stream, and how many of these were dropped.
    pub missing: Option<(u64, u64)>,
    /// Bytes that rotation has removed.
    pub removed: u64,
    /// What the engine keeps of a log that it rotates, and sends.
    pub kept: Option<String>,
    /// How often the engine has lost lines of what it sends.
    pub lost: u64,
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
            origins: Vec::new(),
            merged: Vec::new(),
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
            cursor: None,
            anchor: None,
            unfolded: BTreeMap::new(),
            raw: false,
            period: Period::All,
            bars: None,
            columns: 0,
            goto: None,
            missing: None,
            removed: 0,
            kept: None,
            lost: 0,
            at_start: false,
            at_end: false,
            more: false,
            waiting: false,
            error: None,
        }
    }
}

/// Returns the instant that a text means: `14:05`, `14:05:30` (the last time it was that late, UTC, as
/// the lines' times are), a date, or what `--since` takes.
///
/// # Errors
/// When it is none.
pub fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let formats = ["%H:%M:%S%.f", "%H:%M"];
    let clock = formats.iter().find_map(|f| chrono::NaiveTime::parse_from_str(text, f).ok());
    if let Some(clock) = clock {
        let today = now.date_naive().and_time(clock).and_utc();
        return Ok(if today > now { today - TimeDelta::days(1) } else { today });
    }
    // What the lines show is UTC, so what is typed is it too.
    let text = text.trim_end_matches(" ago").replacen(' ', "T", 1);
    let bare = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let bare = bare.iter().find_map(|f| chrono::NaiveDateTime::parse_from_str(&text, f).ok());
    if let Some(bare) = bare {
        return Ok(bare.and_utc());
    }
    let ago = text.strip_prefix('-').unwrap_or(&text);
    wharf_inspect::instant(ago, now).map_err(|_| {
        "a time is 14:05, 14:05:30, 2026-01-31 14:05, or 10m for ten minutes ago".to_owned()
    })
}

impl LogPane {
    /// Begins anew with the log of another container, or of several. How it is shown stays as it is.
    pub fn open(&mut self, origins: Vec<LogOrigin>, generation: u64) {
        let old = std::mem::take(self);
        *self = Self {
            origins,
            generation,
            merged: old.merged,
            wrap: old.wrap,
            times: old.times,
            raw: old.raw,
            goto: old.goto,
            waiting: true,
            ..Self::default()
        };
    }

    /// Closes what is open; what was asked for is remembered.
    pub fn close(&mut self) {
        self.origins.clear();
        self.columns = 0;
    }

    /// Returns whether a log is open.
    pub fn is_open(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Returns whether several logs are shown as one.
    pub fn is_merged(&self) -> bool {
        self.origins.len() > 1
    }

    /// Returns the place of the selected line: that of the cursor, or the last one in sight.
    pub fn selected(&self) -> Option<usize> {
        let last = self.lines.len().checked_sub(1)?;
        match self.cursor {
            None if self.follow => Some(last),
            None => Some(self.top.min(last)),
            Some(at) => Some(self.place(at).min(last)),
        }
    }

    /// Returns the place of the line at a position, or of the next one.
    fn place(&self, position: u64) -> usize {
        self.lines.partition_point(|l| l.line.next <= position)
    }

    /// Returns the places of the selected lines: from where the selection began to the cursor, or the
    /// record that the cursor is in.
    pub fn selection(&self) -> std::ops::Range<usize> {
        let Some(at) = self.selected() else { return 0..0 };
        if let Some(anchor) = self.anchor {
            let from = self.place(anchor).min(self.lines.len().saturating_sub(1));
            return from.min(at)..from.max(at) + 1;
        }
        let joined = |n: usize| self.lines.get(n).is_some_and(|l| l.line.joined);
        let mut begin = at;
        while begin > 0 && joined(begin) {
            begin -= 1;
        }
        let mut end = at + 1;
        while joined(end) {
            end += 1;
        }
        begin..end
    }

    /// Returns how many rows of the screen lie between its top and a line, negative above it.
    fn offset(&self, place: usize, columns: usize) -> isize {
        if place < self.top {
            return -1;
        }
        let range = self.lines.range(self.top..place.min(self.lines.len()));
        let rows: usize = range.map(|line| self.rows_of(line, columns)).sum();
        isize::try_from(rows).unwrap_or(isize::MAX) - isize::try_from(self.skip).unwrap_or(0)
    }

    /// Moves the cursor by one line, or scrolls by a row where the line is taller than the screen.
    /// Returns whether it was at the last one already.
    pub fn step(&mut self, down: bool, columns: usize, rows: usize) -> bool {
        let Some(at) = self.selected() else { return true };
        let screen = isize::try_from(rows).unwrap_or(isize::MAX);
        if !down {
            if at == self.top && self.skip > 0 {
                self.scroll(-1, columns, rows);
                return false;
            }
            let to = at.saturating_sub(1);
            self.cursor = self.lines.get(to).map(|l| l.line.position);
            if to < self.top {
                self.scroll(-1, columns, rows);
            }
            return false;
        }
        let height = self.lines.get(at).map_or(1, |line| self.rows_of(line, columns));
        let below = self.offset(at, columns) + isize::try_from(height).unwrap_or(0);
        if below > screen {
            self.scroll(1, columns, rows);
            return false;
        }
        let Some(next) = self.lines.get(at + 1).map(|l| l.line.position) else { return true };
        self.cursor = Some(next);
        while self.offset(at + 1, columns) >= screen {
            self.scroll(1, columns, rows);
        }
        false
    }

    /// Brings the cursor back into sight after scrolling.
    pub fn hold_cursor(&mut self, columns: usize, rows: usize) {
        let Some(at) = self.selected().filter(|_| self.cursor.is_some()) else { return };
        let screen = isize::try_from(rows).unwrap_or(isize::MAX);
        let mut to = at.max(self.top);
        while to > self.top && self.offset(to, columns) >= screen {
            to -= 1;
        }
        self.cursor = self.lines.get(to).map(|l| l.line.position);
    }

    /// Scrolls until all of the selected line is in sight, or as much as there is room for.
    pub fn reveal(&mut self, columns: usize, rows: usize) {
        let Some(at) = self.selected() else { return };
        let height = self.lines.get(at).map_or(1, |line| self.rows_of(line, columns));
        let height = isize::try_from(height).unwrap_or(isize::MAX);
        let screen = isize::try_from(rows).unwrap_or(isize::MAX);
        let above = self.offset(at, columns);
        let hidden = above.saturating_add(height).saturating_sub(screen);
        self.scroll(hidden.min(above).max(0), columns, rows);
    }

    /// Returns the place of the line in a row of the screen.
    pub fn line_at(&self, row: usize, columns: usize) -> Option<usize> {
        let row = isize::try_from(row).ok()?;
        let after = |place: &usize| self.offset(place + 1, columns) > row;
        (self.top..self.lines.len()).find(after)
    }

    /// Keeps the rows of an unfolded line.
    pub fn unfold(&mut self, position: u64, rows: Vec<Vec<Span>>) {
        if self.unfolded.len() >= UNFOLDED {
            self.unfolded.pop_first();
        }
        self.unfolded.insert(position, rows);
    }

    /// Returns the instants of the first and the last line on the screen.
    pub fn in_sight(&self, rows: usize) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let lines = || self.lines.iter().skip(self.top).take(rows.max(1));
        let first = lines().find_map(|l| l.line.time)?;
        let last = lines().filter_map(|l| l.line.time).next_back()?;
        Some((first, last))
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
        if let Some(rows) = self.unfolded.get(&line.line.position) {
            return rows.len().max(1);
        }
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
        let times = if self.times { 14 } else { 1 };
        times + self.name_cells().map_or(0, |cells| cells + 1)
    }

    /// Returns how many cells the containers' names take, where several logs are shown.
    pub fn name_cells(&self) -> Option<usize> {
        let longest = || self.origins.iter().map(|origin| width(&origin.name)).max();
        self.is_merged().then(|| longest().unwrap_or(0).min(14))
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
        self.top = self.place(position);
        self.cursor = self.lines.get(self.top).map(|l| l.line.position);
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
        self.cursor.or(self.hit).or_else(|| {
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
            source: 0,
            joined: false,
            folds: false,
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
