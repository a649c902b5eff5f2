//! Samples of all running containers: one stats stream each, kept open while it runs.
//!
//! A task listens to the engine's events and opens and closes the streams; each stream overwrites
//! its container's newest sample in a shared map; the caller's stream takes a copy of the map at
//! every tick. So a slow caller finds the newest samples and never a queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use wharf_model::{ContainerId, Event, EventKind, EventOptions, Filters, Sample};

use super::stats::{Context, sample};
use super::transport::{Lines, parse};
use super::{Docker, error};
use crate::{Backend as _, Error, Result, SampleBatch};

/// How long the first batch waits for a sample of each container; the engine makes one a second.
const FIRST_BATCH: Duration = Duration::from_secs(3);

/// The newest sample of each container; an entry without one has a stream that has yet to speak.
type Newest = Arc<Mutex<BTreeMap<ContainerId, Option<Sample>>>>;

/// What the listening task tells the caller's stream.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Counts samples, so that the first batch can wait for them.
    samples: u64,
    /// Why there will be no more.
    ended: Option<Error>,
}

fn locked(newest: &Newest) -> std::sync::MutexGuard<'_, BTreeMap<ContainerId, Option<Sample>>> {
    newest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Docker {
    /// Returns batches at once and then every `interval`.
    pub(super) async fn sample_stream(
        &self,
        interval: Duration,
    ) -> Result<BoxStream<'static, Result<SampleBatch>>> {
        let origin = Utc::now();
        // Events first: a container that starts between the two is then seen at least once.
        let filters = Filters::from_iter([("type", "container")]);
        let wanted = EventOptions { filters, ..EventOptions::default() };
        let events = self.event_stream(&wanted).await?;
        let running = self.containers(false).await?;
        let host_memory = Some(self.engine_info().await?.memory_total).filter(|bytes| *bytes > 0);
        let newest = Newest::default();
        for container in &running {
            locked(&newest).insert(container.id.clone(), None);
        }
        let (progress, watcher) = watch::channel(Progress::default());
        let listener = Listener {
            docker: self.clone(),
            newest: Arc::clone(&newest),
            progress: progress.clone(),
            origin,
            host_memory,
            streams: HashMap::new(),
        };
        let ids = running.into_iter().map(|container| container.id).collect();
        let mut task = JoinSet::new();
        task.spawn(listener.run(ids, events));
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let state = Batches { newest, watcher, ticks, first: true, _task: task };
        Ok(futures_util::stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(batch) => Some((Ok(batch), Some(state))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed())
    }
}

/// The caller's side.
struct Batches {
    newest: Newest,
    watcher: watch::Receiver<Progress>,
    ticks: tokio::time::Interval,
    first: bool,
    /// Ends the listening task, and with it the streams.
    _task: JoinSet<()>,
}

impl Batches {
    async fn next(&mut self) -> Result<SampleBatch> {
        self.ticks.tick().await;
        if std::mem::take(&mut self.first) {
            let deadline = Instant::now() + FIRST_BATCH;
            while locked(&self.newest).values().any(Option::is_none) {
                let changed = tokio::time::timeout_at(deadline, self.watcher.changed()).await;
                if !matches!(changed, Ok(Ok(()))) || self.watcher.borrow().ended.is_some() {
                    break;
                }
            }
            self.ticks.reset();
        }
        if let Some(error) = &self.watcher.borrow().ended {
            return Err(error.clone());
        }
        let newest = locked(&self.newest);
        let containers =
            newest.iter().filter_map(|(id, sample)| Some((id.clone(), sample.clone()?))).collect();
        Ok(SampleBatch { host: None, containers })
    }
}

/// The listening side.
struct Listener {
    docker: Docker,
    newest: Newest,
    progress: watch::Sender<Progress>,
    origin: DateTime<Utc>,
    host_memory: Option<u64>,
    /// The open streams; dropping one closes it.
    streams: HashMap<ContainerId, JoinSet<()>>,
}

impl Listener {
    async fn run(
        mut self,
        running: Vec<ContainerId>,
        mut events: BoxStream<'static, Result<Event>>,
    ) {
        for id in running {
            self.open(id);
        }
        let error = loop {
            match events.next().await {
                Some(Ok(event)) => self.note(&event),
                Some(Err(error)) => break error,
                None => break error::broken("events", "end of stream"),
            }
        };
        self.progress.send_modify(|progress| progress.ended = Some(error));
    }

    fn note(&mut self, event: &Event) {
        let Ok(id) = event.id.parse::<ContainerId>() else {
            return;
        };
        match (event.kind, event.action.as_str()) {
            (EventKind::Container, "start" | "restart") => self.open(id),
            (EventKind::Container, "die" | "destroy") => {
                self.streams.remove(&id);
                locked(&self.newest).remove(&id);
                self.progress.send_modify(|progress| progress.samples += 1);
            }
            _ => {}
        }
    }

    /// Opens a container's stream, unless it is open already.
    fn open(&mut self, id: ContainerId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.try_join_next().is_none()
            && !stream.is_empty()
        {
            return;
        }
        locked(&self.newest).insert(id.clone(), None);
        let follow = Follow {
            docker: self.docker.clone(),
            newest: Arc::clone(&self.newest),
            progress: self.progress.clone(),
            origin: self.origin,
            host_memory: self.host_memory,
            id: id.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(async move { follow.run().await });
        self.streams.insert(id, task);
    }
}

/// One container's stream.
struct Follow {
    docker: Docker,
    newest: Newest,
    progress: watch::Sender<Progress>,
    origin: DateTime<Utc>,
    host_memory: Option<u64>,
    id: ContainerId,
}

impl Follow {
    /// Follows the stream to its end. What breaks it also ends the container or the events.
    async fn run(&self) {
        let _ = self.follow().await;
        locked(&self.newest).remove(&self.id);
        self.tell();
    }

    async fn follow(&self) -> Result<()> {
        // What only the beginning needs is given back; there may be a thousand of these.
        let (context, mut documents) = Box::pin(self.begin()).await?;
        while let Some(document) = documents.next().await {
            if let Some(sample) = sample(parse(&document?, "stats")?, &context) {
                locked(&self.newest).insert(self.id.clone(), Some(sample));
                self.tell();
            }
        }
        Ok(())
    }

    async fn begin(&self) -> Result<(Context, Lines)> {
        let context = Context {
            origin: self.origin,
            // Each run has a stream of its own. When it began, only the document of each container
            // would tell.
            started_ms: Utc::now().timestamp_millis(),
            host_memory: self.host_memory,
        };
        let path = format!("/containers/{}/stats", self.id);
        let reply = self.docker.transport.trickle(&path, &[("stream", "1")]).await?;
        Ok((context, reply.lines("stats")))
    }

    fn tell(&self) {
        self.progress.send_modify(|progress| progress.samples += 1);
    }
}
