//! The way of a layer's blob into a folder: read and hashed here, decompressed on a second thread,
//! hashed again and unpacked on a third, all while it arrives.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::thread::Builder;

use wharf_model::Digest;

use super::archive::{explain, invalid};
use super::compression::decompress_buffered;
use super::conduit::{Inlet, Outlet, conduit};
use super::frame::{Frame, Framed};
use super::hash::{HashReader, Hasher};
use super::receive::BlobDescriptor;
use super::unpack::{Contents, unpack};
use crate::{Error, Result};

/// How much of a blob is gathered before it begins to be written to the disk.
const AHEAD: u64 = 4 << 20;

/// What becomes of a blob on its way.
#[derive(Default)]
pub(super) struct Intake<'a> {
    /// What it has to be; none when that is known to be so, or isn't known.
    pub(super) wanted: Option<&'a BlobDescriptor>,
    /// Whether its digest is to be found out, which without `wanted` and `keep` isn't.
    pub(super) digest: bool,
    /// Where its bytes are written, if they are to be kept. They are, to the end, even when they can't
    /// be unpacked.
    pub(super) keep: Option<&'a Path>,
    /// Where the frame of its archive is written, if it is to be kept.
    pub(super) frame: Option<&'a Path>,
}

/// What came of a layer's archive.
#[derive(Debug)]
pub(super) struct Taken {
    /// The digest of the blob.
    pub(super) digest: Digest,
    /// The digest of the archive. Without a blob to be kept or compared, that of the blob is this too.
    pub(super) diff_id: Digest,
    /// How long the archive is, uncompressed.
    pub(super) length: u64,
    pub(super) contents: Contents,
}

/// What the last thread has to say.
struct Unpacking {
    contents: io::Result<Contents>,
    /// Digest and length of the archive.
    hashed: io::Result<(Digest, u64)>,
}

impl Intake<'_> {
    /// Unpacks a blob in a new folder, and verifies it: against what was wanted, and against the diff
    /// ID where one is known. `progress` is told how many bytes have been read. `what` names the layer.
    ///
    /// # Errors
    /// When reading or writing fails, or it isn't the layer that it should be. What was written stays.
    pub(super) fn run(
        &self,
        what: &str,
        from: &mut dyn Read,
        root: &Path,
        diff_id: Option<&Digest>,
        progress: &dyn Fn(u64),
    ) -> Result<Taken> {
        let failed = |e| Error::failed(what, explain(e));
        std::fs::create_dir(root).map_err(failed)?;
        let frame = self.frame;
        let threads = std::thread::scope(|scope| {
            let (packed_in, packed_out) = conduit();
            let (tar_in, tar_out) = conduit();
            let thread = |name: &str| Builder::new().name(name.to_owned());
            let decompressing = thread("decompress").spawn_scoped(scope, move || {
                tar_in.send_all(&mut decompress_buffered(packed_out)?)
            })?;
            let unpacking = thread("unpack")
                .spawn_scoped(scope, move || unpack_hashed(tar_out, root, frame))?;
            let read = self.pump(from, packed_in, progress);
            let panicked = || Err(io::Error::other("its thread panicked"));
            let decompressed = decompressing.join().unwrap_or_else(|_| panicked());
            let unpacking =
                unpacking.join().map_err(|_| io::Error::other("its thread panicked"))?;
            Ok((read, decompressed, unpacking))
        });
        let (read, decompressed, mut unpacking) = threads.map_err(failed)?;
        if let Err(cause) = decompressed
            && is_cut_off(&unpacking.hashed)
        {
            // The stream broke off for a reason.
            (unpacking.contents, unpacking.hashed) = (Err(cause), Err(ErrorKind::Other.into()));
        }
        let (digest, size) = read.map_err(failed)?;
        if let (Some(wanted), Some(digest)) = (self.wanted, &digest) {
            check_blob(what, wanted, digest, size)?;
        }
        match (unpacking.contents, unpacking.hashed) {
            (Err(e), _) if e.kind() == ErrorKind::StorageFull => Err(failed(e)),
            // A wrong layer is called that, whatever else unpacking it led to.
            (_, Ok((found, _))) if diff_id.is_some_and(|wanted| *wanted != found) => {
                Err(invalid(format!("{what}: diff ID mismatch: its content is {found}")))
            }
            (Ok(contents), Ok((diff_id, length))) => {
                let digest = digest.unwrap_or_else(|| diff_id.clone());
                Ok(Taken { digest, diff_id, length, contents })
            }
            (Err(e), _) | (_, Err(e)) => Err(failed(e)),
        }
    }

    /// Reads the blob to its end, and returns its digest, if somebody needs that, and its size.
    fn pump(
        &self,
        from: &mut dyn Read,
        mut to: Inlet,
        progress: &dyn Fn(u64),
    ) -> io::Result<(Option<Digest>, u64)> {
        let mut file = self.keep.map(File::create_new).transpose()?;
        let read_on = self.wanted.is_some() || self.keep.is_some();
        let mut hasher = (read_on || self.digest).then(Hasher::new);
        let (mut size, mut ahead) = (0, 0);
        let mut alive = true;
        loop {
            let bytes = to.fill(from)?;
            if bytes.is_empty() {
                break;
            }
            size += bytes.len() as u64;
            if self.wanted.is_some_and(|wanted| size > wanted.size) {
                // More can't make it right.
                break;
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            if let Some(file) = &mut file {
                file.write_all(bytes)?;
                if size - ahead >= AHEAD {
                    wharf_sys::writeback::begin(&*file, ahead, size - ahead);
                    ahead = size;
                }
            }
            // Whether it was the right blob is asked even when it can't be unpacked.
            if alive {
                alive = to.flush().is_ok();
            }
            if !alive && !read_on {
                break;
            }
            progress(size);
        }
        if alive {
            // Whoever is gone by now tells why itself.
            let _ = to.finish();
        }
        Ok((hasher.map(Hasher::finish), size))
    }
}

fn is_full<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|e| e.kind() == ErrorKind::StorageFull)
}

fn is_cut_off<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|e| e.kind() == ErrorKind::UnexpectedEof)
}

/// Checks a blob against its descriptor. The error's kind says that another source may have the right
/// one.
fn check_blob(what: &str, wanted: &BlobDescriptor, digest: &Digest, size: u64) -> Result<()> {
    let wrong = |text| Error::new(wharf_model::ErrorKind::Unavailable, text);
    let BlobDescriptor { digest: named, size: stated, .. } = wanted;
    if size > *stated {
        return Err(wrong(format!("{what}: blob {named} has more than its {stated} bytes")));
    }
    if size < *stated {
        return Err(wrong(format!(
            "{what}: blob {named} is cut off: {size} of its {stated} bytes came"
        )));
    }
    if digest != named {
        return Err(wrong(format!("{what}: blob {named}: digest mismatch: it is {digest}")));
    }
    Ok(())
}

fn unpack_hashed(tar: Outlet, root: &Path, frame: Option<&Path>) -> Unpacking {
    fn through(
        mut tar: HashReader<impl Read>,
        root: &Path,
        frame: Option<&RefCell<Frame>>,
    ) -> Unpacking {
        let contents = unpack(&mut tar, root, frame);
        let hashed = match is_full(&contents) {
            true => Err(ErrorKind::StorageFull.into()),
            false => tar.finish(),
        };
        Unpacking { contents, hashed }
    }
    let Some(path) = frame else { return through(HashReader::new(tar), root, None) };
    let frame = match Frame::create(path) {
        Ok(frame) => RefCell::new(frame),
        Err(e) => return Unpacking { hashed: Err(e.kind().into()), contents: Err(e) },
    };
    let framed = Framed { inner: tar, frame: &frame };
    let mut unpacking = through(HashReader::new(framed), root, Some(&frame));
    if unpacking.contents.is_ok()
        && let Err(e) = frame.into_inner().finish()
    {
        unpacking.contents = Err(e);
    }
    unpacking
}
