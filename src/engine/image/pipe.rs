//! Files that are packed on one thread and unpacked on another, without an archive in between.

use std::io::{self, PipeReader, PipeWriter};

use super::archive::explain;
use crate::{Error, Result};

/// Runs both ends of a pipe and returns what `unpack` returns; `what` begins the sentences of errors.
/// Of two failures, the one is told that has caused the other.
///
/// # Errors
/// What either end returns.
pub(crate) fn through<T>(
    what: &'static str,
    pack: impl FnOnce(PipeWriter) -> Result<()> + Send,
    unpack: impl FnOnce(PipeReader) -> io::Result<T>,
) -> Result<T> {
    let failed = |e: io::Error| Error::failed(what, explain(e));
    let (reader, writer) = io::pipe().map_err(failed)?;
    let (packed, unpacked) = std::thread::scope(|scope| {
        let packing = scope.spawn(move || pack(writer));
        let unpacked = unpack(reader);
        let packed =
            packing.join().unwrap_or_else(|_| Err(Error::failed(what, "its thread panicked")));
        (packed, unpacked)
    });
    match (packed, unpacked) {
        (Ok(()), unpacked) => unpacked.map_err(failed),
        // The packer's pipe broke because the other side had failed before.
        (Err(_), Err(e)) if e.kind() != io::ErrorKind::UnexpectedEof => Err(failed(e)),
        (Err(e), _) => Err(e),
    }
}
