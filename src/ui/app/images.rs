//! The image list: one row a name, as `docker images` has it; and what is known of layers.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{Digest, HistoryEntry, ImageSummary, LayerChanges, LayerInfo};

use super::files::{FilePane, FilesOf};
use super::list::Cursor;
use super::{App, Lazy, Row, Target};
use crate::keymap::Action;

/// What the image list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageColumn {
    /// The name.
    #[default]
    Name,
    /// Its bytes.
    Size,
    /// Those of its bytes that other images have too.
    Shared,
    /// When it was made.
    Age,
    /// How many containers use it.
    Used,
}

impl ImageColumn {
    /// Returns what the order is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Shared => "shared size",
            Self::Age => "age",
            Self::Used => "users",
        }
    }

    /// Returns the next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Name => Self::Size,
            Self::Size => Self::Shared,
            Self::Shared => Self::Age,
            Self::Age => Self::Used,
            Self::Used => Self::Name,
        }
    }
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
    /// Its digest in a registry, made safe, if it came from one.
    pub digest: Option<String>,
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

    /// Returns whether this is all that keeps the image: its only name, or none.
    pub fn is_last(&self) -> bool {
        self.name.is_none() || self.others.is_empty()
    }

    /// Returns all that the filter looks at, in lower case.
    fn haystack(&self) -> String {
        let mut text = format!("{} {}", self.label(), self.id.short());
        text.push_str(self.digest.as_deref().unwrap_or_default());
        text.push_str(if self.name.is_none() { " dangling" } else { "" });
        text.push_str(if self.containers == 0 { " unused" } else { "" });
        text.to_lowercase()
    }
}

/// A layer of the selected image, as the Files tab lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRow {
    /// Its place; the lowest is 0.
    pub index: usize,
    /// Its bytes.
    pub size: u64,
    /// The step that made it, made safe; empty where the image doesn't say.
    pub step: String,
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
    /// The marked names and ids.
    pub marked: HashSet<String>,
    /// What is looked for.
    pub filter: String,
    /// What the order is by.
    pub sort: ImageColumn,
    /// Whether the order is reversed.
    pub reversed: bool,
    /// Whether the layers of all images were asked for.
    pub layering: Lazy,
    /// The layers of all images, lowest first, as far as they are known.
    pub layers: HashMap<Digest, Vec<LayerInfo>>,
    /// The image whose steps are known or asked for.
    pub history_of: Option<Digest>,
    /// Its steps, newest first, or why they aren't known.
    pub history: Option<Result<Vec<HistoryEntry>, String>>,
    /// The selected step.
    pub layer: Cursor,
    /// The selected container that uses the image.
    pub user: Cursor,
    /// The files of a layer; without one, the layers are listed.
    pub files: FilePane,
    /// The image whose layers are listed.
    pub files_of: Option<Digest>,
    /// The selected layer of that list.
    pub layer_at: Cursor,
    /// What layers do to those below, or why that can't be told. They never change.
    pub counts: HashMap<(Digest, usize), Result<LayerChanges, String>>,
    /// The layer whose counts are awaited.
    pub counting: Option<(Digest, usize)>,
}

impl Images {
    /// Takes a new list; returns whether it says anything new.
    pub fn replace(&mut self, list: &[ImageSummary]) -> bool {
        let before = std::mem::take(&mut self.rows);
        for image in list {
            let names: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
            let repository = |name: &str| name.rsplit_once(':').map(|(r, _)| r.to_owned());
            let row = |name: Option<String>| ImageRow {
                id: image.id.clone(),
                others: names.iter().filter(|n| Some(*n) != name.as_ref()).cloned().collect(),
                digest: image
                    .repo_digests
                    .iter()
                    .filter_map(|text| text.split_once('@'))
                    .find(|(of, _)| {
                        name.as_deref().and_then(repository).is_none_or(|name| name == *of)
                    })
                    .map(|(_, digest)| sanitize_line(digest).into_owned()),
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
        let (rows, marked) = (&self.rows, &mut self.marked);
        marked.retain(|reference| rows.iter().any(|row| row.reference() == *reference));
        self.counts.retain(|(id, _), _| rows.iter().any(|row| row.id == *id));
        before != self.rows
    }

    /// Takes the layers of all images.
    pub fn take_layers(&mut self, list: Vec<(Digest, Vec<LayerInfo>)>) {
        // An engine that can't tell the sizes of all layers tells none of them.
        let known = |id: &Digest, layers: &[LayerInfo]| {
            let total: u64 = layers.iter().map(|layer| layer.size).sum();
            total > 0 || self.rows.iter().all(|row| row.id != *id || row.size == 0)
        };
        self.layers = list.into_iter().filter(|(id, layers)| known(id, layers)).collect();
    }

    /// Returns how many bytes of an image other images have too, as far as that is known.
    pub fn shared(&self, id: &Digest) -> Option<u64> {
        let own = self.layers.get(id)?;
        let others = || self.layers.iter().filter(|(other, _)| *other != id);
        let has = |layer: &LayerInfo| {
            others().any(|(_, layers)| layers.iter().any(|l| l.chain_id == layer.chain_id))
        };
        Some(own.iter().filter(|layer| has(layer)).map(|layer| layer.size).sum())
    }

    /// Returns how many bytes and layers a removal of these images gives back: the layers, and the
    /// blobs kept of them, that no other image has. Where the engine tells, they are those of the disk.
    pub fn frees(&self, ids: &BTreeSet<&Digest>) -> Option<(u64, usize)> {
        fn blob(layer: &LayerInfo) -> Option<(&Digest, u64)> {
            let (digest, size) = layer.space.as_ref()?.blob.as_ref()?;
            Some((digest, *size))
        }
        let others = self.layers.iter().filter(|(id, _)| !ids.contains(id));
        let (mut kept, mut kept_blobs) = (HashSet::new(), HashSet::new());
        for layer in others.flat_map(|(_, layers)| layers) {
            kept.insert(&layer.chain_id);
            kept_blobs.extend(blob(layer).map(|(digest, _)| digest));
        }
        let (mut gone, mut gone_blobs) = (HashMap::new(), HashMap::new());
        for id in ids {
            for layer in self.layers.get(*id)? {
                let size = layer.space.as_ref().map_or(layer.size, |space| space.unpacked);
                gone.insert(&layer.chain_id, size);
                gone_blobs.extend(blob(layer));
            }
        }
        gone.retain(|chain, _| !kept.contains(chain));
        gone_blobs.retain(|digest, _| !kept_blobs.contains(digest));
        Some((gone.values().chain(gone_blobs.values()).sum(), gone.len()))
    }

    /// Returns the bytes of all layers together, each counted once.
    pub fn total(&self) -> Option<u64> {
        let ids: BTreeSet<&Digest> = self.rows.iter().map(|row| &row.id).collect();
        let mut sizes: HashMap<&Digest, u64> = HashMap::new();
        for id in ids {
            sizes.extend(self.layers.get(id)?.iter().map(|layer| (&layer.chain_id, layer.size)));
        }
        Some(sizes.values().sum())
    }

    /// Returns a row of each image that nobody uses: those without a name, or all.
    pub fn unused(&self, all: bool) -> Vec<&ImageRow> {
        let mut seen = BTreeSet::new();
        let wanted = |row: &&ImageRow| row.containers == 0 && (all || row.name.is_none());
        self.rows.iter().filter(wanted).filter(|row| seen.insert(&row.id)).collect()
    }

    /// Makes the shown rows anew and keeps the selection, or its place if it is gone.
    pub fn arrange(&mut self, height: usize) {
        let filter = self.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let shared: HashMap<Digest, Option<u64>> = match self.sort {
            ImageColumn::Shared => {
                self.rows.iter().map(|row| (row.id.clone(), self.shared(&row.id))).collect()
            }
            _ => HashMap::new(),
        };
        let rows = &self.rows;
        self.shown.clear();
        self.shown.extend((0..rows.len()).filter(|n| {
            let text = if words.is_empty() { String::new() } else { rows[*n].haystack() };
            words.iter().all(|w| text.contains(w))
        }));
        let (sort, reversed) = (self.sort, self.reversed);
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a], &rows[*b]);
            // Dangling images come last.
            let name = || (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name));
            let order = match sort {
                ImageColumn::Name => name(),
                ImageColumn::Age => b.created.cmp(&a.created).then_with(name),
                ImageColumn::Size => b.size.cmp(&a.size).then_with(name),
                ImageColumn::Shared => shared.get(&b.id).cmp(&shared.get(&a.id)).then_with(name),
                ImageColumn::Used => b.containers.cmp(&a.containers).then_with(name),
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
        let selected = self.selected().map(ImageRow::reference);
        if selected != self.selected {
            self.user = Cursor::default();
        }
        self.selected = selected;
    }

    /// Returns the row under the cursor.
    pub fn selected(&self) -> Option<&ImageRow> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Returns the marked rows, in the order they are shown, then those that are filtered away.
    pub fn marked_rows(&self) -> Vec<&ImageRow> {
        let is_marked = |row: &&ImageRow| self.marked.contains(&row.reference());
        let shown = self.shown.iter().filter_map(|n| self.rows.get(*n)).filter(is_marked);
        let hidden = (0..self.rows.len()).filter(|n| !self.shown.contains(n));
        let hidden = hidden.filter_map(|n| self.rows.get(n)).filter(is_marked);
        shown.chain(hidden).collect()
    }

    /// Returns the layers of the selected image, the topmost first.
    pub fn layers_of_selected(&self) -> Vec<LayerRow> {
        let Some(row) = self.selected() else { return Vec::new() };
        let Some(layers) = self.layers.get(&row.id) else { return Vec::new() };
        let steps: Vec<&HistoryEntry> = match &self.history {
            Some(Ok(entries)) if self.history_of.as_ref() == Some(&row.id) => {
                entries.iter().filter(|entry| !entry.empty_layer).collect()
            }
            _ => Vec::new(),
        };
        let told = steps.len() == layers.len();
        let numbered = layers.iter().enumerate().rev().enumerate();
        numbered
            .map(|(from_top, (index, layer))| LayerRow {
                index,
                size: layer.size,
                step: match steps.get(from_top).filter(|_| told) {
                    Some(entry) if entry.created_by.is_empty() => entry.comment.clone(),
                    Some(entry) => entry.created_by.clone(),
                    None => String::new(),
                },
            })
            .collect()
    }

    /// Returns the layer whose files are shown.
    pub fn open_layer(&self) -> Option<usize> {
        match &self.files.of {
            Some(FilesOf::Layer { layer, .. }) => Some(*layer),
            _ => None,
        }
    }

    /// Takes an answer about the steps of an image, made safe.
    pub fn take_history(&mut self, image: &Digest, result: Result<Vec<HistoryEntry>, String>) {
        if self.history_of.as_ref() != Some(image) {
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

impl App {
    /// Returns the containers that were made from an image.
    pub fn image_users(&self, id: &Digest) -> Vec<&Row> {
        let uses = |row: &&Row| row.summary.image_id.as_ref() == Some(id);
        let host = self.here();
        let rows = self.containers.rows.iter().filter(|row| row.host == host);
        rows.filter(uses).collect()
    }

    /// Returns whether an action makes sense for an image; if not, why.
    pub(crate) fn can_on_image(&self, row: &ImageRow, action: Action) -> Result<(), String> {
        let label = row.label();
        let on = Target::Image(row.reference());
        if let Some(pending) = self.pending.values().find(|pending| pending.on == on) {
            return Err(format!("{label} is {} already", pending.doing));
        }
        match action {
            Action::RemoveImage if row.is_last() => {
                let running = |user: &&Row| {
                    let status = user.summary.status;
                    status.is_alive() || status == wharf_model::Status::Restarting
                };
                match self.image_users(&row.id).into_iter().find(running) {
                    Some(user) => Err(format!(
                        "{} runs from it: remove that container first",
                        user.summary.name
                    )),
                    None => Ok(()),
                }
            }
            Action::PushImage if row.name.is_none() => {
                Err("it has no name to be pushed by: t gives it one".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Returns whether an action of the image screen can be taken now; if not, why.
    pub(super) fn can_on_images(&self, action: Action) -> Result<(), String> {
        match action {
            Action::PullImage => return Ok(()),
            Action::ShowTransfers if self.transfers.is_empty() => {
                return Err("nothing is on its way: p pulls an image".to_owned());
            }
            Action::ShowTransfers => return Ok(()),
            Action::PruneImages if self.images.unused(true).is_empty() => {
                return Err("containers use all images".to_owned());
            }
            Action::PruneImages => return Ok(()),
            Action::RunImage if self.options.run.is_none() => {
                return Err("this dashboard can't start containers".to_owned());
            }
            _ => {}
        }
        match self.images.selected() {
            Some(row) => self.can_on_image(row, action),
            None => Err("no image is selected".to_owned()),
        }
    }
}
