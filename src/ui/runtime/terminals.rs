//! The connections behind the terminals: one task each, which reads no faster than what it has read is
//! drawn, and writes what is typed as fast as the program takes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wharf_backend::{AttachOptions, Backend, Error, Session};
use wharf_model::{ContainerId, ExecSpec, TermSize};

use crate::app::terminals::Want;
use crate::message::{Msg, TerminalAsk, TerminalReply};
use crate::options::{Colors, Look};

/// Pieces of output that wait to be taken in, of all terminals together; then the programs wait.
const AHEAD: usize = 4;

/// The largest piece of output: a moment's work for the grid, so that a key never waits for long.
const PIECE: usize = 16 << 10;

/// Things typed that may wait for a terminal's task.
const TYPED: usize = 256;

/// Bytes typed that may wait for a program that doesn't read; a paste is that large at most.
const UNREAD: usize = 1 << 20;

/// The time that programs get to end by themselves when the dashboard does.
const GRACE: Duration = Duration::from_millis(1500);

/// Interrupts what runs, and ends a shell's input.
const HANG_UP: &[u8] = b"\x03\x04";

/// Ends a shell's input: one that an interrupt has kept busy loses what came right behind it.
const END_INPUT: &[u8] = b"\x04";

/// All terminals.
pub(super) struct Terminals {
    sender: mpsc::Sender<Msg>,
    tasks: HashMap<u64, (mpsc::Sender<TerminalAsk>, JoinHandle<()>)>,
}

impl Terminals {
    /// Returns none yet, and where what they write comes out.
    pub(super) fn new() -> (Self, mpsc::Receiver<Msg>) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        (Self { sender, tasks: HashMap::new() }, receiver)
    }

    /// Opens one.
    pub(super) fn open(
        &mut self,
        backend: Arc<dyn Backend>,
        number: u64,
        (container, want): (ContainerId, Want),
        (size, look): (TermSize, Look),
    ) {
        let (asks, receiver) = mpsc::channel(TYPED);
        let replies = Replies { number, sender: self.sender.clone() };
        let task = tokio::spawn(async move {
            let opening = connect(&*backend, &container, &want, size, look);
            match opening.await {
                Ok((session, opened)) => {
                    replies.send(opened).await;
                    let hangs_up = !matches!(want, Want::Attach { .. });
                    // Who only looks on leaves the size alone.
                    let size = Some(size).filter(|_| want.changes());
                    serve(session, receiver, &replies, (size, hangs_up)).await;
                }
                Err(error) => replies.send(TerminalReply::Ended(Err(error.message))).await,
            }
        });
        self.tasks.retain(|_, (_, task)| !task.is_finished());
        self.tasks.insert(number, (asks, task));
    }

    /// Passes something on to one; false if it can't take it now.
    pub(super) fn ask(&self, number: u64, ask: TerminalAsk) -> bool {
        match self.tasks.get(&number) {
            Some((asks, _)) => {
                !matches!(asks.try_send(ask), Err(mpsc::error::TrySendError::Full(_)))
            }
            // It has ended.
            None => true,
        }
    }

    /// Ends all of them, and waits a moment for that; `heard` is told what they still say.
    pub(super) async fn end(self, mut output: mpsc::Receiver<Msg>, mut heard: impl FnMut(&Msg)) {
        let mut tasks = Vec::new();
        for (_, (asks, task)) in self.tasks {
            let _ = asks.try_send(TerminalAsk::End);
            tasks.push(task);
        }
        drop(self.sender);
        let drained = async {
            // Nobody looks at it, but they wait until it is taken.
            while let Some(msg) = output.recv().await {
                heard(&msg);
            }
            futures_util::future::join_all(tasks).await;
        };
        // What doesn't end loses its terminal now.
        let _ = tokio::time::timeout(GRACE, drained).await;
    }
}

struct Replies {
    number: u64,
    sender: mpsc::Sender<Msg>,
}

impl Replies {
    async fn send(&self, reply: TerminalReply) {
        // Nobody listens any more when the dashboard has ended.
        let _ = self.sender.send(Msg::Terminal { number: self.number, reply }).await;
    }
}

/// Opens what is wanted; returns it with what there is to tell of it.
async fn connect(
    backend: &dyn Backend,
    container: &ContainerId,
    want: &Want,
    size: TermSize,
    look: Look,
) -> Result<(Session, TerminalReply), Error> {
    let id = container.as_str();
    let opened =
        |program, instead| TerminalReply::Opened { program, instead, tty: true, input: true };
    match want {
        Want::Shell { toolbox } => {
            if let Some(shell) = backend.shell(id).await? {
                let mut spec = spec(vec![shell.clone()], look);
                let detail = backend.container(id).await?;
                let says = |name: &str| detail.config.env.iter().any(|it| it.starts_with(name));
                if look.unicode && !["LANG=", "LC_ALL=", "LC_CTYPE="].into_iter().any(says) {
                    // Images rarely say that their terminals have more letters than ASCII's.
                    spec.env.push("LANG=C.UTF-8".to_owned());
                }
                let session = backend.exec(id, spec, Some(size)).await?;
                let name = shell.rsplit('/').next().unwrap_or_default().to_owned();
                return Ok((session, opened(name, None)));
            }
            let tools = ExecSpec { toolbox: Some(toolbox.clone()), ..spec(Vec::new(), look) };
            let session = backend.exec(id, tools, Some(size)).await.map_err(|error| {
                let text = format!("the image has no shell, and {}", error.message);
                Error::new(error.kind, text)
            })?;
            let instead = Want::Toolbox { image: toolbox.clone() };
            Ok((session, opened(format!("the shell of {toolbox}"), Some(instead))))
        }
        Want::Toolbox { image } => {
            let tools = ExecSpec { toolbox: Some(image.clone()), ..spec(Vec::new(), look) };
            let session = backend.exec(id, tools, Some(size)).await?;
            Ok((session, opened(format!("the shell of {image}"), None)))
        }
        Want::Attach { input } => {
            let detail = backend.container(id).await?;
            let (tty, stdin) = (detail.config.tty, *input && detail.config.open_stdin);
            // Who only looks on leaves the size alone too.
            let size = Some(size).filter(|_| tty && *input);
            let options = AttachOptions { start: false, stdin, output: true, size };
            let session = backend.attach(id, options).await?;
            let opened =
                TerminalReply::Opened { program: String::new(), instead: None, tty, input: stdin };
            Ok((session, opened))
        }
    }
}

fn spec(command: Vec<String>, look: Look) -> ExecSpec {
    let term = if look.colors >= Colors::Ansi256 { "xterm-256color" } else { "xterm" };
    let mut env = vec![format!("TERM={term}")];
    if look.colors == Colors::True {
        env.push("COLORTERM=truecolor".to_owned());
    }
    ExecSpec { command, env, tty: true, stdin: true, ..ExecSpec::default() }
}

/// Passes everything on until the program has ended, or nobody wants it any more.
async fn serve(
    session: Session,
    mut asks: mpsc::Receiver<TerminalAsk>,
    replies: &Replies,
    (size, hangs_up): (Option<TermSize>, bool),
) {
    let Session { output, mut input, resize, exit, .. } = session;
    // It is asked once more after its end, which was seen while a piece was put together.
    let mut output = output.fuse();
    // A program draws itself anew when the size changes, and only then: one that was attached to has
    // drawn itself already.
    if let Some(size) = size {
        for columns in [size.columns.saturating_add(1), size.columns] {
            let _ = resize.try_send(TermSize { columns, ..size });
        }
    }
    let mut typed: Vec<u8> = Vec::new();
    let mut piece: Vec<u8> = Vec::new();
    // Whether input ends after what is typed.
    let mut ends = false;
    // Until when to wait for an end that was asked for, and when to ask again.
    let mut given_up: Option<Instant> = None;
    let mut nag = tokio::time::interval(GRACE / 12);
    let mut nags = 0_u32;
    let result = loop {
        if ends && typed.is_empty() {
            input = None;
        }
        let writes = !typed.is_empty() && input.is_some();
        tokio::select! {
            // What is typed before what is written: an interrupt must get through a flood.
            biased;
            ask = asks.recv(), if given_up.is_none() => match ask {
                Some(TerminalAsk::Input(bytes)) if typed.len() + bytes.len() > UNREAD => {
                    replies.send(TerminalReply::Deaf).await;
                }
                Some(TerminalAsk::Input(bytes)) if !ends => typed.extend(bytes),
                Some(TerminalAsk::Input(_)) => {}
                Some(TerminalAsk::Resize(to)) => {
                    if size.is_some() {
                        let _ = resize.send(to).await;
                    }
                }
                Some(TerminalAsk::EndInput) => ends = true,
                Some(TerminalAsk::End) | None if hangs_up && input.is_some() => {
                    given_up = Some(Instant::now() + GRACE / 2);
                }
                Some(TerminalAsk::End) | None => break None,
            },
            // An engine far away doesn't end a program whose terminal is dropped; its shell does,
            // when its input ends.
            _ = nag.tick(), if given_up.is_some() => {
                if given_up.is_some_and(|until| Instant::now() >= until) {
                    break None;
                }
                if typed.is_empty() {
                    typed.extend_from_slice(if nags.is_multiple_of(2) { HANG_UP } else { END_INPUT });
                    nags += 1;
                }
            }
            written = write(&mut input, &typed), if writes => match written {
                Ok(count) => drop(typed.drain(..count)),
                // It doesn't read any more; what it writes still counts.
                Err(_) => {
                    input = None;
                    typed.clear();
                }
            },
            // A program that writes faster than that is taken in has to wait.
            permit = replies.sender.reserve(), if !piece.is_empty() => {
                let Ok(permit) = permit else { break None };
                let reply = TerminalReply::Output(std::mem::take(&mut piece));
                permit.send(Msg::Terminal { number: replies.number, reply });
            }
            chunk = output.next(), if piece.is_empty() => match chunk {
                Some(Ok(chunk)) => {
                    piece.extend_from_slice(&chunk.data);
                    while piece.len() < PIECE
                        && let Some(Some(Ok(chunk))) = output.next().now_or_never()
                    {
                        piece.extend_from_slice(&chunk.data);
                    }
                }
                Some(Err(error)) => break Some(Err(error)),
                None => break Some(exit.await),
            },
        }
    };
    // The output first: an input that is lost alone is the end of input.
    drop(output);
    drop(input);
    let result = result.unwrap_or(Ok(0)).map_err(|error| error.message);
    replies.send(TerminalReply::Ended(result)).await;
}

/// Writes some of what is typed.
async fn write(
    input: &mut Option<Box<dyn tokio::io::AsyncWrite + Send + Unpin>>,
    bytes: &[u8],
) -> std::io::Result<usize> {
    match input {
        Some(input) => input.write(bytes).await,
        None => Ok(bytes.len()),
    }
}
