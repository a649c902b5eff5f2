//! What the engine has told since the dashboard listens.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{Event, EventKind};

use super::list::Cursor;

/// How many events are kept.
const KEPT: usize = 1000;

/// One event, made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it happened to.
    pub kind: EventKind,
    /// The engine's verb.
    pub action: String,
    /// The object's id.
    pub id: String,
    /// What people call the object.
    pub name: String,
    /// More about it: `exitCode=0`.
    pub details: String,
}

impl EventRow {
    fn new(event: &Event) -> Self {
        let safe = |text: &str| sanitize_line(text).into_owned();
        let name = event.attributes.get("name").unwrap_or(&event.id);
        let details: Vec<String> = ["image", "exitCode", "signal", "container", "type"]
            .into_iter()
            .filter_map(|key| event.attributes.get(key).map(|value| format!("{key}={value}")))
            .collect();
        Self {
            time: event.time,
            kind: event.kind,
            action: safe(&event.action),
            id: safe(&event.id),
            name: safe(name),
            details: safe(&details.join(" ")),
        }
    }

    /// Returns what it happened to.
    pub fn about(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    fn matches(&self, words: &[String]) -> bool {
        let text = format!("{} {} {} {}", self.about(), self.action, self.details, self.id);
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    }
}

/// The event screen: the newest events, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// All that is kept.
    pub rows: VecDeque<EventRow>,
    /// Indices of those that are shown.
    pub shown: Vec<usize>,
    /// Where the cursor is.
    pub cursor: Cursor,
    /// What is looked for.
    pub filter: String,
}

impl EventLog {
    /// Takes in an event. A cursor at the end stays there.
    pub fn push(&mut self, event: &Event) {
        if self.rows.len() == KEPT {
            self.rows.pop_front();
        }
        self.rows.push_back(EventRow::new(event));
    }

    /// Makes the shown rows anew. A cursor at the end stays at the end.
    pub fn arrange(&mut self, height: usize) {
        let at_end = self.cursor.at + 1 >= self.shown.len();
        let words: Vec<String> =
            self.filter.to_lowercase().split_whitespace().map(str::to_owned).collect();
        self.shown.clear();
        let rows = self.rows.iter().enumerate();
        self.shown.extend(rows.filter(|(_, row)| row.matches(&words)).map(|(n, _)| n));
        if at_end {
            self.cursor.at = self.shown.len().saturating_sub(1);
        }
        self.cursor.settle(self.shown.len(), height);
    }

    /// Returns the selected event.
    pub fn selected(&self) -> Option<&EventRow> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Returns what happened to an object, the oldest first.
    pub fn of<'a>(&'a self, id: &'a str) -> impl DoubleEndedIterator<Item = &'a EventRow> {
        self.rows.iter().filter(move |row| row.id == id)
    }
}
