//! Files to look through: those of a volume, or what a layer of an image does to those below it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wharf_logs::sanitize_line;
use wharf_model::{FileEntry, FileHead, FileKind};

use super::list::Cursor;
use super::{App, Screen};

/// How many bytes of a file are shown.
pub(crate) const HEAD: usize = 256 * 1024;

/// Whose files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesOf {
    /// A volume's, by its name.
    Volume(String),
    /// A layer's.
    Layer {
        /// The image's id.
        image: String,
        /// The layer's place; the lowest is 0.
        layer: usize,
    },
}

/// A file that is being looked at, every text made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its lines, or why there are none.
    pub lines: Result<Vec<String>, String>,
    /// What the heading says besides the path.
    pub about: String,
    /// The first line in sight.
    pub top: usize,
}

/// Files that are looked through.
#[derive(Debug, Default)]
pub struct FilePane {
    /// Whose.
    pub of: Option<FilesOf>,
    /// The folder that is shown, below their root.
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
    /// Shows their root.
    pub fn begin(&mut self, of: Option<FilesOf>) {
        *self = Self { of, ..Self::default() };
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
    pub fn take(&mut self, of: &FilesOf, path: &Path, result: Result<Vec<FileEntry>, String>) {
        if self.of.as_ref() != Some(of) || self.path != path {
            return;
        }
        if let (Ok(list), Some(name)) = (&result, self.came_from.take()) {
            self.cursor.at = list.iter().position(|entry| entry.name == name).unwrap_or(0);
        }
        self.entries = Some(result.map_err(|e| sanitize_line(&e).into_owned()));
    }

    /// Takes the beginning of a file.
    pub fn take_file(&mut self, of: &FilesOf, path: PathBuf, result: Result<FileHead, String>) {
        if self.of.as_ref() != Some(of) || path.parent() != Some(&self.path) {
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
    /// Returns the files that this screen is about.
    pub fn files(&self) -> &FilePane {
        match self.screen {
            Screen::Images => &self.images.files,
            _ => &self.volumes.files,
        }
    }

    /// Returns the same to change them.
    pub fn files_mut(&mut self) -> &mut FilePane {
        match self.screen {
            Screen::Images => &mut self.images.files,
            _ => &mut self.volumes.files,
        }
    }
}

/// Returns a text's lines, made safe; what holds a zero byte is no text.
fn lines(head: &FileHead) -> Result<Vec<String>, String> {
    if head.bytes.contains(&0) {
        return Err("it is no text".to_owned());
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
            change: None,
        }
    }

    #[test]
    fn leaving_a_folder_selects_it() {
        let mut pane = FilePane::default();
        let v = FilesOf::Volume("v".to_owned());
        pane.begin(Some(v.clone()));
        let list =
            || Ok(vec![entry("a", FileKind::Folder, 0o755), entry("b", FileKind::Folder, 0)]);
        pane.take(&v, Path::new(""), list());
        pane.cursor.at = 1;
        let (_, path) = pane.selected().unwrap();
        pane.enter(path);
        assert_eq!((pane.path.as_path(), pane.cursor.at), (Path::new("b"), 0));
        // An answer about another folder is out of date.
        pane.take(&v, Path::new(""), list());
        assert!(pane.entries.is_none());
        pane.take(&v, Path::new("b"), Ok(Vec::new()));
        assert!(pane.leave());
        pane.take(&v, Path::new(""), list());
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
