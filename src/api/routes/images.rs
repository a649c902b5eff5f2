//! Images: lists, documents, names, archives, and their end.

use std::fs::File;
use std::sync::Arc;

use futures_util::StreamExt;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use wharf_backend::{Backend, ByteStream, Error};
use wharf_model::{
    Command, CommitOptions, Digest, ErrorKind, ImageListOptions, ImageName, ImageSummary, Outcome,
};

use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::create;
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::Version;

pub(crate) async fn list(server: &Arc<Server>, ask: &Ask) -> Answered {
    let mut filters = ask.query.filters()?;
    // What clients of old have instead of the filter.
    if let Some(pattern) = ask.query.text("filter").filter(|_| ask.version < Version(41)) {
        filters.insert("reference", pattern);
    }
    let images = server.engine.list_images(&ImageListOptions { filters }).await?;
    let shared = match ask.query.on("shared-size") {
        true => server.engine.disk_usage().await?.image_list,
        false => Vec::new(),
    };
    let rows = images.iter().map(|image| {
        let known = shared.iter().find(|of| of.image.id == image.id).map(|of| of.shared);
        let mut row = row(image, known, ask.version >= Version(51));
        if ask.version < Version(44) {
            row["VirtualSize"] = image.size.into();
        }
        if ask.version < Version(43) && image.tags.is_empty() {
            row["RepoTags"] = json!(["<none>:<none>"]);
            if image.repo_digests.is_empty() {
                row["RepoDigests"] = json!(["<none>@<none>"]);
            }
        }
        row
    });
    answer::document(&rows.collect::<Vec<_>>())
}

/// Returns docker's row of a list; how many containers there are is told if it is wanted.
pub(super) fn row(image: &ImageSummary, shared: Option<u64>, counted: bool) -> Value {
    let number = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let containers = match counted {
        true => i64::try_from(image.containers).unwrap_or(i64::MAX),
        false => -1,
    };
    json!({
        "Containers": containers,
        "Created": image.created.map_or(0, |created| created.timestamp()),
        "Id": image.id.as_str(),
        "Labels": if image.labels.is_empty() { Value::Null } else { json!(image.labels) },
        "ParentId": "",
        "RepoDigests": image.repo_digests,
        "RepoTags": image.tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "SharedSize": shared.map_or(-1, number),
        "Size": image.size,
    })
}

/// Returns whether an image is there, but for another platform than the one that was asked for.
pub(super) fn is_other_platform(error: &Error) -> bool {
    error.kind == ErrorKind::Invalid
        && error.message.contains("does not match the specified platform")
}

/// Refuses an image that isn't for all the platforms that are asked for.
async fn check_platforms(server: &Server, image: &str, ask: &Ask) -> Result<(), Refusal> {
    for text in ask.query.all("platform").chain(ask.query.all("platforms")) {
        if !text.is_empty() {
            let platform = written(text)?;
            let checked = wharf_backend::check_platform(&server.engine, image, &platform).await;
            checked.map_err(|error| match is_other_platform(&error) {
                true => Refusal::missing(error.message),
                false => error.into(),
            })?;
        }
    }
    Ok(())
}

pub(crate) async fn inspect(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    check_platforms(server, name, ask).await?;
    let mut document = server.engine.inspect_image(name).await?;
    put_old(&mut document, ask.version);
    answer::document(&document)
}

/// What older versions tell of an image's settings: a container's, which no image has.
const OF_CONTAINERS: [&str; 9] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Domainname",
    "Hostname",
    "Image",
    "OpenStdin",
    "StdinOnce",
    "Tty",
];

/// Makes a document what a version has.
fn put_old(document: &mut Value, version: Version) {
    if version < Version(44) {
        document["VirtualSize"] = document["Size"].clone();
    }
    // Gone in 1.45; docker-compose speaks the newest version and can't do without it all the same.
    document["ContainerConfig"] = document["Config"].clone();
    if version < Version(45) {
        document["Container"] = "".into();
    }
    if version >= Version(50)
        && let Some(config) = document["Config"].as_object_mut()
    {
        config.retain(|name, _| !OF_CONTAINERS.contains(&name.as_str()));
    }
}

pub(crate) async fn history(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    check_platforms(server, name, ask).await?;
    let steps = server.engine.history(name).await?;
    let rows = steps.iter().map(|step| {
        let tags: Vec<String> = step.tags.iter().map(ToString::to_string).collect();
        json!({
            "Comment": step.comment,
            "Created": step.created.map_or(0, |created| created.timestamp()),
            "CreatedBy": step.created_by,
            "Id": step.id.as_ref().map_or("<missing>", Digest::as_str),
            "Size": step.size,
            "Tags": if tags.is_empty() { Value::Null } else { json!(tags) },
        })
    });
    answer::document(&rows.collect::<Vec<_>>())
}

/// Reads a platform, as text or as docker's document.
pub(super) fn platform(query: &Query) -> Result<Option<String>, Refusal> {
    query.text("platform").map(written).transpose()
}

fn written(text: &str) -> Result<String, Refusal> {
    if !text.starts_with('{') {
        return Ok(text.to_owned());
    }
    let document: Value = serde_json::from_str(text)
        .map_err(|cause| Refusal::invalid(format!("invalid platform: {cause}")))?;
    let part = |name: &str| document[name].as_str().filter(|text| !text.is_empty());
    let parts: Vec<&str> =
        ["os", "architecture", "variant"].iter().map_while(|name| part(name)).collect();
    match parts.is_empty() {
        true => Err(Refusal::invalid("invalid platform: it names no os")),
        false => Ok(parts.join("/")),
    }
}

async fn saved(server: &Server, images: &[String], query: &Query) -> Answered {
    let archive = server.engine.save(images, platform(query)?.as_deref()).await?;
    Ok(answer::of_type("application/x-tar", body::stream(archive)))
}

pub(crate) async fn save(server: &Arc<Server>, ask: &Ask) -> Answered {
    let names: Vec<String> = ask.query.all("names").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Refusal::invalid("no images were named: give names"));
    }
    saved(server, &names, &ask.query).await
}

pub(crate) async fn save_one(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    saved(server, &[name.to_owned()], &ask.query).await
}

/// Returns the body as a file that is read while it comes.
///
/// # Errors
/// When the kernel has no pipe.
fn spooled(mut stream: ByteStream) -> Result<File, Error> {
    let failed = |cause: std::io::Error| {
        Error::new(ErrorKind::Internal, format!("pass the archive on: {cause}"))
    };
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let writer: std::os::fd::OwnedFd = writer.into();
    let mut writer = tokio::net::unix::pipe::Sender::from_owned_fd(writer).map_err(failed)?;
    tokio::spawn(async move {
        // Whoever reads finds the end too early where the client broke off, and says so.
        while let Some(Ok(piece)) = stream.next().await {
            if writer.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let reader: std::os::fd::OwnedFd = reader.into();
    Ok(File::from(reader))
}

pub(crate) async fn load(server: &Arc<Server>, ask: Ask) -> Answered {
    let platform = platform(&ask.query)?;
    let archive = spooled(ask.stream())?;
    let lines = server.engine.load(archive, platform.as_deref()).await?;
    let text: String =
        lines.iter().map(|line| format!("{}\n", json!({"stream": format!("{line}\n")}))).collect();
    Ok(answer::of_type("application/json", body::full(text)))
}

/// Reads a name and its tag.
///
/// # Errors
/// When they make none.
pub(super) fn name(repository: &str, tag: Option<&str>) -> Result<ImageName, Refusal> {
    let text = match tag.filter(|tag| !tag.is_empty()) {
        Some(tag) => format!("{repository}:{tag}"),
        None => repository.to_owned(),
    };
    text.parse().map_err(|cause: wharf_model::ParseError| Refusal::invalid(cause.to_string()))
}

/// Returns the lines of a Dockerfile that are to change an image.
pub(super) fn changes(query: &Query) -> Vec<String> {
    let lines = query.all("changes").flat_map(str::lines).map(str::trim);
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn tag(server: &Arc<Server>, image: &str, query: &Query) -> Answered {
    let repository = query
        .text("repo")
        .ok_or_else(|| Refusal::invalid("invalid reference format: repo is empty"))?;
    let name = name(repository, query.get("tag"))?;
    server.engine.execute(Command::Tag { image: image.to_owned(), name }).await?;
    Ok(answer::status(StatusCode::CREATED))
}

/// Returns docker's rows of what was removed.
fn removed(untagged: &[String], deleted: &[Digest]) -> Vec<Value> {
    let untagged = untagged.iter().map(|name| json!({"Untagged": name}));
    untagged.chain(deleted.iter().map(|id| json!({"Deleted": id.as_str()}))).collect()
}

pub(crate) async fn remove(server: &Arc<Server>, image: &str, ask: &Ask) -> Answered {
    check_platforms(server, image, ask).await?;
    let command = Command::RemoveImage { image: image.to_owned(), force: ask.query.on("force") };
    match server.engine.execute(command).await? {
        Outcome::ImageRemoved { untagged, deleted } => {
            answer::document(&removed(&untagged, &deleted))
        }
        other => Err(super::unexpected("remove", &other)),
    }
}

pub(crate) async fn prune(server: &Arc<Server>, query: &Query) -> Answered {
    let given = query.filters()?;
    let mut all = false;
    let mut filters = wharf_model::Filters::default();
    for key in given.keys() {
        for value in given.values(key) {
            match (key, value.as_str()) {
                ("dangling", "true" | "1") => all = false,
                ("dangling", "false" | "0") => all = true,
                ("dangling", other) => {
                    return Err(Refusal::invalid(format!("invalid filter 'dangling={other}'")));
                }
                (key, value) => filters.insert(key, value),
            }
        }
    }
    match server.engine.execute(Command::PruneImages { all, filters }).await? {
        Outcome::ImagesPruned { untagged, deleted, reclaimed, .. } => {
            let rows = removed(&untagged, &deleted);
            let rows = if rows.is_empty() { Value::Null } else { rows.into() };
            answer::document(&json!({"ImagesDeleted": rows, "SpaceReclaimed": reclaimed}))
        }
        other => Err(super::unexpected("prune", &other)),
    }
}

pub(crate) async fn commit(server: &Arc<Server>, ask: Ask) -> Answered {
    let query = ask.query.clone();
    let config = match ask.document().await? {
        None | Some(Value::Null) => None,
        Some(document) => Some(Box::new(create::image_config(document)?)),
    };
    let container = query
        .text("container")
        .ok_or_else(|| Refusal::invalid("no container was named: give container"))?;
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let options = CommitOptions {
        container: container.to_owned(),
        name: query.text("repo").map(|repo| name(repo, query.get("tag"))).transpose()?,
        author: text("author"),
        message: text("comment"),
        pause: query.on_unless_told("pause"),
        changes: changes(&query),
        config,
    };
    match server.engine.execute(Command::Commit(Box::new(options))).await? {
        Outcome::Committed(id) => answer::created(&json!({"Id": id.as_str()})),
        other => Err(super::unexpected("commit", &other)),
    }
}
