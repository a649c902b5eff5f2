//! Programs of the fake engine: what is typed comes back, until Ctrl-D.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::FutureExt;
use futures_util::stream;
use tokio::io::AsyncReadExt;
use wharf_model::LogStream;

use crate::session::untold;
use crate::{OutputChunk, Session};

/// What ends the program.
const END: u8 = 0x04;

/// Returns a program that says something and then echoes what is typed.
pub(super) fn echo(greeting: &str) -> Session {
    let (ours, theirs) = tokio::io::duplex(4096);
    let chunk = |data: Bytes| Ok(OutputChunk { stream: LogStream::Stdout, data });
    let first = stream::iter([chunk(Bytes::copy_from_slice(greeting.as_bytes()))]);
    let rest = stream::unfold(theirs, move |mut theirs| async move {
        let mut buffer = [0; 1024];
        let length = theirs.read(&mut buffer).await.unwrap_or(0);
        let data = buffer.get(..length).filter(|data| !data.is_empty() && !data.contains(&END))?;
        Some((chunk(Bytes::copy_from_slice(data)), theirs))
    });
    let (resize, mut sizes) = tokio::sync::mpsc::channel(4);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { while sizes.recv().await.is_some() {} });
    }
    Session {
        output: first.chain(rest).boxed(),
        input: Some(Box::new(ours)),
        resize,
        exit: async { Ok(0) }.boxed(),
        leave: untold(),
        process: None,
    }
}
