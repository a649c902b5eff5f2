//! Any Docker Engine API as a [`Backend`]: dockerd, or podman's service, behind a socket of this host, a
//! port, or ssh.
//!
//! A method asks through bollard or, where bollard would lose something, through the same
//! [`transport`] directly; its answer is translated into the model's types in the module named
//! after the thing. Nothing is remembered between calls, but how control groups are named ([`nearby`]):
//! the engine is the only truth. Every request has a connection of its own, so an engine that was
//! restarted is found again by the next call.

mod address;
mod archive;
mod command;
mod context;
mod detail;
mod error;
mod events;
mod exec;
mod image;
mod list;
mod logs;
mod nearby;
mod networks;
mod ports;
mod reach;
mod resources;
mod samples;
mod session;
mod spaces;
mod ssh;
mod stats;
mod system;
mod toolbox;
mod transfer;
mod transport;
mod volume_data;
mod volumes;
mod way;

use std::fs::File;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::BollardRequest;
use futures_util::stream::BoxStream;
use wharf_model::{
    Change, Command, ContainerDetail, ContainerListOptions, ContainerSummary, DetailSample, Digest,
    DiskUsage, EngineInfo, ErrorKind, Event, EventOptions, ExecSpec, Filters, HistoryEntry,
    ImageDetail, ImageListOptions, ImageSummary, ImportOptions, LayerInfo, LogOptions, LogRecord,
    NetworkInfo, Outcome, PathStat, PullOptions, PushOptions, ReachAnswer, ReachQuestion, TermSize,
    TopTable, VersionInfo, VolumeInfo,
};
use wharf_registry::CredentialStore;

use crate::{
    ArchivePut, AttachOptions, Backend, ByteStream, Error, LogSource, Reader, Result, SampleBatch,
    Session, TransferStream,
};
use nearby::Groups;
use transport::{Transport, image_path, segment};
use way::Way;

pub use address::{Address, SshAddress, Tls};
pub use context::{Context, Contexts, DEFAULT};
pub use way::keep_alive;

/// A Docker engine.
#[derive(Clone, Debug)]
pub struct Docker {
    transport: Transport,
    client: bollard::Docker,
    /// Who the user is at registries; the engine is told with each pull and push.
    credentials: CredentialStore,
    /// How the groups of its containers are named; none where no groups are seen.
    groups: Arc<OnceLock<Option<Arc<Groups>>>>,
}

/// Seconds that bollard lets a request take: practically for ever, since a `stop` may take as long
/// as its grace period. The transport limits questions itself.
const NO_TIMEOUT: u64 = 365 * 24 * 3600;

/// How long an engine may take for a sign of life: a login by ssh is part of it.
const PATIENCE: Duration = Duration::from_secs(20);

impl Docker {
    /// Connects to an address: see [`Address::parse`]. At a socket of this host somebody has to answer;
    /// of other ways, the first request tells.
    ///
    /// # Errors
    /// When the address has another form, or nobody answers at it; the message says what to do.
    pub fn connect(host: &str) -> Result<Self> {
        let docker = Self::at(&Address::parse(host, None)?)?;
        docker.check()?;
        Ok(docker)
    }

    /// Returns the engine at an address. Nothing is connected yet.
    ///
    /// # Errors
    /// None that depends on the address.
    pub fn at(address: &Address) -> Result<Self> {
        Self::by(Transport::new(Way::new(address)))
    }

    /// Returns an engine that can't be reached, for this reason.
    ///
    /// # Errors
    /// As [`Docker::at`].
    pub fn nowhere(why: Error) -> Result<Self> {
        Self::by(Transport::new(Way::none(why)))
    }

    /// Returns an error if it is known at once that nobody listens.
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> Result<()> {
        self.transport.check()
    }

    fn by(transport: Transport) -> Result<Self> {
        let sender = transport.clone();
        let client = bollard::Docker::connect_with_custom_transport(
            move |request: BollardRequest| {
                let sender = sender.clone();
                async move { sender.send_for_bollard(request).await }
            },
            Some("http://docker"),
            NO_TIMEOUT,
            bollard::API_DEFAULT_VERSION,
        )?;
        let groups = Arc::default();
        Ok(Self { transport, client, credentials: CredentialStore::default(), groups })
    }

    /// Returns the same engine, which is told who the user is at registries.
    #[must_use]
    pub fn with_credentials(self, credentials: CredentialStore) -> Self {
        Self { credentials, ..self }
    }
}

/// Returns whether a file can be read and is a log of docker's `json-file`. podman calls one by that
/// name that has a form of its own.
fn is_json_log(path: &std::path::Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut first = [0];
    match std::io::Read::read(&mut file, &mut first) {
        Ok(1) => first == *b"{",
        // Nothing is in it yet.
        Ok(_) => path.to_str().is_some_and(|path| path.ends_with("-json.log")),
        Err(_) => false,
    }
}

/// Returns a container's name or id as a path segment.
fn container_segment(container: &str) -> Result<String> {
    // URLs give these a meaning of their own, escaped or not.
    if matches!(container, "" | "." | "..") {
        return Err(Error::new(ErrorKind::NotFound, format!("No such container: {container}")));
    }
    Ok(segment(container))
}

/// Returns an image's name or id as a path.
fn image_segment(image: &str) -> Result<String> {
    if image.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::new(ErrorKind::Invalid, "invalid reference format"));
    }
    Ok(image_path(image))
}

#[async_trait]
impl Backend for Docker {
    fn name(&self) -> &str {
        "docker"
    }

    fn looking_only(&self) -> Option<Arc<dyn Backend>> {
        let docker = Self::by(self.transport.looking_only()).ok()?;
        Some(Arc::new(docker.with_credentials(self.credentials.clone())))
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.engine_info().await
    }

    async fn version(&self) -> Result<VersionInfo> {
        self.engine_version().await
    }

    async fn inspect_engine(&self) -> Result<serde_json::Value> {
        self.transport.get("/info", &[]).await?.json().await
    }

    async fn inspect_version(&self) -> Result<serde_json::Value> {
        self.transport.get("/version", &[]).await?.json().await
    }

    async fn list_containers(
        &self,
        options: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>> {
        self.container_list(options).await
    }

    async fn container(&self, container: &str) -> Result<ContainerDetail> {
        detail::container(self.inspect(container).await?)
    }

    async fn inspect_container(&self, container: &str) -> Result<serde_json::Value> {
        let path = format!("/containers/{}/json", container_segment(container)?);
        self.transport.get(&path, &[]).await?.json().await
    }

    async fn top(&self, container: &str, ps_args: &[String]) -> Result<TopTable> {
        self.top_table(container, ps_args).await
    }

    async fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageSummary>> {
        self.image_list(options).await
    }

    async fn image(&self, image: &str) -> Result<ImageDetail> {
        self.image_detail(image).await
    }

    async fn inspect_image(&self, image: &str) -> Result<serde_json::Value> {
        let path = format!("/images/{}/json", image_segment(image)?);
        self.transport.get(&path, &[]).await?.json().await
    }

    async fn history(&self, image: &str) -> Result<Vec<HistoryEntry>> {
        self.image_history(image).await
    }

    async fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        self.all_layers().await
    }

    async fn execute(&self, command: Command) -> Result<Outcome> {
        self.run_command(command).await
    }

    async fn wait(&self, container: &str) -> Result<i32> {
        self.waiter(container, "not-running").await?.await
    }

    async fn attach(&self, container: &str, options: AttachOptions) -> Result<Session> {
        self.attach_session(container, options).await
    }

    async fn exec(
        &self,
        container: &str,
        spec: ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Session> {
        match spec.toolbox.clone() {
            Some(image) => self.toolbox_session(container, &image, spec, size).await,
            None => self.exec_session(container, spec, size).await,
        }
    }

    async fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>> {
        self.log_stream(container, &options).await
    }

    async fn log_source(&self, container: &str) -> Result<LogSource> {
        // On this host, and readable for this user, its files are the log at any size. On another host
        // there is no file of this name, which has the container's id in it.
        let found = self.inspect(container).await?;
        let driver = found.host_config.and_then(|host| host.log_config).and_then(|log| log.typ);
        let path = found.log_path.filter(|_| driver.as_deref() == Some("json-file"));
        match path.map(std::path::PathBuf::from) {
            Some(path) if is_json_log(&path) => Ok(LogSource::Files(path)),
            _ => Ok(LogSource::Stream),
        }
    }

    async fn samples(&self, interval: Duration) -> Result<BoxStream<'static, Result<SampleBatch>>> {
        self.sample_stream(interval).await
    }

    async fn details(&self, container: &str) -> Result<DetailSample> {
        self.near_details(container).await
    }

    async fn list_events(
        &self,
        options: EventOptions,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.event_stream(&options).await
    }

    async fn load(&self, archive: File, platform: Option<&str>) -> Result<Vec<String>> {
        self.load_archive(Box::new(archive), platform).await
    }

    async fn save(&self, images: &[String], platform: Option<&str>) -> Result<ByteStream> {
        self.save_archive(images, platform).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.space().await
    }

    async fn import(&self, archive: Reader, options: ImportOptions) -> Result<Digest> {
        self.import_archive(archive, options).await
    }

    async fn pull(&self, options: PullOptions) -> Result<TransferStream> {
        self.pull_image(options).await
    }

    async fn push(&self, options: PushOptions) -> Result<TransferStream> {
        self.push_image(options).await
    }

    async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        self.path_stat(container, path).await
    }

    async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        self.get_archive(container, path).await
    }

    async fn archive_put(
        &self,
        container: &str,
        path: &str,
        archive: Reader,
        options: ArchivePut,
    ) -> Result<()> {
        self.put_archive(container, path, archive, options).await
    }

    async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        self.container_changes(container).await
    }

    async fn export(&self, container: &str) -> Result<ByteStream> {
        let path = format!("/containers/{}/export", container_segment(container)?);
        Ok(self.transport.get(&path, &[]).await?.into_bytes("export"))
    }
    async fn networks(&self, filters: &Filters) -> Result<Vec<NetworkInfo>> {
        self.network_list(filters).await
    }

    async fn network(&self, network: &str) -> Result<NetworkInfo> {
        self.one_network(network).await
    }

    async fn inspect_network(&self, network: &str) -> Result<serde_json::Value> {
        self.network_document(network).await
    }

    async fn volumes(&self, filters: &Filters, sizes: bool) -> Result<Vec<VolumeInfo>> {
        self.volume_list(filters, sizes).await
    }

    async fn volume(&self, volume: &str) -> Result<VolumeInfo> {
        self.one_volume(volume).await
    }

    async fn inspect_volume(&self, volume: &str) -> Result<serde_json::Value> {
        self.volume_document(volume).await
    }

    async fn volume_export(&self, volume: &str, pause: bool) -> Result<ByteStream> {
        if pause {
            let text = "a Docker engine's containers would stay paused if this program were ended \
                        half way: pause them by hand ('wharf pause') and export without --pause";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        self.export_volume(volume).await
    }

    async fn volume_import(&self, volume: &str, archive: Reader, replace: bool) -> Result<()> {
        self.import_volume(volume, archive, replace).await
    }

    async fn reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        self.try_reach(question).await
    }

    async fn ping(&self) -> Result<Option<Duration>> {
        let begun = tokio::time::Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.transport.get("/_ping", &[])).await;
        match answer {
            Ok(reply) => reply.map(|_| Some(begun.elapsed())),
            Err(_) => {
                let text = format!("the engine hasn't answered for {} seconds", PATIENCE.as_secs());
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        }
    }
}
