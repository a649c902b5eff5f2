//! Standard output and standard error, written as they come, without holding up signals and input
//! while a slow reader takes its time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Bytes written after one question whether there is room: a pipe that says so takes this many
/// (`PIPE_BUF`).
const PIECE: usize = 4096;

/// Where to write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Target {
    fn with<T>(self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Stdout => work(io::stdout().as_fd()),
            Self::Stderr => work(io::stderr().as_fd()),
        }
    }

    /// Returns whether there is room; waits for it without end if `wait`.
    fn has_room(self, wait: bool) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.with(|fd| {
            let mut question = [PollFd::new(&fd, PollFlags::OUT)];
            let answer = poll(&mut question, if wait { None } else { Some(&at_once) });
            // An error shows itself at the write.
            answer.map_or(true, |ready| ready > 0)
        })
    }
}

/// Writes everything.
///
/// # Errors
/// When the reader has gone or the disk is full.
pub(crate) async fn write_all(target: Target, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        if !target.has_room(false) {
            tokio::task::spawn_blocking(move || target.has_room(true)).await?;
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        match target.with(|fd| rustix::io::write(fd, piece)) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
