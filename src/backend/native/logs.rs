//! Log records from the container's files.

use futures_util::stream::BoxStream;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc;
use wharf_logs::{Reader, Wake};
use wharf_model::{ErrorKind, LogDriver, LogOptions, LogRecord};

use super::{Native, receiver_stream, watched};
use crate::{Backend, Error, Result};

/// How many records wait for a slow reader.
const AHEAD: usize = 256;

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
    let (sender, receiver) = mpsc::channel(AHEAD);
    if !std::path::Path::new(&detail.log_path).exists() && !detail.state.status.is_supervised() {
        // Never started: nothing was written, and nothing will be before the next start.
        return Ok(receiver_stream(receiver));
    }
    let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
    if options.follow {
        let stop = stop.try_clone().map_err(failed)?;
        let end = match native.blocking(move |engine| engine.watch_last_exit(&reference)).await? {
            Ok(channel) => {
                channel.set_nonblocking().map_err(failed)?;
                Some(watched(std::os::fd::OwnedFd::from(channel)).map_err(failed)?)
            }
            Err(_) => None,
        };
        let reader_gone = sender.clone();
        tokio::spawn(async move {
            if let Some(end) = end {
                tokio::select! {
                    _ = end.readable() => {}
                    () = reader_gone.closed() => {}
                }
            }
            // An eventfd takes any number of additions before it blocks.
            let _ = rustix::io::write(&stop, &1_u64.to_ne_bytes());
        });
    }
    let path = detail.log_path;
    tokio::task::spawn_blocking(move || {
        let result = read(std::path::Path::new(&path), &options, &stop, &sender);
        if let Err(error) = result {
            // A reader that has gone needs no reason.
            let _ = sender.blocking_send(Err(failed(error)));
        }
    });
    Ok(receiver_stream(receiver))
}

fn read(
    path: &std::path::Path,
    options: &LogOptions,
    stop: &std::os::fd::OwnedFd,
    sender: &mpsc::Sender<Result<LogRecord>>,
) -> wharf_logs::Result<()> {
    use std::os::fd::AsFd;
    let mut reader = Reader::open(path, options)?;
    let mut last_round = !options.follow;
    loop {
        while let Some(record) = reader.next_record()? {
            if sender.blocking_send(Ok(record)).is_err() {
                return Ok(());
            }
        }
        if last_round {
            return Ok(());
        }
        last_round = matches!(reader.wait(stop.as_fd(), None)?, Wake::Stopped);
    }
}
