//! What volumes hold. The API reads and writes files through containers alone: where a volume has
//! none, one is made of an image without files, never started, and removed again.

use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use wharf_model::{Digest, ErrorKind, ImportOptions, Outcome, VolumeCreateOptions, VolumeInfo};

use super::Docker;
use super::transport::full;
use super::volumes::ANONYMOUS;
use crate::{ArchivePut, ByteStream, BytesReader, Error, Reader, Result};

/// Where a carrier has its volume, and what its parent is called.
const PLACE: &str = "/volume";
/// What carriers, and volumes that are there for a moment, are labelled with.
const LABEL: &str = "wharf.volume-data";
/// An archive without files: its end mark (POSIX.1-1988, section 10.1.1).
const NO_FILES: [u8; 1024] = [0; 1024];
/// The size of a tar's blocks.
const BLOCK: usize = 512;

/// Containers that carry volumes, and what was made for them.
struct Carriers {
    docker: Docker,
    image: Option<Digest>,
    containers: Vec<String>,
    volumes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

impl Carriers {
    async fn new(docker: &Docker) -> Result<Self> {
        let archive: Reader = Box::new(std::io::Cursor::new(NO_FILES));
        let image = docker.import_archive(archive, ImportOptions::default()).await?;
        Ok(Self {
            docker: docker.clone(),
            image: Some(image),
            containers: Vec::new(),
            volumes: Vec::new(),
        })
    }

    /// Makes a container that has a volume, which is made unless it is there; returns its id.
    async fn of(&mut self, volume: &str, read_only: bool) -> Result<String> {
        let body = json!({
            "Image": self.image.as_ref().map(ToString::to_string),
            "Cmd": ["never started"],
            "Labels": {LABEL: volume},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [{
                    "Type": "volume",
                    "Source": volume,
                    "Target": PLACE,
                    "ReadOnly": read_only,
                    "VolumeOptions": {"NoCopy": true},
                }],
            },
        });
        let body = full(body.to_string().into_bytes());
        let reply =
            self.docker.transport.post("/containers/create", &[], body, "application/json").await?;
        let made: Made = reply.json().await?;
        self.containers.push(made.id.clone());
        Ok(made.id)
    }

    /// Makes a volume that is there for a moment; returns its name.
    async fn volume(&mut self) -> Result<String> {
        let labels = [(LABEL.to_owned(), String::new())].into();
        let options = VolumeCreateOptions { labels, ..VolumeCreateOptions::default() };
        match self.docker.create_volume(options).await? {
            Outcome::VolumeCreated(volume) => {
                self.volumes.push(volume.name.clone());
                Ok(volume.name)
            }
            _ => Err(Error::new(ErrorKind::Internal, "volume create: it names no volume")),
        }
    }

    /// Removes the containers, so that nobody has their volumes any more.
    async fn let_go(&mut self) {
        for container in std::mem::take(&mut self.containers) {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            // What can't be removed has a label that says what it was for.
            let _ = self.docker.client.remove_container(&container, Some(options)).await;
        }
    }

    /// Removes all that was made.
    async fn remove(mut self) {
        self.let_go().await;
        for volume in std::mem::take(&mut self.volumes) {
            let _ = self.docker.remove_volume(&volume, true).await;
        }
        if let Some(image) = self.image.take() {
            let _ = self.docker.remove_image(image.as_str(), true).await;
        }
    }
}

impl Drop for Carriers {
    fn drop(&mut self) {
        // Given up half way: the work that this would be is over, not the program.
        if let (Some(image), Ok(runtime)) =
            (self.image.take(), tokio::runtime::Handle::try_current())
        {
            let left = Self {
                docker: self.docker.clone(),
                image: Some(image),
                containers: std::mem::take(&mut self.containers),
                volumes: std::mem::take(&mut self.volumes),
            };
            runtime.spawn(left.remove());
        }
    }
}

impl Docker {
    /// Returns a volume's content as a tar.
    pub(super) async fn export_volume(&self, name: &str) -> Result<ByteStream> {
        let volume = self.one_volume(name).await?;
        if let Some(user) = volume.users.first() {
            // The folder's content, not the folder.
            let inside = format!("{}/.", user.destination.trim_end_matches('/'));
            return Ok(self.get_archive(user.container.as_str(), &inside).await?.1);
        }
        let mut carriers = Carriers::new(self).await?;
        let container = carriers.of(name, true).await?;
        let (_, archive) = self.get_archive(&container, &format!("{PLACE}/.")).await?;
        let end = futures_util::stream::once(carriers.remove());
        Ok(archive.chain(end.filter_map(|()| std::future::ready(None))).boxed())
    }

    /// Unpacks a tar in a volume, by way of another one, so that an archive that the engine refuses
    /// changes nothing.
    pub(super) async fn import_volume(
        &self,
        name: &str,
        archive: Reader,
        replace: bool,
    ) -> Result<()> {
        let known = match self.one_volume(name).await {
            Ok(volume) => Some(volume),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(volume) = &known {
            check_import(volume)?;
        }
        let mut carriers = Carriers::new(self).await?;
        let result = self.import_by(&mut carriers, name, known, archive, replace).await;
        carriers.remove().await;
        result
    }

    async fn import_by(
        &self,
        carriers: &mut Carriers,
        name: &str,
        known: Option<VolumeInfo>,
        archive: Reader,
        replace: bool,
    ) -> Result<()> {
        let empty = match &known {
            None => true,
            Some(_) => {
                let container = carriers.of(name, true).await?;
                let empty = self.is_empty(&container).await?;
                carriers.let_go().await;
                empty
            }
        };
        if !empty && !replace {
            let why = "it holds files already: --replace puts the archive in their place";
            return Err(conflict(name, why));
        }
        if let (false, Some(user)) = (empty, known.as_ref().and_then(|known| known.users.first())) {
            let why = format!(
                "container {} has it, and a Docker engine can't exchange what a volume holds while \
                 one has: remove the container first",
                user.name
            );
            return Err(conflict(name, &why));
        }
        let staged = carriers.volume().await?;
        let staging = carriers.of(&staged, false).await?;
        let options = ArchivePut::default();
        self.put_archive(&staging, PLACE, archive, options)
            .await
            .map_err(|error| Error { message: format!("import {name}: {error}"), ..error })?;
        if let (false, Some(volume)) = (empty, &known) {
            self.remove_volume(name, false).await?;
            self.create_volume(VolumeCreateOptions {
                name: Some(name.to_owned()),
                driver: volume.driver.clone(),
                options: volume.options.clone(),
                labels: volume.labels.clone(),
            })
            .await?;
        }
        let copied = self.copy(carriers, &staging, name).await;
        if copied.is_err() && known.is_none() {
            carriers.let_go().await;
            let _ = self.remove_volume(name, true).await;
        }
        copied
    }

    /// Makes a volume with all that another one holds, and its labels.
    pub(super) async fn clone_volume(&self, from: &str, to: &str) -> Result<Outcome> {
        let source = self.one_volume(from).await?;
        match self.one_volume(to).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => {
                let text = format!("create {to}: volume is there already");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
        }
        let mut labels = source.labels;
        labels.remove(ANONYMOUS);
        let made = self
            .create_volume(VolumeCreateOptions {
                name: Some(to.to_owned()),
                labels,
                ..VolumeCreateOptions::default()
            })
            .await?;
        let mut carriers = Carriers::new(self).await?;
        let result = async {
            let container = carriers.of(from, true).await?;
            self.copy(&mut carriers, &container, to).await
        };
        let result = result.await;
        carriers.remove().await;
        if let Err(error) = result {
            let _ = self.remove_volume(to, true).await;
            return Err(error);
        }
        Ok(made)
    }

    /// Copies what a carrier has to a volume, its own folder's owner and mode too.
    async fn copy(&self, carriers: &mut Carriers, from: &str, to: &str) -> Result<()> {
        let container = carriers.of(to, false).await?;
        let (_, archive) = self.get_archive(from, PLACE).await?;
        let reader: Reader = Box::new(BytesReader::new(archive));
        self.put_archive(&container, "/", reader, ArchivePut::default()).await
    }

    async fn is_empty(&self, container: &str) -> Result<bool> {
        /// Room for the folder's own headers and one more.
        const ENOUGH: usize = 32 * BLOCK;
        let (_, mut archive) = self.get_archive(container, &format!("{PLACE}/.")).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = archive.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() >= ENOUGH {
                break;
            }
        }
        Ok(entries(&bytes) <= 1)
    }
}

/// Returns how many entries the beginning of a tar has; headers about the next one don't count.
fn entries(archive: &[u8]) -> usize {
    let mut count = 0;
    let mut at = 0;
    while let Some(header) = archive.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        // Of the next entry's attributes, or name, or target (pax and GNU).
        if !matches!(header[156], b'x' | b'g' | b'L' | b'K') {
            count += 1;
        }
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim(), 8).ok()).unwrap_or(0);
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
    count
}

fn check_import(volume: &VolumeInfo) -> Result<()> {
    let name = &volume.name;
    if let Some(user) = volume.users.iter().find(|user| user.running) {
        let why = format!("container {} runs with it: stop it first", user.name);
        return Err(conflict(name, &why));
    }
    if let Some(device) = volume.options.get("device") {
        let text = format!(
            "import {name}: what it holds is elsewhere ({device}) and can't be exchanged at once: \
             unpack the archive in a container that has the volume"
        );
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    Ok(())
}

fn conflict(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("volume {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, size: usize) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[0] = b'.';
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[156] = kind;
        block.resize(BLOCK + size.div_ceil(BLOCK) * BLOCK, 1);
        block
    }

    #[test]
    fn entries_are_counted_without_what_is_about_them() {
        let folder = [header(b'x', 40), header(b'5', 0)].concat();
        assert_eq!(entries(&[folder.clone(), vec![0; 1024]].concat()), 1);
        let file = [header(b'x', 600), header(b'0', 513)].concat();
        assert_eq!(entries(&[folder.clone(), file, vec![0; 1024]].concat()), 2);
        // Cut off within what is about the next one.
        assert_eq!(entries(&[folder, header(b'x', 99)].concat()), 1);
        assert_eq!(entries(&[]), 0);
    }
}
