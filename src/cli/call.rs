//! One call of a verb: what it was given, and how it reaches the engine and ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_registry::Registries;

use crate::args::Parsed;
use crate::connect;
use crate::target::Target;

/// Exit code for what went wrong before the container's own program ran.
pub(crate) const ENGINE_FAILED: i32 = 125;

/// An error that says how the program ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: i32,
    message: String,
    usage: bool,
    cancelled: bool,
}

impl Failure {
    /// Returns a failure with this exit code. An empty message prints nothing.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), usage: false, cancelled: false }
    }

    /// Returns the failure of a flag that can't be taken (exit code 125); the verb's help is pointed
    /// to.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new(ENGINE_FAILED, message) }
    }

    /// Returns a failure that has already been reported.
    pub(crate) fn silent(code: i32) -> Self {
        Self::new(code, "")
    }

    /// Returns the failure of what a signal has ended; what it was doing is undone first.
    pub(crate) fn cancelled(code: i32) -> Self {
        Self { cancelled: true, ..Self::silent(code) }
    }

    /// Returns the exit code.
    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    /// Returns the sentence, possibly empty.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether a signal has ended it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Returns whether the verb's help should be pointed to.
    pub(crate) fn is_usage(&self) -> bool {
        self.usage
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// One call of a verb.
pub(crate) struct Call {
    /// The verb as it was called: `container ls`.
    pub(crate) path: String,
    /// The flags before the verb, as far as they name the engine.
    pub(crate) target: Target,
    /// Further engines that they name, for the dashboard.
    pub(crate) others: Vec<Target>,
    /// Whether somebody chose them.
    pub(crate) chosen: bool,
    /// Its flags and arguments.
    pub(crate) parsed: Parsed,
}

impl Call {
    /// Runs `work` over the engine on one thread.
    ///
    /// # Errors
    /// When the engine can't be reached, or what `work` returns.
    pub(crate) fn over_engine(
        &self,
        work: impl AsyncFnOnce(&Arc<dyn Backend>) -> anyhow::Result<i32>,
    ) -> anyhow::Result<i32> {
        if let Target::Docker(remote) = &self.target
            && let Some(warning) = remote.address.warning()
        {
            crate::report(&format!("WARNING: {warning}"));
        }
        over(std::slice::from_ref(&self.target), async || {
            let reached = connect::backend(&self.target).await;
            let backend = reached.map_err(|error| match self.path.as_str() {
                // Of all verbs, docker's `run` alone tells its own failures from the program's.
                "run" | "container run" => Failure::new(ENGINE_FAILED, format!("{error:#}")).into(),
                _ => error,
            })?;
            work(&backend).await
        })
    }
}

/// Runs `work`, which talks to these engines, on one thread.
///
/// # Errors
/// When there can't be such a thread, or what `work` returns.
pub(crate) fn over(
    targets: &[Target],
    work: impl AsyncFnOnce() -> anyhow::Result<i32>,
) -> anyhow::Result<i32> {
    enough_descriptors()?;
    for target in targets {
        connect::enter(target)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(work());
    let cancelled =
        |error: &anyhow::Error| error.downcast_ref::<Failure>().is_some_and(Failure::is_cancelled);
    match &code {
        Err(error) if cancelled(error) => undo(runtime),
        // A thread may sit in a read of the terminal that never ends; the process ends anyway.
        _ => runtime.shutdown_background(),
    }
    code
}

/// Ends all tasks, and waits for the threads that work for them.
fn undo(runtime: tokio::runtime::Runtime) {
    let (sender, receiver) = std::sync::mpsc::channel();
    // In this order it is done by dropping alone, which has no limit of its own.
    std::thread::spawn(move || {
        drop(runtime);
        let _ = sender.send(());
    });
    let _ = receiver.recv_timeout(UNDOING);
}

/// How long what was cancelled may take to clean up; what is left then, the next command removes.
const UNDOING: Duration = Duration::from_secs(10);

/// Runs `work` over the registries, without an engine.
///
/// # Errors
/// When the settings can't be read, or what `work` returns.
pub(crate) fn over_registries(
    work: impl AsyncFnOnce(&Registries) -> anyhow::Result<i32>,
) -> anyhow::Result<i32> {
    over_these_registries(&connect::registries(None)?, work)
}

/// As [`over_registries`], over these.
///
/// # Errors
/// What `work` returns.
pub(crate) fn over_these_registries(
    registries: &Registries,
    work: impl AsyncFnOnce(&Registries) -> anyhow::Result<i32>,
) -> anyhow::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(work(registries));
    runtime.shutdown_background();
    code
}

/// Refuses to begin what would fail half way.
fn enough_descriptors() -> Result<(), Failure> {
    use rustix::process::{Resource, getrlimit};
    const LEAST: u64 = 32;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < LEAST => Err(Failure::new(
            ENGINE_FAILED,
            format!(
                "only {limit} files may be open at once, of which {LEAST} are needed: ulimit -n"
            ),
        )),
        _ => Ok(()),
    }
}

/// How many objects of one call are worked on at once.
const AT_ONCE: usize = 32;

/// Does `work` for each name, many at once, and prints what it returns in the order of the names.
/// Reports what fails and goes on. Returns the exit code.
///
/// # Errors
/// When standard output can't be written.
pub(crate) async fn each(
    names: &[String],
    work: impl AsyncFn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<i32> {
    let mut results = futures_util::stream::iter(names).map(|name| work(name)).buffered(AT_ONCE);
    let mut code = 0;
    while let Some(result) = results.next().await {
        code = code.max(conclude(result)?);
    }
    Ok(code)
}

/// As [`each`], one after the other.
///
/// # Errors
/// When standard output can't be written.
pub(crate) async fn each_in_turn(
    names: &[String],
    work: impl AsyncFn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<i32> {
    let mut code = 0;
    for name in names {
        code = code.max(conclude(work(name).await)?);
    }
    Ok(code)
}

fn conclude(result: anyhow::Result<String>) -> io::Result<i32> {
    match result {
        Ok(text) if text.is_empty() => Ok(0),
        Ok(text) => print_line(&text).map(|()| 0),
        Err(error) => {
            crate::report(&format!("{error:#}"));
            Ok(1)
        }
    }
}

/// Returns whether the reader of the output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard output at once.
///
/// # Errors
/// When the reader has gone, or the disk is full.
pub(crate) fn print(text: &str) -> io::Result<()> {
    use io::Write;
    #[cfg(test)]
    if crate::tests::captured(text) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to standard output at once.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}
