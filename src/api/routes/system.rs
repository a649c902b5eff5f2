//! The engine itself: is it there, what is it, how much disk does it take.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, PRAGMA};
use serde_json::{Value, json};
use wharf_backend::Backend;
use wharf_registry::Hosts;

use super::{containers, images};
use crate::answer::{self, Answer, Answered, Refusal};
use crate::body;
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::{NEWEST, OLDEST, Version};

/// The name of docker's own registry.
const HUB: &str = "docker.io";

/// Answers that there is somebody, and with what; `HEAD` asks for the headers alone.
pub(crate) fn ping(with_body: bool) -> Answer {
    let body = body::full(if with_body { "OK" } else { "" });
    let mut answer = answer::of_type("text/plain; charset=utf-8", body);
    let headers = answer.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    put(CACHE_CONTROL, "no-cache, no-store, must-revalidate");
    put(PRAGMA, "no-cache");
    // The builder that clients needn't bring anything for; it says that there is none.
    put(HeaderName::from_static("builder-version"), "1");
    put(HeaderName::from_static("swarm"), "inactive");
    answer
}

pub(crate) async fn version(server: &Arc<Server>) -> Answered {
    let mut document = server.engine.inspect_version().await?;
    let (newest, oldest) = (NEWEST.to_string(), OLDEST.to_string());
    document["ApiVersion"] = newest.as_str().into();
    document["MinAPIVersion"] = oldest.as_str().into();
    if let Some(details) = document.pointer_mut("/Components/0/Details") {
        details["ApiVersion"] = newest.into();
        details["MinAPIVersion"] = oldest.into();
    }
    answer::document(&document)
}

pub(crate) async fn info(server: &Arc<Server>) -> Answered {
    let mut document = server.engine.inspect_engine().await?;
    document["RegistryConfig"] = registries(server.engine.hosts());
    answer::document(&document)
}

/// Returns docker's document of what is said of single registries.
fn registries(hosts: &Hosts) -> Value {
    let (insecure, blocks) = hosts.insecure();
    // This host's own are, as with docker.
    let own = ["::1/128", "127.0.0.0/8"].map(str::to_owned);
    let blocks: Vec<String> =
        own.into_iter().chain(blocks.iter().map(ToString::to_string)).collect();
    let mirrors = |name: &str| hosts.mirrors().get(name).cloned().unwrap_or_default();
    let named = insecure.iter().copied().chain(hosts.mirrors().keys().map(String::as_str));
    let indexes: BTreeMap<&str, Value> = std::iter::once(HUB)
        .chain(named)
        .map(|name| {
            let about = json!({
                "Name": name,
                "Mirrors": mirrors(name),
                "Secure": !insecure.contains(&name),
                "Official": name == HUB,
            });
            (name, about)
        })
        .collect();
    json!({"IndexConfigs": indexes, "InsecureRegistryCIDRs": blocks, "Mirrors": mirrors(HUB)})
}

/// Answers what each object takes of the disk: of all kinds, or of those that `type` names.
pub(crate) async fn disk_usage(server: &Arc<Server>, ask: &Ask) -> Answered {
    let wanted: Vec<&str> = ask.query.all("type").collect();
    let known = ["container", "image", "volume", "build-cache"];
    if let Some(other) = wanted.iter().find(|kind| !known.contains(kind)) {
        return Err(Refusal::invalid(format!("unknown object type: {other}")));
    }
    let is_wanted = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    let usage = server.engine.disk_usage().await?;
    let mut document = json!({});
    if is_wanted("image") {
        let images = usage.image_list.iter();
        let images = images.map(|of| images::row(&of.image, Some(of.shared), true));
        document["LayersSize"] = usage.images.size.into();
        document["Images"] = images.collect::<Vec<Value>>().into();
    }
    if is_wanted("container") {
        let rows = containers::rows(server, &usage.container_list, ask.version).await?;
        document["Containers"] = rows.into();
    }
    if is_wanted("volume") {
        let volumes = usage.volume_list.iter().map(|volume| {
            let mut document = wharf_inspect::volume_document(volume);
            document["UsageData"] = json!({
                "RefCount": volume.users.len(),
                "Size": volume.size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX)),
            });
            document
        });
        document["Volumes"] = volumes.collect::<Vec<Value>>().into();
    }
    if is_wanted("build-cache") {
        document["BuildCache"] = json!([]);
        if ask.version < Version(44) {
            document["BuilderSize"] = 0.into();
        }
    }
    answer::document(&document)
}

/// There are none, whatever they are asked for by.
pub(crate) fn no_plugins(query: &Query) -> Answered {
    match query.filters()?.keys().find(|key| !matches!(*key, "enabled" | "capability")) {
        Some(other) => Err(Refusal::invalid(format!("invalid filter '{other}'"))),
        None => answer::document(&json!([])),
    }
}

/// Nothing is built, so nothing is kept for it.
pub(crate) fn no_build_cache() -> Answered {
    answer::document(&json!({"CachesDeleted": null, "SpaceReclaimed": 0}))
}
