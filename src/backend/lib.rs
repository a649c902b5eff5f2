//! One way to see and steer an engine, whichever it is.
//!
//! [`Backend`] is all that the dashboard and the command line know of an engine. Its adapters are
//! `native` (the embedded engine), `docker` (any Docker Engine API socket) and `fake` (for screens
//! in tests). Questions are methods; every change is a [`Command`] given to [`Backend::execute`].

mod archived;
mod bytes_stream;
mod detach;
pub mod docker;
mod error;
pub mod fake;
mod files;
pub mod native;
mod platform;
mod session;
mod shell;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use wharf_model::{
    Change, Command, ContainerDetail, ContainerId, ContainerListOptions, ContainerSummary,
    DetailSample, Digest, DiskUsage, EngineInfo, ErrorKind, Event, EventOptions, ExecSpec,
    FileEntry, FileHead, Filters, FolderList, HistoryEntry, HostSample, ImageDetail,
    ImageListOptions, ImageSummary, LayerChanges, LayerInfo, LogOptions, LogRecord, Moment,
    NetCounters, NetworkInfo, Outcome, PathStat, PullOptions, PushOptions, ReachAnswer,
    ReachQuestion, Recording, Sample, TermSize, TopTable, TransferEvent, VersionInfo, VolumeInfo,
};

pub use bytes_stream::{ByteStream, BytesReader};
pub use detach::{Detach, Keys as DetachKeys};
pub use error::{Error, Result};
pub use platform::check_platform;
pub use session::{AttachOptions, OutputChunk, Session};

/// The samples of one tick.
#[derive(Clone, Debug, Default)]
pub struct SampleBatch {
    /// The host, where the backend can see it.
    pub host: Option<HostSample>,
    /// Every running container. One that is missing has stopped.
    pub containers: Vec<(ContainerId, Sample)>,
}

/// Where a container's log can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// json-file records on this host, rotated files (`.1`, `.2`, …) beside the newest.
    Files(PathBuf),
    /// Only through [`Backend::logs`].
    Stream,
}

/// The steps of a pull or a push, as they happen. A pull ends with [`TransferEvent::Ended`], a push
/// after the last [`TransferEvent::Pushed`], and either with an error where it fails. Dropping the
/// stream cancels the work: no half image is left, and what was verified needn't be fetched again.
pub type TransferStream = BoxStream<'static, Result<TransferEvent>>;

/// A tar stream to be read from, for `import` and the like.
pub type Reader = Box<dyn std::io::Read + Send>;

/// How an engine takes in an archive for a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchivePut {
    /// Whether a folder may not become something else, nor something else a folder.
    pub keeps_folders: bool,
    /// Whether the owners are asked to be those of the archive (`cp -a`).
    pub keeps_owners: bool,
}

/// An engine, embedded or remote. `container` and `image` arguments take what users type: a name,
/// an id, or the beginning of an id.
///
/// Errors carry a kind and a sentence in docker's words; what a backend can't do at all is
/// [`wharf_model::ErrorKind::Unsupported`].
#[async_trait]
pub trait Backend: Send + Sync {
    /// Returns a short word for this engine as lists show it: `wharf`, `docker`, `fake`.
    fn name(&self) -> &str;

    /// Returns the same engine in a way that changes nothing, if its ways to look at some things would:
    /// then those are errors.
    fn looking_only(&self) -> Option<std::sync::Arc<dyn Backend>> {
        None
    }

    /// Returns facts about the engine and its host.
    async fn info(&self) -> Result<EngineInfo>;

    /// Returns the engine's version.
    async fn version(&self) -> Result<VersionInfo>;

    /// Returns docker's document of the engine and its host, which `info` formats.
    async fn inspect_engine(&self) -> Result<serde_json::Value> {
        Ok(wharf_inspect::engine_document(&self.info().await?))
    }

    /// Returns docker's document of the engine's version.
    async fn inspect_version(&self) -> Result<serde_json::Value> {
        Ok(wharf_inspect::version_document(&self.version().await?))
    }

    /// Returns the running containers, or `all` of them, newest first.
    async fn containers(&self, all: bool) -> Result<Vec<ContainerSummary>> {
        self.list_containers(&ContainerListOptions { all, ..ContainerListOptions::default() }).await
    }

    /// Returns the containers that are wanted, newest first. What isn't asked for costs nothing.
    async fn list_containers(
        &self,
        options: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>>;

    /// Returns what the engine knows of one container.
    async fn container(&self, container: &str) -> Result<ContainerDetail>;

    /// Returns docker's inspect document of a container.
    async fn inspect_container(&self, container: &str) -> Result<serde_json::Value>;

    /// Returns the processes of a running container; `ps_args` as for `ps`, `-ef` when empty.
    async fn top(&self, container: &str, ps_args: &[String]) -> Result<TopTable>;

    /// Tells in the events what somebody has done with a container that changes nothing, by docker's
    /// word for it. An engine that sees it by itself has been told already.
    async fn note(
        &self,
        _container: &str,
        _action: &str,
        _attributes: &[(&'static str, String)],
    ) -> Result<()> {
        Ok(())
    }

    /// Returns the images, newest first.
    async fn images(&self) -> Result<Vec<ImageSummary>> {
        self.list_images(&ImageListOptions::default()).await
    }

    /// Returns the images that are wanted, newest first, with those of their names that are.
    async fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageSummary>>;

    /// Returns what the engine knows of one image.
    async fn image(&self, image: &str) -> Result<ImageDetail>;

    /// Returns docker's inspect document of an image.
    async fn inspect_image(&self, image: &str) -> Result<serde_json::Value>;

    /// Returns an image's steps, newest first.
    async fn history(&self, image: &str) -> Result<Vec<HistoryEntry>>;

    /// Returns how much disk the engine takes. Everything is looked at, which takes its time.
    async fn disk_usage(&self) -> Result<DiskUsage> {
        Err(missing(self.name(), "sizes on disk"))
    }

    /// Returns the layers of every image, lowest first; also of those that were removed and stay
    /// only for their containers. Who has a layer, and what a removal frees, follows from it.
    async fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let mut list = Vec::new();
        for image in self.images().await? {
            match self.image(image.id.as_str()).await {
                Ok(detail) => list.push((image.id, detail.layers)),
                // It was removed meanwhile.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    /// Returns what a layer of an image (the lowest is 0) has in a folder, and what it removes there:
    /// by name, folders first; `path` is below the root, and empty for that.
    async fn layer_files(
        &self,
        _image: &str,
        _layer: usize,
        _path: &Path,
    ) -> Result<Vec<FileEntry>> {
        Err(no_layer_files(self.name()))
    }

    /// Returns the beginning of a file in a layer, at most so many bytes; of a removed one as it was.
    async fn layer_file(
        &self,
        _image: &str,
        _layer: usize,
        _path: &Path,
        _most: usize,
    ) -> Result<FileHead> {
        Err(no_layer_files(self.name()))
    }

    /// Returns how many files a layer adds, changes and removes.
    async fn layer_changes(&self, _image: &str, _layer: usize) -> Result<LayerChanges> {
        Err(no_layer_files(self.name()))
    }

    /// Asks for a sign of life; returns how long it took to come. None from an engine that is part of
    /// this program.
    async fn ping(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// Makes a change, and answers when it is made.
    async fn execute(&self, command: Command) -> Result<Outcome>;

    /// Waits until a container isn't running (at once if it isn't) and returns its exit code.
    async fn wait(&self, container: &str) -> Result<i32>;

    /// Connects to a container's streams. With [`AttachOptions::start`] the container is started
    /// once the streams are connected, so that no output is missed.
    async fn attach(&self, container: &str, options: AttachOptions) -> Result<Session>;

    /// Runs a further program in a running container. With [`ExecSpec::detach`] the session ends at
    /// once.
    async fn exec(
        &self,
        container: &str,
        spec: ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Session>;

    /// Returns the path of the best shell that a container has (bash, zsh, ash, sh), found by its
    /// files alone; none if it has no shell.
    async fn shell(&self, container: &str) -> Result<Option<String>> {
        shell::find(self, container).await
    }

    /// Returns the wanted log records, oldest first. Dropping the stream ends the work.
    async fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>>;

    /// Returns where a container's log can be read fastest.
    async fn log_source(&self, container: &str) -> Result<LogSource>;

    /// Returns a batch of samples of all running containers now and then every `interval`. A slow
    /// reader gets the newest, never a queue. Dropping the stream ends the work.
    async fn samples(&self, interval: Duration) -> Result<BoxStream<'static, Result<SampleBatch>>>;

    /// Returns all that is recorded of a container's past.
    async fn recording(&self, _container: &str) -> Result<Recording> {
        Err(no_recorder(self.name()))
    }

    /// Returns what is recorded of every container, and of the host, up to an instant, cut down to what
    /// tells how it was then.
    async fn moment(&self, _at: DateTime<Utc>) -> Result<Moment> {
        Err(no_recorder(self.name()))
    }

    /// Returns what is measured of a container only while somebody looks at it closely.
    async fn details(&self, _container: &str) -> Result<DetailSample> {
        let text = format!("{}: this engine doesn't tell the use of each core", self.name());
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Returns what happens from now on. Dropping the stream ends the work.
    async fn events(&self) -> Result<BoxStream<'static, Result<Event>>> {
        self.list_events(EventOptions::default()).await
    }

    /// Returns the wanted events: first those that the engine remembers (as many as it keeps), if a
    /// time is given, and then what happens, nothing left out between and nothing twice. Ends at
    /// [`EventOptions::until`]. Dropping the stream ends the work.
    async fn list_events(&self, options: EventOptions)
    -> Result<BoxStream<'static, Result<Event>>>;

    /// Takes in the images of a docker-archive or OCI archive, compressed or not; returns what
    /// docker prints for each (`Loaded image: NAME` or `Loaded image ID: sha256:…`). `platform` is
    /// wanted of images for several, `os/arch`; none means this machine's. A file that can be sought in
    /// is read in place, from where it stands.
    async fn load(&self, archive: File, platform: Option<&str>) -> Result<Vec<String>>;

    /// Returns images as one archive, which is an OCI layout and a docker-archive. They must be for
    /// `platform` where that is given.
    async fn save(&self, images: &[String], platform: Option<&str>) -> Result<ByteStream>;

    /// Makes an image of a root filesystem tar, compressed or not; returns its id.
    async fn import(
        &self,
        archive: Reader,
        options: wharf_model::ImportOptions,
    ) -> Result<wharf_model::Digest>;

    /// Fetches an image from its registry, or all of a repository.
    async fn pull(&self, options: PullOptions) -> Result<TransferStream>;

    /// Sends an image to its registry, or all of a repository.
    async fn push(&self, options: PushOptions) -> Result<TransferStream>;

    /// Returns what a path in a container leads to; of a symbolic link at its end, the link itself.
    async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat>;

    /// Returns what a path in a container leads to, and it with all that is in it as a tar, whose
    /// paths begin with the last name of `path` (`.` when that ends in `/.`). Dropping the stream
    /// ends the work.
    async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)>;

    /// Unpacks a tar in a folder of a container that exists.
    async fn archive_put(
        &self,
        container: &str,
        path: &str,
        archive: Reader,
        options: ArchivePut,
    ) -> Result<()>;

    /// Returns what a container changed of its image's files.
    async fn changes(&self, container: &str) -> Result<Vec<Change>>;

    /// Returns what is in a folder of a container, running or not, with what it changed; `path` is
    /// below the root, and empty for that. Nothing runs in the container for it.
    async fn container_files(&self, container: &str, path: &Path) -> Result<FolderList> {
        archived::list(self, container, path).await
    }

    /// Returns the beginning of a file of a container, at most so many bytes.
    async fn container_file(&self, container: &str, path: &Path, most: usize) -> Result<FileHead> {
        archived::head(self, container, path, most).await
    }

    /// Returns how much disk a folder of a container takes with all in it, in bytes. Dropping the
    /// answer ends the work.
    async fn container_folder_size(&self, _container: &str, _path: &Path) -> Result<u64> {
        let text = format!("{}: this engine doesn't tell how large a folder is", self.name());
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Returns a container's root filesystem, without what is mounted in it, as a tar.
    async fn export(&self, container: &str) -> Result<ByteStream>;

    /// Returns the networks that are wanted (`driver`, `id`, `label`, `name`, `scope`, `type`,
    /// `dangling`), by name.
    async fn networks(&self, _filters: &Filters) -> Result<Vec<NetworkInfo>> {
        Err(missing(self.name(), "networks"))
    }

    /// Returns one network, by name, id or the beginning of an id.
    async fn network(&self, _network: &str) -> Result<NetworkInfo> {
        Err(missing(self.name(), "networks"))
    }

    /// Returns docker's inspect document of a network.
    async fn inspect_network(&self, network: &str) -> Result<serde_json::Value> {
        Ok(wharf_inspect::network_document(&self.network(network).await?))
    }

    /// Tries whether one container reaches another, or an address.
    async fn reach(&self, _question: &ReachQuestion) -> Result<ReachAnswer> {
        Err(missing(self.name(), "tries between containers"))
    }

    /// Returns the volumes that are wanted (`dangling`, `driver`, `label`, `name`), by name; with
    /// `sizes` how much disk each takes, which reads all of them.
    async fn volumes(&self, _filters: &Filters, _sizes: bool) -> Result<Vec<VolumeInfo>> {
        Err(missing(self.name(), "volumes"))
    }

    /// Returns one volume.
    async fn volume(&self, _volume: &str) -> Result<VolumeInfo> {
        Err(missing(self.name(), "volumes"))
    }

    /// Returns docker's inspect document of a volume.
    async fn inspect_volume(&self, volume: &str) -> Result<serde_json::Value> {
        Ok(wharf_inspect::volume_document(&self.volume(volume).await?))
    }

    /// Returns what is in a folder of a volume, by name, folders first; `path` is below the volume,
    /// and empty for all of it. A link that leads out of the volume is an error.
    async fn volume_files(&self, volume: &str, path: &Path) -> Result<Vec<FileEntry>> {
        let info = self.volume(volume).await?;
        files::list(info, path.to_owned()).await
    }

    /// Returns the beginning of a file in a volume, at most so many bytes.
    async fn volume_file(&self, volume: &str, path: &Path, most: usize) -> Result<FileHead> {
        let info = self.volume(volume).await?;
        files::head(info, path.to_owned(), most).await
    }

    /// Returns what went through each link of this host ([`wharf_model::NetworkEndpoint::link`]
    /// names a container's), as the host sees it: what it received, the container sent. Empty where
    /// the links aren't this host's.
    async fn links(&self) -> Result<Vec<(String, NetCounters)>> {
        Ok(Vec::new())
    }

    /// Returns a volume's content as a tar; with `pause`, the containers that may write to it are
    /// frozen meanwhile.
    async fn volume_export(&self, _volume: &str, _pause: bool) -> Result<ByteStream> {
        Err(missing(self.name(), "volume export"))
    }

    /// Unpacks a tar, compressed or not, in a volume, which is made unless it is there. What a volume
    /// holds already is exchanged with `replace` only, and then as a whole.
    async fn volume_import(&self, _volume: &str, _archive: Reader, _replace: bool) -> Result<()> {
        Err(missing(self.name(), "volume import"))
    }
}

/// The Engine API tells of layers only their sizes.
fn no_layer_files(backend: &str) -> Error {
    let text = format!("{backend}: this engine doesn't tell what is in a layer; wharf's own does");
    Error::new(ErrorKind::Unsupported, text)
}

/// The Engine API has no past but the events.
fn no_recorder(backend: &str) -> Error {
    let text = format!("{backend}: this engine doesn't record the past; wharf's own does");
    Error::new(ErrorKind::Unsupported, text)
}

fn missing(backend: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{backend}: {what} are not there yet"))
}
