//! Attached streams: the connection that carries a process's input and output, and docker's framing
//! of two outputs on one connection.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::codec::{Decoder, FramedRead};
use wharf_model::{ErrorKind, LogStream, TermSize};

use super::transport::empty;
use super::way::{Input, Stream};
use super::{Docker, container_segment, error, list};
use crate::session::untold;
use crate::{AttachOptions, Error, OutputChunk, Result, Session};

/// How the outputs lie on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A terminal: the bytes themselves.
    Raw,
    /// Frames with a header of eight bytes: the stream, three zeros, the length in big endian
    /// (Engine API, "Attach to a container", "Stream format").
    Multiplexed,
}

/// Takes the chunks out of a connection's bytes.
pub(super) struct ChunkDecoder {
    framing: Framing,
    /// The stream of the frame under way and how much of it is still to come.
    frame: Option<(LogStream, usize)>,
    /// Whether a frame is handed out whole rather than as it comes.
    whole: bool,
}

impl ChunkDecoder {
    /// Returns a decoder that hands out bytes as soon as they are there.
    pub(super) fn eager(framing: Framing) -> Self {
        Self { framing, frame: None, whole: false }
    }

    /// Returns a decoder that hands out frames as the engine made them.
    pub(super) fn whole_frames() -> Self {
        Self { framing: Framing::Multiplexed, frame: None, whole: true }
    }
}

impl Decoder for ChunkDecoder {
    type Item = OutputChunk;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<OutputChunk>> {
        if self.framing == Framing::Raw {
            let data = buffer.split().freeze();
            return Ok(
                (!data.is_empty()).then_some(OutputChunk { stream: LogStream::Stdout, data })
            );
        }
        loop {
            let Some((stream, left)) = self.frame else {
                if buffer.len() < 8 {
                    return Ok(None);
                }
                let stream = match buffer[0] {
                    // Input that is echoed counts as output.
                    0 | 1 => LogStream::Stdout,
                    2 => LogStream::Stderr,
                    // 3 is an error of the engine's own.
                    3 => LogStream::Stderr,
                    other => {
                        return Err(std::io::Error::other(format!("unknown stream {other}")));
                    }
                };
                buffer.advance(4);
                let length = buffer.get_u32();
                self.frame = Some((stream, length as usize));
                continue;
            };
            if left == 0 {
                self.frame = None;
                continue;
            }
            if buffer.is_empty() || (self.whole && buffer.len() < left) {
                return Ok(None);
            }
            let data = buffer.split_to(left.min(buffer.len())).freeze();
            self.frame = Some((stream, left - data.len()));
            return Ok(Some(OutputChunk { stream, data }));
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<OutputChunk>> {
        // A frame cut short by the end of the connection: what came of it still counts.
        self.whole = false;
        let chunk = self.decode(buffer)?;
        if chunk.is_none() {
            buffer.clear();
        }
        Ok(chunk)
    }
}

/// Returns the chunks of a reader.
pub(super) fn chunks(
    reader: impl AsyncRead + Send + Unpin + 'static,
    decoder: ChunkDecoder,
) -> BoxStream<'static, Result<OutputChunk>> {
    FramedRead::new(reader, decoder)
        .map(|chunk| chunk.map_err(|cause| error::broken("process output", cause)))
        .boxed()
}

/// A connection's two directions. Where input isn't passed on, the output keeps the other half, so
/// that the engine doesn't take its closing for the end of input.
pub(super) fn streams(
    (connection, first): (Stream, Bytes),
    framing: Framing,
    stdin: bool,
) -> (Option<Box<dyn AsyncWrite + Send + Unpin>>, BoxStream<'static, Result<OutputChunk>>) {
    let (reader, writer) = tokio::io::split(connection);
    let writer = Input::new(writer);
    // Dropping the half shuts its direction down, which is the end of input.
    let (input, kept): (Option<Box<dyn AsyncWrite + Send + Unpin>>, Option<Input>) =
        if stdin { (Some(Box::new(writer)), None) } else { (None, Some(writer)) };
    let reader = AsyncReadExt::chain(std::io::Cursor::new(first), reader);
    let output = chunks(reader, ChunkDecoder::eager(framing)).map(move |chunk| {
        let _ = &kept;
        chunk
    });
    (input, output.boxed())
}

/// Returns a channel whose sizes are posted to `path` until its sender is dropped. The engine can't
/// resize before the process runs, so a size that it refuses is tried again a few times, as docker's
/// own client does.
pub(super) fn resizer(
    docker: &Docker,
    path: String,
    first: Option<TermSize>,
) -> mpsc::Sender<TermSize> {
    const TRIES: u32 = 10;
    let (sender, mut receiver) = mpsc::channel::<TermSize>(4);
    let transport = docker.transport.clone();
    tokio::spawn(async move {
        let mut next = first;
        loop {
            let Some(mut size) = (match next.take() {
                Some(size) => Some(size),
                None => receiver.recv().await,
            }) else {
                return;
            };
            for attempt in 1..=TRIES {
                // Only the newest size counts.
                while let Ok(newer) = receiver.try_recv() {
                    size = newer;
                }
                let (height, width) = (size.rows.to_string(), size.columns.to_string());
                let query = [("h", height.as_str()), ("w", width.as_str())];
                if transport.post(&path, &query, empty(), "application/json").await.is_ok() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10) * attempt).await;
            }
        }
    });
    sender
}

impl Docker {
    /// Returns a future of the exit code; the engine waits already when this returns. `condition` is
    /// one of the Engine API's: `not-running`, `next-exit`, `removed`.
    pub(super) async fn waiter(
        &self,
        container: &str,
        condition: &str,
    ) -> Result<BoxFuture<'static, Result<i32>>> {
        let path = format!("/containers/{}/wait", container_segment(container)?);
        let query = [("condition", condition)];
        let reply = self.transport.post(&path, &query, empty(), "application/json").await?;
        Ok(Box::pin(async move {
            let answer: serde_json::Value = reply.json().await?;
            let code = answer.get("StatusCode").and_then(serde_json::Value::as_i64);
            let message = answer.pointer("/Error/Message").and_then(serde_json::Value::as_str);
            match (message, code.and_then(|code| i32::try_from(code).ok())) {
                (Some(message), _) if !message.is_empty() => {
                    Err(Error::new(ErrorKind::Internal, message))
                }
                (_, Some(code)) => Ok(code),
                (_, None) => Err(error::malformed("wait", "it has no status code")),
            }
        }))
    }

    /// Connects to a container's streams, and starts it then if that is wanted.
    pub(super) async fn attach_session(
        &self,
        container: &str,
        options: AttachOptions,
    ) -> Result<Session> {
        let document = self.inspect(container).await?;
        let id = document.id.unwrap_or_else(|| container.to_owned());
        let config = document.config.unwrap_or_default();
        let tty = config.tty.unwrap_or_default();
        let auto_remove =
            document.host_config.and_then(|host| host.auto_remove).unwrap_or_default();
        let state = document.state.and_then(|state| state.status);
        let status = list::status(&state.map(|status| status.to_string()).unwrap_or_default());
        if !options.start && status != wharf_model::Status::Running {
            let what = if status == wharf_model::Status::Paused {
                "You cannot attach to a paused container, unpause it first"
            } else {
                "You cannot attach to a stopped container, start it first"
            };
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        let stdin = options.stdin && config.open_stdin.unwrap_or_default();
        let flag = |on: bool| if on { "1" } else { "0" };
        let query = [
            ("stream", "1"),
            ("stdin", flag(stdin)),
            ("stdout", flag(options.output)),
            ("stderr", flag(options.output)),
        ];
        let path = format!("/containers/{}", container_segment(&id)?);
        let connection =
            self.transport.hijack(&format!("{path}/attach"), &query, Vec::new()).await?;
        let framing = if tty { Framing::Raw } else { Framing::Multiplexed };
        let (input, output) = streams(connection, framing, stdin);
        let condition = match (options.start, auto_remove) {
            (_, true) => "removed",
            (true, false) => "next-exit",
            (false, false) => "not-running",
        };
        let exit = self.waiter(&id, condition).await?;
        if options.start {
            let start = wharf_model::Command::Start { container: id };
            self.run_command(start).await?;
        }
        let size = options.size.filter(|_| tty);
        let resize = resizer(self, format!("{path}/resize"), size);
        Ok(Session { input, output, resize, exit, leave: untold(), process: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let bytes = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x00\x02\0\0\0\0\0\0\x04err\n";
        for cut in 0..bytes.len() {
            let mut decoder = ChunkDecoder::eager(Framing::Multiplexed);
            let mut buffer = BytesMut::new();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(chunk) = decoder.decode(&mut buffer).unwrap() {
                    match chunk.stream {
                        LogStream::Stdout => out.extend_from_slice(&chunk.data),
                        LogStream::Stderr => err.extend_from_slice(&chunk.data),
                    }
                }
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"out"[..], &b"err\n"[..]), "{cut}");
        }
    }

    #[test]
    fn a_terminal_s_bytes_are_not_taken_for_frames() {
        let mut decoder = ChunkDecoder::eager(Framing::Raw);
        let mut buffer = BytesMut::from(&b"\x01\0\0\0\0\0\0\x01x"[..]);
        let chunk = decoder.decode(&mut buffer).unwrap().unwrap();
        assert_eq!(chunk.data.len(), 9);
    }

    #[test]
    fn whole_frames_wait_for_their_end_and_survive_being_cut_short() {
        let mut decoder = ChunkDecoder::whole_frames();
        let mut buffer = BytesMut::from(&b"\x01\0\0\0\0\0\0\x05ab"[..]);
        assert_eq!(decoder.decode(&mut buffer).unwrap(), None);
        let chunk = decoder.decode_eof(&mut buffer).unwrap().unwrap();
        assert_eq!(&chunk.data[..], b"ab");
        assert_eq!(decoder.decode_eof(&mut buffer).unwrap(), None);
    }
}
