//! The socket: one send for a whole batch, then the answers until the last message's.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::decode::{Attributes, Reply, i32_at, messages, u32_at};
use super::encode::{ACK, Batch, DUMP, HEADER};
use super::{Error, Result};

/// `NLMSG_ERROR`: an error, or with number 0 an acknowledgement.
const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: a dump is complete.
const KIND_DONE: u16 = 3;
/// `NLM_F_CAPPED`: the error message doesn't repeat the request.
const FLAG_CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow the error.
const FLAG_ACK_TLVS: u16 = 0x200;
/// `NLM_F_DUMP_INTR`: the objects changed during the dump.
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
/// `NLMSGERR_ATTR_MSG`: the kernel's sentence.
const ATTR_MESSAGE: u16 = 1;
/// How often a dump that was interrupted by changes is asked for again.
const DUMP_TRIES: usize = 8;
/// The kernel answers within its system call; this only keeps a surprise from hanging the caller.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for an answer about one object; the largest, a bridge, takes some two kilobytes.
const ANSWER: usize = 8 * 1024;
/// Room for a piece of a dump: the kernel makes none larger.
const DUMP_PIECE: usize = 32 * 1024;

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Links, addresses and routes.
    Route,
    /// nf_tables and the rest of netfilter.
    Netfilter,
}

/// The answers to a batch.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Objects, in the order in which the kernel sent them.
    pub replies: Vec<Reply>,
    /// The tolerated failures: the message's place in its batch, and why it failed.
    pub tolerated: Vec<(usize, Errno)>,
}

/// A netlink socket of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel lacks the family (`EPROTONOSUPPORT`) or refuses the socket.
    pub fn open(family: Family) -> Result<Self> {
        let (protocol, name) = match family {
            Family::Route => (None, "open the route netlink socket"),
            Family::Netfilter => (Some(netlink::NETFILTER), "open the netfilter netlink socket"),
        };
        let failed = |errno| Error::new(name, errno, None);
        let descriptor = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(failed)?;
        set_socket_timeout(&descriptor, Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
        // Without these two the kernel only gives a number; that is no reason to fail.
        set_option(&descriptor, libc::NETLINK_EXT_ACK);
        set_option(&descriptor, libc::NETLINK_CAP_ACK);
        Ok(Self { descriptor, sequence: 0, buffer: vec![0; ANSWER] })
    }

    /// Sends the batch and returns the kernel's answers. All messages are handled, whether or not
    /// an earlier one failed, unless the family makes batches atomic.
    ///
    /// # Errors
    /// The first failure that its message doesn't tolerate.
    pub fn exchange(&mut self, mut batch: Batch) -> Result<Answers> {
        let Some(last) = batch.awaited() else { return Ok(Answers::default()) };
        let message = &mut batch.messages[last];
        // Both bits: one alone means something else in a request that creates.
        if message.flags & DUMP == DUMP {
            self.buffer.resize(DUMP_PIECE, 0);
        } else {
            message.flags |= ACK;
            let at = message.start + 6;
            batch.bytes[at..at + 2].copy_from_slice(&message.flags.to_ne_bytes());
        }
        for _ in 1..DUMP_TRIES {
            let (answers, interrupted) = self.exchange_once(&mut batch, last)?;
            if !interrupted {
                return Ok(answers);
            }
        }
        Ok(self.exchange_once(&mut batch, last)?.0)
    }

    fn exchange_once(&mut self, batch: &mut Batch, last: usize) -> Result<(Answers, bool)> {
        let first = self.sequence.wrapping_add(1);
        for sent in &batch.messages {
            self.sequence = self.sequence.wrapping_add(1);
            let at = sent.start + 8;
            batch.bytes[at..at + 4].copy_from_slice(&self.sequence.to_ne_bytes());
        }
        loop {
            match rustix::net::send(&self.descriptor, &batch.bytes, SendFlags::empty()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new(&batch.messages[last].operation, errno, None)),
            }
        }
        self.collect(batch, first, last)
    }

    /// Reads answers until that of the message at `last`.
    fn collect(&mut self, batch: &Batch, first: u32, last: usize) -> Result<(Answers, bool)> {
        let sent = &batch.messages;
        let mut answers = Answers::default();
        let mut failure = None;
        let mut interrupted = false;
        loop {
            let length = self.receive(&sent[last].operation)?;
            for reply in messages(&self.buffer[..length]) {
                let at = usize::try_from(reply.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                // A late answer to an earlier batch that failed half-way.
                let Some(request) = sent.get(at) else { continue };
                interrupted |= reply.flags & FLAG_DUMP_INTERRUPTED != 0;
                if !matches!(reply.kind, KIND_ERROR | KIND_DONE) {
                    answers.replies.push(reply);
                    continue;
                }
                if let Some(errno) = errno(&reply) {
                    if request.tolerated.contains(&errno) {
                        answers.tolerated.push((at, errno));
                    } else if failure.is_none() {
                        failure = Some(Error::new(&request.operation, errno, text(&reply)));
                    }
                }
                // A transaction refused as a whole is answered once, as its first message.
                if at == last || (at == 0 && batch.transaction && failure.is_some()) {
                    return failure.map_or(Ok((answers, interrupted)), Err);
                }
            }
        }
    }

    fn receive(&mut self, operation: &str) -> Result<usize> {
        loop {
            match rustix::net::recv(&self.descriptor, &mut self.buffer[..], RecvFlags::TRUNC) {
                Ok((length, whole)) if whole > length => {
                    return Err(Error::new(operation, Errno::MSGSIZE, None));
                }
                Ok((length, _)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new(operation, errno, None)),
            }
        }
    }
}

/// Returns why an error message or the end of a dump says that the request failed, if it did.
fn errno(reply: &Reply) -> Option<Errno> {
    match i32_at(&reply.body, 0)? {
        number @ -4095..=-1 => Some(Errno::from_raw_os_error(-number)),
        _ => None,
    }
}

/// Returns the kernel's sentence in an error message.
fn text(reply: &Reply) -> Option<String> {
    if reply.flags & FLAG_ACK_TLVS == 0 {
        return None;
    }
    let request = match reply.flags & FLAG_CAPPED {
        0 => usize::try_from(u32_at(&reply.body, 4)?).ok()?,
        _ => HEADER,
    };
    let attributes = reply.body.get(4 + request.next_multiple_of(4)..)?;
    Some(Attributes::of(attributes).get(ATTR_MESSAGE)?.text()?.to_owned())
}

/// Turns a boolean socket option of netlink on, if the kernel knows it.
#[expect(unsafe_code, reason = "no safe crate offers netlink socket options")]
fn set_option(descriptor: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    // SAFETY: the descriptor is open, and the value pointer and length describe the live integer
    // `on`, which the kernel only reads.
    let _ignored = unsafe {
        libc::setsockopt(
            descriptor.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            length,
        )
    };
}
