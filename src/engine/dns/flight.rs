//! A query on its way to an upstream server.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, recv, send};

use super::resolver::{Transport, Verdict, judge};

/// How long one server may take to answer, before the next is asked. A resolver of a client asks
/// again after five seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same, where a connection has to be made first.
const PATIENCE_TCP: Duration = Duration::from_secs(4);

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Udp(SocketAddr),
    /// The connection of this number.
    Tcp(u64),
}

impl Client {
    /// Returns how the query came, which is how it goes on.
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Tcp(_) => Transport::Tcp,
        }
    }
}

/// How a flight went on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is under way.
    Waiting,
    /// It is under way, and waits for words from now on, no more for room.
    Sent,
    /// This is the answer, with the client's id.
    Landed(Vec<u8>),
    /// The server won't answer this.
    Refused,
    /// The server can't be reached.
    Lost,
}

/// A query on its way. Each has a socket of its own, with a random port: answers of others than the
/// server asked don't get that far.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) client: Client,
    /// The id that the client gave the query.
    id: [u8; 2],
    /// The query with an id of this attempt's, after its length in two bytes.
    framed: Vec<u8>,
    /// The servers to be asked, the present one left out.
    pub(super) left: VecDeque<usize>,
    pub(super) server: usize,
    socket: Option<OwnedFd>,
    /// How much of the framed query was sent, over TCP.
    sent: usize,
    received: Vec<u8>,
    pub(super) deadline: Instant,
    /// What a server said that didn't answer.
    refusal: Option<Vec<u8>>,
}

impl Flight {
    /// Returns a flight that is to begin; none if it can't be framed.
    pub(super) fn new(client: Client, query: &[u8], order: Vec<usize>) -> Option<Self> {
        let length = u16::try_from(query.len()).ok()?;
        let id = query.first_chunk().copied()?;
        let framed = [&length.to_be_bytes()[..], query].concat();
        Some(Self {
            client,
            id,
            framed,
            left: order.into(),
            server: 0,
            socket: None,
            sent: 0,
            received: Vec::new(),
            deadline: Instant::now(),
            refusal: None,
        })
    }

    /// Returns whether it is this query of this client: one that has been sent again.
    pub(super) fn repeats(&self, client: Client, query: &[u8]) -> bool {
        self.client == client && query.get(..2) == Some(&self.id) && query[2..] == self.framed[4..]
    }

    /// Returns the kind of socket that it takes.
    pub(super) fn kind(&self) -> SocketType {
        match self.client.transport() {
            Transport::Udp => SocketType::DGRAM,
            Transport::Tcp => SocketType::STREAM,
        }
    }

    /// Returns the socket of this attempt.
    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Gives up the socket of the last attempt.
    pub(super) fn take_socket(&mut self) -> Option<OwnedFd> {
        self.socket.take()
    }

    /// Begins an attempt over a socket to a server.
    ///
    /// # Errors
    /// When nothing can be sent.
    pub(super) fn begin(&mut self, socket: OwnedFd, now: Instant) -> io::Result<()> {
        // Nobody who doesn't see the query can answer it.
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        self.framed[2..4].copy_from_slice(&id);
        self.received = Vec::new();
        self.sent = 0;
        match self.client.transport() {
            Transport::Udp => {
                send(&socket, self.query(), SendFlags::NOSIGNAL)?;
                self.deadline = now + PATIENCE;
            }
            Transport::Tcp => self.deadline = now + PATIENCE_TCP,
        }
        self.socket = Some(socket);
        Ok(())
    }

    fn query(&self) -> &[u8] {
        &self.framed[2..]
    }

    /// Goes on, as something may have come.
    pub(super) fn advance(&mut self, buffer: &mut [u8]) -> Progress {
        match self.client.transport() {
            Transport::Udp => self.advance_datagram(buffer),
            Transport::Tcp => self.advance_stream(buffer),
        }
    }

    fn advance_datagram(&mut self, buffer: &mut [u8]) -> Progress {
        /// More strays than this are looked at later.
        const AT_ONCE: usize = 16;
        for _ in 0..AT_ONCE {
            let Some(socket) = &self.socket else { return Progress::Lost };
            match recv(socket, &mut *buffer, RecvFlags::TRUNC) {
                // What is cut off is of no use.
                Ok((_, length)) if length > buffer.len() => {}
                Ok((_, length)) => {
                    if let Some(progress) = self.take(&buffer[..length]) {
                        return progress;
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => return Progress::Waiting,
                // That nobody listens there, for instance.
                Err(_) => return Progress::Lost,
            }
        }
        Progress::Waiting
    }

    fn advance_stream(&mut self, buffer: &mut [u8]) -> Progress {
        let Some(socket) = &self.socket else { return Progress::Lost };
        if self.sent < self.framed.len() {
            match send(socket, &self.framed[self.sent..], SendFlags::NOSIGNAL) {
                Ok(length) => self.sent += length,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return Progress::Lost,
            }
            return match self.sent < self.framed.len() {
                true => Progress::Waiting,
                false => Progress::Sent,
            };
        }
        let wanted = self.wanted().min(buffer.len());
        match recv(socket, &mut buffer[..wanted], RecvFlags::empty()) {
            Ok((_, length)) if length > 0 => {
                self.received.extend_from_slice(&buffer[..length]);
                if self.wanted() > 0 {
                    return Progress::Waiting;
                }
                let received = std::mem::take(&mut self.received);
                self.take(&received[2..]).unwrap_or(Progress::Lost)
            }
            Err(Errno::AGAIN | Errno::INTR) => Progress::Waiting,
            Ok(_) | Err(_) => Progress::Lost,
        }
    }

    /// Returns how many bytes of the answer are still to come, as far as that is known.
    fn wanted(&self) -> usize {
        match self.received.first_chunk() {
            None => 2 - self.received.len(),
            Some(length) => 2 + usize::from(u16::from_be_bytes(*length)) - self.received.len(),
        }
    }

    /// Takes a message of the server's in; none if it has nothing to do with the query.
    fn take(&mut self, message: &[u8]) -> Option<Progress> {
        let verdict = judge(message, self.query());
        if verdict == Verdict::Stray {
            return None;
        }
        let mut message = message.to_vec();
        message[..2].copy_from_slice(&self.id);
        if verdict == Verdict::Answer {
            return Some(Progress::Landed(message));
        }
        self.refusal = Some(message);
        Some(Progress::Refused)
    }

    /// Returns what the client is told when no server answers: what one of them said, if one did.
    pub(super) fn give_up(mut self) -> Option<Vec<u8>> {
        self.framed[2..4].copy_from_slice(&self.id);
        let failure = || super::resolver::error(&self.framed[2..], super::SERVER_FAILURE);
        self.refusal.or_else(failure)
    }
}
