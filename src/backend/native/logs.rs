//! Log records from the container's files.

use std::path::{Path, PathBuf};

use chrono::Utc;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use wharf_engine::Channel;
use wharf_logs::{CHANGES, Reader};
use wharf_model::{ErrorKind, LogDriver, LogOptions, LogRecord};

use super::changes::Watched;
use super::{Native, watched};
use crate::{Backend, Error, Result};

/// How much is read before it is passed on: so many records, or so many bytes of them.
const PIECE: (usize, usize) = (512, 64 << 10);

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("read the log: {cause}"))
}

pub(super) async fn stream(
    native: &Native,
    container: &str,
    options: LogOptions,
) -> Result<BoxStream<'static, Result<LogRecord>>> {
    let reference = container.to_owned();
    let detail = native.container(container).await?;
    if detail.host_config.log_config.driver == LogDriver::None {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "configured logging driver does not support reading",
        ));
    }
    let path = PathBuf::from(detail.log_path);
    if !path.exists() && !detail.state.status.is_supervised() {
        // Never started: nothing was written, and nothing will be before the next start.
        return Ok(futures_util::stream::empty().boxed());
    }
    let following = match options.follow {
        true => {
            // The watch comes first, so that no change falls between it and the first reading.
            let folder = path.parent().unwrap_or(Path::new("/"));
            let changes = native.changes.watch(folder, CHANGES);
            let end = native.blocking(move |engine| engine.watch_last_exit(&reference)).await?;
            end.ok()
                .map(|end| Ok::<_, Error>(Following { changes, end: share(end)? }))
                .transpose()?
        }
        false => None,
    };
    let tail = Tail {
        options: options.clone(),
        following,
        next: Next::Reading(spawn(move || {
            let reader = Reader::open(&path, &options)?;
            read(reader)
        })),
    };
    Ok(futures_util::stream::unfold(tail, Tail::next)
        .flat_map(|piece| {
            let (records, error) = match piece {
                Ok(records) => (records, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            futures_util::stream::iter(records.into_iter().map(Ok).chain(error))
        })
        .boxed())
}

/// A log on its way to whoever asked for it. One piece is read while the one before it is on its way;
/// nothing is held while nothing is written.
struct Tail {
    options: LogOptions,
    /// How to know that there is more; none once there will be no more.
    following: Option<Following>,
    next: Next,
}

struct Following {
    changes: Watched,
    /// Can be read once the container doesn't run any longer.
    end: AsyncFd<std::os::fd::OwnedFd>,
}

enum Next {
    /// A piece is being read.
    Reading(JoinHandle<wharf_logs::Result<Piece>>),
    /// All that there was is read.
    Read(Reader),
    /// It has ended.
    Over,
}

/// Records, and who reads on.
struct Piece {
    records: Vec<LogRecord>,
    reader: Reader,
    /// Whether there was more.
    full: bool,
}

fn share(channel: Channel) -> Result<AsyncFd<std::os::fd::OwnedFd>> {
    channel.set_nonblocking().map_err(failed)?;
    watched(std::os::fd::OwnedFd::from(channel)).map_err(failed)
}

fn spawn(
    work: impl FnOnce() -> wharf_logs::Result<Piece> + Send + 'static,
) -> JoinHandle<wharf_logs::Result<Piece>> {
    tokio::task::spawn_blocking(work)
}

/// Reads what there is, up to a piece.
fn read(mut reader: Reader) -> wharf_logs::Result<Piece> {
    let (most, longest) = PIECE;
    let mut records = Vec::new();
    let mut length = 0;
    while records.len() < most && length < longest {
        let Some(record) = reader.next_record()? else {
            return Ok(Piece { records, reader, full: false });
        };
        length += record.message.len();
        records.push(record);
    }
    Ok(Piece { records, reader, full: true })
}

impl Tail {
    /// Returns the next piece once there is one.
    async fn next(mut self) -> Option<(Result<Vec<LogRecord>>, Self)> {
        loop {
            match std::mem::replace(&mut self.next, Next::Over) {
                Next::Over => return None,
                Next::Reading(job) => {
                    let piece = match job.await {
                        Ok(Ok(piece)) => piece,
                        Ok(Err(cause)) => return Some((Err(failed(cause)), self)),
                        Err(cause) => return Some((Err(failed(cause)), self)),
                    };
                    let Piece { records, mut reader, full } = piece;
                    self.next = match full {
                        true => Next::Reading(spawn(move || read(reader))),
                        false => {
                            reader.rest();
                            Next::Read(reader)
                        }
                    };
                    if !records.is_empty() {
                        return Some((Ok(records), self));
                    }
                }
                Next::Read(reader) => {
                    if reader.is_finished() {
                        return None;
                    }
                    self.change().await?;
                    self.next = Next::Reading(spawn(move || read(reader)));
                }
            }
        }
    }

    /// Waits until there may be more; none when nothing can come any longer.
    async fn change(&mut self) -> Option<()> {
        let Following { changes, end } = self.following.as_mut()?;
        let late = async {
            match self.options.until.map(|until| (until - Utc::now()).to_std()) {
                Some(left) => tokio::time::sleep(left.unwrap_or_default()).await,
                None => std::future::pending().await,
            }
        };
        let last = tokio::select! {
            () = changes.change() => false,
            _ = end.readable() => true,
            () = late => true,
        };
        // What was written before the end may still be unread.
        if last {
            self.following = None;
        }
        Some(())
    }
}
