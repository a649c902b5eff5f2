//! A backend without an engine: containers, samples and logs that are the same on every run, for
//! screens in tests and for previews.
//!
//! [`Fake::demo`] holds one container of every kind; [`Fake::many`] holds as many as wanted.
//! Commands change the containers as an engine would, are recorded for tests
//! ([`Fake::commands`]), and can be made slow ([`Fake::set_delay`]) or to fail
//! ([`Fake::fail_next`]).

mod data;
mod images;
mod objects;
mod past;
mod terminal;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;
use wharf_inspect::filter::{ContainerFilter, EventFilter, ImageFilter, PruneFilter};
use wharf_model::{
    Change, Command, ContainerDetail, ContainerId, ContainerListOptions, ContainerSize,
    ContainerSummary, DetailSample, Digest, EngineInfo, ErrorKind, Event, EventKind, EventOptions,
    ExecSpec, FileEntry, FileHead, Filters, FolderList, HistoryEntry, ImageDetail,
    ImageListOptions, ImageSummary, ImportOptions, LayerChanges, LayerInfo, LogOptions, LogRecord,
    Moment, NetCounters, NetworkInfo, Outcome, ParseError, PathStat, PullOptions, PushOptions,
    ReachAnswer, ReachQuestion, Recording, Status, TermSize, TopTable, VersionInfo, VolumeInfo,
};

use crate::{
    ArchivePut, AttachOptions, Backend, ByteStream, Error, LogSource, Reader, Result, SampleBatch,
    Session, TransferStream,
};

pub use data::{EPOCH, container, epoch, image, sample, time};
pub use objects::{network, volume};

/// A backend that makes everything up, always in the same way.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<Event>,
}

#[derive(Default)]
struct State {
    containers: Vec<ContainerSummary>,
    images: Vec<ImageSummary>,
    networks: Vec<NetworkInfo>,
    volumes: Vec<VolumeInfo>,
    /// How often the links' counters were read.
    links_read: u64,
    commands: Vec<Command>,
    told: Vec<Event>,
    failures: VecDeque<Error>,
    delay: Option<Duration>,
    unreachable: Option<Error>,
    /// Why nothing is recorded.
    no_past: Option<Error>,
    logs: Vec<(ContainerId, Vec<LogRecord>)>,
    source: Option<LogSource>,
    /// Archives by container and folder, as they were put.
    archives: BTreeMap<(ContainerId, String), bytes::Bytes>,
    changes: Vec<Change>,
    tick: u64,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// Returns an engine without containers or images.
    pub fn new() -> Self {
        Self { state: Arc::default(), events: broadcast::channel(256).0 }
    }

    /// Returns an engine with a container of every kind and a few images.
    pub fn demo() -> Self {
        let fake = Self::new();
        {
            let mut state = fake.lock();
            state.containers = data::containers();
            state.images = data::images();
            images::use_images(&mut state);
            state.networks = objects::networks();
            state.volumes = objects::volumes();
            state.logs =
                state.containers.iter().map(|c| (c.id.clone(), data::log(&c.name))).collect();
        }
        fake
    }

    /// Returns an engine with this many running containers.
    pub fn many(count: u8) -> Self {
        let fake = Self::new();
        let containers = (0..count).map(|n| {
            container(n, &format!("worker-{n:03}"), "registry.example/worker:2.4", Status::Running)
        });
        fake.lock().containers = containers.collect();
        fake
    }

    /// Adds or replaces a container.
    pub fn put(&self, container: ContainerSummary) {
        let mut state = self.lock();
        state.containers.retain(|c| c.id != container.id);
        state.containers.push(container);
    }

    /// Sets a container's log.
    pub fn set_log(&self, id: &ContainerId, records: Vec<LogRecord>) {
        let mut state = self.lock();
        state.logs.retain(|(i, _)| i != id);
        state.logs.push((id.clone(), records));
    }

    /// Sets what [`Backend::log_source`] answers.
    pub fn set_log_source(&self, source: LogSource) {
        self.lock().source = Some(source);
    }

    /// Sets what every container changed.
    pub fn set_changes(&self, changes: Vec<Change>) {
        self.lock().changes = changes;
    }

    /// Makes the next command fail with this error; several are used in order.
    pub fn fail_next(&self, error: Error) {
        self.lock().failures.push_back(error);
    }

    /// Makes the engine one that records nothing, for this reason.
    pub fn forget_past(&self, why: Error) {
        self.lock().no_past = Some(why);
    }

    fn number(&self, container: &ContainerSummary) -> usize {
        self.lock().containers.iter().position(|one| one.id == container.id).unwrap_or(0)
    }

    /// Makes every command take this long.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = Some(delay);
    }

    /// Makes every question fail with this error until it is set to none.
    pub fn set_unreachable(&self, error: Option<Error>) {
        self.lock().unreachable = error;
    }

    /// Returns the commands given so far, oldest first.
    pub fn commands(&self) -> Vec<Command> {
        self.lock().commands.clone()
    }

    /// Returns the batch of samples of a tick, one second of fake time each.
    pub fn batch(&self, tick: u64) -> SampleBatch {
        let state = self.lock();
        SampleBatch {
            host: Some(data::host(tick)),
            containers: state
                .containers
                .iter()
                .enumerate()
                .filter(|(_, c)| c.status.is_alive())
                .map(|(n, c)| (c.id.clone(), sample(n, c, tick)))
                .collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answering(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match &state.unreachable {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }

    fn find(&self, container: &str) -> Result<ContainerSummary> {
        let state = self.answering()?;
        let found = state
            .containers
            .iter()
            .find(|c| c.name == container || c.id.as_str().starts_with(container));
        found.cloned().ok_or_else(|| no_such("container", container))
    }

    fn find_image(&self, image: &str) -> Result<ImageSummary> {
        let state = self.answering()?;
        let found = state.images.iter().find(|i| {
            i.tags.iter().any(|t| t.to_string() == image || t.canonical() == image)
                || i.id.as_str() == image
                || i.id.hex().starts_with(image)
        });
        found.cloned().ok_or_else(|| no_such("image", image))
    }

    fn tell(&self, kind: EventKind, action: &str, id: &str) {
        let event = Event {
            time: epoch(),
            kind,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes: std::collections::BTreeMap::new(),
        };
        self.lock().told.push(event.clone());
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// Brings a container into a state, if it is in one of `from`.
    fn turn(&self, container: &str, from: &[Status], to: Status, word: &str) -> Result<Outcome> {
        let id = self.find(container)?.id;
        let mut state = self.lock();
        let Some(c) = state.containers.iter_mut().find(|c| c.id == id) else {
            return Err(no_such("container", container));
        };
        if !from.contains(&c.status) {
            let text = format!("cannot {word} container {container}: it is {}", c.status.as_str());
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        data::set_status(c, to);
        drop(state);
        self.tell(EventKind::Container, word, id.as_str());
        Ok(Outcome::Done)
    }

    fn remove(&self, container: &str, force: bool) -> Result<Outcome> {
        let found = self.find(container)?;
        if found.status.is_alive() && !force {
            let text = format!(
                "cannot remove container \"/{}\": container is running: stop the container \
                 before removing or force remove",
                found.name
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        self.lock().containers.retain(|c| c.id != found.id);
        self.tell(EventKind::Container, "destroy", found.id.as_str());
        Ok(Outcome::Done)
    }

    fn remove_image(&self, image: &str, force: bool) -> Result<Outcome> {
        let found = self.find_image(image)?;
        if found.containers > 0 && found.tags.len() < 2 && !force {
            let text = format!(
                "conflict: unable to remove repository reference \"{image}\" (must force) - \
                 container is using its referenced image {}",
                found.id.short()
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let mut state = self.lock();
        let mut untagged = Vec::new();
        let mut deleted = Vec::new();
        for i in state.images.iter_mut().filter(|i| i.id == found.id) {
            untagged.extend(i.tags.iter().map(ToString::to_string).filter(|t| *t == image));
            i.tags.retain(|t| t.to_string() != image);
            if i.tags.is_empty() {
                deleted.push(i.id.clone());
            }
        }
        state.images.retain(|i| !deleted.contains(&i.id));
        drop(state);
        self.tell(EventKind::Image, "untag", found.id.as_str());
        Ok(Outcome::ImageRemoved { untagged, deleted })
    }

    fn apply(&self, command: Command) -> Result<Outcome> {
        use Status::{Created, Dead, Exited, Paused, Restarting, Running};
        let alive = [Running, Paused, Restarting];
        match command {
            Command::Start { container } => {
                self.turn(&container, &[Created, Exited, Dead], Running, "start")
            }
            Command::Stop { container, .. } => self.turn(&container, &alive, Exited, "stop"),
            Command::Restart { container, .. } => {
                let any = [Created, Running, Paused, Restarting, Exited];
                self.turn(&container, &any, Running, "restart")
            }
            Command::Kill { container, signal } => {
                let deadly = signal.as_deref().is_none_or(|s| matches!(s, "KILL" | "SIGKILL"));
                let to = if deadly { Exited } else { Running };
                self.turn(&container, &alive, to, "kill")
            }
            Command::Pause { container } => self.turn(&container, &[Running], Paused, "pause"),
            Command::Unpause { container } => self.turn(&container, &[Paused], Running, "unpause"),
            Command::Update { container, .. } => {
                let id = self.find(&container)?.id;
                self.tell(EventKind::Container, "update", id.as_str());
                Ok(Outcome::Updated { warnings: Vec::new() })
            }
            Command::Remove { container, options } => self.remove(&container, options.force),
            Command::Discard { container } => {
                let any = [Created, Running, Paused, Restarting, Exited, Dead];
                self.turn(&container, &any, Status::Removing, "rename")
            }
            Command::Restore { container } => {
                self.turn(&container, &[Status::Removing], Exited, "rename")
            }
            Command::Rename { container, name } => {
                let id = self.find(&container)?.id;
                for c in self.lock().containers.iter_mut().filter(|c| c.id == id) {
                    c.name.clone_from(&name);
                }
                self.tell(EventKind::Container, "rename", id.as_str());
                Ok(Outcome::Done)
            }
            Command::Prune { filters } => {
                let filter = PruneFilter::new(&filters, epoch()).map_err(invalid)?;
                let mut state = self.lock();
                let gone = |c: &ContainerSummary| !alive.contains(&c.status) && filter.matches(c);
                let (deleted, kept) = state.containers.drain(..).partition(gone);
                state.containers = kept;
                let deleted: Vec<ContainerSummary> = deleted;
                let reclaimed = 1500 * u64::try_from(deleted.len()).unwrap_or_default();
                let deleted = deleted.into_iter().map(|c| c.id).collect();
                Ok(Outcome::Pruned { deleted, reclaimed, failed: Vec::new() })
            }
            Command::Tag { image, name } => {
                let id = self.find_image(&image)?.id;
                for i in self.lock().images.iter_mut().filter(|i| i.id == id) {
                    i.tags.push(name.clone());
                }
                self.tell(EventKind::Image, "tag", id.as_str());
                Ok(Outcome::Done)
            }
            Command::RemoveImage { image, force } => self.remove_image(&image, force),
            Command::PruneImages { all, .. } => self.prune_images(all),
            Command::Create(options) => self.create(*options),
            Command::Commit(options) => {
                let found = self.find(&options.container)?;
                self.tell(EventKind::Container, "commit", found.id.as_str());
                Ok(Outcome::Committed(Digest::from_bytes(&[0xc0; 32])))
            }
            Command::CreateNetwork(options) => self.create_network(*options),
            Command::RemoveNetwork { network, .. } => self.remove_network(&network),
            Command::Connect { container, endpoint } => self.connect(&container, &endpoint.network),
            Command::Disconnect { container, network, .. } => self.disconnect(&container, &network),
            Command::PruneNetworks { .. } => self.prune_networks(),
            Command::CreateVolume(options) => self.create_volume(*options),
            Command::RemoveVolume { volume, .. } => self.remove_volume(&volume),
            Command::PruneVolumes { all, .. } => self.prune_volumes(all),
            _ => Err(unsupported("this")),
        }
    }
}

fn no_such(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("No such {what}: {name}"))
}

fn invalid(cause: ParseError) -> Error {
    Error::new(ErrorKind::Invalid, cause.0)
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what}: the fake engine can't do this"))
}

#[async_trait]
impl Backend for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    async fn info(&self) -> Result<EngineInfo> {
        let state = self.answering()?;
        Ok(data::info(&state.containers, state.images.len()))
    }

    async fn version(&self) -> Result<VersionInfo> {
        Ok(VersionInfo { version: "0.0.0".to_owned(), ..VersionInfo::default() })
    }

    async fn list_containers(
        &self,
        options: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>> {
        let mut filter = ContainerFilter::new(&options.filters).map_err(invalid)?;
        let (before, since) = filter.limits();
        let (before, since) = (before.map(|c| self.find(c)), since.map(|c| self.find(c)));
        if let Some(container) = before.transpose()? {
            filter.set_before(container.created, container.id);
        }
        if let Some(container) = since.transpose()? {
            filter.set_since(container.created, container.id);
        }
        let state = self.answering()?;
        let all = options.all || options.last.is_some() || filter.wants_all();
        let list = state.containers.iter().filter(|c| all || c.status.is_alive());
        let list = list.filter(|c| filter.matches(c)).take(options.last.unwrap_or(usize::MAX));
        let mut list: Vec<ContainerSummary> = list.cloned().collect();
        for container in list.iter_mut().filter(|_| options.size) {
            container.size = Some(ContainerSize { writable: 1500, root: 7_500_000 });
        }
        Ok(list)
    }

    async fn container(&self, container: &str) -> Result<ContainerDetail> {
        Ok(data::detail(&self.find(container)?))
    }

    async fn inspect_container(&self, container: &str) -> Result<serde_json::Value> {
        Ok(data::document(&self.find(container)?))
    }

    async fn top(&self, container: &str, _ps_args: &[String]) -> Result<TopTable> {
        let found = self.find(container)?;
        if !found.status.is_alive() {
            let text = format!("container {} is not running", found.id.as_str());
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(data::top(&found))
    }

    async fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageSummary>> {
        let filter = ImageFilter::new(&options.filters, epoch()).map_err(invalid)?;
        let images = self.answering()?.images.clone();
        Ok(images.into_iter().filter_map(|image| filter.apply(image)).collect())
    }

    async fn image(&self, image: &str) -> Result<ImageDetail> {
        Ok(data::image_detail(self.find_image(image)?))
    }

    async fn inspect_image(&self, image: &str) -> Result<serde_json::Value> {
        let detail = data::image_detail(self.find_image(image)?);
        serde_json::to_value(detail)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("inspect {image}: {e}")))
    }

    async fn history(&self, image: &str) -> Result<Vec<HistoryEntry>> {
        Ok(data::history(&self.find_image(image)?))
    }

    async fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        self.all_layers()
    }

    async fn container_files(&self, container: &str, path: &Path) -> Result<FolderList> {
        self.files_of_container(container, path)
    }

    async fn container_file(&self, container: &str, path: &Path, most: usize) -> Result<FileHead> {
        self.head_of_container(container, path, most)
    }

    async fn container_folder_size(&self, container: &str, _path: &Path) -> Result<u64> {
        self.find(container).map(|_| 3 << 20)
    }

    async fn layer_files(&self, image: &str, layer: usize, path: &Path) -> Result<Vec<FileEntry>> {
        self.files_of_layer(image, layer, path)
    }

    async fn layer_file(
        &self,
        image: &str,
        layer: usize,
        path: &Path,
        _most: usize,
    ) -> Result<FileHead> {
        self.head_of_layer(image, layer, path)
    }

    async fn layer_changes(&self, image: &str, layer: usize) -> Result<LayerChanges> {
        self.changes_of_layer(image, layer)
    }

    async fn save(&self, images: &[String], _platform: Option<&str>) -> Result<ByteStream> {
        Ok(stream::iter([Ok(self.saved(images)?)]).boxed())
    }

    async fn execute(&self, command: Command) -> Result<Outcome> {
        let (delay, failure) = {
            let mut state = self.lock();
            state.commands.push(command.clone());
            (state.delay, state.failures.pop_front())
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        match failure {
            Some(error) => Err(error),
            None => self.apply(command),
        }
    }

    async fn wait(&self, container: &str) -> Result<i32> {
        let mut events = self.events.subscribe();
        loop {
            let found = self.find(container)?;
            if !found.status.is_alive() {
                return Ok(found.exit_code.unwrap_or(0));
            }
            if events.recv().await.is_err() {
                return Err(unsupported("wait"));
            }
        }
    }

    async fn attach(&self, container: &str, _options: AttachOptions) -> Result<Session> {
        let found = self.find(container)?;
        Ok(terminal::echo(&format!("{} goes on\r\n", found.name)))
    }

    async fn exec(
        &self,
        container: &str,
        spec: ExecSpec,
        _size: Option<TermSize>,
    ) -> Result<Session> {
        let found = self.find(container)?;
        let program = spec.command.first().or(spec.toolbox.as_ref()).cloned();
        Ok(terminal::echo(&format!("{} in {}\r\n$ ", program.unwrap_or_default(), found.name)))
    }

    async fn shell(&self, container: &str) -> Result<Option<String>> {
        self.find(container).map(|_| Some("/bin/sh".to_owned()))
    }

    async fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>> {
        let found = self.find(container)?;
        let mut records = {
            let state = self.lock();
            state.logs.iter().find(|(id, _)| *id == found.id).map(|(_, r)| r.clone())
        }
        .unwrap_or_default();
        let keep = |r: &LogRecord| {
            options.since.is_none_or(|t| r.time >= t) && options.until.is_none_or(|t| r.time < t)
        };
        records.retain(keep);
        let tail = options.tail.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        records.drain(..records.len().saturating_sub(tail));
        let number = records.len();
        let old = stream::iter(records.into_iter().map(Ok));
        if !options.follow || !found.status.is_alive() {
            return Ok(old.boxed());
        }
        let new = stream::unfold(number, move |number| {
            let name = found.name.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(700)).await;
                Some((Ok(data::live_record(&name, number)), number + 1))
            }
        });
        Ok(old.chain(new).boxed())
    }

    async fn log_source(&self, _container: &str) -> Result<LogSource> {
        Ok(self.answering()?.source.clone().unwrap_or(LogSource::Stream))
    }

    async fn recording(&self, container: &str) -> Result<Recording> {
        let state = self.answering()?;
        if let Some(why) = &state.no_past {
            return Err(why.clone());
        }
        drop(state);
        let found = self.find(container)?;
        Ok(past::recording(self.number(&found), &found))
    }

    async fn moment(&self, at: DateTime<Utc>) -> Result<Moment> {
        let state = self.answering()?;
        if let Some(why) = &state.no_past {
            return Err(why.clone());
        }
        let containers = state.containers.clone();
        drop(state);
        let cut = |(n, container): (usize, &ContainerSummary)| {
            let mut recording = past::recording(n, container);
            recording.cut(at);
            (container.id.clone(), recording)
        };
        let containers = containers.iter().enumerate().map(cut).collect();
        Ok(Moment { containers, host: past::host(at) })
    }

    async fn details(&self, container: &str) -> Result<DetailSample> {
        let found = self.find(container)?;
        Ok(past::details(self.number(&found), self.lock().tick))
    }

    async fn samples(&self, interval: Duration) -> Result<BoxStream<'static, Result<SampleBatch>>> {
        drop(self.answering()?);
        let timer = tokio::time::interval(interval);
        let fake = self.clone();
        let batches = stream::unfold((fake, timer), |(fake, mut timer)| async move {
            timer.tick().await;
            let tick = {
                let mut state = fake.lock();
                state.tick += 1;
                state.tick
            };
            let batch = fake.batch(tick);
            Some((Ok(batch), (fake, timer)))
        });
        Ok(batches.boxed())
    }

    async fn list_events(
        &self,
        options: EventOptions,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let filter = EventFilter::new(&options.filters).map_err(invalid)?;
        let receiver = self.events.subscribe();
        let reached = self.answering()?;
        let told = if options.wants_history() { reached.told.clone() } else { Vec::new() };
        drop(reached);
        let old = stream::iter(told.into_iter().map(Ok));
        let new = stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((Ok(event), receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        // The fake's clock stands still, so that an end has always come.
        let events = if options.until.is_some() { old.boxed() } else { old.chain(new).boxed() };
        let wanted = move |event: &Result<Event>| {
            std::future::ready(event.as_ref().map_or(true, |event| filter.matches(event)))
        };
        Ok(events.filter(wanted).boxed())
    }

    async fn load(&self, _archive: std::fs::File, _platform: Option<&str>) -> Result<Vec<String>> {
        Err(unsupported("load"))
    }

    async fn import(&self, _archive: Reader, _options: ImportOptions) -> Result<Digest> {
        Err(unsupported("import"))
    }

    async fn pull(&self, options: PullOptions) -> Result<TransferStream> {
        self.pull_image(&options)
    }

    async fn push(&self, options: PushOptions) -> Result<TransferStream> {
        self.push_image(&options)
    }

    async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        Ok(self.archive_get(container, path).await?.0)
    }

    async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let found = self.find(container)?;
        let archive = self.lock().archives.get(&(found.id, path.to_owned())).cloned();
        let (archive, name) = match (archive, path) {
            (Some(archive), path) => (archive, path.rsplit('/').next().unwrap_or_default()),
            (None, "/") => (bytes::Bytes::new(), "/"),
            (None, _) => {
                let text = format!("Could not find the file {path} in container {container}");
                return Err(Error::new(ErrorKind::NotFound, text));
            }
        };
        let mode = PathStat::mode_of(0o040_755);
        let stat = PathStat { name: name.to_owned(), mode, ..PathStat::default() };
        Ok((stat, stream::iter([Ok(archive)]).boxed()))
    }

    async fn archive_put(
        &self,
        container: &str,
        path: &str,
        mut archive: Reader,
        _options: ArchivePut,
    ) -> Result<()> {
        let found = self.find(container)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            archive.read_to_end(&mut bytes).map(|_| bytes)
        });
        let failed = |cause: String| Error::new(ErrorKind::Internal, cause);
        let bytes = read.await.map_err(|cause| failed(cause.to_string()))?;
        let bytes = bytes.map_err(|cause| failed(cause.to_string()))?;
        self.lock().archives.insert((found.id, path.to_owned()), bytes.into());
        Ok(())
    }

    async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        self.find(container)?;
        Ok(self.lock().changes.clone())
    }

    async fn export(&self, container: &str) -> Result<ByteStream> {
        Ok(self.archive_get(container, "/").await?.1)
    }

    async fn networks(&self, _filters: &Filters) -> Result<Vec<NetworkInfo>> {
        self.list_networks()
    }

    async fn network(&self, network: &str) -> Result<NetworkInfo> {
        self.find_network(network)
    }

    async fn reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        self.try_reach(question)
    }

    async fn links(&self) -> Result<Vec<(String, NetCounters)>> {
        self.read_links()
    }

    async fn volumes(&self, _filters: &Filters, sizes: bool) -> Result<Vec<VolumeInfo>> {
        self.list_volumes(sizes)
    }

    async fn volume(&self, volume: &str) -> Result<VolumeInfo> {
        self.find_volume(volume)
    }

    async fn volume_files(&self, volume: &str, path: &Path) -> Result<Vec<FileEntry>> {
        self.files_of(volume, path)
    }

    async fn volume_file(&self, volume: &str, path: &Path, most: usize) -> Result<FileHead> {
        self.head_of(volume, path, most)
    }

    async fn volume_export(&self, volume: &str, _pause: bool) -> Result<ByteStream> {
        Ok(stream::iter([Ok(self.archive_of(volume)?)]).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commands_are_recorded_change_the_list_and_fail_on_request() {
        let fake = Fake::demo();
        let stop = Command::Stop { container: "web-1".to_owned(), timeout: None, signal: None };
        let mut events = fake.events().await.unwrap();
        assert_eq!(fake.execute(stop.clone()).await, Ok(Outcome::Done));
        assert_eq!(events.next().await.unwrap().unwrap().action, "stop");
        assert_eq!(fake.find("web-1").unwrap().status, Status::Exited);
        assert_eq!(fake.execute(stop.clone()).await.unwrap_err().kind, ErrorKind::Conflict);
        fake.fail_next(Error::new(ErrorKind::Denied, "no"));
        assert_eq!(fake.execute(stop).await.unwrap_err().message, "no");
        assert_eq!(fake.commands().len(), 3);
    }

    #[test]
    fn samples_are_the_same_on_every_run() {
        let (one, two) = (Fake::demo().batch(7), Fake::demo().batch(7));
        assert_eq!(one.containers, two.containers);
        assert!(!one.containers.is_empty());
    }
}
