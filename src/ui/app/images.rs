//! The image list: one row a name, as `docker images` has it.

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{Digest, HistoryEntry, ImageSummary};

use super::list::Cursor;

/// What the image list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageColumn {
    /// The name.
    #[default]
    Name,
    /// When it was made.
    Age,
    /// Its bytes.
    Size,
    /// How many containers use it.
    Used,
}

/// One name of an image, or an image without one.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// The image.
    pub id: Digest,
    /// `repository:tag`, none for a dangling image.
    pub name: Option<String>,
    /// Its other names.
    pub others: Vec<String>,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
    /// Its bytes, all layers together.
    pub size: u64,
    /// How many containers use it.
    pub containers: usize,
}

impl ImageRow {
    /// Returns what names it to the engine: the name, else the id.
    pub fn reference(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.as_str().to_owned())
    }

    /// Returns what people call it.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("<none> {}", self.id.short()))
    }
}

/// The image screen's lists.
#[derive(Debug, Default)]
pub struct Images {
    /// One row a name.
    pub rows: Vec<ImageRow>,
    /// Whether an answer has come.
    pub loaded: bool,
    /// Indices of the rows that are shown, in their order.
    pub shown: Vec<usize>,
    /// The selected name or id.
    pub selected: Option<String>,
    /// Where it is among those shown.
    pub cursor: Cursor,
    /// What is looked for.
    pub filter: String,
    /// What the order is by.
    pub sort: ImageColumn,
    /// Whether the order is reversed.
    pub reversed: bool,
    /// The image whose steps are known or asked for.
    pub history_of: Option<String>,
    /// Its steps, newest first, or why they aren't known.
    pub history: Option<Result<Vec<HistoryEntry>, String>>,
    /// The selected step.
    pub layer: Cursor,
}

impl Images {
    /// Takes a new list.
    pub fn replace(&mut self, list: &[ImageSummary]) {
        self.rows.clear();
        for image in list {
            let names: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
            let row = |name: Option<String>| ImageRow {
                id: image.id.clone(),
                others: names.iter().filter(|n| Some(*n) != name.as_ref()).cloned().collect(),
                name,
                created: image.created,
                size: image.size,
                containers: image.containers,
            };
            if names.is_empty() {
                self.rows.push(row(None));
            }
            self.rows.extend(names.iter().map(|n| row(Some(n.clone()))));
        }
        self.loaded = true;
    }

    /// Makes the shown rows anew and keeps the selection, or its place if it is gone.
    pub fn arrange(&mut self, height: usize) {
        let filter = self.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let rows = &self.rows;
        self.shown.clear();
        self.shown.extend((0..rows.len()).filter(|n| {
            let text = format!("{} {}", rows[*n].label(), rows[*n].id.short()).to_lowercase();
            words.iter().all(|w| text.contains(w))
        }));
        let (sort, reversed) = (self.sort, self.reversed);
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a], &rows[*b]);
            let order = match sort {
                // Dangling images come last.
                ImageColumn::Name => (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name)),
                ImageColumn::Age => b.created.cmp(&a.created),
                ImageColumn::Size => b.size.cmp(&a.size),
                ImageColumn::Used => b.containers.cmp(&a.containers),
            };
            if reversed { order.reverse() } else { order }
        });
        let selected = self.selected.as_ref();
        if let Some(at) = self.shown.iter().position(|n| Some(&rows[*n].reference()) == selected) {
            self.cursor.at = at;
        }
        self.cursor.settle(self.shown.len(), height);
        self.take_selection();
    }

    /// Makes the row under the cursor the selected one.
    pub fn take_selection(&mut self) {
        self.selected = self.selected().map(ImageRow::reference);
    }

    /// Returns the row under the cursor.
    pub fn selected(&self) -> Option<&ImageRow> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Takes an answer about the steps of an image, made safe.
    pub fn take_history(&mut self, image: &str, result: Result<Vec<HistoryEntry>, String>) {
        if self.history_of.as_deref() != Some(image) {
            return;
        }
        let safe = |mut entry: HistoryEntry| {
            entry.created_by = sanitize_line(&entry.created_by).into_owned();
            entry.comment = sanitize_line(&entry.comment).into_owned();
            entry
        };
        self.history = Some(match result {
            Ok(list) => Ok(list.into_iter().map(safe).collect()),
            Err(e) => Err(sanitize_line(&e).into_owned()),
        });
        self.layer = Cursor::default();
    }
}
