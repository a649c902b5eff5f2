//! Long answers: a stream of bytes on the asynchronous side, a reader or a writer on a thread that
//! may block. Only a few pieces are on their way at a time.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use wharf_model::ErrorKind;

use crate::{Error, Result};

/// The bytes of a long answer, in pieces. An error ends it.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// How many pieces wait for a slow reader; then their maker waits.
const AHEAD: usize = 4;

/// The bytes of one piece.
const PIECE: usize = 64 << 10;

/// Runs `work` where it may block and returns what it writes.
pub(crate) fn written(
    work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> ByteStream {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut writer = Writer { sender, piece: Vec::with_capacity(PIECE) };
        let result = work(&mut writer).and_then(|()| writer.flush());
        if let Err(cause) = result {
            let error = Error::new(ErrorKind::Internal, cause.to_string());
            // Who has gone needs no reason.
            let _ = writer.sender.blocking_send(Err(error));
        }
    });
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
    .boxed()
}

struct Writer {
    sender: mpsc::Sender<Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        let taken = data.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender
            .blocking_send(Ok(Bytes::from(piece)))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads a stream of bytes on a thread that may block. An error of the stream comes as an
/// [`io::Error`] that holds it.
pub struct BytesReader {
    receiver: mpsc::Receiver<Result<Bytes>>,
    piece: Bytes,
}

impl BytesReader {
    /// Takes a stream over; to be called within the runtime, which goes on to drive it.
    pub fn new(mut stream: ByteStream) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            while let Some(piece) = stream.next().await {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Self { receiver, piece: Bytes::new() }
    }
}

impl Read for BytesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::other(error)),
            }
        }
        let length = self.piece.len().min(buffer.len());
        self.piece.split_to(length).copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_written_is_read() {
        let data: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = data.clone();
        let mut reader = BytesReader::new(written(move |to| to.write_all(&copy)));
        let read = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        assert_eq!(read.await.unwrap().unwrap(), data);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failure_comes_after_what_was_written() {
        let mut stream = written(|to| {
            to.write_all(b"some")?;
            to.flush()?;
            Err(io::Error::other("broken"))
        });
        assert_eq!(stream.next().await, Some(Ok(Bytes::from("some"))));
        assert_eq!(stream.next().await.unwrap().unwrap_err().message, "broken");
        assert_eq!(stream.next().await, None);
    }
}
