//! Samples of all running containers: read from the kernel where they are on this host ([`nearby`]), and
//! else from one stats stream each, kept open while it runs.
//!
//! A task listens to the engine's events and opens and closes the streams; each stream overwrites
//! its container's newest sample in a shared map; the caller's stream takes a copy of the map at
//! every tick, and reads the kernel's counters. So a slow caller finds the newest samples and never a
//! queue.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use wharf_model::{
    ContainerId, ContainerSummary, DetailSample, ErrorKind, Event, EventKind, EventOptions,
    Filters, Sample,
};

use super::nearby::{Groups, Look, Nearby};
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
        let filters = Filters::from_iter([("type", "container"), ("type", "network")]);
        let wanted = EventOptions { filters, ..EventOptions::default() };
        let events = self.event_stream(&wanted).await?;
        let running = self.containers(false).await?;
        let info = self.engine_info().await?;
        let host_memory = Some(info.memory_total).filter(|bytes| *bytes > 0);
        let near = match self.groups().await? {
            Some(groups) => {
                let nearby = move || Nearby::new(groups, Path::new(&info.root_dir));
                Some(Arc::new(blocking(nearby).await?))
            }
            None => None,
        };
        let newest = Newest::default();
        let (progress, watcher) = watch::channel(Progress::default());
        let listener = Listener {
            docker: self.clone(),
            near: near.clone(),
            newest: Arc::clone(&newest),
            progress: progress.clone(),
            origin,
            host_memory,
            streams: HashMap::new(),
        };
        let listener = listener.begin(running).await?;
        let mut task = JoinSet::new();
        task.spawn(listener.run(events));
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let state = Batches { near, newest, watcher, ticks, first: true, _task: task };
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

impl Docker {
    /// Returns what is measured only of a container that somebody looks at closely.
    pub(super) async fn near_details(&self, container: &str) -> Result<DetailSample> {
        let id = container.parse::<ContainerId>().ok();
        let found = match id.zip(self.groups().await?) {
            Some((id, groups)) => match look_closely(&groups, &id).await? {
                None if self.learn(&groups, &id).await => look_closely(&groups, &id).await?,
                found => found,
            },
            None => None,
        };
        found.ok_or_else(|| {
            let text = "docker: only of its containers on this host the use of each core is known";
            Error::new(ErrorKind::Unsupported, text)
        })
    }

    /// Returns how the groups of its containers are named, if it may be on this host.
    async fn groups(&self) -> Result<Option<Arc<Groups>>> {
        if !self.transport.is_near() {
            return Ok(None);
        }
        let known = Arc::clone(&self.groups);
        let find = move || known.get_or_init(|| Groups::new().map(Arc::new)).clone();
        blocking(find).await
    }

    /// Has the names of groups learned of a running container; returns whether they are news.
    async fn learn(&self, groups: &Arc<Groups>, id: &ContainerId) -> bool {
        let pid = async { self.inspect(id.as_str()).await.ok()?.state?.pid };
        let Some(pid) = pid.await.filter(|pid| *pid > 0) else { return false };
        let (groups, id) = (Arc::clone(groups), id.clone());
        blocking(move || groups.learn(&id, pid)).await.unwrap_or_default()
    }
}

async fn look_closely(groups: &Arc<Groups>, id: &ContainerId) -> Result<Option<DetailSample>> {
    let (groups, id) = (Arc::clone(groups), id.clone());
    blocking(move || groups.details(&id)).await
}

/// Does what reads files, aside.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let failed = |cause| Error::new(ErrorKind::Internal, format!("sample: {cause}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// The caller's side.
struct Batches {
    /// What is read here.
    near: Option<Arc<Nearby>>,
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
        let Look { host, mut containers } = match self.near.clone() {
            Some(near) => blocking(move || near.look()).await?,
            None => Look::default(),
        };
        let newest = locked(&self.newest);
        let told = newest.iter().filter_map(|(id, sample)| Some((id.clone(), sample.clone()?)));
        containers.extend(told);
        Ok(SampleBatch { host, containers })
    }
}

/// The listening side.
struct Listener {
    docker: Docker,
    near: Option<Arc<Nearby>>,
    newest: Newest,
    progress: watch::Sender<Progress>,
    origin: DateTime<Utc>,
    host_memory: Option<u64>,
    /// The open streams; dropping one closes it.
    streams: HashMap<ContainerId, JoinSet<()>>,
}

impl Listener {
    /// Takes in what runs already.
    async fn begin(mut self, running: Vec<ContainerSummary>) -> Result<Self> {
        let mut strange: Vec<_> = running.into_iter().map(|container| container.id).collect();
        while let (Some(near), Some(_)) = (&self.near, strange.first()) {
            let adding = Arc::clone(near);
            strange = blocking(move || adding.add(strange)).await?;
            // When nothing is learned of one, the engine is elsewhere.
            match strange.first() {
                Some(first) if self.docker.learn(near.groups(), first).await => {}
                _ => break,
            }
        }
        for id in strange {
            self.open(id);
        }
        Ok(self)
    }

    /// Takes in a container that was started.
    async fn started(&mut self, id: ContainerId) {
        if let Some(near) = &self.near
            && (add(near, &id).await
                || (self.docker.learn(near.groups(), &id).await && add(near, &id).await))
        {
            return;
        }
        self.open(id);
    }

    async fn run(mut self, mut events: BoxStream<'static, Result<Event>>) {
        let error = loop {
            match events.next().await {
                Some(Ok(event)) => self.note(&event).await,
                Some(Err(error)) => break error,
                None => break error::broken("events", "end of stream"),
            }
        };
        self.progress.send_modify(|progress| progress.ended = Some(error));
    }

    async fn note(&mut self, event: &Event) {
        let id = match event.kind {
            EventKind::Network => event.attributes.get("container"),
            _ => Some(&event.id),
        };
        let Some(id) = id.and_then(|id| id.parse::<ContainerId>().ok()) else { return };
        match (event.kind, event.action.as_str()) {
            (EventKind::Container, "start" | "restart") => {
                self.started(id).await;
            }
            (EventKind::Container, "update") => {
                self.near.as_ref().inspect(|near| near.changed(&id));
            }
            (EventKind::Container, "die" | "destroy") => {
                self.near.as_ref().inspect(|near| near.remove(&id));
                self.streams.remove(&id);
                locked(&self.newest).remove(&id);
                self.progress.send_modify(|progress| progress.samples += 1);
            }
            (EventKind::Network, "connect" | "disconnect") => {
                let near = self.near.as_ref().filter(|near| near.has(&id));
                if let Some(near) = near {
                    add(near, &id).await;
                }
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

/// Adds a running container to those whose counters are read here, if its group is found.
async fn add(near: &Arc<Nearby>, id: &ContainerId) -> bool {
    let (near, id) = (Arc::clone(near), id.clone());
    blocking(move || near.add(vec![id]).is_empty()).await.unwrap_or_default()
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
