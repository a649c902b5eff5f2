//! Further programs by the ids that the Engine API gives them.
//!
//! An id lives in this server's memory, from the request that makes it until some minutes after the
//! program's end; no other server knows it. The program itself is its container's: the supervisor
//! runs it and tells of it in events under the same id.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use wharf_model::{ContainerId, ExecSpec, TermSize};

/// How long the id of a program that has ended, or was never started, is known.
const KEPT: Duration = Duration::from_secs(300);

/// How many there may be, and how many bytes their commands and variables may have together.
const MOST: usize = 4096;
const MOST_BYTES: usize = 32 << 20;

/// A further program.
#[derive(Clone, Debug)]
pub(crate) struct Exec {
    /// Its container.
    pub(crate) container: ContainerId,
    /// What it is.
    pub(crate) spec: ExecSpec,
    /// Which of its outputs were asked for.
    pub(crate) stdout: bool,
    /// As above.
    pub(crate) stderr: bool,
    /// The keys by which a client leaves it, as it named them.
    pub(crate) detach_keys: Option<String>,
    /// The size that its terminal has at the start.
    pub(crate) size: Option<TermSize>,
    /// The host's number of its process, once there is one.
    pub(crate) process: Option<i32>,
    /// How it is doing.
    pub(crate) stage: Stage,
}

impl Exec {
    /// Returns how many bytes a client has had kept by it.
    fn weight(&self) -> usize {
        let ExecSpec { command, env, user, working_dir, .. } = &self.spec;
        let texts = command.iter().chain(env).chain(user).chain(working_dir);
        texts.chain(&self.detach_keys).map(|text| size_of::<String>() + text.len()).sum()
    }
}

/// How a further program is doing.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// It wasn't started.
    Made(Instant),
    /// It is being started.
    Starting,
    /// It runs; new sizes of its terminal go here.
    Running(mpsc::Sender<TermSize>),
    /// It has ended with this code, then.
    Ended(i32, Instant),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Execs(Mutex<HashMap<String, Exec>>);

/// Why a program isn't started.
#[derive(Debug)]
pub(crate) enum Taken {
    /// There is no such id.
    Unknown,
    /// It runs already, or has ended.
    Before,
}

impl Execs {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Exec>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a program; returns whether there was room.
    pub(crate) fn add(&self, id: &str, exec: Exec) -> bool {
        let mut all = self.all();
        all.retain(|_, exec| match exec.stage {
            Stage::Made(at) | Stage::Ended(_, at) => at.elapsed() < KEPT,
            Stage::Starting | Stage::Running(_) => true,
        });
        let bytes: usize = all.values().map(Exec::weight).sum();
        if all.len() >= MOST || bytes + exec.weight() > MOST_BYTES {
            return false;
        }
        all.insert(id.to_owned(), exec);
        true
    }

    /// Returns a program.
    pub(crate) fn get(&self, id: &str) -> Option<Exec> {
        self.all().get(id).cloned()
    }

    /// Takes a program to start it: whoever comes second gets none.
    pub(crate) fn begin(&self, id: &str) -> Result<Exec, Taken> {
        let mut all = self.all();
        let exec = all.get_mut(id).ok_or(Taken::Unknown)?;
        match exec.stage {
            Stage::Made(_) => {
                exec.stage = Stage::Starting;
                Ok(exec.clone())
            }
            _ => Err(Taken::Before),
        }
    }

    /// Notes that a program runs.
    pub(crate) fn run(&self, id: &str, sizes: mpsc::Sender<TermSize>, process: Option<i32>) {
        if let Some(exec) = self.all().get_mut(id) {
            exec.stage = Stage::Running(sizes);
            exec.process = process;
        }
    }

    /// Notes that a program has ended, or could not be run.
    pub(crate) fn end(&self, id: &str, code: i32) {
        if let Some(exec) = self.all().get_mut(id) {
            exec.stage = Stage::Ended(code, Instant::now());
        }
    }

    /// Returns the ids of a container's programs that haven't ended, in order.
    pub(crate) fn of(&self, container: &str) -> Vec<String> {
        let all = self.all();
        let of = |exec: &Exec| {
            exec.container.as_str() == container && !matches!(exec.stage, Stage::Ended(..))
        };
        let mut ids: Vec<String> =
            all.iter().filter(|(_, exec)| of(exec)).map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}

/// An id is 256 random bits; an exec's looks as a container's does.
pub(crate) fn new_id() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(ContainerId::from_bytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_once_and_there_is_an_end_to_them() {
        let execs = Execs::default();
        let exec = |stage| Exec {
            container: ContainerId::from_bytes([1; 32]),
            spec: ExecSpec::default(),
            stdout: true,
            stderr: true,
            detach_keys: None,
            size: None,
            process: None,
            stage,
        };
        assert!(execs.add("a", exec(Stage::Made(Instant::now()))));
        assert!(matches!(execs.begin("b"), Err(Taken::Unknown)));
        assert!(execs.begin("a").is_ok());
        assert!(matches!(execs.begin("a"), Err(Taken::Before)));
        let container = ContainerId::from_bytes([1; 32]);
        assert_eq!(execs.of(container.as_str()), ["a"]);
        execs.end("a", 3);
        assert!(execs.of(container.as_str()).is_empty());
        for number in 1..MOST {
            assert!(execs.add(&number.to_string(), exec(Stage::Made(Instant::now()))));
        }
        assert!(!execs.add("more", exec(Stage::Made(Instant::now()))));
        let execs = Execs::default();
        let large = || Exec {
            spec: ExecSpec { env: vec!["x".repeat(MOST_BYTES / 8)], ..ExecSpec::default() },
            ..exec(Stage::Made(Instant::now()))
        };
        let kept = (0..20).filter(|number| execs.add(&number.to_string(), large())).count();
        assert_eq!(kept, 7);
        assert_ne!(new_id().unwrap(), new_id().unwrap());
    }
}
