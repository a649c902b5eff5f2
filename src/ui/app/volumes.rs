//! The volume screen: the list, who has what, and the files of the selected volume.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{FileEntry, FileHead, FileKind, VolumeInfo};

use super::list::Cursor;
use super::{App, Lazy, Target};
use crate::keymap::Action;

/// Seconds after which sizes are found out anew while the screen is shown.
const SIZES_LAST: i64 = 60;

/// How many bytes of a file are shown.
pub(crate) const HEAD: usize = 256 * 1024;

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

    /// Returns the volumes that no container has: those made without a name, or all.
    pub fn unused(&self, all: bool) -> impl Iterator<Item = &VolumeRow> {
        let unused = |row: &&VolumeRow| row.info.users.is_empty();
        self.rows.iter().filter(unused).filter(move |row| all || row.info.anonymous)
    }

    /// Returns an export of a volume.
    pub fn saving(&self, volume: &str) -> Option<&Saving> {
        self.saving.iter().map(|(_, saving)| saving).find(|saving| saving.volume == volume)
    }
}

/// A file that is being looked at, every text made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Where it is in the volume.
    pub path: PathBuf,
    /// Its lines, or why there are none.
    pub lines: Result<Vec<String>, String>,
    /// What the heading says besides the path.
    pub about: String,
    /// The first line in sight.
    pub top: usize,
}

/// The files of a volume.
#[derive(Debug, Default)]
pub struct FilePane {
    /// The volume.
    pub volume: Option<String>,
    /// The folder that is shown, below the volume.
    pub path: PathBuf,
    /// What is in it, or why that can't be told; names as they are on the disk.
    pub entries: Option<Result<Vec<FileEntry>, String>>,
    /// The selected entry.
    pub cursor: Cursor,
    /// The entry to select when the folder's list comes: the folder that was left.
    came_from: Option<OsString>,
    /// The file that is shown instead.
    pub open: Option<OpenFile>,
}

impl FilePane {
    /// Shows the top of a volume.
    pub fn begin(&mut self, volume: Option<String>) {
        *self = Self { volume, ..Self::default() };
    }

    /// Returns the entries.
    pub fn list(&self) -> &[FileEntry] {
        self.entries.as_ref().and_then(|e| e.as_ref().ok()).map_or(&[], Vec::as_slice)
    }

    /// Goes to the folder above; returns whether there was one.
    pub fn leave(&mut self) -> bool {
        if self.open.take().is_some() {
            return true;
        }
        let Some(name) = self.path.file_name().map(OsString::from) else { return false };
        self.path.pop();
        self.entries = None;
        self.came_from = Some(name);
        true
    }

    /// Goes into a folder.
    pub fn enter(&mut self, path: PathBuf) {
        self.path = path;
        self.entries = None;
        self.cursor = Cursor::default();
        self.came_from = None;
    }

    /// Returns where the selected entry is.
    pub fn selected(&self) -> Option<(&FileEntry, PathBuf)> {
        let entry = self.list().get(self.cursor.at)?;
        Some((entry, self.path.join(&entry.name)))
    }

    /// Takes what is in a folder.
    pub fn take(&mut self, volume: &str, path: &Path, result: Result<Vec<FileEntry>, String>) {
        if self.volume.as_deref() != Some(volume) || self.path != path {
            return;
        }
        if let (Ok(list), Some(name)) = (&result, self.came_from.take()) {
            self.cursor.at = list.iter().position(|entry| entry.name == name).unwrap_or(0);
        }
        self.entries = Some(result.map_err(|e| sanitize_line(&e).into_owned()));
    }

    /// Takes the beginning of a file.
    pub fn take_file(&mut self, volume: &str, path: PathBuf, result: Result<FileHead, String>) {
        if self.volume.as_deref() != Some(volume) || path.parent() != Some(&self.path) {
            return;
        }
        self.open = Some(OpenFile::new(path, result));
    }
}

impl OpenFile {
    fn new(path: PathBuf, result: Result<FileHead, String>) -> Self {
        let (lines, about) = match result {
            Err(why) => (Err(sanitize_line(&why).into_owned()), String::new()),
            Ok(head) => {
                let size = crate::format::size(head.size);
                let shown = head.bytes.len() as u64;
                let about = if shown < head.size {
                    format!("the first {} of {size}", crate::format::size(shown))
                } else {
                    size
                };
                (lines(&head), about)
            }
        };
        Self { path, lines, about, top: 0 }
    }

    /// Returns how many lines there are.
    pub fn len(&self) -> usize {
        self.lines.as_ref().map_or(0, Vec::len)
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scrolls.
    pub fn scroll(&mut self, by: isize, rows: usize) {
        let most = self.len().saturating_sub(rows);
        self.top = self.top.saturating_add_signed(by).min(most);
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

/// Returns a text's lines, made safe; what holds a zero byte is no text.
fn lines(head: &FileHead) -> Result<Vec<String>, String> {
    if head.bytes.contains(&0) {
        return Err("it is no text: s saves the volume, and with it this file".to_owned());
    }
    let text = String::from_utf8_lossy(&head.bytes);
    let line = |line: &str| sanitize_line(&line.replace('\t', "    ")).into_owned();
    Ok(text.lines().map(line).collect())
}

/// Returns a name or a path as it is shown.
pub fn shown(name: impl AsRef<std::ffi::OsStr>) -> String {
    sanitize_line(&name.as_ref().to_string_lossy()).into_owned()
}

/// Returns what `ls -l` begins with: `drwxr-xr-x`.
pub fn mode(entry: &FileEntry) -> String {
    let kind = match entry.kind {
        FileKind::Folder => 'd',
        FileKind::File => '-',
        FileKind::Link => 'l',
        FileKind::Other => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, entry.mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: FileKind, mode: u32) -> FileEntry {
        FileEntry {
            name: name.into(),
            kind,
            size: 1,
            mode,
            uid: 0,
            gid: 0,
            modified: None,
            target: None,
        }
    }

    #[test]
    fn leaving_a_folder_selects_it() {
        let mut pane = FilePane::default();
        pane.begin(Some("v".to_owned()));
        let list =
            || Ok(vec![entry("a", FileKind::Folder, 0o755), entry("b", FileKind::Folder, 0)]);
        pane.take("v", Path::new(""), list());
        pane.cursor.at = 1;
        let (_, path) = pane.selected().unwrap();
        pane.enter(path);
        assert_eq!((pane.path.as_path(), pane.cursor.at), (Path::new("b"), 0));
        // An answer about another folder is out of date.
        pane.take("v", Path::new(""), list());
        assert!(pane.entries.is_none());
        pane.take("v", Path::new("b"), Ok(Vec::new()));
        assert!(pane.leave());
        pane.take("v", Path::new(""), list());
        assert_eq!(pane.cursor.at, 1);
        assert!(!pane.leave());
    }

    #[test]
    fn what_a_file_holds_is_made_safe() {
        let head = |bytes: &[u8]| FileHead { bytes: bytes.to_vec(), size: bytes.len() as u64 };
        let text = lines(&head(b"one\n\x1b[2Jtwo\xff\r\nthree")).unwrap();
        assert_eq!(text.len(), 3);
        assert!(!text.concat().contains(char::is_control), "{text:?}");
        assert!(lines(&head(b"\x7fELF\0")).is_err());
        assert_eq!(mode(&entry("x", FileKind::Folder, 0o1777)), "drwxrwxrwt");
        assert_eq!(mode(&entry("x", FileKind::File, 0o4644)), "-rwSr--r--");
    }
}
