//! Connections that leave HTTP: the client's end and a program's streams, joined.
//!
//! What the program writes waits for the client, and what the client writes for the program, so
//! neither costs more than a few buffers. A client that has gone is noticed by its end of the
//! connection, also while the program says nothing.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use wharf_backend::{Detach, DetachKeys, Error, OutputChunk, Session};
use wharf_model::LogStream;

use crate::answer::{self, Answer};
use crate::frames::Framing;
use crate::version::Version;

/// How long a client that is attached may take nothing of what there is. Its container waits for it
/// that long, as it does for any reader that is slow, and not for ever.
const STALLED: Duration = Duration::from_secs(300);

/// How often it is looked whether a client whose input has ended is still there.
const LOOK: Duration = Duration::from_secs(5);

/// How much of the input is read at once.
const PIECE: usize = 32 << 10;

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

/// Returns the answer with which a connection leaves HTTP.
pub(crate) fn switching(framing: Framing, version: Version) -> Answer {
    let mut answer = answer::status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(framing.content_type(version)));
    answer
}

/// A connection that has left HTTP.
pub(crate) struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    /// What the client sent right behind its request.
    early: Bytes,
}

impl Connection {
    /// Waits until the answer has gone out and the connection is ours.
    ///
    /// # Errors
    /// When the client has gone.
    pub(crate) async fn taken(upgrade: OnUpgrade) -> io::Result<Self> {
        let upgraded = upgrade.await.map_err(io::Error::other)?;
        let parts = upgraded.downcast::<TokioIo<UnixStream>>();
        let parts = parts.map_err(|_| io::Error::other("the connection is of another kind"))?;
        let (reader, writer) = parts.io.into_inner().into_split();
        Ok(Self { reader, writer, early: parts.read_buf })
    }

    /// Waits until the client has gone. To be dropped when something is to be done with it.
    pub(crate) async fn gone(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if hung_up(&self.reader) {
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

    /// Joins the client and a program until the program ends or the client leaves. `ended` is told
    /// the exit code before the client sees the end of the output, so that it can ask for it then.
    pub(crate) async fn join(self, session: Session, wanted: Wanted, ended: impl FnOnce(i32)) {
        let Self { reader, writer, early } = self;
        let Session { mut output, mut input, resize, exit } = session;
        let keys = wanted.keys.clone().filter(|_| input.is_some());
        let over = {
            let giving = pass_input(reader, early, &mut input, keys);
            let taking = pass_output(&mut output, writer, &wanted);
            tokio::pin!(giving, taking);
            tokio::select! {
                writer = &mut taking => writer,
                // It left: by its keys, or altogether.
                () = &mut giving => None,
            }
        };
        if let Some(mut writer) = over {
            ended(code(exit.await));
            // Whoever has gone needs no end.
            let _ = writer.shutdown().await;
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
pub(crate) fn code(exit: Result<i32, Error>) -> i32 {
    exit.unwrap_or(255)
}

/// Returns whether the other end of a connection is closed altogether.
fn hung_up(reader: &OwnedReadHalf) -> bool {
    let stream: &UnixStream = reader.as_ref();
    let mut fds = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

async fn send(writer: &mut OwnedWriteHalf, data: &[u8]) -> io::Result<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let written = tokio::time::timeout(STALLED, writer.write(rest)).await;
        match written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = &rest[count..],
        }
    }
    Ok(())
}

/// Passes output on until its end, and returns the client's end then; none when the client has gone.
async fn pass_output(
    output: &mut (impl futures_util::Stream<Item = Result<OutputChunk, Error>> + Unpin),
    mut writer: OwnedWriteHalf,
    wanted: &Wanted,
) -> Option<OwnedWriteHalf> {
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

/// Passes input on until the client leaves. The end of its input is passed on too, but to a terminal,
/// and then the client is still there to read.
async fn pass_input(
    mut reader: OwnedReadHalf,
    early: Bytes,
    input: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>,
    keys: Option<DetachKeys>,
) {
    let terminal = keys.is_some();
    let mut detach = keys.map(Detach::new);
    let mut buffer = vec![0; PIECE];
    let mut early: &[u8] = &early;
    loop {
        let length = match early.is_empty() {
            false => AsyncReadExt::read(&mut early, &mut buffer).await.unwrap_or(0),
            true => reader.read(&mut buffer).await.unwrap_or(0),
        };
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
            return;
        }
    }
    if !terminal && let Some(mut to) = input.take() {
        let _ = to.shutdown().await;
    }
    loop {
        if hung_up(&reader) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
