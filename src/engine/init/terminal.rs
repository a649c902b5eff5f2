//! A terminal of the container's own: the slave becomes the standard streams and /dev/console, the
//! master goes to whoever holds the other end of the channel.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use wharf_model::TermSize;

use super::binds;
use super::rootfs::{Root, by_descriptor};
use crate::channel::Channel;
use crate::{Error, Result};

fn failed(cause: impl Into<std::io::Error>) -> Error {
    Error::failed("make a terminal", cause.into())
}

/// Gives a new container its terminal: from its own /dev/pts, with /dev/console bound to it.
pub(super) fn attach(root: &Root, size: Option<TermSize>, channel: &Channel) -> Result<()> {
    let slave = open(root, size, channel)?;
    let console = root.make_file(Path::new("/dev/console")).map_err(failed)?;
    binds::check_proc(root, &console, None)?;
    rustix::mount::mount_bind(by_descriptor(&slave), by_descriptor(&console)).map_err(failed)?;
    Ok(())
}

/// Opens a new terminal in the root filesystem's /dev/pts, makes it this process's controlling
/// terminal and standard streams, and sends its master away. The caller leads a session.
pub(crate) fn open(
    root: &Root,
    size: Option<TermSize>,
    channel: &Channel,
) -> Result<std::os::fd::OwnedFd> {
    let master =
        root.path(Path::new("/dev/pts/ptmx"), OFlags::RDWR | OFlags::NOCTTY).map_err(failed)?;
    unlockpt(&master).map_err(failed)?;
    // By the master and not by its name, which the container could have mounted over.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).map_err(failed)?;
    if let Some(size) = size {
        resize(slave.as_fd(), size).map_err(failed)?;
    }
    rustix::process::ioctl_tiocsctty(&slave).map_err(failed)?;
    let streams = || -> rustix::io::Result<()> {
        rustix::stdio::dup2_stdin(&slave)?;
        rustix::stdio::dup2_stdout(&slave)?;
        rustix::stdio::dup2_stderr(&slave)
    };
    streams().map_err(failed)?;
    channel.send_ok(&[master.as_fd()]).map_err(failed)?;
    Ok(slave)
}

/// Sets a terminal's size, which signals its foreground processes.
pub(crate) fn resize(terminal: BorrowedFd<'_>, size: TermSize) -> std::io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}
