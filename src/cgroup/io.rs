//! Small file access for pseudo files: one open, one read or write, no standard-library buffers.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The size of a stack buffer that holds any counter file but a very long `io.stat`.
pub(crate) const BUFFER: usize = 8192;

pub(crate) fn open_read(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

pub(crate) fn open_write(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Writes all of `content` at once, as pseudo files demand.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Errno> {
    write_fd(open_write(path)?, content)
}

pub(crate) fn write_fd(fd: impl AsFd, content: &[u8]) -> Result<(), Errno> {
    loop {
        match rustix::io::write(&fd, content) {
            Err(Errno::INTR) => {}
            Ok(written) if written < content.len() => return Err(Errno::IO),
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Returns the whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Errno> {
    let fd = open_read(path)?;
    let mut content = Vec::with_capacity(1024);
    loop {
        if content.capacity() - content.len() < 512 {
            content.reserve(content.capacity());
        }
        match rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads an open file from its start into `buffer` and returns what was read.
pub(crate) fn reread<'b>(fd: &OwnedFd, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    loop {
        match rustix::io::pread(fd, &mut *buffer, 0) {
            Err(Errno::INTR) => {}
            Ok(length) => return Ok(&buffer[..length]),
            Err(error) => return Err(error),
        }
    }
}
