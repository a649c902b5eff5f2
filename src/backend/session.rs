//! A live connection to the streams of a container or of an `exec`.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use wharf_model::{LogStream, TermSize};

use crate::Result;

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Start the container once the streams are connected.
    pub start: bool,
    /// Pass input on, if the container's standard input is open.
    pub stdin: bool,
    /// Receive standard output and standard error.
    pub output: bool,
    /// The size of the caller's terminal, if the container has one.
    pub size: Option<TermSize>,
}

/// Some output, in the order the container wrote it (within one stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where it was written; a terminal has only standard output.
    pub stream: LogStream,
    /// The bytes.
    pub data: bytes::Bytes,
}

/// Returns what tells an engine of nobody's leaving: it wouldn't hear of it.
pub(crate) fn untold() -> BoxFuture<'static, ()> {
    Box::pin(std::future::ready(()))
}

/// A live connection. Dropping it whole detaches and harms nothing.
pub struct Session {
    // Before the input, so that it is dropped first: a lost input alone is an end of input, and a
    // lost output tells that nobody is there any more.
    /// The program's output; ends when the program does, or when it is detached from.
    pub output: BoxStream<'static, Result<OutputChunk>>,
    /// The program's input; dropping it is the end of input. None when input isn't passed on.
    pub input: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// New sizes of the caller's terminal.
    pub resize: mpsc::Sender<TermSize>,
    /// The exit code, once the program has ended.
    pub exit: BoxFuture<'static, Result<i32>>,
    /// Tells the engine that the caller leaves by its keys, while the program goes on; before it is dropped.
    pub leave: BoxFuture<'static, ()>,
    /// The number that the engine's host has for the process of a further program, where it is known.
    pub process: Option<i32>,
}
