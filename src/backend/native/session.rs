//! Streams of containers and further programs, between the supervisor and the runtime.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use wharf_engine::{CHUNK, Channel, ExecStreams, Executed, Input, Reply};
use wharf_model::{ErrorKind, LogStream, TermSize};

use super::{Native, receiver_stream, watched};
use crate::{Error, OutputChunk, Result, Session};

/// How many chunks of output wait for a slow reader; then the container waits.
const AHEAD: usize = 8;

type Output = mpsc::Sender<Result<OutputChunk>>;

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("attach: {cause}"))
}

/// A non-blocking channel in the runtime's care.
type SharedChannel = Arc<AsyncFd<OwnedChannel>>;

/// Gives the runtime the raw descriptor it registers.
struct OwnedChannel(Channel);

impl std::os::fd::AsRawFd for OwnedChannel {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
    }
}

fn share(channel: Channel) -> Result<SharedChannel> {
    channel.set_nonblocking().map_err(failed)?;
    Ok(Arc::new(watched(OwnedChannel(channel)).map_err(failed)?))
}

async fn receive(channel: &AsyncFd<OwnedChannel>) -> io::Result<Option<Reply>> {
    loop {
        let mut ready = channel.readable().await?;
        match ready.try_io(|inner| inner.get_ref().0.receive_reply()) {
            Ok(result) => return Ok(result?.map(|(reply, _)| reply)),
            Err(_would_block) => {}
        }
    }
}

async fn send(channel: &AsyncFd<OwnedChannel>, input: &Input) -> io::Result<()> {
    loop {
        let mut ready = channel.writable().await?;
        match ready.try_io(|inner| inner.get_ref().0.send_input(input)) {
            Ok(result) => return result,
            Err(_would_block) => {}
        }
    }
}

/// Waits until a container doesn't run.
pub(super) async fn wait(native: &Native, container: String) -> Result<i32> {
    let reference = container.clone();
    match native.blocking(move |engine| engine.watch_exit(&reference)).await? {
        Err(code) => Ok(code),
        Ok(channel) => match exit_code(&*share(channel)?).await {
            Some(code) => Ok(code),
            // Its supervisor was killed: the row, corrected, has the code.
            None => native.blocking(move |engine| engine.wait(&container)).await,
        },
    }
}

/// Waits for the word of the end; none when the supervisor ended without it.
async fn exit_code(channel: &AsyncFd<OwnedChannel>) -> Option<i32> {
    loop {
        match receive(channel).await {
            Ok(Some(Reply::Exit(code))) => return Some(code),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Returns the session of a connection that the supervisor passes the container's streams through.
pub(super) fn attached(
    native: Native,
    container: String,
    channel: Channel,
    stdin: bool,
) -> Result<Session> {
    let channel = share(channel)?;
    let (output, receiver) = mpsc::channel(AHEAD);
    let (exit, code) = oneshot::channel();
    let input = stdin.then(|| ContainerInput {
        channel: Arc::clone(&channel),
        output: output.downgrade(),
        ended: false,
    });
    let (resize, mut sizes) = mpsc::channel::<TermSize>(4);
    let resizing = Arc::clone(&channel);
    tokio::spawn(async move {
        while let Some(size) = sizes.recv().await {
            if send(&resizing, &Input::Resize(size)).await.is_err() {
                return;
            }
        }
    });
    let leave = leaving(&channel, None);
    tokio::spawn(pass_output(channel, output, exit));
    let exit = async move {
        match code.await {
            Ok(code) => Ok(code),
            Err(_) => wait(&native, container).await,
        }
    };
    Ok(Session {
        output: receiver_stream(receiver),
        input: input.map(|input| Box::new(input) as _),
        resize,
        exit: exit.boxed(),
        leave,
        process: None,
    })
}

/// Returns what tells the supervisor that a client leaves by its keys, and leaves it the terminal. It keeps
/// no connection open.
fn leaving(channel: &SharedChannel, terminal: Option<OwnedFd>) -> BoxFuture<'static, ()> {
    let channel = Arc::downgrade(channel);
    async move {
        if let Some(channel) = channel.upgrade() {
            // Of a program that has ended nobody has left.
            let _ = send(&channel, &Input::Leave(terminal)).await;
        }
    }
    .boxed()
}

async fn pass_output(channel: SharedChannel, output: Output, exit: oneshot::Sender<i32>) {
    loop {
        let reply = tokio::select! {
            reply = receive(&channel) => reply,
            () = output.closed() => return,
        };
        match reply {
            Ok(Some(Reply::Output(stream, data))) => {
                let chunk = OutputChunk { stream, data: Bytes::from(data) };
                if output.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
            Ok(Some(Reply::Exit(code))) => {
                // Whoever waited may have gone.
                let _ = exit.send(code);
                return;
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// The way to a container's input. What was written is with the supervisor: a caller that goes away
/// right after a write loses nothing of it.
struct ContainerInput {
    channel: SharedChannel,
    /// Weakly, so that the output can end while the input is open.
    output: mpsc::WeakSender<Result<OutputChunk>>,
    ended: bool,
}

impl ContainerInput {
    /// Sends what there is room for now, or arranges to be woken when there is some.
    fn poll_send(&self, context: &mut Context<'_>, input: &Input) -> Poll<io::Result<()>> {
        loop {
            let mut ready = std::task::ready!(self.channel.poll_write_ready(context))?;
            if let Ok(result) = ready.try_io(|inner| inner.get_ref().0.send_input(input)) {
                return Poll::Ready(result);
            }
        }
    }
}

impl AsyncWrite for ContainerInput {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let data = &data[..data.len().min(CHUNK)];
        let sent = std::task::ready!(self.poll_send(context, &Input::Data(data.to_vec())));
        Poll::Ready(sent.map(|()| data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = std::task::ready!(self.poll_send(context, &Input::End));
        self.ended = true;
        Poll::Ready(sent)
    }
}

impl Drop for ContainerInput {
    fn drop(&mut self) {
        // Both gone is a detach, which is no end of input.
        let detached = self.output.upgrade().is_none_or(|output| output.is_closed());
        if self.ended || detached {
            return;
        }
        let waits = self.channel.get_ref().0.send_input(&Input::End);
        if waits.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let channel = Arc::clone(&self.channel);
            runtime.spawn(async move { send(&channel, &Input::End).await });
        }
    }
}

/// Returns the session of a further program, whose streams come to us directly.
pub(super) fn executed(executed: Executed, detached: bool) -> Result<Session> {
    let process = executed.process;
    let channel = share(executed.channel)?;
    let (output, receiver) = mpsc::channel(AHEAD);
    let (resize, sizes) = mpsc::channel::<TermSize>(4);
    let mut left = None;
    let input: Option<Box<dyn AsyncWrite + Send + Unpin>> = match executed.streams {
        ExecStreams::None => None,
        ExecStreams::Terminal(master) => {
            left = Some(master.try_clone().map_err(failed)?);
            Some(Box::new(terminal(master, output, sizes)?))
        }
        ExecStreams::Pipes { stdin, stdout, stderr } => {
            for (fd, stream) in [(stdout, LogStream::Stdout), (stderr, LogStream::Stderr)] {
                let pipe = pipe::Receiver::from_owned_fd(fd).map_err(failed)?;
                tokio::spawn(pump(pipe, stream, output.clone()));
            }
            match stdin {
                Some(fd) => Some(Box::new(pipe::Sender::from_owned_fd(fd).map_err(failed)?)),
                None => None,
            }
        }
    };
    let leave = leaving(&channel, left);
    let exit = async move {
        match (detached, exit_code(&channel).await) {
            (true, _) => Ok(0),
            (false, Some(code)) => Ok(code),
            (false, None) => Err(failed("the container's supervisor has ended")),
        }
    };
    // A detached program is nobody's to wait for.
    let exit = if detached { futures_util::future::ready(Ok(0)).boxed() } else { exit.boxed() };
    Ok(Session { output: receiver_stream(receiver), input, resize, exit, leave, process })
}

async fn pump(mut from: impl tokio::io::AsyncRead + Unpin, stream: LogStream, output: Output) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = output.closed() => return,
        };
        let chunk = OutputChunk { stream, data: Bytes::copy_from_slice(&buffer[..length]) };
        if length == 0 || output.send(Ok(chunk)).await.is_err() {
            return;
        }
    }
}

/// Passes a terminal's streams on; returns where its input goes.
fn terminal(
    master: OwnedFd,
    output: Output,
    mut sizes: mpsc::Receiver<TermSize>,
) -> Result<TerminalInput> {
    rustix::io::ioctl_fionbio(&master, true).map_err(failed)?;
    let master = Arc::new(watched(master).map_err(failed)?);
    let resized = Arc::downgrade(&master);
    tokio::spawn(async move {
        while let Some(size) = sizes.recv().await {
            let Some(master) = resized.upgrade() else { return };
            let size = rustix::termios::Winsize {
                ws_row: size.rows,
                ws_col: size.columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // A terminal that has gone has no size.
            let _ = rustix::termios::tcsetwinsize(&*master, size);
        }
    });
    let reading = Arc::clone(&master);
    tokio::spawn(async move { read_terminal(&reading, output).await });
    Ok(TerminalInput(master))
}

/// The way to the input of a further program with a terminal. What was written is the terminal's: a
/// caller that goes away right after a write loses nothing of it.
struct TerminalInput(Arc<AsyncFd<OwnedFd>>);

impl AsyncWrite for TerminalInput {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = std::task::ready!(self.0.poll_write_ready(context))?;
            if let Ok(result) = ready.try_io(|fd| Ok(rustix::io::write(fd, data)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A terminal's input has no end.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn read_terminal(master: &AsyncFd<OwnedFd>, output: Output) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let ready = tokio::select! {
            ready = master.readable() => ready,
            () = output.closed() => return,
        };
        let Ok(mut ready) = ready else { return };
        let read = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?));
        // EIO: nobody holds the terminal any more.
        let Ok(Ok(length)) = read else {
            if matches!(read, Ok(Err(_))) {
                return;
            }
            continue;
        };
        let data = Bytes::copy_from_slice(&buffer[..length]);
        let chunk = OutputChunk { stream: LogStream::Stdout, data };
        if length == 0 || output.send(Ok(chunk)).await.is_err() {
            return;
        }
    }
}
