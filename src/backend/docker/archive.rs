//! Files of containers: `HEAD`, `GET` and `PUT /containers/ID/archive`, changes, and images made of
//! containers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use wharf_model::{Change, ChangeKind, CommitOptions, Digest, PathStat};

use super::transport::{Reply, full, upload};
use super::{Docker, container_segment, error};
use crate::{ArchivePut, ByteStream, Reader, Result};

/// The answer's header that describes a path.
const PATH_STAT: &str = "X-Docker-Container-Path-Stat";

fn archive_path(container: &str) -> Result<String> {
    Ok(format!("/containers/{}/archive", container_segment(container)?))
}

fn stat_of(reply: &Reply) -> Result<PathStat> {
    let malformed = |cause: String| error::malformed("path description", cause);
    let header = reply.header(PATH_STAT).ok_or_else(|| malformed("it is missing".to_owned()))?;
    let text = STANDARD.decode(header).map_err(|cause| malformed(cause.to_string()))?;
    serde_json::from_slice(&text).map_err(|cause| malformed(cause.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawChange {
    path: String,
    kind: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Committed {
    id: String,
}

impl Docker {
    /// Asks what a path leads to.
    pub(super) async fn path_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        let query = [("path", path)];
        match self.transport.head(&archive_path(container)?, &query).await {
            Ok(reply) => stat_of(&reply),
            // An answer without a body doesn't say why; the same question with one does.
            Err(_) => Ok(self.get_archive(container, path).await?.0),
        }
    }

    /// Asks for a path's archive.
    pub(super) async fn get_archive(
        &self,
        container: &str,
        path: &str,
    ) -> Result<(PathStat, ByteStream)> {
        let reply = self.transport.get(&archive_path(container)?, &[("path", path)]).await?;
        Ok((stat_of(&reply)?, reply.into_bytes("archive")))
    }

    /// Hands an archive to the engine.
    pub(super) async fn put_archive(
        &self,
        container: &str,
        path: &str,
        archive: Reader,
        options: ArchivePut,
    ) -> Result<()> {
        let mut query = vec![("path", path)];
        if options.keeps_folders {
            query.push(("noOverwriteDirNonDir", "true"));
        }
        if options.keeps_owners {
            query.push(("copyUIDGID", "true"));
        }
        let body = upload(archive);
        self.transport.put(&archive_path(container)?, &query, body, "application/x-tar").await?;
        Ok(())
    }

    /// Asks what a container changed.
    pub(super) async fn container_changes(&self, container: &str) -> Result<Vec<Change>> {
        let path = format!("/containers/{}/changes", container_segment(container)?);
        let list: Option<Vec<RawChange>> = self.transport.get(&path, &[]).await?.json().await?;
        let change = |change: RawChange| {
            let kind = match change.kind {
                0 => ChangeKind::Modified,
                1 => ChangeKind::Added,
                2 => ChangeKind::Deleted,
                other => return Err(error::malformed("changes", format!("kind {other}"))),
            };
            Ok(Change { kind, path: change.path })
        };
        list.unwrap_or_default().into_iter().map(change).collect()
    }

    /// Lets the engine make an image of a container.
    pub(super) async fn commit(&self, options: &CommitOptions) -> Result<Digest> {
        let (repository, tag) = options
            .name
            .as_ref()
            .map(|name| (name.familiar_repository(), name.tag().to_owned()))
            .unwrap_or_default();
        let pause = options.pause.to_string();
        let mut query = vec![
            ("container", options.container.as_str()),
            ("repo", repository.as_str()),
            ("tag", tag.as_str()),
            ("comment", options.message.as_str()),
            ("author", options.author.as_str()),
            ("pause", pause.as_str()),
        ];
        query.extend(options.changes.iter().map(|change| ("changes", change.as_str())));
        let settings = serde_json::to_vec(&options.config);
        let body = full(settings.map_err(|cause| error::malformed("commit", cause))?);
        let reply = self.transport.post("/commit", &query, body, "application/json").await?;
        let committed: Committed = reply.json().await?;
        committed.id.parse().map_err(|cause| error::malformed("commit", cause))
    }
}
