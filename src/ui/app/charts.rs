//! What of the charts is shown: how long a time, which instant, which chart alone.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::ContainerId;

use super::metrics::{LENGTHS, Window};
use super::{App, Redraw};
use crate::view::chart_columns;

/// The charts, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chart {
    /// Time of CPUs.
    #[default]
    Cpu,
    /// Memory.
    Memory,
    /// What is waited for.
    Pressure,
    /// Traffic.
    Network,
    /// Block devices.
    Disk,
    /// Tasks.
    Pids,
}

impl Chart {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Memory, Self::Pressure, Self::Network, Self::Disk, Self::Pids];

    /// Returns the one so many further on, the first after the last.
    #[must_use]
    pub fn after(self, by: isize) -> Self {
        let count = Self::ALL.len();
        let at = Self::ALL.iter().position(|chart| *chart == self).unwrap_or(0);
        let at = at.wrapping_add_signed(by).wrapping_add(count) % count;
        Self::ALL.get(at).copied().unwrap_or(self)
    }

    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
            Self::Pressure => "Pressure",
            Self::Network => "Net",
            Self::Disk => "Disk",
            Self::Pids => "PIDs",
        }
    }
}

/// A question for the past of a container.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whose.
    pub id: ContainerId,
    /// The start of its run.
    pub run: Option<DateTime<Utc>>,
    /// When it was asked.
    pub at: DateTime<Utc>,
}

/// What of the charts is shown.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    /// Which of the lengths of time, the shortest first.
    pub length: usize,
    /// A length in seconds that somebody has chosen instead.
    pub span: Option<u64>,
    /// Where they end, if that isn't now.
    pub end: Option<DateTime<Utc>>,
    /// The instant whose values are read.
    pub instant: Option<DateTime<Utc>>,
    /// The chart that keys are about.
    pub chosen: Chart,
    /// Whether that one has all the room.
    pub alone: bool,
    /// Of which containers the past was asked for.
    pub asked: Vec<Asked>,
    /// When details were asked for last.
    pub details_asked: Option<DateTime<Utc>>,
    /// The time that the mouse is drawn over, from where it began.
    pub drawn: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Charts {
    /// Returns the instant whose values are told beside the charts, if that isn't now: that of the
    /// cursor, or the end of charts that are held.
    pub fn read(&self) -> Option<DateTime<Utc>> {
        self.instant.or(self.end)
    }

    /// Lets the charts go on.
    pub fn go_on(&mut self) {
        (self.end, self.instant, self.span, self.drawn) = (None, None, None, None);
    }
}

impl App {
    /// Returns how many seconds a column of a chart has: whole ones, so that columns lie at fixed times.
    pub fn pace(&self) -> u64 {
        let chosen = LENGTHS[self.charts.length.min(LENGTHS.len() - 1)];
        let length = self.charts.span.unwrap_or(chosen);
        let columns = chart_columns(self).max(1) as u64;
        ((length * 2 + columns) / (columns * 2)).max(1)
    }

    /// Shows a longer or shorter time in the charts, as far as there is one.
    pub fn turn_window(&mut self, by: isize) {
        let last = LENGTHS.len() - 1;
        let (to, same) = match self.charts.span.take() {
            // The next of the usual ones.
            Some(span) if by > 0 => (LENGTHS.partition_point(|n| *n <= span).min(last), false),
            Some(span) => (LENGTHS.partition_point(|n| *n < span).saturating_sub(1), false),
            None => {
                let to = self.charts.length.saturating_add_signed(by).min(last);
                (to, to == self.charts.length)
            }
        };
        self.charts.length = to;
        self.draw(Redraw::Now);
        self.tell(match (same, by > 0) {
            (true, true) => "a day is the longest time the charts can show".to_owned(),
            (true, false) => "a minute is the shortest time the charts can show".to_owned(),
            (false, _) => format!("charts: {}", length_words(LENGTHS[to])),
        });
    }

    /// Shows the time between two instants, and holds the charts there. A column has a second at least,
    /// so that of a short time more is shown on both sides.
    pub fn zoom_charts(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
        let (from, to) = (from.min(to), from.max(to).min(self.now));
        let wanted = u64::try_from((to - from).num_seconds()).unwrap_or(0).max(1);
        let wanted = wanted.min(LENGTHS[LENGTHS.len() - 1]);
        self.charts.span = Some(wanted);
        let shown = self.pace().saturating_mul(chart_columns(self) as u64);
        let more = i64::try_from(shown.saturating_sub(wanted) / 2).unwrap_or(0);
        let end = to + TimeDelta::try_seconds(more).unwrap_or_default();
        self.charts.end = Some(end.min(self.now));
        self.draw(Redraw::Now);
    }

    /// Returns the time that a container's charts show.
    pub fn chart_window(&self, id: &ContainerId) -> Window {
        match self.charts.end {
            Some(end) => Window::until(end, self.pace()),
            None => self.metrics.window(id, self.pace()),
        }
    }

    /// Returns the container that is compared with the selected one: the first marked other one.
    pub fn compared(&self) -> Option<&super::Row> {
        let selected = self.selected()?.summary.id.clone();
        self.containers.marked_rows().into_iter().find(|row| row.summary.id != selected)
    }

    /// Moves the instant whose values are read by so many columns; the first move begins at the newest.
    /// What leaves the charts on a side takes them along.
    pub fn move_instant(&mut self, by: i64) {
        let Some(pace) = i64::try_from(self.pace()).ok() else { return };
        let from = self.charts.instant.or(self.charts.end).unwrap_or_else(|| self.newest());
        let Some(step) = TimeDelta::try_seconds(pace.saturating_mul(by)) else { return };
        let to = from.checked_add_signed(step).unwrap_or(from).min(self.now);
        self.set_instant(to);
    }

    /// Returns when the newest sample was taken, or now before there is one.
    fn newest(&self) -> DateTime<Utc> {
        let at = i64::try_from(self.metrics.newest().as_millis()).ok().filter(|at| *at > 0);
        at.and_then(DateTime::from_timestamp_millis).unwrap_or(self.now)
    }

    /// Reads the values of an instant.
    pub fn set_instant(&mut self, to: DateTime<Utc>) {
        let to = to.min(self.now);
        let pace = i64::try_from(self.pace()).unwrap_or(1);
        let columns = i64::try_from(chart_columns(self)).unwrap_or(1).max(1);
        let length = TimeDelta::try_seconds(pace * columns).unwrap_or_default();
        let end = self.charts.end.unwrap_or_else(|| self.newest());
        let end = if to > end {
            to
        } else if end - to >= length {
            // Half of what is seen lies on each side.
            (to + length / 2).min(self.now)
        } else {
            end
        };
        self.charts.end = Some(end);
        self.charts.instant = Some(to);
        self.draw(Redraw::Now);
    }

    /// Lets the charts go on, or holds them.
    pub fn toggle_freeze(&mut self) {
        if self.charts.end.is_some() {
            self.charts.go_on();
            self.tell("charts go on");
        } else {
            self.charts.end = Some(self.newest());
            self.tell("charts are held: f lets them go on");
        }
    }
}

/// Returns a length of time in words: `5 minutes`.
fn length_words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..3600 => (seconds / 60, "minute"),
        86_400.. => (seconds / 86_400, "day"),
        _ => (seconds / 3600, "hour"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}
