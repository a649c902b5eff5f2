//! SHA-256 of what flows through a reader.

use std::io::{self, Read, Write};

use ring::digest::{Context, SHA256};
use wharf_model::Digest;

/// SHA-256 of what it is shown.
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Digest {
        to_digest(self.0)
    }
}

/// A writer that hashes and counts every byte written through it.
pub(super) struct HashWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W> HashWriter<W> {
    /// Returns a writer that has hashed nothing yet.
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// Returns the writer within, the digest, and the number of all bytes.
    pub(super) fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that hashes and counts every byte read through it.
pub(super) struct HashReader<R> {
    inner: R,
    context: Context,
    count: u64,
}

impl<R: Read> HashReader<R> {
    /// Returns a reader that has hashed nothing yet.
    pub(super) fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), count: 0 }
    }

    /// Reads what is left and returns the digest and the number of all bytes.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((to_digest(self.context), self.count))
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.context.update(&buffer[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

/// Returns the digest of these bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    to_digest(context)
}

/// Returns the chain ID of a layer: its diff ID when it is the lowest, else the digest over the
/// chain ID below and its diff ID (OCI image specification, "Layer ChainID").
pub(super) fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => digest(format!("{parent} {diff_id}").as_bytes()),
    }
}

fn to_digest(context: Context) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(&bytes)
}
