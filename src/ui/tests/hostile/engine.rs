//! An engine that puts hostile texts into everything that it tells, whatever that is: each string of
//! an answer that may be any string is another one. A field that a type gets later is hostile, too.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wharf_backend::fake::Fake;
use wharf_backend::{
    ArchivePut, AttachOptions, Backend, ByteStream, Error, LogSource, Reader, Result, SampleBatch,
    Session, TransferStream,
};
use wharf_model::{
    Change, Command, ContainerDetail, ContainerListOptions, ContainerSummary, DetailSample, Digest,
    DiskUsage, EngineInfo, Event, EventOptions, ExecSpec, FileEntry, FileHead, Filters, FolderList,
    HistoryEntry, ImageDetail, ImageListOptions, ImageSummary, ImportOptions, LayerChanges,
    LayerInfo, LogOptions, LogRecord, Moment, NetCounters, NetworkInfo, Outcome, PathStat,
    PullOptions, PushOptions, ReachAnswer, ReachQuestion, Recording, TermSize, TopTable,
    VersionInfo, VolumeInfo, What,
};

use super::Dice;

/// The engine.
#[derive(Clone)]
pub(crate) struct Hostile {
    fake: Fake,
    dice: Arc<Mutex<Dice>>,
}

/// Returns the places of all strings and of all maps in a document.
fn places(value: &Value, at: String, strings: &mut Vec<String>, maps: &mut Vec<String>) {
    match value {
        Value::String(_) => strings.push(at),
        Value::Array(list) => {
            for (n, item) in list.iter().enumerate() {
                places(item, format!("{at}/{n}"), strings, maps);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                // Things are found again by these.
                if !matches!(key.as_str(), "Id" | "ID" | "id") {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    places(item, format!("{at}/{key}"), strings, maps);
                }
            }
            maps.push(at);
        }
        _ => {}
    }
}

impl Hostile {
    pub(crate) fn new(fake: Fake, seed: u64) -> Self {
        Self { fake, dice: Arc::new(Mutex::new(Dice(seed))) }
    }

    pub(crate) fn text(&self) -> String {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).below(end)
    }

    /// Returns a value whose every string that may be any string is another one.
    pub(crate) fn poison<T: Serialize + DeserializeOwned>(&self, value: T) -> T {
        let mut document = serde_json::to_value(&value).unwrap();
        let (mut strings, mut maps) = (Vec::new(), Vec::new());
        places(&document, String::new(), &mut strings, &mut maps);
        for place in strings {
            let text = Value::String(self.text());
            let before = std::mem::replace(document.pointer_mut(&place).unwrap(), text);
            if T::deserialize(&document).is_err() {
                *document.pointer_mut(&place).unwrap() = before;
            }
        }
        for place in maps {
            let (key, text) = (self.text(), Value::String(self.text()));
            let map = document.pointer_mut(&place).unwrap().as_object_mut().unwrap();
            map.insert(key.clone(), text);
            if T::deserialize(&document).is_err() {
                document.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(&key);
            }
        }
        T::deserialize(document).unwrap()
    }

    fn all<T: Serialize + DeserializeOwned>(&self, list: Result<Vec<T>>) -> Result<Vec<T>> {
        self.told(list.map(|list| list.into_iter().map(|one| self.poison(one)).collect()))
    }

    fn one<T: Serialize + DeserializeOwned>(&self, one: Result<T>) -> Result<T> {
        self.told(one.map(|one| self.poison(one)))
    }

    /// Now and then all goes wrong.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Ok(_) if self.below(16) == 0 => {
                Err(Error::new(wharf_model::ErrorKind::Internal, self.text()))
            }
            result => result.map_err(|error| Error::new(error.kind, self.text())),
        }
    }

    fn files(&self, list: Vec<FileEntry>) -> Vec<FileEntry> {
        let name = || OsString::from_vec(self.bytes().into_iter().filter(|b| *b != 0).collect());
        list.into_iter()
            .map(|file| FileEntry { name: name(), target: file.target.map(|_| name()), ..file })
            .collect()
    }

    fn head(&self, head: Result<FileHead>) -> Result<FileHead> {
        let head = head.or_else(|_| Ok(FileHead { bytes: Vec::new(), size: 900 }));
        self.told(head.map(|head| FileHead { bytes: self.bytes().repeat(9), ..head }))
    }

    /// Returns the volume that is meant by a hostile name.
    async fn volume_name(&self, name: &str) -> String {
        let all = self.fake.volumes(&Filters::default(), false).await.unwrap();
        all.iter().find(|volume| volume.name == name).unwrap_or(&all[0]).name.clone()
    }

    async fn network_name(&self, name: &str) -> String {
        let all = self.fake.networks(&Filters::default()).await.unwrap();
        all.iter().find(|one| one.id == name).unwrap_or(&all[0]).id.clone()
    }

    async fn image_name(&self, name: &str) -> String {
        match self.fake.image(name).await {
            Ok(_) => name.to_owned(),
            Err(_) => self.fake.images().await.unwrap()[0].id.as_str().to_owned(),
        }
    }

    fn recorded(&self, mut recording: Recording) -> Recording {
        for happening in &mut recording.happenings {
            match &mut happening.what {
                What::Event { action, .. } => *action = self.text(),
                What::Probes(probes) => probes.output = self.text(),
            }
        }
        recording
    }
}

#[async_trait]
impl Backend for Hostile {
    fn name(&self) -> &str {
        self.fake.name()
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.one(self.fake.info().await)
    }

    async fn version(&self) -> Result<VersionInfo> {
        self.one(self.fake.version().await)
    }

    async fn list_containers(
        &self,
        options: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>> {
        let mut list = self.all(self.fake.list_containers(options).await)?;
        // They are in the group of a compose project, whatever that is called.
        let project = self.text();
        for one in list.iter_mut().take(3) {
            one.labels.insert("com.docker.compose.project".to_owned(), project.clone());
        }
        Ok(list)
    }

    async fn container(&self, container: &str) -> Result<ContainerDetail> {
        self.one(self.fake.container(container).await)
    }

    async fn inspect_container(&self, container: &str) -> Result<Value> {
        self.one(self.fake.inspect_container(container).await)
    }

    async fn top(&self, container: &str, args: &[String]) -> Result<TopTable> {
        self.one(self.fake.top(container, args).await)
    }

    async fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageSummary>> {
        self.all(self.fake.list_images(options).await)
    }

    async fn image(&self, image: &str) -> Result<ImageDetail> {
        self.one(self.fake.image(&self.image_name(image).await).await)
    }

    async fn inspect_image(&self, image: &str) -> Result<Value> {
        self.one(self.fake.inspect_image(&self.image_name(image).await).await)
    }

    async fn history(&self, image: &str) -> Result<Vec<HistoryEntry>> {
        self.all(self.fake.history(&self.image_name(image).await).await)
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.one(self.fake.disk_usage().await)
    }

    async fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let list = self.fake.image_layers().await?;
        let poisoned = |layers: Vec<LayerInfo>| layers.into_iter().map(|one| self.poison(one));
        Ok(list.into_iter().map(|(id, layers)| (id, poisoned(layers).collect())).collect())
    }

    async fn layer_files(&self, image: &str, layer: usize, path: &Path) -> Result<Vec<FileEntry>> {
        let list = self.fake.layer_files(image, layer, path).await;
        let list = list.or(self.fake.layer_files(image, layer, Path::new("")).await);
        self.told(list.map(|list| self.files(list)))
    }

    async fn layer_file(
        &self,
        image: &str,
        layer: usize,
        path: &Path,
        most: usize,
    ) -> Result<FileHead> {
        self.head(self.fake.layer_file(image, layer, path, most).await)
    }

    async fn layer_changes(&self, image: &str, layer: usize) -> Result<LayerChanges> {
        self.told(self.fake.layer_changes(image, layer).await)
    }

    async fn execute(&self, command: Command) -> Result<Outcome> {
        self.one(self.fake.execute(command).await)
    }

    async fn wait(&self, container: &str) -> Result<i32> {
        self.fake.wait(container).await
    }

    async fn attach(&self, container: &str, options: AttachOptions) -> Result<Session> {
        self.fake.attach(container, options).await
    }

    async fn exec(&self, id: &str, spec: ExecSpec, size: Option<TermSize>) -> Result<Session> {
        self.fake.exec(id, spec, size).await
    }

    async fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>> {
        let records: Vec<_> = self.fake.logs(container, options).await?.collect().await;
        let mut list: Vec<Result<LogRecord>> = Vec::new();
        for record in records {
            let mut record = record?;
            record.message = match self.below(3) {
                0 => {
                    let mut line = serde_json::json!({"level": self.text(), "msg": self.text()});
                    line[self.text()] = serde_json::json!({"in": [self.text(), 7]});
                    line.to_string().into_bytes()
                }
                1 => [&b"  at "[..], &self.bytes()].concat(),
                _ => self.bytes(),
            };
            list.push(Ok(record));
        }
        Ok(stream::iter(list).boxed())
    }

    async fn log_source(&self, container: &str) -> Result<LogSource> {
        self.fake.log_source(container).await
    }

    async fn samples(&self, interval: Duration) -> Result<BoxStream<'static, Result<SampleBatch>>> {
        self.fake.samples(interval).await
    }

    async fn recording(&self, container: &str) -> Result<Recording> {
        self.told(self.fake.recording(container).await.map(|found| self.recorded(found)))
    }

    async fn moment(&self, at: DateTime<Utc>) -> Result<Moment> {
        let mut moment = self.fake.moment(at).await?;
        for (_, found) in &mut moment.containers {
            *found = self.recorded(std::mem::take(found));
        }
        Ok(moment)
    }

    async fn details(&self, container: &str) -> Result<DetailSample> {
        self.told(self.fake.details(container).await)
    }

    async fn list_events(
        &self,
        options: EventOptions,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let list: Vec<_> = self.fake.list_events(options).await?.collect().await;
        let list: Vec<_> = list.into_iter().map(|event| Ok(self.poison(event?))).collect();
        Ok(stream::iter(list).boxed())
    }

    async fn load(&self, archive: std::fs::File, platform: Option<&str>) -> Result<Vec<String>> {
        self.fake.load(archive, platform).await
    }

    async fn save(&self, images: &[String], platform: Option<&str>) -> Result<ByteStream> {
        self.fake.save(images, platform).await
    }

    async fn import(&self, archive: Reader, options: ImportOptions) -> Result<Digest> {
        self.fake.import(archive, options).await
    }

    async fn pull(&self, options: PullOptions) -> Result<TransferStream> {
        self.fake.pull(options).await
    }

    async fn push(&self, options: PushOptions) -> Result<TransferStream> {
        self.fake.push(options).await
    }

    async fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        self.fake.archive_stat(container, path).await
    }

    async fn archive_get(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        self.fake.archive_get(container, path).await
    }

    async fn archive_put(
        &self,
        container: &str,
        path: &str,
        archive: Reader,
        options: ArchivePut,
    ) -> Result<()> {
        self.fake.archive_put(container, path, archive, options).await
    }

    async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        self.all(self.fake.changes(container).await)
    }

    async fn container_files(&self, container: &str, path: &Path) -> Result<FolderList> {
        let list = self.fake.container_files(container, path).await;
        let list = list.or(self.fake.container_files(container, Path::new("")).await);
        self.told(list.map(|list| FolderList {
            path: path.to_owned(),
            entries: self.files(list.entries),
            unknown: Some(self.text()),
            ..list
        }))
    }

    async fn container_file(&self, container: &str, path: &Path, most: usize) -> Result<FileHead> {
        self.head(self.fake.container_file(container, path, most).await)
    }

    async fn container_folder_size(&self, container: &str, path: &Path) -> Result<u64> {
        self.told(self.fake.container_folder_size(container, path).await)
    }

    async fn export(&self, container: &str) -> Result<ByteStream> {
        self.fake.export(container).await
    }

    async fn networks(&self, filters: &Filters) -> Result<Vec<NetworkInfo>> {
        self.all(self.fake.networks(filters).await)
    }

    async fn network(&self, network: &str) -> Result<NetworkInfo> {
        self.one(self.fake.network(&self.network_name(network).await).await)
    }

    async fn inspect_network(&self, network: &str) -> Result<Value> {
        self.one(self.fake.inspect_network(&self.network_name(network).await).await)
    }

    async fn reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        let (steps, reached) = (vec![self.text(), self.text()], self.below(2) == 0);
        let answer = self.fake.reach(question).await;
        self.told(answer.map(|answer| ReachAnswer { reached, steps, ..answer }))
    }

    async fn volumes(&self, filters: &Filters, sizes: bool) -> Result<Vec<VolumeInfo>> {
        self.all(self.fake.volumes(filters, sizes).await)
    }

    async fn volume(&self, volume: &str) -> Result<VolumeInfo> {
        self.one(self.fake.volume(&self.volume_name(volume).await).await)
    }

    async fn inspect_volume(&self, volume: &str) -> Result<Value> {
        self.one(self.fake.inspect_volume(&self.volume_name(volume).await).await)
    }

    async fn volume_files(&self, volume: &str, path: &Path) -> Result<Vec<FileEntry>> {
        let volume = self.volume_name(volume).await;
        let list = self.fake.volume_files(&volume, path).await;
        let list = list.or(self.fake.volume_files(&volume, Path::new("")).await);
        self.told(list.map(|list| self.files(list)))
    }

    async fn volume_file(&self, volume: &str, path: &Path, most: usize) -> Result<FileHead> {
        let volume = self.volume_name(volume).await;
        self.head(self.fake.volume_file(&volume, path, most).await)
    }

    async fn links(&self) -> Result<Vec<(String, NetCounters)>> {
        self.fake.links().await
    }
}
