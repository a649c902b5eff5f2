//! `manifest inspect`: what a registry says of an image, or a list of manifests in docker's folder, which
//! `docker manifest create` has made.

use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use wharf_model::{ErrorKind, ImageReference};
use wharf_registry::Remote;
use wharf_registry::manifest::{
    Content, DOCKER_LIST, Descriptor, Manifest, OCI_INDEX, OCI_MANIFEST,
};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, over_these_registries, print_line};
use crate::connect;

pub(crate) static INSPECT: Verb = Verb {
    name: "manifest inspect",
    paths: &["manifest inspect"],
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    about: "Show an image's manifest, or its list of manifests, as its registry has it",
    group: Group::Images,
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[
        Flag::switch("insecure", "Let the registry be without TLS"),
        Flag::switch("verbose", "Show descriptors and platforms too").short('v'),
    ]],
    missing: &[],
    run: inspect,
};

/// The greatest configuration that is read for its platform.
const LONGEST_CONFIG: u64 = 16 << 20;

fn inspect(call: &Call) -> anyhow::Result<i32> {
    let reference = |text: &String| {
        text.parse::<ImageReference>().map_err(|error| Failure::new(1, format!("{error}")))
    };
    let named = call.parsed.arguments.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
    let [lists @ .., reference] = named.as_slice() else { return Ok(1) };
    if let Some(value) = kept(lists.first(), reference, call.parsed.on("verbose"))? {
        print_line(&value)?;
        return Ok(0);
    }
    let repository = reference.repository().clone();
    let insecure = call.parsed.on("insecure").then(|| repository.domain().to_owned());
    over_these_registries(&connect::registries(insecure.as_deref())?, async |registries| {
        let remote = registries.repository(&repository);
        let digest = reference.digest().cloned();
        let manifest = remote.manifest(reference.selector(), digest.as_ref()).await;
        let manifest = manifest.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                Failure::new(1, format!("no such manifest: {}", reference.canonical()))
            }
            _ => Failure::new(1, error.message),
        })?;
        let value = match call.parsed.on("verbose") {
            true => verbose(&remote, reference, &manifest).await?,
            false => serde_json::from_slice(&manifest.bytes)?,
        };
        print_line(&indented(&value, b"\t")?)?;
        Ok(0)
    })
}

/// Returns what docker's folder has of a manifest in a list, or else of a list itself; none where it
/// has no such list.
fn kept(
    list: Option<&ImageReference>,
    reference: &ImageReference,
    verbose: bool,
) -> anyhow::Result<Option<String>> {
    let Some(root) = connect::docker_folder().map(|folder| folder.join("manifests")) else {
        return Ok(None);
    };
    let file =
        |reference: &ImageReference| reference.canonical().replace(':', "-").replace('/', "_");
    let unknown = |reference: &ImageReference| {
        Failure::new(1, format!("No such manifest: {}", reference.canonical()))
    };
    if let Some(list) = list {
        let path = root.join(file(list)).join(file(reference));
        let document = read(&path)?.ok_or_else(|| unknown(reference))?;
        let shown = if verbose { document } else { payload(&document)? };
        return Ok(Some(indented(&shown, b"\t")?));
    }
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(root.join(file(reference))) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    paths.sort();
    let documents = paths.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let documents: Vec<Value> = documents.into_iter().flatten().collect();
    if verbose {
        return Ok(Some(indented(&Value::Array(documents), b"\t")?));
    }
    let entries: Vec<Value> =
        documents.iter().map(|document| in_order(&document["Descriptor"])).collect();
    let is_oci = entries.first().is_some_and(|entry| entry["mediaType"] == OCI_MANIFEST);
    let list = json!({
        "schemaVersion": 2,
        "mediaType": if is_oci { OCI_INDEX } else { DOCKER_LIST },
        "manifests": entries,
    });
    Ok(Some(indented(&list, b"   ")?))
}

/// Returns a descriptor as docker's lists have it.
fn in_order(descriptor: &Value) -> Value {
    let keys = ["mediaType", "size", "digest", "platform", "urls", "annotations"];
    let has = |key: &&str| descriptor.get(key).is_some_and(|value| !value.is_null());
    keys.iter()
        .filter(|key| has(key))
        .map(|key| ((*key).to_owned(), descriptor[key].clone()))
        .collect()
}

/// Returns a manifest with its descriptor as docker keeps it; none where there is no such file.
fn read(path: &std::path::Path) -> anyhow::Result<Option<Value>> {
    let damaged = |error: &dyn std::fmt::Display| {
        Failure::new(1, format!("manifest {}: {error}", path.display()))
    };
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(damaged(&error).into()),
    }
}

/// Returns the manifest itself out of docker's document.
fn payload(document: &Value) -> anyhow::Result<Value> {
    let raw = document["Raw"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(raw)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Returns docker's document with all that is known: one object for one image, a list for several.
async fn verbose(
    remote: &Remote,
    reference: &ImageReference,
    manifest: &Manifest,
) -> anyhow::Result<Value> {
    match manifest.content()? {
        Content::Image(content) => {
            let config = remote.small_blob(&content.config, LONGEST_CONFIG).await?;
            let config: Value = serde_json::from_slice(&config)?;
            let mut platform = Map::new();
            for (to, from) in
                [("architecture", "architecture"), ("os", "os"), ("variant", "variant")]
            {
                if let Some(value) = config.get(from).filter(|value| **value != json!("")) {
                    platform.insert(to.to_owned(), value.clone());
                }
            }
            let shown = reference.canonical();
            document(&shown, manifest, Value::Object(platform))
        }
        Content::Index(entries) => {
            let mut all = Vec::new();
            for entry in &entries {
                let Descriptor { digest, platform, .. } = entry;
                let one = remote.manifest(digest.as_str(), Some(digest)).await?;
                let shown = format!("{}@{digest}", reference.canonical());
                all.push(document(&shown, &one, serde_json::to_value(platform)?)?);
            }
            Ok(Value::Array(all))
        }
    }
}

fn document(reference: &str, manifest: &Manifest, platform: Value) -> anyhow::Result<Value> {
    let content: Value = serde_json::from_slice(&manifest.bytes)?;
    let name = match manifest.media_type.as_str() {
        OCI_MANIFEST => "OCIManifest",
        _ => "SchemaV2Manifest",
    };
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.bytes.len(),
    });
    if let (Some(descriptor), false) = (descriptor.as_object_mut(), platform.is_null()) {
        descriptor.insert("platform".to_owned(), platform);
    }
    let raw = base64::engine::general_purpose::STANDARD.encode(&manifest.bytes);
    Ok(json!({ "Ref": reference, "Descriptor": descriptor, "Raw": raw, name: content }))
}

fn indented(value: &Value, by: &[u8]) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(by);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    Ok(String::from_utf8(text)?)
}
