//! Files to look through: those of a container or a volume, or what a layer of an image does to those
//! below it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, FileEntry, FileHead, FileKind, FolderList};

use super::list::Cursor;
use super::{App, Screen};

/// How many bytes of a file are shown.
pub(crate) const HEAD: usize = 256 * 1024;

/// Whose files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesOf {
    /// A container's.
    Container(ContainerId),
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
    /// Why some of it isn't told.
    pub unknown: Option<String>,
    /// How many layers the container's image has, if it is known which one a file is from.
    pub layers: Option<usize>,
    /// How much the folders take that were measured, or why that isn't known.
    pub sizes: BTreeMap<OsString, Result<u64, String>>,
    /// The number of the measuring that goes on.
    pub measuring: Option<u64>,
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

    /// Takes what is in a folder of a container, or in the one that a link leads to.
    pub fn take_list(&mut self, of: &FilesOf, path: &Path, result: Result<FolderList, String>) {
        if self.of.as_ref() != Some(of) {
            return;
        }
        match result {
            Ok(list) => {
                let followed = path != self.path && path.parent() == Some(&self.path);
                if followed {
                    self.enter(list.path.clone());
                } else if path != self.path {
                    return;
                }
                self.path = list.path;
                let path = self.path.clone();
                self.unknown = list.unknown.map(|why| sanitize_line(&why).into_owned());
                self.layers = list.layers;
                self.sizes.clear();
                self.take(of, &path, Ok(list.entries));
            }
            Err(why) => self.take(of, path, Err(why)),
        }
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
                let about = match head.bytes.contains(&0) {
                    true => format!("{about}, binary"),
                    false => about,
                };
                (Ok(lines(&head)), about)
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
            Screen::Containers => &self.container_files,
            _ => &self.volumes.files,
        }
    }

    /// Returns the same to change them.
    pub fn files_mut(&mut self) -> &mut FilePane {
        match self.screen {
            Screen::Images => &mut self.images.files,
            Screen::Containers => &mut self.container_files,
            _ => &mut self.volumes.files,
        }
    }
}

/// Returns a text's lines, made safe; what holds a zero byte is no text, and shown byte by byte.
fn lines(head: &FileHead) -> Vec<String> {
    if head.bytes.contains(&0) {
        return head.bytes.chunks(16).enumerate().map(hex).collect();
    }
    let text = String::from_utf8_lossy(&head.bytes);
    let line = |line: &str| sanitize_line(&line.replace('\t', "    ")).into_owned();
    text.lines().map(line).collect()
}

/// Returns sixteen bytes as `hexdump -C` shows them.
fn hex((row, bytes): (usize, &[u8])) -> String {
    let mut text = format!("{:08x} ", row * 16);
    for at in 0..16 {
        if at == 8 {
            text.push(' ');
        }
        match bytes.get(at) {
            Some(byte) => text.push_str(&format!(" {byte:02x}")),
            None => text.push_str("   "),
        }
    }
    text.push_str("  ");
    let letter = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
    text.extend(bytes.iter().map(letter));
    text
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
            layer: None,
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
        let text = lines(&head(b"one\n\x1b[2Jtwo\xff\r\nthree"));
        assert_eq!(text.len(), 3);
        assert!(!text.concat().contains(char::is_control), "{text:?}");
        let binary = lines(&head(b"\x7fELF\0\x1b[2J and some more"));
        let first = "00000000  7f 45 4c 46 00 1b 5b 32  4a 20 61 6e 64 20 73 6f  .ELF..[2J and so";
        assert_eq!((binary.len(), binary[0].as_str()), (2, first));
        assert_eq!(mode(&entry("x", FileKind::Folder, 0o1777)), "drwxrwxrwt");
        assert_eq!(mode(&entry("x", FileKind::File, 0o4644)), "-rwSr--r--");
    }
}
