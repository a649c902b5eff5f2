//! The volume screen: the list, who has what, and the files of the selected volume.

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::VolumeInfo;

use super::files::FilePane;
use super::list::Cursor;
use super::{App, Lazy, Target};
use crate::keymap::Action;

/// Seconds after which sizes are found out anew while the screen is shown.
const SIZES_LAST: i64 = 60;

/// What the volume list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumeColumn {
    /// The name.
    #[default]
    Name,
    /// How much disk it takes.
    Size,
    /// How many containers have it.
    Used,
    /// When it was made.
    Age,
    /// The driver.
    Driver,
}

impl VolumeColumn {
    /// Returns what the order is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Used => "users",
            Self::Age => "age",
            Self::Driver => "driver",
        }
    }
}

/// One volume.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeRow {
    /// What the engine says; every text is made safe but the name.
    pub info: VolumeInfo,
    /// The name as it is shown.
    pub label: String,
    haystack: String,
}

impl VolumeRow {
    fn new(mut info: VolumeInfo) -> Self {
        let safe = |text: &mut String| *text = sanitize_line(text).into_owned();
        safe(&mut info.driver);
        safe(&mut info.mountpoint);
        for user in &mut info.users {
            safe(&mut user.name);
            safe(&mut user.destination);
        }
        let mut label = sanitize_line(&info.name).into_owned();
        if info.anonymous && label.len() == 64 {
            // As an id: the rest of it says nothing.
            label.truncate(12);
            label.push_str(" (unnamed)");
        }
        let mut haystack = format!("{} {} {}", info.name, info.driver, info.mountpoint);
        for user in &info.users {
            haystack.push_str(&format!(" {} {}", user.name, user.destination));
        }
        let word = if info.users.is_empty() { " unused" } else { "" };
        haystack.push_str(word);
        haystack.push_str(if info.anonymous { " anonymous" } else { "" });
        let haystack = haystack.to_lowercase();
        Self { info, label, haystack }
    }

    /// Returns how many of its containers run.
    pub fn running(&self) -> usize {
        self.info.users.iter().filter(|user| user.running).count()
    }
}

/// An export that hasn't ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// The volume.
    pub volume: String,
    /// Bytes written so far.
    pub bytes: u64,
}

/// The volume screen's lists.
#[derive(Debug, Default)]
pub struct Volumes {
    /// All volumes.
    pub rows: Vec<VolumeRow>,
    /// Whether an answer has come.
    pub loaded: bool,
    /// Whether the list was asked for.
    pub listing: Lazy,
    /// Whether the sizes were asked for and haven't come.
    pub sizing: bool,
    /// When the sizes were last found out, or tried to.
    pub sized: Option<DateTime<Utc>>,
    /// Indices of the rows that are shown, in their order.
    pub shown: Vec<usize>,
    /// The selected one.
    pub selected: Option<String>,
    /// Where it is among those shown.
    pub cursor: Cursor,
    /// What is looked for.
    pub filter: String,
    /// What the order is by.
    pub sort: VolumeColumn,
    /// Whether the order is reversed.
    pub reversed: bool,
    /// The selected user of the selected volume.
    pub user: Cursor,
    /// Exports that haven't ended, by their numbers.
    pub saving: Vec<(u64, Saving)>,
    /// The files of the selected volume.
    pub files: FilePane,
}

impl Volumes {
    /// Takes a new list; sizes that it doesn't tell stay what they were.
    pub fn replace(&mut self, list: Vec<VolumeInfo>) {
        let before = std::mem::take(&mut self.rows);
        let size = |name: &str| before.iter().find(|r| r.info.name == name)?.info.size;
        self.rows = list
            .into_iter()
            .map(|mut info| {
                info.size = info.size.or_else(|| size(&info.name));
                VolumeRow::new(info)
            })
            .collect();
        self.loaded = true;
    }

    /// Takes what the sizes are now.
    pub fn measure(&mut self, list: &[VolumeInfo], now: DateTime<Utc>) {
        self.sized = Some(now);
        for row in &mut self.rows {
            let found = list.iter().find(|v| v.name == row.info.name);
            row.info.size = found.and_then(|v| v.size).or(row.info.size);
        }
    }

    /// Returns whether sizes should be found out.
    pub fn wants_sizes(&self, now: DateTime<Utc>) -> bool {
        let old = self.sized.is_none_or(|then| (now - then).num_seconds() >= SIZES_LAST);
        let lacking = self.rows.iter().any(|row| row.info.size.is_none());
        // One that nobody can tell isn't asked for again and again.
        let soon = self.sized.is_none_or(|then| (now - then).num_seconds() >= 5);
        self.loaded && !self.sizing && !self.rows.is_empty() && (old || lacking && soon)
    }

    /// Makes the shown rows anew and keeps the selection, or its place if it is gone.
    pub fn arrange(&mut self, height: usize) {
        let filter = self.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let rows = &self.rows;
        self.shown.clear();
        self.shown.extend((0..rows.len()).filter(|n| {
            let text = &rows[*n].haystack;
            words.iter().all(|w| text.contains(w))
        }));
        let (sort, reversed) = (self.sort, self.reversed);
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a].info, &rows[*b].info);
            let name = || (a.anonymous, &a.name).cmp(&(b.anonymous, &b.name));
            let order = match sort {
                VolumeColumn::Name => name(),
                VolumeColumn::Size => b.size.cmp(&a.size).then_with(name),
                VolumeColumn::Used => b.users.len().cmp(&a.users.len()).then_with(name),
                VolumeColumn::Age => b.created.cmp(&a.created).then_with(name),
                VolumeColumn::Driver => a.driver.cmp(&b.driver).then_with(name),
            };
            if reversed { order.reverse() } else { order }
        });
        let selected = self.selected.as_ref();
        if let Some(at) = self.shown.iter().position(|n| Some(&rows[*n].info.name) == selected) {
            self.cursor.at = at;
        }
        self.cursor.settle(self.shown.len(), height);
        self.take_selection();
    }

    /// Makes the row under the cursor the selected one.
    pub fn take_selection(&mut self) {
        let selected = self.selected().map(|row| row.info.name.clone());
        if selected != self.selected {
            self.user = Cursor::default();
        }
        self.selected = selected;
    }

    /// Returns the row under the cursor.
    pub fn selected(&self) -> Option<&VolumeRow> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Returns a volume by its name.
    pub fn row(&self, name: &str) -> Option<&VolumeRow> {
        self.rows.iter().find(|row| row.info.name == name)
    }

    /// Returns the volumes that a prune takes: those made without a name, or all.
    pub fn unused(&self, all: bool) -> impl Iterator<Item = &VolumeRow> {
        let unused = |row: &&VolumeRow| row.info.users.is_empty();
        self.rows.iter().filter(unused).filter(move |row| row.info.is_prunable(all))
    }

    /// Returns an export of a volume.
    pub fn saving(&self, volume: &str) -> Option<&Saving> {
        self.saving.iter().map(|(_, saving)| saving).find(|saving| saving.volume == volume)
    }
}

impl App {
    /// Returns whether an action makes sense for the selected volume; if not, why.
    pub(super) fn can_on_volume(&self, action: Action) -> Result<(), String> {
        let Some(row) = self.volumes.selected() else {
            return Err("no volume is selected".to_owned());
        };
        let busy = self.pending.values().find(|p| p.on == Target::Volume(row.info.name.clone()));
        if let Some(busy) = busy {
            return Err(format!("{} is {} already", row.label, busy.doing));
        }
        let saving = self.volumes.saving(&row.info.name).is_some();
        match (action, row.info.users.as_slice()) {
            (_, _) if saving => Err(format!("{} is being saved", row.label)),
            (Action::RemoveVolume, [user]) => {
                Err(format!("{} has it: remove that container first", user.name))
            }
            (Action::RemoveVolume, [user, rest @ ..]) => {
                let others = rest.len();
                Err(format!("{} and {others} more have it: remove them first", user.name))
            }
            _ => Ok(()),
        }
    }
}
