//! A client's TCP connection. One query of it is answered at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::LONGEST_QUERY;

/// How long a client may take to say or hear something (RFC 7766, section 6.2.3 speaks of a few
/// seconds).
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is to do for a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Answer this query.
    Query(Vec<u8>),
    /// Wait until one of these is true of the socket.
    Wait(EventFlags),
    /// Close it.
    Close,
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether its query is under way to a server.
    pub(super) waits: bool,
    /// Whether the client says nothing more.
    ended: bool,
    /// Until when the client must have said or heard something.
    pub(super) deadline: Instant,
    pub(super) interest: EventFlags,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, now: Instant) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            waits: false,
            ended: false,
            deadline: now + PATIENCE,
            interest: EventFlags::IN,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns whether nothing of it is being dealt with.
    pub(super) fn is_idle(&self) -> bool {
        !self.waits && self.outgoing.is_empty()
    }

    /// Puts an answer before the client.
    pub(super) fn answer(&mut self, message: &[u8], now: Instant) {
        self.waits = false;
        // No message is longer.
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        self.outgoing = [&length.to_be_bytes()[..], message].concat();
        self.sent = 0;
        self.deadline = now + PATIENCE;
    }

    /// Does what can be done without waiting, and returns what is next.
    pub(super) fn next(&mut self, buffer: &mut [u8], now: Instant) -> Next {
        while self.sent < self.outgoing.len() {
            match self.socket.write(&self.outgoing[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Next::Wait(EventFlags::OUT);
                }
                Err(_) => return Next::Close,
            }
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        if self.waits {
            // Its end is seen by the next write.
            return Next::Wait(EventFlags::empty());
        }
        loop {
            let wanted = match self.incoming.first_chunk() {
                None => 2,
                Some(length) => match usize::from(u16::from_be_bytes(*length)) {
                    length if length <= LONGEST_QUERY => 2 + length,
                    _ => return Next::Close,
                },
            };
            if wanted > 2 && self.incoming.len() >= wanted {
                let query = self.incoming[2..wanted].to_vec();
                self.incoming.drain(..wanted);
                self.deadline = now + PATIENCE;
                return Next::Query(query);
            }
            if self.ended || (wanted == 2 && self.incoming.len() >= 2) {
                return Next::Close;
            }
            let room = (2 + LONGEST_QUERY - self.incoming.len()).min(buffer.len());
            match self.socket.read(&mut buffer[..room]) {
                Ok(0) => self.ended = true,
                Ok(length) => self.incoming.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Next::Wait(EventFlags::IN);
                }
                Err(_) => return Next::Close,
            }
        }
    }
}
