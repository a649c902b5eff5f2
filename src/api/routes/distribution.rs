//! What registries say: of an image, and of somebody who logs in.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use wharf_model::{ErrorKind, ImageReference};
use wharf_registry::manifest::Content;
use wharf_registry::{Credential, Platform, Remote};

use super::transfer::engine_for;
use crate::answer::{self, Answered, Refusal};
use crate::request::Ask;
use crate::server::Server;

/// The longest configuration of an image that is read for its platform.
const LONGEST_CONFIG: u64 = 4 << 20;

pub(crate) async fn inspect(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let reference: ImageReference = name
        .parse()
        .map_err(|cause: wharf_model::ParseError| Refusal::invalid(cause.to_string()))?;
    let engine = engine_for(server, reference.repository().domain(), &ask.headers)?;
    let remote = engine.registries()?.repository(reference.repository());
    let manifest = remote.manifest(reference.selector(), reference.digest()).await?;
    let platforms = match manifest.content()? {
        Content::Index(entries) => entries.into_iter().filter_map(|entry| entry.platform).collect(),
        Content::Image(image) => vec![platform(&remote, &image.config).await?],
    };
    answer::document(&json!({
        "Descriptor": {
            "mediaType": manifest.media_type,
            "digest": manifest.digest.as_str(),
            "size": manifest.bytes.len(),
        },
        "Platforms": platforms,
    }))
}

/// Reads what machine an image is for.
async fn platform(
    remote: &Remote,
    config: &wharf_registry::manifest::Descriptor,
) -> Result<Platform, Refusal> {
    let bytes = remote.small_blob(config, LONGEST_CONFIG).await?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the image's configuration can't be read: {cause}"),
        )
    })
}

pub(crate) async fn log_in(server: &Arc<Server>, ask: Ask) -> Answered {
    let document: Value = ask.json().await?;
    let address = document["serveraddress"].as_str().unwrap_or_default();
    let domain = wharf_registry::domain(address)?.to_owned();
    let credential = Credential::from_document(&document);
    let registries = server.engine.registries()?;
    match registries.log_in(&domain, credential).await {
        Ok(kept) => answer::document(&json!({
            "Status": "Login Succeeded",
            "IdentityToken": kept.identity_token,
        })),
        Err(error) if error.kind == ErrorKind::Denied => {
            Err(Refusal::new(StatusCode::UNAUTHORIZED, error.message))
        }
        Err(error) => Err(error.into()),
    }
}
