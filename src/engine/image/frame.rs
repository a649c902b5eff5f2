//! What a layer's archive holds besides the content of its files, kept beside the unpacked layer: with
//! it the archive can be put together again, byte for byte, without having been kept.
//!
//! A frame is a file: the archive's length (8 bytes, little-endian), then a zstd stream of records.
//! Each is a kind, a length (8 bytes), and so many bytes: *literal*, bytes of the archive; *name*, the
//! path of a file in the layer, whose content the next *parts* records take (offset and length, 8 bytes
//! each); *lost*, the content of the file that was named last before a later entry took its place.
//! Lengths are little-endian.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tar_stream::{Entry, Segment, show};
use super::unpack::{open_below, open_root};

const LITERAL: u8 = 0;
const NAME: u8 = 1;
const PARTS: u8 = 2;
const LOST: u8 = 3;

/// Literal bytes are gathered up to this many.
const GATHERED: usize = 1 << 16;

/// A frame that is being written while its archive is unpacked.
pub(crate) struct Frame {
    out: zstd::Encoder<'static, BufWriter<File>>,
    literal: Vec<u8>,
    /// The names of the files that are there, by their inodes.
    names: HashMap<u64, Vec<u8>>,
    /// How many of the bytes to come are a file's.
    content: u64,
    /// How long the archive is so far.
    length: u64,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Frame {
    /// Returns the frame that is written to a new file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create_new(path)?);
        file.write_all(&[0; 8])?;
        let out = zstd::Encoder::new(file, 1)?;
        let (literal, names) = (Vec::new(), HashMap::new());
        Ok(Self { out, literal, names, content: 0, length: 0 })
    }

    /// Takes note of bytes of the archive.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        let content = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
        self.content -= content as u64;
        self.literal.extend_from_slice(&bytes[content..]);
        if self.literal.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    fn record(&mut self, kind: u8, length: u64) -> io::Result<()> {
        self.out.write_all(&[kind])?;
        self.out.write_all(&length.to_le_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let literal = std::mem::take(&mut self.literal);
        self.record(LITERAL, literal.len() as u64)?;
        self.out.write_all(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    fn name(&mut self, path: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.record(NAME, path.len() as u64)?;
        self.out.write_all(path)
    }

    /// Says that the bytes to come are those of this file, which has the inode `id`.
    pub(super) fn file(&mut self, path: &[Vec<u8>], id: u64, entry: &Entry) -> io::Result<()> {
        if entry.size == 0 {
            return Ok(());
        }
        let whole = [Segment { offset: 0, length: entry.size }];
        let parts = entry.sparse.as_deref().unwrap_or(&whole);
        let path = path.join(&b'/');
        self.name(&path)?;
        self.names.insert(id, path);
        self.record(PARTS, parts.len() as u64 * 16)?;
        for part in parts {
            self.out.write_all(&part.offset.to_le_bytes())?;
            self.out.write_all(&part.length.to_le_bytes())?;
            self.content += part.length;
        }
        Ok(())
    }

    /// Keeps the content of a file, by its inode, whose place is taken by a later entry.
    pub(super) fn lose(&mut self, id: u64, file: &File) -> io::Result<()> {
        // One that is another name of a file whose content is kept already.
        let Some(path) = self.names.remove(&id) else { return Ok(()) };
        let size = file.metadata()?.len();
        self.name(&path)?;
        self.record(LOST, size)?;
        let copied = io::copy(&mut file.take(size), &mut self.out)?;
        if copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Ends the frame of an archive that was read to its end.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let file = self.out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.write_all_at(&self.length.to_le_bytes(), 0)
    }
}

/// Shows everything that is read through it to a frame.
pub(super) struct Framed<'a, R> {
    pub(super) inner: R,
    pub(super) frame: &'a RefCell<Frame>,
}

impl<R: Read> Read for Framed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.frame.borrow_mut().pass(&buffer[..n])?;
        Ok(n)
    }
}

/// Returns how long the archive is that a frame belongs to.
pub(super) fn length(frame: &Path) -> io::Result<u64> {
    let mut length = [0; 8];
    File::open(frame)?.read_exact(&mut length)?;
    Ok(u64::from_le_bytes(length))
}

/// Writes the archive that `layer` was unpacked from. Whether it is that one to the byte, its digest
/// tells, which the caller has to look at. `scratch` is where nobody else writes.
///
/// # Errors
/// When the frame is damaged, a file of the layer isn't there any more, or `to` can't be written.
pub(super) fn rebuild(
    frame: &Path,
    layer: &Path,
    scratch: &Path,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut lost = find_lost(frame, scratch)?;
    let root = open_root(layer)?;
    let mut records = Records::open(frame)?;
    let mut named: Option<Vec<u8>> = None;
    let mut buffer = vec![0; 1 << 17];
    while let Some((kind, length)) = records.next()? {
        match kind {
            LITERAL => records.copy(length, to)?,
            NAME => named = Some(records.bytes(length)?),
            LOST => records.copy(length, &mut io::sink())?,
            PARTS => {
                let path = named.take().ok_or_else(damaged)?;
                let earlier = lost.get_mut(&path).and_then(VecDeque::pop_front);
                let file = match earlier {
                    Some(file) => file,
                    None => open_file(&root, &path)?,
                };
                let parts = records.bytes(length)?;
                for part in parts.chunks_exact(16) {
                    let number = |at: usize| {
                        part[at..at + 8].iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b))
                    };
                    copy_part(&file, number(0), number(8), to, &mut buffer)
                        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", show(&path))))?;
                }
            }
            _ => return Err(damaged()),
        }
    }
    Ok(())
}

fn copy_part(
    file: &File,
    mut at: u64,
    mut left: u64,
    to: &mut impl Write,
    buffer: &mut [u8],
) -> io::Result<()> {
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = file.read_at(&mut buffer[..wanted], at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&buffer[..n])?;
        (at, left) = (at + n as u64, left - n as u64);
    }
    Ok(())
}

fn open_file(root: &OwnedFd, path: &[u8]) -> io::Result<File> {
    let parts: Vec<Vec<u8>> = path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
    open_below(root, &parts).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", show(path))))
}

/// Returns the contents that later entries took the place of, by path, the first one first.
fn find_lost(frame: &Path, scratch: &Path) -> io::Result<HashMap<Vec<u8>, VecDeque<File>>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut lost: HashMap<Vec<u8>, VecDeque<File>> = HashMap::new();
    let mut records = Records::open(frame)?;
    let mut named = Vec::new();
    while let Some((kind, length)) = records.next()? {
        match kind {
            NAME => named = records.bytes(length)?,
            LOST => {
                // Several may put layers together in the same folder.
                let path = scratch.join(format!("lost-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
                let mut file =
                    File::options().read(true).write(true).create_new(true).open(&path)?;
                std::fs::remove_file(&path)?;
                records.copy(length, &mut file)?;
                lost.entry(named.clone()).or_default().push_back(file);
            }
            _ => records.copy(length, &mut io::sink())?,
        }
    }
    Ok(lost)
}

struct Records {
    inner: BufReader<zstd::Decoder<'static, BufReader<File>>>,
}

impl Records {
    fn open(frame: &Path) -> io::Result<Self> {
        let mut file = File::open(frame)?;
        file.seek(SeekFrom::Start(8))?;
        Ok(Self { inner: BufReader::new(zstd::Decoder::new(file)?) })
    }

    fn next(&mut self) -> io::Result<Option<(u8, u64)>> {
        let mut kind = [0];
        if self.inner.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 8];
        self.inner.read_exact(&mut length)?;
        Ok(Some((kind[0], u64::from_le_bytes(length))))
    }

    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.inner).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged()) }
    }

    fn copy(&mut self, length: u64, to: &mut impl Write) -> io::Result<()> {
        let copied = io::copy(&mut (&mut self.inner).take(length), to)?;
        if copied == length { Ok(()) } else { Err(damaged()) }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the layer's frame is damaged")
}
