//! Connections that leave HTTP: the client's end and a program's streams, joined.
//!
//! As with docker, an answer may say that the connection goes on without HTTP whether the client has
//! asked for that or not ([`leaving`]): the server then writes the head itself and hands the connection
//! over. What the program writes waits for the client, and what the client writes for the program, so
//! neither costs more than a few buffers. A client that has gone is noticed by its end of the
//! connection, also while the program says nothing.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wharf_backend::{Detach, DetachKeys, Error, OutputChunk, Session};
use wharf_model::LogStream;

use crate::answer::{self, Answer};
use crate::frames::Framing;
use crate::stream::{self, Reader, Stream, Writer};

/// How long a client that is attached may take nothing of what there is. Its container waits for it
/// that long, as it does for any reader that is slow, and not for ever.
const STALLED: Duration = Duration::from_secs(300);

/// How often it is looked whether a client whose input has ended is still there.
const LOOK: Duration = Duration::from_secs(5);

/// How much of the input is read at once: of what is typed, and of what is sent.
const PIECES: [usize; 2] = [2 << 10, 32 << 10];

/// What of a program's streams a client wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) framing: Framing,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// The keys that leave the program alone; none where they mean nothing.
    pub(crate) keys: Option<DetachKeys>,
    /// Whether a program whose client has gone is read on: it would be ended by its next output.
    pub(crate) reads_on: bool,
}

impl Wanted {
    fn takes(&self, stream: LogStream) -> bool {
        match stream {
            LogStream::Stdout => self.stdout,
            LogStream::Stderr => self.stderr,
        }
    }
}

/// What is done with a connection that has left HTTP.
type Then = Box<dyn FnOnce(Connection) -> BoxFuture<'static, ()> + Send>;

/// Says of an answer that the connection goes on without HTTP, and how.
#[derive(Clone)]
pub(crate) struct Leaving(Arc<Mutex<Option<Then>>>);

impl Leaving {
    /// Goes on with the connection.
    pub(crate) async fn go_on(self, connection: Connection) {
        let then = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(then) = then {
            then(connection).await;
        }
    }
}

/// Returns the answer with which a connection leaves HTTP; `then` goes on with it, in any case.
pub(crate) fn leaving<F: Future<Output = ()> + Send + 'static>(
    upgrades: bool,
    content_type: &'static str,
    then: impl FnOnce(Connection) -> F + Send + 'static,
) -> Answer {
    let mut answer = answer::status(StatusCode::OK);
    if upgrades {
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
    }
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let then: Then = Box::new(|connection| then(connection).boxed());
    answer.extensions_mut().insert(Leaving(Arc::new(Mutex::new(Some(then)))));
    answer
}

/// Returns the head of an answer as it is written. Docker's reason is one word.
pub(crate) fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let reason = match status {
        StatusCode::SWITCHING_PROTOCOLS => "UPGRADED",
        other => other.canonical_reason().unwrap_or_default(),
    };
    let mut head = BytesMut::with_capacity(512);
    head.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in headers {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

/// A connection that has left HTTP.
pub(crate) struct Connection {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// By which it is seen whether the client is still there; none where descriptors are short.
    pub(crate) socket: Option<OwnedFd>,
    /// Whether a client that says nothing more may read on.
    pub(crate) has_halves: bool,
}

impl Connection {
    /// Returns a connection on which the client has sent `early` right behind its request.
    pub(crate) fn new(stream: Stream, early: Bytes) -> Self {
        let socket = stream::socket(&stream).ok();
        let (reader, writer) = stream::split(stream);
        let reader = Box::new(io::Cursor::new(early).chain(reader));
        Self { reader, writer, socket, has_halves: true }
    }

    /// Waits until the client has gone. To be dropped when something is to be done with it.
    pub(crate) async fn gone(&mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if hung_up(self.socket.as_ref()) {
                return;
            }
        }
    }

    /// Writes to the client.
    ///
    /// # Errors
    /// When it has gone, or takes nothing for long.
    pub(crate) async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        send(&mut self.writer, data).await
    }

    /// Says that nothing more comes.
    pub(crate) async fn close(mut self) {
        // Whoever has gone needs no end.
        let _ = tokio::time::timeout(STALLED, self.writer.shutdown()).await;
    }

    /// Joins the client and a program until the program ends or the client leaves. `ended` is told
    /// the exit code before the client sees the end of the output, so that it can ask for it then.
    pub(crate) async fn join(self, session: Session, wanted: Wanted, ended: impl FnOnce(i32)) {
        let Self { reader, writer, socket, has_halves } = self;
        let Session { mut output, mut input, resize, exit, leave, .. } = session;
        let keys = wanted.keys.clone().filter(|_| input.is_some());
        let over = {
            let giving = async {
                let went = pass_input(reader, &mut input, keys).await;
                if went == Went::Away {
                    leave.await;
                }
                while went == Went::Silent && has_halves && !hung_up(socket.as_ref()) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            let taking = pass_output(&mut output, writer, &wanted);
            tokio::pin!(giving, taking);
            let over = tokio::select! {
                writer = &mut taking => Some(writer),
                // It left: by its keys, or altogether.
                () = &mut giving => None,
            };
            if let Some(None) = over {
                // It takes nothing more, but what it said before it went has yet to arrive.
                let _ = tokio::time::timeout(LOOK, giving).await;
            }
            over.flatten()
        };
        if let Some(mut writer) = over {
            ended(code(exit.await));
            // As above.
            let _ = tokio::time::timeout(STALLED, writer.shutdown()).await;
            return;
        }
        // Its sizes were the client's.
        drop(resize);
        if wanted.reads_on {
            while output.next().await.is_some() {}
            ended(code(exit.await));
        }
        // In this order it is a detach: without its input alone the program would see an end of it.
        drop(output);
        drop(input);
    }
}

/// What an exit code is that nobody can tell.
fn code(exit: Result<i32, Error>) -> i32 {
    exit.unwrap_or(255)
}

/// Returns whether the other end of a connection is closed altogether.
fn hung_up(socket: Option<&OwnedFd>) -> bool {
    let Some(socket) = socket else { return false };
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

async fn send(writer: &mut Writer, data: &[u8]) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut rest = data;
    while !rest.is_empty() {
        let written = tokio::time::timeout(STALLED, writer.write(rest)).await;
        match written.map_err(late)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = &rest[count..],
        }
    }
    tokio::time::timeout(STALLED, writer.flush()).await.map_err(late)?
}

/// Passes output on until its end, and returns the client's end then; none when the client has gone.
async fn pass_output(
    output: &mut (impl futures_util::Stream<Item = Result<OutputChunk, Error>> + Unpin),
    mut writer: Writer,
    wanted: &Wanted,
) -> Option<Writer> {
    while let Some(chunk) = output.next().await {
        let Ok(OutputChunk { stream, data }) = chunk else { break };
        if wanted.takes(stream) {
            let frame = wanted.framing.frame(stream, &data);
            if send(&mut writer, &frame).await.is_err() {
                return None;
            }
        }
    }
    Some(writer)
}

/// Passes input on until the client leaves, or says nothing more. The end of its input is passed on
/// too, but to a terminal.
async fn pass_input(
    mut reader: Reader,
    input: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>,
    keys: Option<DetachKeys>,
) -> Went {
    let terminal = keys.is_some();
    let mut detach = keys.map(Detach::new);
    let [mut piece, most] = PIECES;
    let mut buffer = vec![0; piece];
    loop {
        let length = reader.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            break;
        }
        let (data, leaves) = match &mut detach {
            Some(detach) => {
                let (data, leaves) = detach.feed(&buffer[..length]);
                (Bytes::from(data), leaves)
            }
            None => (Bytes::copy_from_slice(&buffer[..length]), false),
        };
        if let Some(to) = input
            && (to.write_all(&data).await.is_err() || to.flush().await.is_err())
        {
            // The program takes no more input; its output goes on.
            *input = None;
        }
        if leaves {
            return Went::Away;
        }
        if length == piece && piece < most {
            piece = most;
            buffer.resize(piece, 0);
        }
    }
    if !terminal && let Some(mut to) = input.take() {
        let _ = to.shutdown().await;
    }
    Went::Silent
}

/// How a client's input came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// It left by its keys.
    Away,
    /// It says nothing more.
    Silent,
}
