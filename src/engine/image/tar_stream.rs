//! A tar archive as a stream of entries: ustar, GNU and PAX, sparse files included.
//!
//! Nothing in an archive is trusted: what an extension header may take of memory is bounded, sizes
//! and sparse maps are checked, and paths come out as raw bytes for the unpacker to resolve.
//! Formats: POSIX.1-2017 `pax`, and the GNU tar manual, "Basic Tar Format" and "Storing Sparse
//! Files".

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use tar::{GnuExtSparseHeader, Header};

/// The greatest extension header taken into memory. Go's reader has the same bound, so no archive
/// that docker reads has more.
const MAX_EXTENSION: u64 = 1 << 20;
const MAX_SPARSE_SEGMENTS: usize = 1 << 18;
const BLOCK: u64 = 512;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// A run of data in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// One entry; its data is read from the [`TarStream`] before the next is asked for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The size of the file, holes included.
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) mtime: (i64, u32),
    pub(super) device: (u32, u32),
    /// Names and values of extended attributes.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the stored bytes belong, if the file has holes.
    pub(super) sparse: Option<Vec<Segment>>,
}

/// Reads entries one after the other. As a [`Read`] it gives the stored bytes of the last entry.
pub(super) struct TarStream<R> {
    reader: R,
    /// Stored bytes of the current entry not yet read.
    left: u64,
    padding: u64,
    /// Whether the mark was seen that ends an archive.
    ended: bool,
}

/// What extension headers said about the entry that follows.
#[derive(Default)]
struct Extensions {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `GNU.sparse.offset` and `GNU.sparse.numbytes` come repeated in format 0.0.
    sparse_numbers: Vec<u64>,
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl<R: Read> TarStream<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0, ended: false }
    }

    /// Returns whether the archive's end mark was read: without it, something may be missing.
    pub(super) fn is_whole(&self) -> bool {
        self.ended
    }

    /// Returns the next entry, or none at the end of the archive.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(header) = self.read_header()? else {
                return Ok(None);
            };
            let size = unsigned(&header.as_old().size, "size")?;
            match header.as_old().linkflag[0] {
                b'L' => extensions.long_path = Some(trim_nul(self.read_extension(size)?)),
                b'K' => extensions.long_link = Some(trim_nul(self.read_extension(size)?)),
                b'x' | b'X' => {
                    let body = self.read_extension(size)?;
                    parse_pax(&body, &mut extensions)?;
                }
                // Defaults for all entries that follow: no image writer puts there what an image
                // needs (git puts its commit's id there).
                b'g' => {
                    self.read_extension(size)?;
                }
                b'V' => self.start_data(size),
                _ => return self.entry(&header, size, &extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, size: u64, ext: &Extensions) -> io::Result<Entry> {
        let old = header.as_old();
        let mut path = ext.long_path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let mut link = ext
            .long_link
            .clone()
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        for (key, field) in [("path", &mut path), ("linkpath", &mut link)] {
            if let Some(value) = ext.pax.get(key.as_bytes()) {
                field.clone_from(value);
            }
        }
        if let Some(name) = ext.pax.get(b"GNU.sparse.name".as_slice()) {
            path.clone_from(name);
        }
        if path.contains(&0) || link.contains(&0) {
            return Err(invalid("a path contains a NUL byte"));
        }
        let kind = match old.linkflag[0] {
            0 | b'0' | b'7' if path.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => {
                return Err(invalid(format!(
                    "entry {} has the unknown type {:?}",
                    show(&path),
                    char::from(other)
                )));
            }
        };
        let stored = match (kind, ext.pax.get(b"size".as_slice())) {
            (EntryKind::File, Some(text)) => decimal(text, "size")?,
            (EntryKind::File, None) => size,
            _ => 0,
        };
        let number = |key: &str, field: &[u8]| match ext.pax.get(key.as_bytes()) {
            Some(text) => decimal(text, key),
            None => unsigned(field, key),
        };
        let (uid, gid) = (number("uid", &old.uid)?, number("gid", &old.gid)?);
        let narrow = |n: u64, what: &str| {
            u32::try_from(n).map_err(|_| {
                invalid(format!("entry {} has the impossible {what} {n}", show(&path)))
            })
        };
        // The greatest number means "leave it" to the kernel.
        let id =
            |n: u64, what: &str| narrow(if n == u64::from(u32::MAX) { u64::MAX } else { n }, what);
        let (uid, gid) = (id(uid, "uid")?, id(gid, "gid")?);
        let mode = narrow(unsigned(&old.mode, "mode")? & 0o7777, "mode")?;
        let mtime = match ext.pax.get(b"mtime".as_slice()) {
            Some(text) => pax_time(text)?,
            None => (number_field(&old.mtime).ok_or_else(|| invalid("bad mtime"))?, 0),
        };
        let device = match header
            .as_ustar()
            .map(|h| (&h.dev_major, &h.dev_minor))
            .or_else(|| header.as_gnu().map(|h| (&h.dev_major, &h.dev_minor)))
        {
            Some((major, minor))
                if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) =>
            {
                let major = narrow(unsigned(major, "device number")?, "device number")?;
                (major, narrow(unsigned(minor, "device number")?, "device number")?)
            }
            _ => (0, 0),
        };
        let xattrs = ext
            .pax
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix(b"SCHILY.xattr.")?.to_vec(), value.clone()))
            })
            .collect();
        self.start_data(stored);
        let (size, sparse) = match self.sparse(header, ext)? {
            Some((size, segments)) => {
                check_sparse(size, &segments, self.left)?;
                (size, Some(segments))
            }
            None => (stored, None),
        };
        Ok(Entry { path, link, kind, mode, uid, gid, size, mtime, device, xattrs, sparse })
    }

    /// Returns the real size and the map of a sparse file, whichever of the four formats it is in.
    fn sparse(&mut self, h: &Header, ext: &Extensions) -> io::Result<Option<(u64, Vec<Segment>)>> {
        let pax = |key: &str| ext.pax.get(key.as_bytes());
        if h.as_old().linkflag[0] == b'S' {
            let gnu = h.as_gnu().ok_or_else(|| invalid("sparse entry without a GNU header"))?;
            let mut segments = Vec::new();
            let mut extended = gnu.isextended[0] != 0;
            add_segments(&gnu.sparse, &mut segments)?;
            while extended {
                let mut block = GnuExtSparseHeader::new();
                self.reader.read_exact(block.as_mut_bytes())?;
                add_segments(&block.sparse, &mut segments)?;
                extended = block.isextended[0] != 0;
            }
            return Ok(Some((unsigned(&gnu.realsize, "real size")?, segments)));
        }
        if pax("GNU.sparse.major").map(Vec::as_slice) == Some(b"1") {
            let size = pax("GNU.sparse.realsize")
                .ok_or_else(|| invalid("sparse entry without its real size"))?;
            return Ok(Some((decimal(size, "real size")?, self.read_sparse_map()?)));
        }
        let Some(size) = pax("GNU.sparse.size") else {
            return Ok(None);
        };
        let numbers = match pax("GNU.sparse.map") {
            Some(map) if !map.is_empty() => map
                .split(|b| *b == b',')
                .map(|n| decimal(n, "sparse map"))
                .collect::<io::Result<Vec<_>>>()?,
            _ => ext.sparse_numbers.clone(),
        };
        let segments =
            numbers.chunks_exact(2).map(|c| Segment { offset: c[0], length: c[1] }).collect();
        Ok(Some((decimal(size, "real size")?, segments)))
    }

    /// Reads the map that format 1.0 puts before the data: decimal lines, padded to a block.
    fn read_sparse_map(&mut self) -> io::Result<Vec<Segment>> {
        let mut block = [0; BLOCK as usize];
        let mut at = block.len();
        let mut next_number = |this: &mut Self| -> io::Result<u64> {
            let mut digits = Vec::new();
            loop {
                if at == block.len() {
                    this.read_exact(&mut block)?;
                    at = 0;
                }
                let byte = block[at];
                at += 1;
                match byte {
                    b'\n' => return decimal(&digits, "sparse map"),
                    b if digits.len() < 20 => digits.push(b),
                    _ => return Err(invalid("bad sparse map")),
                }
            }
        };
        let count = next_number(self)?;
        if count > MAX_SPARSE_SEGMENTS as u64 {
            return Err(invalid("a sparse file has too many parts"));
        }
        (0..count)
            .map(|_| Ok(Segment { offset: next_number(self)?, length: next_number(self)? }))
            .collect()
    }

    fn start_data(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn skip(&mut self) -> io::Result<()> {
        let wanted = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.reader).take(wanted), &mut io::sink())?;
        // Some writers leave out the padding of the last entry.
        if skipped < self.left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// Reads a whole extension body and its padding.
    fn read_extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(invalid(format!("an extension header has {size} bytes, too many")));
        }
        self.start_data(size);
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        if self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(body)
    }

    /// Reads one header block; none at the end-of-archive mark or a clean end of the stream.
    fn read_header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if block.iter().all(|b| *b == 0) {
            self.ended = true;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        let sum: u32 = block[..148].iter().chain(&block[156..]).map(|b| u32::from(*b)).sum();
        let stated = unsigned(&header.as_old().cksum, "checksum");
        if stated.ok() != Some(u64::from(sum) + 8 * u64::from(b' ')) {
            return Err(invalid("not a tar archive, or a damaged one (bad header checksum)"));
        }
        Ok(Some(header.clone()))
    }
}

impl<R: Read + Seek> TarStream<R> {
    /// Passes over the data of the current entry without reading it, and returns where it begins. The
    /// archive ends at `length`.
    ///
    /// # Errors
    /// When that is before the end of the data.
    pub(super) fn pass(&mut self, length: u64) -> io::Result<u64> {
        let at = self.reader.stream_position()?;
        if at.checked_add(self.left).is_none_or(|end| end > length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let whole = self.left + self.padding;
        self.reader.seek(SeekFrom::Start(at + whole))?;
        (self.left, self.padding) = (0, 0);
        Ok(at)
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.reader.read(&mut buffer[..wanted])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Returns a path of an archive in a form that is safe to show.
pub(super) fn show(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path))
}

fn add_segments(headers: &[tar::GnuSparseHeader], to: &mut Vec<Segment>) -> io::Result<()> {
    for header in headers.iter().filter(|h| h.offset[0] != 0 && h.numbytes[0] != 0) {
        if to.len() == MAX_SPARSE_SEGMENTS {
            return Err(invalid("a sparse file has too many parts"));
        }
        to.push(Segment {
            offset: unsigned(&header.offset, "sparse map")?,
            length: unsigned(&header.numbytes, "sparse map")?,
        });
    }
    Ok(())
}

fn check_sparse(size: u64, segments: &[Segment], stored: u64) -> io::Result<()> {
    let mut end = 0;
    let mut sum = 0u64;
    for segment in segments {
        let next = segment.offset.checked_add(segment.length);
        match next {
            Some(next) if segment.offset >= end && next <= size => end = next,
            _ => return Err(invalid("a sparse file's parts overlap or pass its end")),
        }
        sum += segment.length;
    }
    if sum > stored {
        return Err(invalid("a sparse file has less data than its map says"));
    }
    Ok(())
}

/// Records of the form `LENGTH KEY=VALUE\n`, where the length counts the whole record. Values may
/// hold any byte, newlines too (`security.capability` does).
fn parse_pax(mut body: &[u8], extensions: &mut Extensions) -> io::Result<()> {
    let bad = || invalid("bad PAX extension header");
    while !body.is_empty() && body[0] != 0 {
        let space = body.iter().position(|b| *b == b' ').ok_or_else(bad)?;
        let length = usize::try_from(decimal(&body[..space], "PAX length")?).map_err(|_| bad())?;
        if length <= space + 1 || length > body.len() || body[length - 1] != b'\n' {
            return Err(bad());
        }
        let record = &body[space + 1..length - 1];
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            if extensions.sparse_numbers.len() >= 2 * MAX_SPARSE_SEGMENTS {
                return Err(bad());
            }
            extensions.sparse_numbers.push(decimal(value, "sparse map")?);
        } else if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
            extensions.pax.remove(key);
        } else {
            extensions.pax.insert(key.to_vec(), value.to_vec());
        }
        body = &body[length..];
    }
    Ok(())
}

fn trim_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn decimal(text: &[u8], what: &str) -> io::Result<u64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| invalid(format!("bad {what} {}", show(text))))
}

/// `1350244992.023960108`, the fraction optional and of any length, perhaps negative.
fn pax_time(text: &[u8]) -> io::Result<(i64, u32)> {
    let bad = || invalid(format!("bad time {}", show(text)));
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| bad())?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().map_err(|_| bad())?;
    Ok(match (whole.starts_with('-'), nanos) {
        (true, 1..) => (seconds.saturating_sub(1), 1_000_000_000 - nanos),
        _ => (seconds, nanos),
    })
}

fn unsigned(field: &[u8], what: &str) -> io::Result<u64> {
    number_field(field)
        .and_then(|n| u64::try_from(n).ok())
        .ok_or_else(|| invalid(format!("bad {what} in a tar header")))
}

/// A numeric field: octal digits between spaces and NULs, or binary with the first bit set, in
/// two's complement without that bit. A blank field is 0.
fn number_field(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        let negative = field[0] & 0x40 != 0;
        let first = i128::from(field[0] & 0x3f) - if negative { 0x40 } else { 0 };
        let value = field[1..]
            .iter()
            .try_fold(first, |n, b| n.checked_mul(256)?.checked_add(i128::from(*b)))?;
        return i64::try_from(value).ok();
    }
    let text = field.split(|b| *b == 0).find(|part| !part.is_empty()).unwrap_or_default();
    let text = std::str::from_utf8(text).ok()?.trim();
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok() }
}

#[cfg(test)]
#[path = "tar_stream_tests.rs"]
mod tests;
