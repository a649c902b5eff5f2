//! A blob's bytes from the network to a thread that reads and may block. A few pieces are on their
//! way at a time, so that neither side waits for the other more than it has to.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, oneshot};
use wharf_registry::{BlobStream, Error};

/// How many pieces wait for a slow reader; then the network waits.
const AHEAD: usize = 8;

/// What went wrong on the network's side, for whoever has seen the reader fail.
pub(super) type Cause = Arc<Mutex<Option<Error>>>;

/// Reads a blob. Nothing is asked of the registry before the first byte is wanted.
pub(super) struct Feed {
    start: Option<oneshot::Sender<()>>,
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    ended: bool,
    cause: Cause,
}

/// Returns a reader of a blob, and the work that brings the bytes.
pub(super) fn feed(
    mut blob: BlobStream,
    arrived: impl FnOnce() + Send + 'static,
) -> (Feed, impl Future<Output = ()> + Send + 'static) {
    let (start, started) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let cause = Cause::default();
    let feed = Feed {
        start: Some(start),
        receiver,
        piece: Bytes::new(),
        ended: false,
        cause: Arc::clone(&cause),
    };
    let work = async move {
        if started.await.is_err() {
            return;
        }
        loop {
            match blob.next().await {
                Ok(Some(piece)) => {
                    if sender.send(Some(piece)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    arrived();
                    let _ = sender.send(None).await;
                    return;
                }
                Err(error) => {
                    *cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
            }
        }
    };
    (feed, work)
}

impl Feed {
    /// Returns where the reason is found when reading has failed.
    pub(super) fn cause(&self) -> Cause {
        Arc::clone(&self.cause)
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(start) = self.start.take() {
            // Whoever brings the bytes may have been ended; then nothing comes.
            let _ = start.send(());
        }
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.ended = true,
                // An end that nobody announced isn't the blob's.
                None => {
                    let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
                    return Err(match &*cause {
                        Some(error) => io::Error::other(error.message.clone()),
                        None => io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled"),
                    });
                }
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece[..length]);
        self.piece.advance(length);
        Ok(length)
    }
}
