//! Terminals that leave the runtime: over the caller's socket, or beside the caller's own terminal.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use wharf_model::TermSize;

use crate::init::terminal::resize;
use crate::{Error, Result};

/// Sends a descriptor over a socket that somebody listens at, with some words.
///
/// # Errors
/// When nobody listens.
pub(super) fn send(path: &Path, descriptor: BorrowedFd<'_>, words: &[u8]) -> Result<()> {
    let send = || -> std::io::Result<()> {
        let mut socket = connect(path)?;
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(std::io::Error::other("no room for a descriptor"));
        }
        let sent = rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&socket, &[IoSlice::new(words)], &mut control, SendFlags::NOSIGNAL)
        })?;
        socket.write_all(&words[sent..])
    };
    send().map_err(|cause| Error::failed(format_args!("send to {}", path.display()), cause))
}

/// Connects to a socket whose path may be longer than an address.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?;
    UnixStream::connect(crate::init::rootfs::by_descriptor(&folder).join(name))
}

/// The caller's terminal, raw for as long as this lives.
struct Raw {
    before: Termios,
}

impl Raw {
    /// None where standard input is no terminal.
    fn begin() -> Option<Self> {
        let input = rustix::stdio::stdin();
        if !isatty(input) {
            return None;
        }
        let before = tcgetattr(input).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(input, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs none of its settings.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Returns the size of the caller's terminal, if it has one.
pub(super) fn own_size() -> Option<TermSize> {
    let size = tcgetwinsize(rustix::stdio::stdin()).ok()?;
    Some(TermSize { columns: size.ws_col, rows: size.ws_row })
}

/// Gives a terminal the size of the caller's.
pub(super) fn follow_size(master: BorrowedFd<'_>) {
    if let Some(size) = own_size() {
        // It may have ended.
        let _ = resize(master, size);
    }
}

/// What is to be done when one of the descriptors of [`between`] has something.
pub(super) enum Happened {
    /// The program has ended.
    End,
    /// A signal has come.
    Signal,
}

/// Passes bytes between the caller's streams and a program's terminal, until the program has ended and
/// all it wrote is passed on, and calls `happened` whenever there is a signal.
///
/// # Errors
/// When waiting fails.
pub(super) fn between(
    master: Option<&OwnedFd>,
    process: &OwnedFd,
    signals: BorrowedFd<'_>,
    mut happened: impl FnMut(Happened),
) -> Result<()> {
    let failed = |cause: Errno| Error::failed("wait for the program", cause);
    let _raw = master.and_then(|_| Raw::begin());
    let mut reads = true;
    let mut writes = master.is_some();
    let mut buffer = [0; 8192];
    let mut ended = false;
    loop {
        let nothing = PollFlags::empty();
        let stdin = rustix::stdio::stdin();
        let master_fd = master.map_or(process.as_fd(), AsFd::as_fd);
        let mut fds = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::new(process, if ended { nothing } else { PollFlags::IN }),
            PollFd::from_borrowed_fd(master_fd, if writes { PollFlags::IN } else { nothing }),
            PollFd::from_borrowed_fd(
                stdin,
                if reads && master.is_some() && !ended { PollFlags::IN } else { nothing },
            ),
        ];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        // What it has written is there when it has ended; its children may keep the terminal open.
        let timeout = if ended { Some(&at_once) } else { None };
        match poll(&mut fds, timeout) {
            Err(Errno::INTR) => continue,
            Err(cause) => return Err(failed(cause)),
            Ok(0) => return Ok(()),
            Ok(_) => {}
        }
        let found: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        if !found[0].is_empty() {
            happened(Happened::Signal);
        }
        if !ended && !found[1].is_empty() {
            ended = true;
            happened(Happened::End);
            if !writes {
                return Ok(());
            }
        }
        if writes && !found[2].is_empty() {
            match rustix::io::read(master_fd, &mut buffer) {
                Ok(length) if length > 0 => {
                    let mut out = std::io::stdout().lock();
                    // Nobody reads any more: the program goes on without.
                    let _ = out.write_all(&buffer[..length]).and_then(|()| out.flush());
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                // The last program has closed it.
                _ => {
                    writes = false;
                    if ended {
                        return Ok(());
                    }
                }
            }
        }
        if reads && !found[3].is_empty() && master.is_some() {
            match rustix::io::read(stdin, &mut buffer) {
                Ok(length) if length > 0 => {
                    let mut rest = &buffer[..length];
                    while let Ok(written) = rustix::io::write(master_fd, rest) {
                        rest = &rest[written..];
                        if rest.is_empty() {
                            break;
                        }
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                _ => reads = false,
            }
        }
    }
}
