//! `manifest inspect`: what a registry says of an image.

use base64::Engine as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use wharf_model::ImageReference;
use wharf_registry::Remote;
use wharf_registry::manifest::{Content, Descriptor, Manifest, OCI_MANIFEST};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, over_these_registries, print_line};
use crate::connect;

pub(crate) static INSPECT: Verb = Verb {
    name: "manifest inspect",
    paths: &["manifest inspect"],
    usage: "[OPTIONS] MANIFEST",
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
    if call.parsed.arguments.len() > 1 {
        let text = "lists of manifests of one's own are not supported yet by this version of wharf: \
                    give one MANIFEST";
        return Err(Failure::new(1, text).into());
    }
    let text = call.parsed.argument(0).unwrap_or_default();
    let reference: ImageReference =
        text.parse().map_err(|error| Failure::new(1, format!("{error}")))?;
    let repository = reference.repository().clone();
    let insecure = call.parsed.on("insecure").then(|| repository.domain().to_owned());
    over_these_registries(&connect::registries(insecure.as_deref())?, async |registries| {
        let remote = registries.repository(&repository);
        let digest = reference.digest().cloned();
        let manifest = remote.manifest(reference.selector(), digest.as_ref()).await?;
        let value = match call.parsed.on("verbose") {
            true => verbose(&remote, &reference, &manifest).await?,
            false => serde_json::from_slice(&manifest.bytes)?,
        };
        print_line(&indented(&value)?)?;
        Ok(0)
    })
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

fn indented(value: &Value) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    Ok(String::from_utf8(text)?)
}
