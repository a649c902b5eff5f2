//! Samples of all running containers, from one thread that reads the kernel's counters once a tick.
//!
//! The thread knows which containers run from the engine's events, asks the engine again only when
//! one came, and hands each batch over through a cell that holds the newest only.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{BoxStream, StreamExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::watch;
use wharf_cgroup::Layout;
use wharf_engine::{Engine, Running};
use wharf_model::ErrorKind;
use wharf_stats::{Sampler, Subject, raise_open_files_limit};

use crate::{Error, Result, SampleBatch};

type Latest = watch::Sender<Option<Result<SampleBatch>>>;

pub(super) fn stream(
    engine: Arc<Engine>,
    interval: Duration,
) -> Result<BoxStream<'static, Result<SampleBatch>>> {
    let failed = |cause: String| Error::new(ErrorKind::Internal, format!("sample: {cause}"));
    let layout = Layout::detect().map_err(|cause| failed(cause.to_string()))?;
    // A hundred containers take more than the usual 1024; each container's own is set at its start.
    raise_open_files_limit();
    let sampler = Sampler::new(layout, engine.paths().root());
    let (sender, receiver) = watch::channel(None);
    std::thread::Builder::new()
        .name("sampler".to_owned())
        .spawn(move || run(&engine, sampler, interval, &sender))
        .map_err(|cause| failed(cause.to_string()))?;
    Ok(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.changed().await.ok()?;
        let batch = receiver.borrow_and_update().clone()?;
        Some((batch, receiver))
    })
    .boxed())
}

fn run(engine: &Engine, mut sampler: Sampler, interval: Duration, latest: &Latest) {
    if let Err(error) = sample(engine, &mut sampler, interval, latest) {
        // Without a reader there is nobody to tell.
        let _ = latest.send(Some(Err(error)));
    }
}

fn sample(
    engine: &Engine,
    sampler: &mut Sampler,
    interval: Duration,
    latest: &Latest,
) -> Result<()> {
    let mut events = engine.watch()?;
    let mut stale = true;
    let mut next = Instant::now();
    while !latest.is_closed() {
        for (_, event) in events.take()? {
            stale = true;
            if event.action == "update"
                && let Ok(id) = event.id.parse()
            {
                sampler.changed(&id);
            }
        }
        if stale {
            refresh(engine, sampler)?;
            stale = false;
        }
        if Instant::now() >= next {
            let tick = sampler.tick();
            let batch = SampleBatch { host: Some(tick.host), containers: tick.containers };
            if latest.send(Some(Ok(batch))).is_err() {
                return Ok(());
            }
            // Ticks that were missed (a suspended host) are not made up for.
            next = (next + interval).max(Instant::now());
        }
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&events.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => {
                return Err(Error::new(ErrorKind::Internal, format!("sample: {cause}")));
            }
        }
    }
    Ok(())
}

/// Takes in which containers run now.
fn refresh(engine: &Engine, sampler: &mut Sampler) -> Result<()> {
    let running = engine.running()?;
    let ids: HashSet<_> = running.iter().map(|container| &container.id).collect();
    sampler.retain(|id| ids.contains(id));
    for Running { id, pid, started_ms, cgroup, links } in running {
        // One that ended meanwhile has no counters; the event that says so is on its way.
        let _ = sampler.add(Subject { id, group: cgroup, pid, started_ms, links });
    }
    Ok(())
}
