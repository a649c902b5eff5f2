//! The conversation between a supervisor and the processes that use its container.
//!
//! A connection is a `SOCK_SEQPACKET` socket pair or a connection to the container's `ctl.sock`, so
//! that messages keep their bounds and may carry descriptors. The client sends one [`Request`]; the
//! supervisor answers [`Reply::Ok`] or [`Reply::Failed`], and then, as the request asks, a stream of
//! messages that ends with [`Reply::Exit`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use wharf_model::{
    ContainerId, EndpointOptions, ErrorKind, ExecSpec, LogStream, TermSize, UpdateOptions,
};

use crate::{Error, Result};

/// The most bytes of a stream in one message; a request may be longer.
pub const CHUNK: usize = 32 * 1024;

/// The longest message: a request with an argument of the kernel's greatest size (128 KiB) fits.
const LONGEST: usize = 160 * 1024;

/// The most descriptors one message carries.
const DESCRIPTORS: usize = 3;

/// What a client asks of a supervisor; one a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start the container; only on the socket pair a supervisor is born with. The message carries
    /// the lock of the container's verbs, so that it outlasts a starter that is killed.
    Start(StartRequest),
    /// Pass streams on, then the exit code.
    Attach(AttachRequest),
    /// Only the exit code, at the next end even if its restart policy starts it again.
    Wait,
    /// Only the exit code, once it has ended for good.
    Follow,
    /// Don't wait any longer with the start that its restart policy is about to make; then as
    /// attaching.
    StartNow(Option<AttachRequest>),
    /// Don't remove the container at its end, though it was run with `--rm`: it is to be started
    /// again.
    Keep,
    /// Signal the first process.
    Signal(i32),
    /// Signal the first process, and take its end for what was wanted, whatever signal it is.
    End(i32),
    /// Freeze all processes.
    Pause,
    /// Thaw them.
    Unpause,
    /// Change limits and the restart policy.
    Update(Box<UpdateOptions>),
    /// Put the container on one more network.
    Connect(Box<EndpointOptions>),
    /// Take the container from the network of this id or name.
    Disconnect(String),
    /// Freeze all processes for as long as this connection lasts.
    Hold,
    /// A handle to the first process, by which its namespaces can be joined; it comes with the
    /// answer.
    Process,
    /// Run a further program. Without a terminal the message carries its input, output and error
    /// output, unless it is detached; with one, the answer carries the terminal's master.
    Exec(Box<ExecSpec>, Option<TermSize>),
}

/// How to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StartRequest {
    pub(crate) root: String,
    pub(crate) run: String,
    pub(crate) id: ContainerId,
    /// Attach this connection before the first byte of output.
    pub(crate) attach: Option<AttachRequest>,
    /// Whether it is the restart policy that starts it.
    #[serde(default)]
    pub(crate) resumes: bool,
    /// What is so for networks that the engine makes by itself.
    #[serde(default)]
    pub(crate) network: crate::network::Settings,
}

/// What to pass on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AttachRequest {
    pub(crate) stdin: bool,
    pub(crate) output: bool,
    pub(crate) size: Option<TermSize>,
}

/// What a supervisor says to a client.
#[derive(Debug)]
pub enum Reply {
    /// The request was met.
    Ok,
    /// It was not, and why.
    Failed(Error),
    /// Output of the container.
    Output(LogStream, Vec<u8>),
    /// The program has ended with this exit code.
    Exit(i32),
    /// The number, on the host, of a process that is becoming a program; to clients, that the further
    /// program that they asked for runs.
    Process(i32),
}

/// What a client says after its request.
#[derive(Debug)]
pub enum Input {
    /// Bytes for the program's input.
    Data(Vec<u8>),
    /// The input's end.
    End,
    /// The terminal's new size.
    Resize(TermSize),
    /// It leaves by its keys, and the program goes on: a further one in this terminal, which was the
    /// client's alone.
    Leave(Option<OwnedFd>),
}

/// A received message and the descriptors that came with it.
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

const REQUEST: u8 = b'R';
const OK: u8 = b'K';
const FAILED: u8 = b'X';
const STDOUT: u8 = b'o';
const STDERR: u8 = b'e';
const EXIT: u8 = b'Q';
const PROCESS: u8 = b'P';
const DATA: u8 = b'i';
const END: u8 = b'.';
const RESIZE: u8 = b'w';
const LEAVE: u8 = b'l';

/// One end of a connection.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self { socket }
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

/// A path to the entry `name` of the folder behind `folder`, short enough for any socket address.
fn short_address(folder: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd;
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))?)
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

/// The name of the socket in a container's run folder.
const SOCKET: &str = "ctl.sock";

/// Returns a socket that accepts connections to the container whose run folder this is.
pub(crate) fn listen(folder: &Path) -> io::Result<OwnedFd> {
    let _ = std::fs::remove_file(folder.join(SOCKET));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let folder = open_folder(folder)?;
    rustix::net::bind(&socket, &short_address(folder.as_fd(), SOCKET)?)?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}

impl Channel {
    /// Returns both ends of a new connection.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self { socket: ours }, Self { socket: theirs }))
    }

    /// Connects to the supervisor of the container whose run folder this is.
    pub(crate) fn connect(folder: &Path) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let folder = open_folder(folder)?;
        rustix::net::connect(&socket, &short_address(folder.as_fd(), SOCKET)?)?;
        Ok(Self { socket })
    }

    /// Makes reads and writes fail with `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&self.socket, true)?;
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub fn close_write(&self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }

    /// Lets go of what [`Request::Hold`] holds, and waits until it goes on, or has ended.
    pub(crate) fn end_hold(self) {
        self.close_write();
        // The connection closes then; whatever else it says, there is nothing to wait for.
        let _ = self.receive(1);
    }

    pub(crate) fn send_request(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let body = serde_json::to_vec(request)?;
        if body.len() >= LONGEST {
            return Err(io::Error::other("command line and environment are too long"));
        }
        self.send(REQUEST, &body, descriptors)
    }

    pub(crate) fn send_ok(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send(OK, &[], descriptors)
    }

    pub(crate) fn send_failure(&self, error: &Error) -> io::Result<()> {
        // A command of any length may be quoted in it, each byte of which takes up to six in JSON.
        const LONGEST_REASON: usize = CHUNK / 8;
        let mut text = error.to_string();
        if text.len() > LONGEST_REASON {
            text.truncate(text.floor_char_boundary(LONGEST_REASON));
            text.push('…');
        }
        let body = serde_json::to_vec(&(error.kind(), text))?;
        self.send(FAILED, &body, &[])
    }

    pub(crate) fn send_exit(&self, code: i32) -> io::Result<()> {
        self.send(EXIT, &code.to_le_bytes(), &[])
    }

    pub(crate) fn send_process(&self, pid: i32, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send(PROCESS, &pid.to_le_bytes(), descriptors)
    }

    /// Says the other side of a start that it may go on.
    pub(crate) fn send_go(&self) -> io::Result<()> {
        self.send(OK, &[], &[])
    }

    pub(crate) fn send_output(&self, stream: LogStream, data: &[u8]) -> io::Result<()> {
        self.send(if stream == LogStream::Stdout { STDOUT } else { STDERR }, data, &[])
    }

    /// Sends input, or a new size, to the container.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full, `BrokenPipe` when the container has ended.
    pub fn send_input(&self, input: &Input) -> io::Result<()> {
        match input {
            Input::Data(data) => self.send(DATA, data, &[]),
            Input::End => self.send(END, &[], &[]),
            Input::Leave(terminal) => {
                let terminal: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
                self.send(LEAVE, &[], &terminal)
            }
            Input::Resize(size) => {
                let mut body = [0; 4];
                body[..2].copy_from_slice(&size.columns.to_le_bytes());
                body[2..].copy_from_slice(&size.rows.to_le_bytes());
                self.send(RESIZE, &body, &[])
            }
        }
    }

    fn send(&self, kind: u8, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors in one message"));
        }
        let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(body)];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Receives one message into `buffer`; none when the peer has closed.
    fn receive_into(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<Option<usize>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut receive = || {
            rustix::io::retry_on_intr(|| {
                rustix::net::recvmsg(
                    &self.socket,
                    &mut [IoSliceMut::new(buffer)],
                    &mut control,
                    RecvFlags::CMSG_CLOEXEC,
                )
            })
        };
        let received = match receive() {
            // The peer closed without having read everything. The kernel says that once, and first:
            // what the peer had sent before is still there.
            Err(Errno::CONNRESET) => receive(),
            received => received,
        }?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(Some(received.bytes).filter(|&n| n > 0))
    }

    /// Receives a message of at most `limit` bytes; none when the peer has closed.
    pub(crate) fn receive(&self, limit: usize) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; limit];
        let mut descriptors = Vec::new();
        Ok(self.receive_into(&mut bytes, &mut descriptors)?.map(|length| {
            bytes.truncate(length);
            // Many short ones may wait for somebody who is slow.
            bytes.shrink_to_fit();
            Message { bytes, descriptors }
        }))
    }

    /// Receives a request; none when the peer has closed.
    pub(crate) fn receive_request(&self) -> io::Result<Option<(Request, Vec<OwnedFd>)>> {
        let Some(message) = self.receive(LONGEST)? else { return Ok(None) };
        match message.bytes.split_first() {
            Some((&REQUEST, body)) => {
                Ok(Some((serde_json::from_slice(body)?, message.descriptors)))
            }
            _ => Err(io::Error::other("not a request")),
        }
    }

    /// Receives what an attached client sends; none when it has closed its side.
    pub(crate) fn receive_input(&self) -> io::Result<Option<Input>> {
        let Some(mut message) = self.receive(CHUNK + 1)? else { return Ok(None) };
        let body = &message.bytes[1..];
        match (message.bytes[0], body.len()) {
            (DATA, _) => {
                message.bytes.remove(0);
                Ok(Some(Input::Data(message.bytes)))
            }
            (END, _) => Ok(Some(Input::End)),
            (LEAVE, _) => Ok(Some(Input::Leave(message.descriptors.pop()))),
            (RESIZE, 4) => Ok(Some(Input::Resize(TermSize {
                columns: u16::from_le_bytes([body[0], body[1]]),
                rows: u16::from_le_bytes([body[2], body[3]]),
            }))),
            _ => Err(io::Error::other("not input")),
        }
    }

    /// Receives what the supervisor says, with the descriptors that came along; none when it has
    /// closed the connection.
    ///
    /// # Errors
    /// `WouldBlock` on a non-blocking channel that has nothing.
    pub fn receive_reply(&self) -> io::Result<Option<(Reply, Vec<OwnedFd>)>> {
        let Some(mut message) = self.receive(CHUNK + 1)? else { return Ok(None) };
        let body = &message.bytes[1..];
        let reply = match message.bytes[0] {
            OK => Reply::Ok,
            FAILED => {
                let (kind, text): (ErrorKind, String) = serde_json::from_slice(body)?;
                Reply::Failed(Error::new(kind, text))
            }
            kind @ (STDOUT | STDERR) => {
                let stream = if kind == STDOUT { LogStream::Stdout } else { LogStream::Stderr };
                message.bytes.remove(0);
                Reply::Output(stream, message.bytes)
            }
            kind @ (EXIT | PROCESS) => match body.try_into().map(i32::from_le_bytes) {
                Ok(code) if kind == EXIT => Reply::Exit(code),
                Ok(pid) => Reply::Process(pid),
                Err(_) => return Err(io::Error::other("not a number")),
            },
            _ => return Err(io::Error::other("not a reply")),
        };
        Ok(Some((reply, message.descriptors)))
    }

    /// Waits until there is an answer, or the peer has gone; returns whether that came true in time.
    pub(crate) fn is_readable_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let timeout = Timespec::try_from(time).ok();
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout.as_ref()))
            .is_ok_and(|count| count > 0)
    }

    /// Waits for the answer to a request. An error of kind `Unavailable` when the supervisor ends
    /// before it answers.
    pub(crate) fn answer(&self) -> Result<Vec<OwnedFd>> {
        self.answer_about_process().map(|(_, descriptors)| descriptors)
    }

    /// As [`Channel::answer`], where the answer tells of a process that was made.
    pub(crate) fn answer_about_process(&self) -> Result<(Option<i32>, Vec<OwnedFd>)> {
        let ended = || Error::new(ErrorKind::Unavailable, "the supervisor ended without an answer");
        match self.receive_reply() {
            Ok(Some((Reply::Ok, descriptors))) => Ok((None, descriptors)),
            Ok(Some((Reply::Process(pid), descriptors))) => Ok((Some(pid), descriptors)),
            Ok(Some((Reply::Failed(error), _))) => Err(error),
            Ok(Some((other, _))) => {
                Err(Error::failed("supervisor", format!("unexpected answer {other:?}")))
            }
            Ok(None) => Err(ended()),
            Err(cause) => Err(Error::failed("supervisor", cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_with_their_descriptors() {
        let (client, supervisor) = Channel::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        client.send_request(&Request::Signal(15), &[file.as_fd()]).unwrap();
        let (request, descriptors) = supervisor.receive_request().unwrap().unwrap();
        assert!(matches!(request, Request::Signal(15)));
        assert_eq!(descriptors.len(), 1);
        client.send_input(&Input::Data(b"abc".to_vec())).unwrap();
        client.send_input(&Input::Resize(TermSize { columns: 80, rows: 24 })).unwrap();
        assert!(matches!(supervisor.receive_input().unwrap(), Some(Input::Data(d)) if d == b"abc"));
        assert!(matches!(
            supervisor.receive_input().unwrap(),
            Some(Input::Resize(TermSize { columns: 80, rows: 24 }))
        ));
        supervisor.send_output(LogStream::Stderr, b"x\n").unwrap();
        supervisor.send_exit(137).unwrap();
        supervisor.send_failure(&Error::new(ErrorKind::Conflict, "in the way")).unwrap();
        drop(supervisor);
        assert!(matches!(
            client.receive_reply().unwrap(),
            Some((Reply::Output(LogStream::Stderr, d), _)) if d == b"x\n"
        ));
        assert!(matches!(client.receive_reply().unwrap(), Some((Reply::Exit(137), _))));
        assert!(matches!(
            client.receive_reply().unwrap(),
            Some((Reply::Failed(e), _)) if e.kind() == ErrorKind::Conflict
        ));
        assert!(client.receive_reply().unwrap().is_none());
    }

    #[test]
    fn what_was_said_before_a_close_arrives_whatever_the_peer_has_not_read() {
        let (client, supervisor) = Channel::pair().unwrap();
        supervisor.set_nonblocking().unwrap();
        supervisor.send_output(LogStream::Stdout, b"nobody reads this").unwrap();
        client.send_input(&Input::Data(b"last words".to_vec())).unwrap();
        client.send_input(&Input::Leave(None)).unwrap();
        drop(client);
        let input = supervisor.receive_input().unwrap();
        assert!(matches!(input, Some(Input::Data(data)) if data == b"last words"));
        assert!(matches!(supervisor.receive_input().unwrap(), Some(Input::Leave(None))));
        assert!(supervisor.receive_input().unwrap().is_none());
    }

    #[test]
    fn a_reason_of_any_length_arrives() {
        let (client, supervisor) = Channel::pair().unwrap();
        let text = "\u{1}é".repeat(100_000);
        supervisor.send_failure(&Error::new(ErrorKind::CommandNotFound, text)).unwrap();
        let Some((Reply::Failed(error), _)) = client.receive_reply().unwrap() else { panic!() };
        assert_eq!(error.kind(), ErrorKind::CommandNotFound);
        assert!(error.to_string().starts_with("\u{1}é") && error.to_string().ends_with('…'));
    }

    #[test]
    fn a_request_that_is_too_long_is_refused_by_a_sentence() {
        let (client, _supervisor) = Channel::pair().unwrap();
        let spec = ExecSpec { command: vec!["x".repeat(LONGEST)], ..ExecSpec::default() };
        let error = client.send_request(&Request::Exec(Box::new(spec), None), &[]).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_long_folder_can_be_listened_in() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("x".repeat(150));
        std::fs::create_dir(&folder).unwrap();
        let _listener = listen(&folder).unwrap();
        Channel::connect(&folder).unwrap();
    }
}
