//! The embedded engine as a [`Backend`].
//!
//! The engine's calls block for microseconds to milliseconds, so each runs on the runtime's blocking
//! threads; streams stay with the runtime and wait on descriptors.

mod changes;
mod events;
mod logs;
mod samples;
mod session;
mod transfer;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use wharf_engine::image::Images;
use wharf_engine::{Attach, Engine, EngineOptions, Paths, PutOptions};
use wharf_model::{
    Change, Command, ContainerDetail, ContainerId, ContainerListOptions, ContainerSummary,
    DetailSample, Digest, DiskUsage, EngineInfo, ErrorKind, Event, EventOptions, ExecSpec,
    FileEntry, FileHead, Filters, FolderList, HistoryEntry, ImageDetail, ImageListOptions,
    ImageSummary, ImportOptions, LayerChanges, LayerInfo, LogDriver, LogOptions, LogRecord, Moment,
    NetCounters, NetworkInfo, Outcome, PathStat, PullOptions, PushOptions, ReachAnswer,
    ReachQuestion, Recording, TermSize, TopTable, VersionInfo, VolumeInfo,
};
use wharf_registry::{Credential, CredentialStore, Folders, Hosts, Registries, Resolve, Settings};

use crate::bytes_stream::written;
use crate::{
    ArchivePut, AttachOptions, Backend, ByteStream, Error, LogSource, Reader, Result, SampleBatch,
    Session, TransferStream,
};

/// The embedded engine.
#[derive(Clone)]
pub struct Native {
    engine: Arc<Engine>,
    /// Where the user's settings of registries are.
    folders: Folders,
    /// Made of them by the first pull or push.
    registries: Arc<OnceLock<Arc<Registries>>>,
    feed: Arc<events::Feed>,
    changes: Arc<changes::Changes>,
}

impl From<wharf_engine::Error> for Error {
    fn from(error: wharf_engine::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<wharf_registry::Error> for Error {
    fn from(error: wharf_registry::Error) -> Self {
        Self::new(error.kind, error.message)
    }
}

impl Native {
    /// Opens the engine below these folders.
    ///
    /// # Errors
    /// When the caller isn't root, or the folders can't be used.
    pub fn open(paths: Paths) -> Result<Self> {
        Self::open_with(paths, EngineOptions::default())
    }

    /// Opens the engine below these folders, with these settings.
    ///
    /// # Errors
    /// As [`Native::open`].
    pub fn open_with(paths: Paths, options: EngineOptions) -> Result<Self> {
        let engine = Arc::new(Engine::open_with(paths, options)?);
        Ok(Self {
            engine,
            folders: Folders::default(),
            registries: Arc::default(),
            feed: Arc::default(),
            changes: Arc::default(),
        })
    }

    /// Returns the same engine, which pulls and pushes as the files in these folders say.
    #[must_use]
    pub fn with_registries(self, folders: Folders) -> Self {
        Self { folders, registries: Arc::default(), ..self }
    }

    /// Returns the same engine for somebody who is known at one registry, by this credential, and is
    /// nobody elsewhere.
    ///
    /// # Errors
    /// When the settings of registries can't be understood.
    pub fn as_somebody(&self, domain: &str, credential: Credential) -> Result<Self> {
        let store = CredentialStore::only(domain, credential);
        let resolve: Resolve = Arc::new(wharf_engine::network::host_addresses);
        let settings = Settings::read(&self.folders)?;
        let registries = OnceLock::new();
        let _ = registries.set(Arc::new(Registries::new(settings, store, resolve)));
        Ok(Self { registries: Arc::new(registries), ..self.clone() })
    }

    /// Returns what is said of single registries.
    pub fn hosts(&self) -> &Hosts {
        &self.folders.hosts
    }

    /// Returns the registries as this user sees them.
    ///
    /// # Errors
    /// When a file can't be understood.
    pub fn registries(&self) -> Result<Arc<Registries>> {
        if let Some(registries) = self.registries.get() {
            return Ok(Arc::clone(registries));
        }
        let resolve: Resolve = Arc::new(wharf_engine::network::host_addresses);
        let made = Arc::new(Registries::open(&self.folders, resolve)?);
        Ok(Arc::clone(self.registries.get_or_init(|| made)))
    }

    /// Returns what [`Backend::details`] does of several containers, in their order; of those that don't
    /// run, nothing. One thread does it all.
    ///
    /// # Errors
    /// When none can be measured.
    pub async fn details_of(
        &self,
        containers: Vec<ContainerId>,
    ) -> Result<Vec<Option<DetailSample>>> {
        self.blocking(move |engine| engine.details_of(&containers)).await
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> wharf_engine::Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = Arc::clone(&self.engine);
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(result) => Ok(result?),
            Err(cause) => Err(Error::new(ErrorKind::Internal, format!("engine: {cause}"))),
        }
    }

    async fn with_images<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Images<'_>) -> wharf_engine::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |engine| engine.with_images(work)).await
    }
}

fn execute(engine: &Engine, command: Command) -> wharf_engine::Result<Outcome> {
    let done = |()| Outcome::Done;
    let outcome = match command {
        Command::Create(options) => engine.create(&options).map(Outcome::Created),
        Command::Start { container } => engine.start(&container, None).map(|_| Outcome::Done),
        Command::Stop { container, timeout, signal } => {
            engine.stop(&container, timeout, signal.as_deref()).map(done)
        }
        Command::Restart { container, timeout, signal } => {
            engine.restart(&container, timeout, signal.as_deref()).map(done)
        }
        Command::Kill { container, signal } => engine.kill(&container, signal.as_deref()).map(done),
        Command::Pause { container } => engine.pause(&container).map(done),
        Command::Unpause { container } => engine.unpause(&container).map(done),
        Command::Update { container, options } => {
            engine.update(&container, &options).map(|warnings| Outcome::Updated { warnings })
        }
        Command::Remove { container, options } => engine.remove(&container, options).map(done),
        Command::Discard { container } => engine.discard(&container).map(done),
        Command::Restore { container } => engine.restore(&container).map(done),
        Command::Commit(options) => engine.commit(&options).map(Outcome::Committed),
        Command::Rename { container, name } => engine.rename(&container, &name).map(done),
        Command::PruneImages { all, filters } => {
            engine.prune_images(all, &filters).map(|pruned| Outcome::ImagesPruned {
                untagged: pruned.removed.untagged,
                deleted: pruned.removed.deleted,
                reclaimed: pruned.reclaimed,
                failed: pruned.failed,
            })
        }
        Command::Prune { filters } => engine.prune(&filters).map(|pruned| Outcome::Pruned {
            deleted: pruned.deleted,
            reclaimed: pruned.reclaimed,
            failed: pruned.failed,
        }),
        Command::Tag { image, name } => {
            let tag = |images: &mut Images<'_>| {
                images.ensure_named(&image)?;
                images.tag(&image, &name)
            };
            engine.with_images(tag).map(done)
        }
        Command::RemoveImage { image, force } => {
            engine.remove_image(&image, force).map(|removed| Outcome::ImageRemoved {
                untagged: removed.untagged,
                deleted: removed.deleted,
            })
        }
        Command::CreateVolume(options) => {
            engine.create_volume(&options).map(|info| Outcome::VolumeCreated(Box::new(info)))
        }
        Command::CloneVolume { from, to } => {
            engine.clone_volume(&from, &to).map(|info| Outcome::VolumeCreated(Box::new(info)))
        }
        Command::RemoveVolume { volume, force } => engine.remove_volume(&volume, force).map(done),
        Command::PruneVolumes { all, filters } => {
            engine.prune_volumes(all, &filters).map(|pruned| Outcome::VolumesPruned {
                deleted: pruned.deleted,
                reclaimed: pruned.reclaimed,
                failed: pruned.failed,
            })
        }
        Command::CreateNetwork(options) => engine
            .create_network(&options)
            .map(|(id, warnings)| Outcome::NetworkCreated { id, warnings }),
        Command::RemoveNetwork { network, force } => {
            engine.remove_network(&network, force).map(done)
        }
        Command::PruneNetworks { filters } => engine.prune_networks(&filters).map(|pruned| {
            Outcome::NetworksPruned { deleted: pruned.deleted, failed: pruned.failed }
        }),
        Command::Connect { container, endpoint } => engine.connect(&container, &endpoint).map(done),
        Command::Disconnect { container, network, force } => {
            engine.disconnect(&container, &network, force).map(done)
        }
        other => Err(wharf_engine::Error::new(
            ErrorKind::Unsupported,
            format!("the embedded engine doesn't know {other:?}"),
        )),
    };
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotModified => Ok(Outcome::NotModified),
        outcome => outcome,
    }
}

#[async_trait]
impl Backend for Native {
    fn name(&self) -> &str {
        "wharf"
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.blocking(Engine::info).await
    }

    async fn version(&self) -> Result<VersionInfo> {
        Ok(self.engine.version())
    }

    async fn list_containers(
        &self,
        options: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>> {
        let options = options.clone();
        self.blocking(move |engine| engine.list_containers(&options)).await
    }

    async fn container(&self, container: &str) -> Result<ContainerDetail> {
        let container = container.to_owned();
        self.blocking(move |engine| engine.container(&container)).await
    }

    async fn inspect_container(&self, container: &str) -> Result<serde_json::Value> {
        Ok(wharf_inspect::document(&self.container(container).await?))
    }

    async fn top(&self, container: &str, ps_args: &[String]) -> Result<TopTable> {
        let (container, arguments) = (container.to_owned(), ps_args.to_owned());
        self.blocking(move |engine| engine.top(&container, &arguments)).await
    }

    async fn note(
        &self,
        container: &str,
        action: &str,
        attributes: &[(&'static str, String)],
    ) -> Result<()> {
        let (container, action) = (container.to_owned(), action.to_owned());
        let attributes = attributes.to_vec();
        self.blocking(move |engine| engine.note(&container, &action, &attributes)).await
    }

    async fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageSummary>> {
        let filters = options.filters.clone();
        self.with_images(move |images| images.list_filtered(&filters)).await
    }

    async fn image(&self, image: &str) -> Result<ImageDetail> {
        let image = image.to_owned();
        self.with_images(move |images| {
            images.ensure_named(&image)?;
            images.detail(&image)
        })
        .await
    }

    async fn inspect_image(&self, image: &str) -> Result<serde_json::Value> {
        Ok(wharf_inspect::image_document(&self.image(image).await?))
    }

    async fn history(&self, image: &str) -> Result<Vec<HistoryEntry>> {
        let image = image.to_owned();
        self.with_images(move |images| {
            images.ensure_named(&image)?;
            images.history(&image)
        })
        .await
    }

    async fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        self.blocking(Engine::image_layers).await
    }

    async fn layer_files(&self, image: &str, layer: usize, path: &Path) -> Result<Vec<FileEntry>> {
        let (image, path) = (image.to_owned(), path.to_owned());
        self.blocking(move |engine| engine.layer_files(&image, layer, &path)).await
    }

    async fn layer_file(
        &self,
        image: &str,
        layer: usize,
        path: &Path,
        most: usize,
    ) -> Result<FileHead> {
        let (image, path) = (image.to_owned(), path.to_owned());
        self.blocking(move |engine| engine.layer_file(&image, layer, &path, most)).await
    }

    async fn layer_changes(&self, image: &str, layer: usize) -> Result<LayerChanges> {
        let image = image.to_owned();
        self.blocking(move |engine| engine.layer_changes(&image, layer)).await
    }

    async fn execute(&self, command: Command) -> Result<Outcome> {
        self.blocking(move |engine| execute(engine, command)).await
    }

    async fn wait(&self, container: &str) -> Result<i32> {
        session::wait(self, container.to_owned()).await
    }

    async fn attach(&self, container: &str, options: AttachOptions) -> Result<Session> {
        let reference = container.to_owned();
        let AttachOptions { start, stdin, output, size } = options;
        let attach = Attach { stdin, output, size };
        let channel = self
            .blocking(move |engine| match start {
                false => engine.attach(&reference, attach).map(Some),
                true => engine.start(&reference, Some(attach)),
            })
            .await?;
        let channel = channel
            .ok_or_else(|| Error::new(ErrorKind::Internal, "attach: no connection was made"))?;
        session::attached(self.clone(), container.to_owned(), channel, stdin)
    }

    async fn exec(
        &self,
        container: &str,
        spec: ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Session> {
        let container = container.to_owned();
        let detached = spec.detach;
        let executed = self.blocking(move |engine| engine.exec(&container, &spec, size)).await?;
        session::executed(executed, detached)
    }

    async fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>> {
        logs::stream(self, container, options).await
    }

    async fn log_source(&self, container: &str) -> Result<LogSource> {
        let detail = self.container(container).await?;
        Ok(match detail.host_config.log_config.driver {
            // Its stream says why there is nothing.
            LogDriver::None => LogSource::Stream,
            _ => LogSource::Files(detail.log_path.into()),
        })
    }

    async fn recording(&self, container: &str) -> Result<Recording> {
        let container = container.to_owned();
        self.blocking(move |engine| engine.recording(&container)).await
    }

    async fn moment(&self, at: DateTime<Utc>) -> Result<Moment> {
        self.blocking(move |engine| engine.moment(at)).await
    }

    async fn details(&self, container: &str) -> Result<DetailSample> {
        let container = container.to_owned();
        self.blocking(move |engine| engine.details(&container)).await
    }

    async fn samples(&self, interval: Duration) -> Result<BoxStream<'static, Result<SampleBatch>>> {
        samples::stream(Arc::clone(&self.engine), interval)
    }

    async fn list_events(
        &self,
        options: EventOptions,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        events::stream(self, options).await
    }

    async fn load(&self, archive: File, platform: Option<&str>) -> Result<Vec<String>> {
        let platform = platform.map(str::to_owned);
        self.with_images(move |images| {
            let loaded = images.load_file(archive, platform.as_deref())?;
            Ok(loaded.iter().flat_map(wharf_engine::image::Loaded::lines).collect())
        })
        .await
    }

    async fn save(&self, images: &[String], platform: Option<&str>) -> Result<ByteStream> {
        let (images, platform) = (images.to_vec(), platform.map(str::to_owned));
        let saving = self.blocking(move |engine| engine.save(&images, platform.as_deref())).await?;
        Ok(written(move |to| saving.write(to)))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.blocking(Engine::disk_usage).await
    }

    async fn import(&self, archive: Reader, options: ImportOptions) -> Result<Digest> {
        self.with_images(move |images| images.import(archive, options)).await
    }

    async fn pull(&self, options: PullOptions) -> Result<TransferStream> {
        transfer::pull(self, options)
    }

    async fn push(&self, options: PushOptions) -> Result<TransferStream> {
        transfer::push(self, options)
    }

    async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        let (container, path) = (container.to_owned(), path.to_owned());
        self.blocking(move |engine| engine.archive_stat(&container, &path)).await
    }

    async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let (container, path) = (container.to_owned(), path.to_owned());
        let source = self.blocking(move |engine| engine.archive_get(&container, &path)).await?;
        let stat = source.stat().clone();
        Ok((stat, written(move |to| source.write(to))))
    }

    async fn archive_put(
        &self,
        container: &str,
        path: &str,
        archive: Reader,
        options: ArchivePut,
    ) -> Result<()> {
        let (container, path) = (container.to_owned(), path.to_owned());
        // The archive's owners are kept in any case.
        let options = PutOptions { keeps_folders: options.keeps_folders };
        self.blocking(move |engine| engine.archive_put(&container, &path, archive, options)).await
    }

    async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        let container = container.to_owned();
        self.blocking(move |engine| engine.changes(&container)).await
    }

    async fn volumes(&self, filters: &Filters, sizes: bool) -> Result<Vec<VolumeInfo>> {
        let filters = filters.clone();
        self.blocking(move |engine| engine.volumes(&filters, sizes)).await
    }

    async fn volume(&self, volume: &str) -> Result<VolumeInfo> {
        let volume = volume.to_owned();
        self.blocking(move |engine| engine.volume(&volume)).await
    }

    async fn volume_export(&self, volume: &str, pause: bool) -> Result<ByteStream> {
        let volume = volume.to_owned();
        let export = self.blocking(move |engine| engine.export_volume(&volume, pause)).await?;
        Ok(written(move |to| export.write(to)))
    }

    async fn volume_import(&self, volume: &str, archive: Reader, replace: bool) -> Result<()> {
        let volume = volume.to_owned();
        self.blocking(move |engine| engine.import_volume(&volume, archive, replace)).await
    }

    async fn networks(&self, filters: &Filters) -> Result<Vec<NetworkInfo>> {
        let filters = filters.clone();
        self.blocking(move |engine| engine.networks(&filters)).await
    }

    async fn network(&self, network: &str) -> Result<NetworkInfo> {
        let network = network.to_owned();
        self.blocking(move |engine| engine.network(&network)).await
    }

    async fn container_files(&self, container: &str, path: &Path) -> Result<FolderList> {
        let (container, path) = (container.to_owned(), path.to_owned());
        self.blocking(move |engine| engine.container_files(&container, &path)).await
    }

    async fn container_file(&self, container: &str, path: &Path, most: usize) -> Result<FileHead> {
        let (container, path) = (container.to_owned(), path.to_owned());
        self.blocking(move |engine| engine.container_file(&container, &path, most)).await
    }

    async fn container_folder_size(&self, container: &str, path: &Path) -> Result<u64> {
        /// Ends the walk when nobody waits for it any more.
        struct Stop(Arc<AtomicBool>);
        impl Drop for Stop {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (container, path) = (container.to_owned(), path.to_owned());
        let stop = Stop(Arc::default());
        let flag = Arc::clone(&stop.0);
        let work = move |engine: &Engine| engine.container_folder_size(&container, &path, &flag);
        let size = self.blocking(work).await?;
        size.ok_or_else(|| Error::new(ErrorKind::Conflict, "it was given up"))
    }

    async fn export(&self, container: &str) -> Result<ByteStream> {
        let container = container.to_owned();
        let export = self.blocking(move |engine| engine.export(&container)).await?;
        Ok(written(move |to| export.write(to)))
    }

    async fn reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        let question = question.clone();
        self.blocking(move |engine| engine.reach(&question)).await
    }

    async fn links(&self) -> Result<Vec<(String, NetCounters)>> {
        let failed = |cause: std::io::Error| {
            Error::new(ErrorKind::Internal, format!("read the host's links: {cause}"))
        };
        self.blocking(|_| Ok(wharf_stats::links())).await?.map_err(failed)
    }
}

/// Puts a descriptor into the runtime's care.
#[expect(
    deprecated,
    reason = "its successor is an unsafe function; what is given here owns its descriptor"
)]
fn watched<T: std::os::fd::AsRawFd>(descriptor: T) -> std::io::Result<AsyncFd<T>> {
    AsyncFd::new(descriptor)
}

/// Returns what comes through a channel as a stream.
fn receiver_stream<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> BoxStream<'static, T> {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|value| (value, receiver))
    })
    .boxed()
}
