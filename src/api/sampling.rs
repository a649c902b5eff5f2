//! One sampler for all clients that want statistics. It runs while there is one, and tells each of
//! the newest batch only: who is slow misses some.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wharf_backend::native::Native;
use wharf_backend::{Backend, Error, SampleBatch};
use wharf_model::ErrorKind;

/// Docker's time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Nanoseconds of a tick of `/proc/stat`, of which there are 100 a second on every machine that Linux
/// runs programs on.
const TICK_NS: u64 = 10_000_000;

/// Samples of all containers at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    /// When.
    pub(crate) time: DateTime<Utc>,
    /// Nanoseconds that all CPUs together have been there, busy or idle.
    pub(crate) system_ns: Option<u64>,
    /// The host and its containers.
    pub(crate) batch: SampleBatch,
}

type Latest = Option<Result<Arc<Tick>, Error>>;

/// The sampler, while somebody listens.
pub(crate) struct Sampling {
    engine: Native,
    running: Mutex<Weak<Running>>,
}

struct Running {
    latest: watch::Receiver<Latest>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Somebody who listens.
pub(crate) struct Samples {
    _running: Arc<Running>,
    latest: watch::Receiver<Latest>,
}

impl Sampling {
    /// Returns one that doesn't run.
    pub(crate) fn new(engine: Native) -> Self {
        Self { engine, running: Mutex::default() }
    }

    /// Begins to listen.
    pub(crate) fn listen(&self) -> Samples {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = running.upgrade().filter(|running| !running.task.is_finished());
        let current = alive.unwrap_or_else(|| {
            let (sender, latest) = watch::channel(None);
            let task = tokio::spawn(sample(self.engine.clone(), sender));
            let started = Arc::new(Running { latest, task });
            *running = Arc::downgrade(&started);
            started
        });
        let mut latest = current.latest.clone();
        // What is there may be a second old, and the first batch of a new run is on its way.
        latest.mark_unchanged();
        Samples { _running: current, latest }
    }
}

impl Samples {
    /// Returns the next batch that there is.
    ///
    /// # Errors
    /// When sampling failed.
    pub(crate) async fn next(&mut self) -> Result<Arc<Tick>, Error> {
        let over = || Error::new(ErrorKind::Internal, "statistics have ended");
        loop {
            self.latest.changed().await.map_err(|_| over())?;
            let latest = self.latest.borrow_and_update().clone();
            if let Some(tick) = latest {
                return tick;
            }
        }
    }
}

async fn sample(engine: Native, latest: watch::Sender<Latest>) {
    let mut batches = match engine.samples(INTERVAL).await {
        Ok(batches) => batches,
        Err(error) => {
            let _ = latest.send(Some(Err(error)));
            return;
        }
    };
    while let Some(batch) = batches.next().await {
        let system_ns = std::fs::read_to_string("/proc/stat").ok().and_then(|text| system(&text));
        let tick = batch.map(|batch| Arc::new(Tick { time: Utc::now(), system_ns, batch }));
        if latest.send(Some(tick)).is_err() {
            return;
        }
    }
}

/// Returns the time of all CPUs that `/proc/stat` tells: user, nice, system, idle, iowait, irq and
/// softirq (`proc_stat(5)`), which are those that docker adds up.
fn system(text: &str) -> Option<u64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Option<Vec<u64>> =
        line.split_ascii_whitespace().take(7).map(|number| number.parse().ok()).collect();
    Some(ticks?.iter().sum::<u64>().saturating_mul(TICK_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_time_is_read() {
        let text = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(system(text), Some(28 * TICK_NS));
        assert_eq!(system("intr 5"), None);
    }
}
