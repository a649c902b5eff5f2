//! Hands the caller's terminal, or its pipes, to a program in a container.
//!
//! Bytes flow from standard input through the detach keys to the program, and from the program to
//! standard output and standard error as fast as these take them. Meanwhile sizes of the terminal
//! and, where there is no terminal, signals are passed on. It ends when the program has ended and
//! all it wrote is written.

mod input;
mod output;
mod signals;
pub(crate) mod terminal;

use std::os::fd::AsFd;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use wharf_backend::Session;
use wharf_model::{Attach, LogStream, TermSize};

pub(crate) use signals::Signals;
pub(crate) use wharf_backend::DetachKeys as Keys;

/// How to hand over.
pub(crate) struct Handover {
    /// Which streams are wanted.
    pub(crate) streams: Attach,
    /// Whether the program has a terminal.
    pub(crate) tty: bool,
    /// What leaves the session while the program goes on.
    pub(crate) keys: Keys,
}

impl Handover {
    /// Returns whether the caller's terminal is made raw: only when its keys are passed on.
    pub(crate) fn raw(&self) -> bool {
        self.tty && self.streams.stdin
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The program ended with this code.
    Exited(i32),
    /// The user left with the detach keys.
    Detached,
    /// A signal ended this program, not the container's.
    Signalled(i32),
}

/// Returns the size of the caller's terminal, if it has one and the program wants one.
pub(crate) fn size(tty: bool) -> Option<TermSize> {
    tty.then(|| terminal::size(std::io::stdout().as_fd())).flatten()
}

/// Passes everything on until the end. `deliver` sends a signal to the program; it is called for the
/// signals that `signals` catches.
///
/// # Errors
/// When the connection, or standard output, fails.
pub(crate) async fn run(
    session: Session,
    handover: &Handover,
    mut signals: Signals,
    deliver: impl AsyncFn(&'static str),
) -> anyhow::Result<End> {
    let Session { input, output, resize, exit, leave, .. } = session;
    let guard = if handover.raw() { terminal::Raw::enter(std::io::stdin().as_fd())? } else { None };

    let drained = async {
        drain(output, handover.streams).await?;
        Ok::<_, anyhow::Error>(exit.await?)
    };
    let typed = async {
        let keys = handover.tty.then(|| handover.keys.clone());
        match input {
            Some(input) if handover.streams.stdin => {
                pass_input(input, keys).await;
                leave.await;
            }
            // Held open: closing it would end the program's input.
            input => {
                let _held = input;
                std::future::pending::<()>().await;
            }
        }
    };
    let watched = async {
        loop {
            match signals.next().await {
                signals::Caught::Resized => pass_size(&resize).await,
                signals::Caught::PassOn(name) => deliver(name).await,
                signals::Caught::Ending(number) => return number,
            }
        }
    };
    let end = tokio::select! {
        code = drained => End::Exited(code?),
        () = typed => End::Detached,
        number = watched => End::Signalled(number),
    };
    drop(guard);
    Ok(end)
}

async fn pass_size(resize: &mpsc::Sender<TermSize>) {
    if let Some(size) = size(true) {
        // The program may just have ended; then nobody wants the size.
        let _ = resize.send(size).await;
    }
}

/// Writes all output to where it belongs, in order.
async fn drain(
    mut output: futures_util::stream::BoxStream<
        'static,
        wharf_backend::Result<wharf_backend::OutputChunk>,
    >,
    streams: Attach,
) -> anyhow::Result<()> {
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        match chunk.stream {
            LogStream::Stdout if streams.stdout => {
                output::write_all(output::Target::Stdout, &chunk.data).await?;
            }
            LogStream::Stderr if streams.stderr => {
                output::write_all(output::Target::Stderr, &chunk.data).await?;
            }
            LogStream::Stdout | LogStream::Stderr => {}
        }
    }
    Ok(())
}

/// Passes input on; returns when the user detaches, and never otherwise. The end of input is passed
/// on by closing.
async fn pass_input(mut to: Box<dyn tokio::io::AsyncWrite + Send + Unpin>, keys: Option<Keys>) {
    let mut detach = keys.map(wharf_backend::Detach::new);
    let mut chunks = input::read_stdin();
    while let Some(chunk) = chunks.recv().await {
        let (bytes, detached) = match &mut detach {
            None => (chunk, false),
            Some(detach) => detach.feed(&chunk),
        };
        // A program that doesn't read its input any more is no failure of this one.
        let gone =
            !bytes.is_empty() && (to.write_all(&bytes).await.is_err() || to.flush().await.is_err());
        if detached {
            return;
        }
        if gone {
            break;
        }
    }
    let _ = to.shutdown().await;
    drop(to);
    std::future::pending::<()>().await;
}
