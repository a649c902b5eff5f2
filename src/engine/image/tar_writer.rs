//! Writes a tar archive entry by entry: ustar headers, with PAX records for what they can't hold.
//!
//! The same entries always give the same bytes: no field depends on the machine or the time, and an
//! extension is written only where it is needed.
//! Formats: POSIX.1-2017 `pax`; for files with holes the GNU tar manual's "Storing Sparse Files",
//! version 1.0; extended attributes as `SCHILY.xattr.*` records.

use std::io::{self, Read, Write};

use super::tar_stream::{Entry, EntryKind, Segment};

const BLOCK: usize = 512;

/// The greatest number that eleven octal digits hold: sizes and times.
const MOST: u64 = 0o77_777_777_777;
/// The same for seven digits: owners, device numbers.
const MOST_SHORT: u64 = 0o7_777_777;

/// A writer of one archive.
pub(super) struct TarWriter<W> {
    inner: W,
    buffer: Box<[u8]>,
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, buffer: vec![0; 1 << 16].into_boxed_slice() }
    }

    /// Writes an entry. For a file, `data` gives its bytes, those of its parts where it is sparse
    /// (whole blocks, but for the last part); what it lacks is filled up with zeros, since a file may shrink while it is read.
    pub(super) fn entry(&mut self, entry: &Entry, mut data: impl Read) -> io::Result<()> {
        let mut records = Records::default();
        let mut header = Header::new();
        let mut path = entry.path.clone();
        if entry.kind == EntryKind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let map = entry.sparse.as_deref().map(|segments| sparse_map(entry.size, segments));
        let stored: u64 = match (entry.kind, entry.sparse.as_deref(), &map) {
            (EntryKind::File, Some(segments), Some(map)) => {
                records.add("GNU.sparse.major", b"1");
                records.add("GNU.sparse.minor", b"0");
                records.add("GNU.sparse.name", &path);
                records.add("GNU.sparse.realsize", entry.size.to_string().as_bytes());
                segments.iter().map(|s| s.length).sum::<u64>() + map.len() as u64
            }
            (EntryKind::File, ..) => entry.size,
            _ => 0,
        };
        header.text(0, 100, &path, "path", &mut records);
        header.octal(100, 8, u64::from(entry.mode & 0o7777));
        header.number(108, 8, entry.uid.into(), "uid", &mut records);
        header.number(116, 8, entry.gid.into(), "gid", &mut records);
        header.number(124, 12, stored, "size", &mut records);
        match u64::try_from(entry.mtime.0) {
            Ok(seconds) if entry.mtime.1 == 0 => {
                header.number(136, 12, seconds, "mtime", &mut records);
            }
            Ok(seconds) => {
                header.octal(136, 12, seconds.min(MOST));
                records.add("mtime", format!("{seconds}.{:09}", entry.mtime.1).as_bytes());
            }
            Err(_) => {
                header.octal(136, 12, 0);
                // The fraction counts away from zero.
                let text = match entry.mtime.1 {
                    0 => entry.mtime.0.to_string(),
                    nanos => format!("-{}.{:09}", -(entry.mtime.0 + 1), 1_000_000_000 - nanos),
                };
                records.add("mtime", text.as_bytes());
            }
        }
        header.0[156] = match entry.kind {
            EntryKind::File => b'0',
            EntryKind::HardLink => b'1',
            EntryKind::Symlink => b'2',
            EntryKind::CharDevice => b'3',
            EntryKind::BlockDevice => b'4',
            EntryKind::Directory => b'5',
            EntryKind::Fifo => b'6',
        };
        header.text(157, 100, &entry.link, "linkpath", &mut records);
        header.octal(329, 8, u64::from(entry.device.0).min(MOST_SHORT));
        header.octal(337, 8, u64::from(entry.device.1).min(MOST_SHORT));
        for (key, value) in &entry.xattrs {
            let mut name = b"SCHILY.xattr.".to_vec();
            name.extend_from_slice(key);
            records.add_raw(&name, value);
        }
        self.records(&records)?;
        self.block(&header.finished())?;
        if let Some(map) = map {
            self.inner.write_all(&map)?;
        }
        let mapped: u64 = entry.sparse.iter().flatten().map(|s| s.length).sum();
        let length = if entry.sparse.is_some() { mapped } else { stored };
        self.data(&mut data, length)?;
        self.pad(stored)
    }

    fn records(&mut self, records: &Records) -> io::Result<()> {
        if records.0.is_empty() {
            return Ok(());
        }
        let mut header = Header::new();
        header.bytes(0, 100, b"PaxHeaders/entry");
        header.octal(100, 8, 0o644);
        header.octal(108, 8, 0);
        header.octal(116, 8, 0);
        header.octal(124, 12, records.0.len() as u64);
        header.octal(136, 12, 0);
        header.0[156] = b'x';
        header.octal(329, 8, 0);
        header.octal(337, 8, 0);
        self.block(&header.finished())?;
        self.inner.write_all(&records.0)?;
        self.pad(records.0.len() as u64)
    }

    fn data(&mut self, data: &mut impl Read, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match data.read(&mut self.buffer[..wanted]) {
                Ok(0) => break,
                Ok(n) => {
                    self.inner.write_all(&self.buffer[..n])?;
                    left -= n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        io::copy(&mut io::repeat(0).take(left), &mut self.inner)?;
        Ok(())
    }

    fn block(&mut self, block: &[u8; BLOCK]) -> io::Result<()> {
        self.inner.write_all(block)
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let over = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        let padding = (BLOCK - over) % BLOCK;
        self.inner.write_all(&[0; BLOCK][..padding])
    }

    /// Writes the end of the archive and returns what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// Returns the parts of a sparse file as they stand before its data: decimal lines, padded to a
/// block. The last part says where the file ends.
fn sparse_map(size: u64, segments: &[Segment]) -> Vec<u8> {
    let ends = segments.last().is_some_and(|last| last.offset + last.length == size);
    let count = segments.len() + usize::from(!ends);
    let mut map = format!("{count}\n").into_bytes();
    for segment in segments {
        map.extend_from_slice(format!("{}\n{}\n", segment.offset, segment.length).as_bytes());
    }
    if !ends {
        map.extend_from_slice(format!("{size}\n0\n").as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// PAX records: `LENGTH KEY=VALUE\n`, the length counting itself.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn add(&mut self, key: &str, value: &[u8]) {
        self.add_raw(key.as_bytes(), value);
    }

    fn add_raw(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        for part in [b" ".as_slice(), key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

struct Header([u8; BLOCK]);

impl Header {
    fn new() -> Self {
        let mut header = [0; BLOCK];
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        Self(header)
    }

    fn bytes(&mut self, at: usize, length: usize, value: &[u8]) {
        let taken = value.len().min(length);
        self.0[at..at + taken].copy_from_slice(&value[..taken]);
    }

    /// Writes a text, and a record for one that is too long.
    fn text(&mut self, at: usize, length: usize, value: &[u8], key: &str, to: &mut Records) {
        self.bytes(at, length, value);
        if value.len() > length {
            to.add(key, value);
        }
    }

    /// Writes octal digits and a NUL.
    fn octal(&mut self, at: usize, length: usize, value: u64) {
        let digits = format!("{value:0width$o}", width = length - 1);
        self.bytes(at, length - 1, digits.as_bytes());
    }

    /// Writes a number, and a record for one that is too great.
    fn number(&mut self, at: usize, length: usize, value: u64, key: &str, to: &mut Records) {
        let most = if length == 12 { MOST } else { MOST_SHORT };
        if value > most {
            self.octal(at, length, 0);
            to.add(key, value.to_string().as_bytes());
        } else {
            self.octal(at, length, value);
        }
    }

    fn finished(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.bytes(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::tar_stream::TarStream;
    use super::*;
    use proptest::prelude::*;

    fn plain(path: &[u8], kind: EntryKind) -> Entry {
        Entry {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: (1_000_000, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    fn read_back(archive: &[u8]) -> Vec<(Entry, Vec<u8>)> {
        let mut stream = TarStream::new(archive);
        let mut entries = Vec::new();
        while let Some(entry) = stream.next_entry().unwrap() {
            let mut data = Vec::new();
            stream.read_to_end(&mut data).unwrap();
            entries.push((entry, data));
        }
        entries
    }

    #[test]
    fn what_ustar_cannot_hold_survives() {
        let mut writer = TarWriter::new(Vec::new());
        let mut file = plain(&[b"long-\xff/".repeat(40), b"x".to_vec()].concat(), EntryKind::File);
        file.size = 5;
        (file.uid, file.gid, file.mtime) = (3_000_000, u32::MAX - 1, (-5, 0));
        file.xattrs = vec![(b"security.capability".to_vec(), b"\x01\0=\n".to_vec())];
        writer.entry(&file, b"12345".as_slice()).unwrap();
        let mut link = plain(b"link", EntryKind::Symlink);
        link.link = vec![b'y'; 300];
        writer.entry(&link, io::empty()).unwrap();
        let archive = writer.finish().unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        let entries = read_back(&archive);
        let (read, data) = &entries[0];
        assert_eq!(data, b"12345");
        assert_eq!((&read.path, read.uid, read.gid), (&file.path, file.uid, file.gid));
        assert_eq!((read.mtime, &read.xattrs), (file.mtime, &file.xattrs));
        assert_eq!(entries[1].0.link, link.link);
    }

    #[test]
    fn a_small_file_takes_what_docker_says() {
        let mut writer = TarWriter::new(Vec::new());
        let mut file = plain(b"file", EntryKind::File);
        file.size = 1;
        writer.entry(&file, b"x".as_slice()).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 2048);
    }

    #[test]
    fn a_file_that_shrinks_is_filled_up() {
        let mut writer = TarWriter::new(Vec::new());
        let mut file = plain(b"file", EntryKind::File);
        file.size = 600;
        writer.entry(&file, b"abc".as_slice()).unwrap();
        let entries = read_back(&writer.finish().unwrap());
        assert_eq!(entries[0].1.len(), 600);
        assert!(entries[0].1.starts_with(b"abc\0"));
    }

    #[test]
    fn gnu_tar_reads_a_sparse_file() {
        let mut writer = TarWriter::new(Vec::new());
        let mut file = plain(b"sparse", EntryKind::File);
        file.size = 1 << 20;
        file.sparse =
            Some(vec![Segment { offset: 4096, length: 512 }, Segment { offset: 65536, length: 4 }]);
        let mut data = b"abc".to_vec();
        data.resize(512, 0);
        data.extend_from_slice(b"defg");
        writer.entry(&file, data.as_slice()).unwrap();
        let archive = writer.finish().unwrap();
        let entries = read_back(&archive);
        assert_eq!(entries[0].0.size, 1 << 20);
        assert_eq!(entries[0].0.path, b"sparse");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        std::fs::write(&path, archive).unwrap();
        let status = std::process::Command::new("tar")
            .arg("-xf")
            .arg(&path)
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(status.success());
        let bytes = std::fs::read(folder.path().join("sparse")).unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        assert_eq!((&bytes[4096..4099], &bytes[65536..65540]), (&b"abc"[..], &b"defg"[..]));
        assert_eq!(bytes.iter().filter(|b| **b != 0).count(), 7);
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(
            path in proptest::collection::vec(1u8.., 1..300),
            link in proptest::collection::vec(1u8.., 0..300),
            uid in 0..u32::MAX, gid in 0..u32::MAX, mode in 0u32..0o10000,
            mtime in -1_000_000_000_000i64.., nanos in 0u32..1_000_000_000,
            data in proptest::collection::vec(any::<u8>(), 0..1500),
            xattr in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            prop_assume!(!path.ends_with(b"/"));
            let mut entry = plain(&path, EntryKind::File);
            (entry.uid, entry.gid, entry.mode, entry.mtime) = (uid, gid, mode, (mtime, nanos));
            (entry.link, entry.size) = (link, data.len() as u64);
            entry.xattrs = vec![(b"user.x".to_vec(), xattr)];
            let mut writer = TarWriter::new(Vec::new());
            writer.entry(&entry, data.as_slice()).unwrap();
            let entries = read_back(&writer.finish().unwrap());
            prop_assert_eq!(entries.len(), 1);
            prop_assert_eq!(&entries[0].1, &data);
            let read = &entries[0].0;
            prop_assert_eq!((&read.path, &read.link), (&entry.path, &entry.link));
            prop_assert_eq!((read.uid, read.gid, read.mode), (uid, gid, mode));
            prop_assert_eq!((read.mtime, &read.xattrs), ((mtime, nanos), &entry.xattrs));
        }
    }
}
