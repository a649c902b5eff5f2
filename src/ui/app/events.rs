//! What the engine tells, and what it remembers of before.

use std::collections::{HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, Event, EventKind, Happening, What};

use super::list::Cursor;

/// How many events are kept.
const KEPT: usize = 2000;

/// Of programs inside of containers only so many, once it is full.
const PROGRAMS: usize = KEPT / 2;

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
    /// The id of the container that has a part in it, though it happened to something else; or empty.
    pub container: String,
    /// More about it: `exitCode=0`.
    pub details: String,
    /// The engine that told, by its place.
    pub host: usize,
}

impl EventRow {
    fn new(event: &Event, host: usize) -> Self {
        let safe = |text: &str| sanitize_line(text).into_owned();
        let name = event.attributes.get("name").unwrap_or(&event.id);
        let details: Vec<String> = ["exitCode", "signal", "image", "type"]
            .into_iter()
            .filter_map(|key| event.attributes.get(key).map(|value| format!("{key}={value}")))
            .collect();
        Self {
            time: event.time,
            kind: event.kind,
            action: safe(&event.action),
            id: safe(&event.id),
            name: safe(name),
            container: safe(event.attributes.get("container").map_or("", String::as_str)),
            details: safe(&details.join(" ")),
            host,
        }
    }

    /// Returns what it happened to.
    pub fn about(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    /// Returns whether it is about a program inside of a container: `exec`, every probe, and who looks at
    /// what runs there. A Docker engine tells the latter of each look at the tab Top, and of each change of
    /// a terminal's size.
    pub fn is_program(&self) -> bool {
        self.action.starts_with("exec_") || matches!(self.action.as_str(), "top" | "resize")
    }

    fn matches(&self, words: &[String]) -> bool {
        let (about, container) = (self.about(), &self.container);
        let text = format!("{about} {} {} {} {container}", self.action, self.details, self.id);
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
    /// Since when what is shown is held.
    pub paused: Option<DateTime<Utc>>,
    /// Whether programs that run inside of containers are shown, those of probes among them.
    pub programs: bool,
    /// The instant that is shown, while that isn't now.
    pub until: Option<DateTime<Utc>>,
    /// Whether what the engine remembers was asked for.
    pub asked: bool,
    /// How many lines the tab of a container is scrolled back.
    pub back: usize,
}

impl EventLog {
    /// Takes in an event. A cursor at the end stays there.
    pub fn push(&mut self, event: &Event, host: usize) {
        self.rows.push_back(EventRow::new(event, host));
        while self.rows.len() > KEPT {
            // Probes leave some room for what happens otherwise.
            let programs = self.rows.iter().filter(|row| row.is_program()).count();
            let oldest = self.rows.iter().position(EventRow::is_program);
            self.rows.remove(oldest.filter(|_| programs > PROGRAMS).unwrap_or(0));
        }
    }

    /// Takes in what the engine remembers of before, and what it told already.
    pub fn remember(&mut self, events: &[Event], host: usize) {
        let told: HashSet<(DateTime<Utc>, String, String)> = self.rows.iter().map(key).collect();
        let rows = events
            .iter()
            .map(|event| EventRow::new(event, host))
            .filter(|row| !told.contains(&key(row)));
        let mut all: Vec<EventRow> = rows.chain(self.rows.drain(..)).collect();
        all.sort_by_key(|row| row.time);
        let old = all.len().saturating_sub(KEPT);
        self.rows = all.split_off(old).into();
    }

    /// Makes the shown rows anew. A cursor at the end stays at the end.
    pub fn arrange(&mut self, height: usize) {
        let at_end = self.cursor.at + 1 >= self.shown.len();
        let words: Vec<String> =
            self.filter.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let until = self.until.or(self.paused);
        let wanted = |row: &EventRow| {
            (self.programs || !row.is_program())
                && until.is_none_or(|until| row.time <= until)
                && row.matches(&words)
        };
        let rows = self.rows.iter().enumerate();
        let shown = rows.filter(|(_, row)| wanted(row)).map(|(n, _)| n).collect();
        self.shown = shown;
        if at_end {
            self.cursor.at = self.shown.len().saturating_sub(1);
        }
        self.cursor.settle(self.shown.len(), height);
    }

    /// Returns how many events have come since what is shown is held.
    pub fn missed(&self) -> usize {
        let Some(paused) = self.paused else { return 0 };
        let new = self.rows.iter().rev().take_while(|row| row.time > paused);
        new.filter(|row| self.programs || !row.is_program()).count()
    }

    /// Returns how many programs inside of containers aren't shown.
    pub fn hidden(&self) -> usize {
        if self.programs { 0 } else { self.rows.iter().filter(|row| row.is_program()).count() }
    }

    /// Returns the selected event.
    pub fn selected(&self) -> Option<&EventRow> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Returns what happened to a container up to an instant, the oldest first: what was recorded of
    /// it before the engine's memory begins, then that.
    pub fn of(
        &self,
        id: &ContainerId,
        past: &[Happening],
        until: Option<DateTime<Utc>>,
    ) -> Vec<EventRow> {
        let own = self.rows.iter().filter(|row| row.id == id.as_str());
        let own: Vec<&EventRow> = own.filter(|row| self.programs || !row.is_program()).collect();
        let known = own.first().map(|row| row.time);
        let host = own.first().map_or(0, |row| row.host);
        // The recorder's clock reads a moment later than the engine's.
        let old = past
            .iter()
            .filter(|one| known.is_none_or(|known| one.at + TimeDelta::seconds(1) < known));
        let old = old.filter_map(|one| match &one.what {
            What::Event { action, exit_code } => Some(EventRow {
                time: one.at,
                kind: EventKind::Container,
                action: action.clone(),
                id: id.to_string(),
                name: String::new(),
                container: String::new(),
                details: exit_code.map(|code| format!("exitCode={code}")).unwrap_or_default(),
                host,
            }),
            What::Probes(_) => None,
        });
        let all = old.chain(own.into_iter().cloned());
        all.filter(|row| until.is_none_or(|until| row.time <= until)).collect()
    }
}

fn key(row: &EventRow) -> (DateTime<Utc>, String, String) {
    (row.time, row.id.clone(), row.action.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_backend::fake::{container, time};

    use super::*;

    fn event(seconds: i64, action: &str) -> Event {
        Event {
            time: time(seconds),
            kind: EventKind::Container,
            action: action.to_owned(),
            id: container(1, "web", "nginx", wharf_model::Status::Running).id.to_string(),
            attributes: BTreeMap::new(),
        }
    }

    fn actions(log: &EventLog) -> Vec<&str> {
        log.shown.iter().map(|n| log.rows[*n].action.as_str()).collect()
    }

    #[test]
    fn what_is_remembered_and_what_was_told_make_one_list() {
        let mut log = EventLog::default();
        log.push(&event(5, "start"), 0);
        log.push(&event(6, "exec_create: true"), 0);
        log.push(&event(7, "top"), 0);
        log.push(&event(7, "resize"), 0);
        log.remember(&[event(1, "create"), event(5, "start")], 0);
        log.arrange(10);
        assert_eq!(actions(&log), ["create", "start"]);
        assert_eq!(log.hidden(), 3);
        log.programs = true;
        log.arrange(10);
        assert_eq!(actions(&log), ["create", "start", "exec_create: true", "top", "resize"]);
    }

    #[test]
    fn probes_leave_room_for_what_happens_otherwise() {
        let mut log = EventLog::default();
        log.push(&event(0, "die"), 0);
        for second in 1..i64::try_from(2 * KEPT).unwrap() {
            log.push(&event(second, "exec_start: true"), 0);
        }
        log.arrange(10);
        assert_eq!((actions(&log), log.rows.len()), (vec!["die"], KEPT));
        for second in 0..900 {
            log.push(&event(9000 + second, "start"), 0);
        }
        log.arrange(10);
        assert_eq!((log.shown.len(), log.rows.len()), (901, KEPT));
    }

    #[test]
    fn what_is_held_does_not_move() {
        let mut log = EventLog::default();
        log.push(&event(1, "create"), 0);
        log.arrange(10);
        log.paused = Some(time(1));
        log.push(&event(2, "start"), 0);
        log.arrange(10);
        assert_eq!((actions(&log), log.missed()), (vec!["create"], 1));
        log.paused = None;
        log.arrange(10);
        assert_eq!((actions(&log), log.cursor.at), (vec!["create", "start"], 1));
        log.until = Some(time(1));
        log.arrange(10);
        assert_eq!(actions(&log), ["create"]);
    }

    #[test]
    fn what_was_recorded_comes_before_what_is_remembered() {
        let mut log = EventLog::default();
        log.push(&event(100, "start"), 0);
        let id = container(1, "web", "nginx", wharf_model::Status::Running).id;
        let recorded = |seconds, action: &str, exit_code| Happening {
            at: time(seconds),
            what: What::Event { action: action.to_owned(), exit_code },
        };
        let past = [
            recorded(10, "start", None),
            recorded(50, "die", Some(3)),
            recorded(100, "start", None),
        ];
        let rows = log.of(&id, &past, None);
        let told: Vec<_> =
            rows.iter().map(|row| (row.action.as_str(), row.details.as_str())).collect();
        assert_eq!(told, [("start", ""), ("die", "exitCode=3"), ("start", "")]);
        assert_eq!(log.of(&id, &past, Some(time(60))).len(), 2);
    }
}
