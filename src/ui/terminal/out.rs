//! Writing to a terminal that may take nothing for a while.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Whether the terminal is ours now.
static TAKEN: Mutex<bool> = Mutex::new(false);

/// Returns whether the terminal is ours, which it stays while that is held.
pub(super) fn taken() -> MutexGuard<'static, bool> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal behind standard output, by an open file of our own: that of standard output is
/// shared with whoever started us, and must not begin to refuse writes.
fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Another user's terminal can't be opened again: then it is written to as it is, and waited for.
    rustix::fs::open("/proc/self/fd/1", flags, Mode::empty())
        .or_else(|_| rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3))
        .map_err(Into::into)
}

/// What is on its way to the terminal.
pub(super) struct Out {
    file: AsyncFd<OwnedFd>,
    /// What the terminal hasn't taken yet.
    rest: Vec<u8>,
    /// How much of it has been taken.
    taken: usize,
}

impl Out {
    pub(super) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "unsound for others only: an owned descriptor stays what it is"
        )]
        let file = AsyncFd::with_interest(open()?, Interest::WRITABLE)?;
        Ok(Self { file, rest: Vec::with_capacity(16 << 10), taken: 0 })
    }

    /// Returns whether the terminal has not taken all yet.
    pub(super) fn is_blocked(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes, or keeps what the terminal doesn't take now for [`Out::drained`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        self.push()
    }

    /// Waits until the terminal has taken all.
    pub(super) async fn drained(&mut self) -> io::Result<()> {
        while self.is_blocked() {
            self.file.writable().await?.clear_ready();
            self.push()?;
        }
        Ok(())
    }

    fn push(&mut self) -> io::Result<()> {
        // A thread that panics gives it back, whatever this one is doing.
        let taken = taken();
        if !*taken {
            return Err(io::Error::other("given back after a panic"));
        }
        while let Some(rest) = self.rest.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(self.file.get_ref(), rest) {
                Ok(count) => self.taken += count,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.rest.clear();
        self.taken = 0;
        // A log line of a megabyte must not stay in memory for ever.
        self.rest.shrink_to(64 << 10);
        Ok(())
    }

    /// Gives up what the terminal hasn't taken. Returns whether it got the beginning of something.
    pub(super) fn give_up(&mut self) -> bool {
        let midway = self.taken > 0;
        self.rest.clear();
        self.taken = 0;
        midway
    }
}

/// Writes, and waits for a terminal that takes nothing for so long at most: nobody may be reading
/// it any more.
pub(super) fn write_patiently(bytes: &[u8], patience: Duration) -> io::Result<()> {
    let file = open()?;
    let until = Instant::now() + patience;
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(file.as_fd(), until)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait(file: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)], Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
