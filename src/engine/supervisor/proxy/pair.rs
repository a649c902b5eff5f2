//! A connection that is passed on: two sockets, and what is on its way between them.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{Shutdown, sockopt};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// How much is moved in one go.
const CHUNK: usize = 64 * 1024;
/// How many goes a connection has before others are served.
const AT_ONCE: usize = 16;
/// How many unused pipes are kept.
const SPARE: usize = 8;

/// A pipe through which the kernel moves data from one socket to another.
struct Pipe {
    into: OwnedFd,
    out: OwnedFd,
    filled: usize,
}

/// The pipes that are not in use.
#[derive(Default)]
pub(super) struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> rustix::io::Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { into, out, filled: 0 })
    }

    fn keep(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE {
            self.0.push(pipe);
        }
    }

    /// Gives them back.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// When its sockets are ready again.
    Waiting,
    /// At once.
    More,
    /// Not at all.
    Over,
}

/// What one side sends to the other.
#[derive(Default)]
struct Way {
    /// There is one while something is on its way.
    pipe: Option<Pipe>,
    /// The sender has sent all.
    ended: bool,
    /// The receiver has been told so.
    told: bool,
}

/// A connection.
pub(super) struct Pair {
    sockets: [OwnedFd; 2],
    ways: [Way; 2],
}

impl Pair {
    /// Returns the connection of these two; the second may still be connecting.
    pub(super) fn new(client: OwnedFd, server: OwnedFd) -> Self {
        Self { sockets: [client, server], ways: [Way::default(), Way::default()] }
    }

    /// Moves what can be moved, either way.
    pub(super) fn pass_on(&mut self, pipes: &mut Pipes) -> Progress {
        // A refused connection shows here and nowhere else.
        let broken = |socket| !matches!(sockopt::socket_error(socket), Ok(Ok(())));
        if self.sockets.iter().any(broken) {
            return Progress::Over;
        }
        let [client, server] = &self.sockets;
        let [there, back] = &mut self.ways;
        let moved = [there.pass(client, server, pipes), back.pass(server, client, pipes)];
        match moved {
            [Ok(_), Ok(_)] if self.ways.iter().all(|way| way.told) => Progress::Over,
            [Ok(there), Ok(back)] if there || back => Progress::More,
            [Ok(_), Ok(_)] => Progress::Waiting,
            _ => Progress::Over,
        }
    }
}

impl Way {
    /// Moves what can be moved; returns whether there may be more at once.
    fn pass(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        pipes: &mut Pipes,
    ) -> rustix::io::Result<bool> {
        if self.told {
            return Ok(false);
        }
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        for _ in 0..AT_ONCE {
            let mut moved = false;
            if !self.ended {
                let mut pipe = match self.pipe.take() {
                    Some(pipe) => pipe,
                    None => pipes.take()?,
                };
                let taken = splice(from, None, &pipe.into, None, CHUNK, flags);
                match taken {
                    Ok(0) => self.ended = true,
                    Ok(length) => {
                        pipe.filled += length;
                        moved = true;
                    }
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(cause) => return Err(cause),
                }
                self.pipe = Some(pipe);
            }
            if let Some(pipe) = &mut self.pipe
                && pipe.filled > 0
            {
                match splice(&pipe.out, None, to, None, pipe.filled, flags) {
                    Ok(length) => {
                        pipe.filled -= length;
                        moved |= length > 0;
                    }
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(cause) => return Err(cause),
                }
            }
            if let Some(pipe) = self.pipe.take_if(|pipe| pipe.filled == 0) {
                pipes.keep(pipe);
                if self.ended {
                    // The other direction goes on.
                    rustix::net::shutdown(to, Shutdown::Write)?;
                    self.told = true;
                    return Ok(false);
                }
            }
            if !moved {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
