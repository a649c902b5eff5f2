//! One sampler for all clients that want statistics. It runs while there is one, and tells each of
//! the newest batch only: who is slow misses some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wharf_backend::native::Native;
use wharf_backend::{Backend, Error, SampleBatch};
use wharf_model::{ContainerId, DetailSample, ErrorKind, HostSample, Sample};

/// Docker's time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Nanoseconds of a tick of `/proc/stat`, of which there are 100 a second on every machine that Linux
/// runs programs on.
const TICK_NS: u64 = 10_000_000;

/// What was measured at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    /// When.
    pub(crate) time: DateTime<Utc>,
    /// Nanoseconds that all CPUs together have been there, busy or idle.
    pub(crate) system_ns: Option<u64>,
    /// The host.
    pub(crate) host: Option<HostSample>,
    /// The containers that somebody wants to know of.
    pub(crate) containers: HashMap<ContainerId, Measured>,
}

/// What was measured of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// None when it doesn't run.
    pub(crate) sample: Option<Sample>,
    /// What is measured only where somebody wants to know.
    pub(crate) details: DetailSample,
}

type Latest = Option<Result<Arc<Tick>, Error>>;

/// How many clients want to know of each container.
type Wanted = Mutex<HashMap<ContainerId, usize>>;

/// The sampler, while somebody listens.
pub(crate) struct Sampling {
    engine: Native,
    running: Mutex<Weak<Running>>,
}

struct Running {
    latest: watch::Receiver<Latest>,
    wanted: Arc<Wanted>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Somebody who listens.
pub(crate) struct Samples {
    running: Arc<Running>,
    container: ContainerId,
    latest: watch::Receiver<Latest>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sampling {
    /// Returns one that doesn't run.
    pub(crate) fn new(engine: Native) -> Self {
        Self { engine, running: Mutex::default() }
    }

    /// Begins to listen to what is told of a container.
    pub(crate) fn listen(&self, container: ContainerId) -> Samples {
        let mut running = locked(&self.running);
        let alive = running.upgrade().filter(|running| !running.task.is_finished());
        let current = alive.unwrap_or_else(|| {
            let (sender, latest) = watch::channel(None);
            let wanted = Arc::<Wanted>::default();
            let task = tokio::spawn(sample(self.engine.clone(), Arc::clone(&wanted), sender));
            let started = Arc::new(Running { latest, wanted, task });
            *running = Arc::downgrade(&started);
            started
        });
        *locked(&current.wanted).entry(container.clone()).or_default() += 1;
        let mut latest = current.latest.clone();
        // What is there may be a second old, and the first batch of a new run is on its way.
        latest.mark_unchanged();
        Samples { running: current, container, latest }
    }
}

impl Samples {
    /// Returns the next tick that there is, which tells of the container.
    ///
    /// # Errors
    /// When sampling failed.
    pub(crate) async fn next(&mut self) -> Result<Arc<Tick>, Error> {
        let over = || Error::new(ErrorKind::Internal, "statistics have ended");
        loop {
            self.latest.changed().await.map_err(|_| over())?;
            match &*self.latest.borrow_and_update() {
                // One that was begun before somebody wanted to know of the container.
                Some(Ok(tick)) if !tick.containers.contains_key(&self.container) => {}
                Some(tick) => return tick.clone(),
                None => {}
            }
        }
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        let mut wanted = locked(&self.running.wanted);
        if let Some(count) = wanted.get_mut(&self.container) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&self.container);
            }
        }
    }
}

async fn sample(engine: Native, wanted: Arc<Wanted>, latest: watch::Sender<Latest>) {
    let mut batches = match engine.samples(INTERVAL).await {
        Ok(batches) => batches,
        Err(error) => {
            let _ = latest.send(Some(Err(error)));
            return;
        }
    };
    while let Some(batch) = batches.next().await {
        let tick = match batch {
            Ok(batch) => Ok(Arc::new(measure(&engine, &wanted, batch).await)),
            Err(error) => Err(error),
        };
        if latest.send(Some(tick)).is_err() {
            return;
        }
    }
}

/// Makes a tick of what somebody wants to know.
async fn measure(engine: &Native, wanted: &Wanted, batch: SampleBatch) -> Tick {
    let system_ns = std::fs::read_to_string("/proc/stat").ok().and_then(|text| system(&text));
    let time = Utc::now();
    let mut containers: HashMap<_, _> =
        locked(wanted).keys().map(|id| (id.clone(), Measured::default())).collect();
    let mut running = Vec::new();
    for (id, sample) in batch.containers {
        if let Some(measured) = containers.get_mut(&id) {
            measured.sample = Some(sample);
            running.push(id);
        }
    }
    // One that has just ended has none.
    let details = engine.details_of(running.clone()).await.unwrap_or_default();
    for (id, details) in running.iter().zip(details) {
        if let (Some(measured), Some(details)) = (containers.get_mut(id), details) {
            measured.details = details;
        }
    }
    Tick { time, system_ns, host: batch.host, containers }
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
