//! Sockets that lead to the container.
//!
//! An ordinary user's engine can't go into a container's network and come back, but a copy of it can
//! go there, make a socket and hand it over: a socket stays in the network that it was made in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use wharf_sys::clone::{Child, Flags, clone};

use crate::channel::Channel;
use crate::userns::remap;

/// Begins a connection; it needn't be made yet.
pub(super) fn connect(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(cause) => Err(cause.into()),
    }
}

/// A container's network, seen from a process that isn't in it.
pub(super) struct Inside {
    init: OwnedFd,
    namespaces: CloneFlags,
}

impl Inside {
    /// Returns that of the container with this first process.
    pub(super) fn new(init: &Child) -> Option<Self> {
        let mut namespaces = CloneFlags::CLONE_NEWNET;
        if remap::root_outside(init.pid).is_some() {
            // The network belongs to it.
            namespaces |= CloneFlags::CLONE_NEWUSER;
        }
        let init = rustix::io::fcntl_dupfd_cloexec(&init.pidfd, 3).ok()?;
        Some(Self { init, namespaces })
    }

    /// Begins a connection from inside the container.
    pub(super) fn connect(&self, address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
        let (ours, theirs) = Channel::pair()?;
        let copy = clone(Flags::NONE, None, || {
            let made = setns(&self.init, self.namespaces)
                .map_err(io::Error::from)
                .and_then(|()| connect(address, kind))
                .and_then(|socket| theirs.send_ok(&[socket.as_fd()]));
            i32::from(made.is_err())
        })?;
        drop(theirs);
        let socket = ours.answer().map_err(io::Error::other);
        // It has said all it had to say, and is at its end.
        super::super::run::reap(&copy)?;
        socket?.pop().ok_or_else(|| Errno::NETUNREACH.into())
    }
}
