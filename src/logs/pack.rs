//! Rotated files in compressed form: gzip (RFC 1952), so that any tool reads them.
//!
//! The header's extra field says how long the file was and which inode it had. So its place among
//! the log's bytes is known without unpacking it, and a reader that has the file still open from
//! before knows it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use rustix::fs::{MemfdFlags, Mode, OFlags};

/// The extra field's identifier and length.
const FIELD: [u8; 4] = [b'W', b'H', 16, 0];

/// A gzip header's fixed part and the length of the extra field.
const FIXED: usize = 12;

/// What a packed file says of the one it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    pub(crate) inode: u64,
}

/// Returns the path of a rotated file's compressed form.
pub(crate) fn packed(rotated: &Path) -> PathBuf {
    with_suffix(rotated, ".gz")
}

/// Returns where it is while it is being made.
pub(crate) fn unfinished(rotated: &Path) -> PathBuf {
    with_suffix(rotated, ".gz.new")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Compresses a rotated file in place: afterwards it has `.gz` behind its name.
///
/// # Errors
/// When it can't be read, or the disk is full; it stays as it was then.
pub fn pack(rotated: &Path) -> io::Result<()> {
    let source = File::open(rotated)?;
    let meta = source.metadata()?;
    let mut extra = FIELD.to_vec();
    extra.extend_from_slice(&meta.len().to_le_bytes());
    extra.extend_from_slice(&meta.ino().to_le_bytes());
    let temporary = unfinished(rotated);
    let write = || {
        let target = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&temporary)?;
        let mut encoder = GzBuilder::new().extra(extra).write(target, Compression::fast());
        io::copy(&mut io::BufReader::with_capacity(64 * 1024, source), &mut encoder)?;
        encoder.finish()?;
        std::fs::rename(&temporary, packed(rotated))
    };
    write().inspect_err(|_| {
        // Half a file is of no use, and takes room that is needed.
        let _ = std::fs::remove_file(&temporary);
    })?;
    std::fs::remove_file(rotated)
}

/// Returns what a packed file says of itself; none when somebody else made it.
pub(crate) fn stamp(file: &File) -> io::Result<Option<Stamp>> {
    let mut head = [0; FIXED + FIELD.len() + 16];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let (fixed, rest) = head.split_at(FIXED);
    let (field, values) = rest.split_at(FIELD.len());
    // Magic, deflate, and an extra field, which is ours.
    if fixed[..3] != [0x1f, 0x8b, 8] || fixed[3] & 4 == 0 || field != FIELD {
        return Ok(None);
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
    Ok(Some(Stamp { length: number(&values[..8]), inode: number(&values[8..]) }))
}

/// Returns a nameless file with what a packed one holds.
pub(crate) fn unpack(file: &File, folder: &Path) -> io::Result<File> {
    let on_disk = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let target = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600))?;
        unpack_to(file, File::from(target))
    };
    // A full disk, or a file system without nameless files, is no reason not to show the log.
    on_disk().or_else(|_| {
        let target = rustix::fs::memfd_create("log", MemfdFlags::CLOEXEC)?;
        unpack_to(file, File::from(target))
    })
}

fn unpack_to(mut file: &File, mut target: File) -> io::Result<File> {
    file.rewind()?;
    io::copy(&mut MultiGzDecoder::new(io::BufReader::new(file)), &mut target)?;
    target.flush()?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_says_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log.1");
        let text = "a line of a log\n".repeat(10_000);
        std::fs::write(&path, &text).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        pack(&path).unwrap();
        assert!(!path.exists());
        let file = File::open(packed(&path)).unwrap();
        assert!(file.metadata().unwrap().len() < 2000);
        let length = u64::try_from(text.len()).unwrap();
        assert_eq!(stamp(&file).unwrap(), Some(Stamp { length, inode }));
        let whole = unpack(&file, folder.path()).unwrap();
        let mut back = vec![0; text.len() + 1];
        assert_eq!(whole.read_at(&mut back, 0).unwrap(), text.len());
        assert_eq!(&back[..text.len()], text.as_bytes());
    }

    #[test]
    fn files_of_others_have_no_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gz");
        let mut encoder = GzBuilder::new().write(File::create(&path).unwrap(), Compression::fast());
        encoder.write_all(&[b'x'; 100]).unwrap();
        encoder.finish().unwrap();
        assert_eq!(stamp(&File::open(&path).unwrap()).unwrap(), None);
        std::fs::write(&path, "short").unwrap();
        assert_eq!(stamp(&File::open(&path).unwrap()).unwrap(), None);
    }
}
