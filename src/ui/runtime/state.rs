//! The file with the layout. Whoever can't read or write it has the dashboard all the same.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::app::Saved;

/// Its name in the state folder.
const FILE: &str = "layout.json";

/// No layout is longer.
const MOST: u64 = 1 << 16;

/// Returns what was kept, or nothing.
pub(super) fn load(folder: &Path) -> Saved {
    let mut text = String::new();
    let read = File::open(folder.join(FILE)).and_then(|f| f.take(MOST).read_to_string(&mut text));
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Keeps a layout: a whole file takes the place of the last one.
///
/// # Errors
/// When the folder or the file can't be written.
pub(super) fn store(folder: &Path, saved: &Saved) -> std::io::Result<()> {
    make_private(folder)?;
    let fresh = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut text = serde_json::to_string_pretty(saved)?;
    text.push('\n');
    let written = file.write_all(text.as_bytes());
    let result = written.and_then(|()| std::fs::rename(&fresh, folder.join(FILE)));
    if result.is_err() {
        // What is half written helps nobody; that it can't be removed is no other failure.
        let _ = std::fs::remove_file(&fresh);
    }
    result
}

/// Makes a folder that is the user's alone, unless it is there.
///
/// # Errors
/// When it can't be made.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_private_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        assert_eq!(load(&below), Saved::default());
        let saved: Saved = serde_json::from_str(r#"{"sort": "cpu"}"#).unwrap();
        store(&below, &saved).unwrap();
        assert_eq!(load(&below), saved);
        let file = below.join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
        for garbage in [&b"{\"sort\": 3}"[..], b"\xff\x00", b"", &[b'['; 1 << 17]] {
            std::fs::write(&file, garbage).unwrap();
            assert_eq!(load(&below), Saved::default());
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(store(&folder.path().join("file"), &saved).is_err());
    }
}
