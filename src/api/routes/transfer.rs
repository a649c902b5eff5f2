//! Images from and to registries, and imports: their progress, a document each step.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::header::HeaderMap;
use serde_json::{Value, json};
use wharf_backend::native::Native;
use wharf_backend::{Backend, Error, TransferStream};
use wharf_inspect::human;
use wharf_inspect::transfer::{Way, safe, words};
use wharf_model::{
    ImageReference, ImportOptions, LayerState, PullOptions, PushOptions, TransferEvent,
};
use wharf_registry::Credential;

use super::images;
use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::request::Ask;
use crate::server::Server;

/// Cells of docker's bar.
const BAR: usize = 50;

/// Returns the engine as it is for a client that says who it is at a registry.
pub(super) fn engine_for(
    server: &Server,
    domain: &str,
    headers: &HeaderMap,
) -> Result<Native, Refusal> {
    let header = headers.get("x-registry-auth").map(|value| value.to_str().unwrap_or("?"));
    let credential = Credential::from_client(header.unwrap_or_default())?;
    Ok(server.engine.as_somebody(domain, credential.unwrap_or_default())?)
}

fn reference(text: &str) -> Result<ImageReference, Refusal> {
    text.parse().map_err(|cause: wharf_model::ParseError| Refusal::invalid(cause.to_string()))
}

pub(crate) async fn create(server: &Arc<Server>, ask: Ask) -> Answered {
    match (ask.query.text("fromImage"), ask.query.text("fromSrc")) {
        (Some(_), _) => pull(server, &ask).await,
        (None, Some(_)) => import(server, ask).await,
        (None, None) => Err(Refusal::invalid("no image was named: give fromImage or fromSrc")),
    }
}

async fn pull(server: &Server, ask: &Ask) -> Answered {
    let image = ask.query.get("fromImage").unwrap_or_default();
    let text = match ask.query.text("tag") {
        Some(digest) if digest.contains(':') => format!("{image}@{digest}"),
        Some(tag) => {
            // A tag of its own counts more than one in the name.
            let named = reference(image)?;
            format!("{}:{tag}", named.repository())
        }
        None => image.to_owned(),
    };
    let reference = reference(&text)?;
    let all_tags = reference.is_name_only();
    let engine = engine_for(server, reference.repository().domain(), &ask.headers)?;
    let platform = images::platform(&ask.query)?;
    let events = engine.pull(PullOptions { reference, all_tags, platform }).await?;
    told(events, Way::Pull).await
}

pub(crate) async fn push(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let reference = reference(name)?;
    let tag = ask.query.text("tag").map(str::to_owned);
    let engine = engine_for(server, reference.repository().domain(), &ask.headers)?;
    let options = PushOptions {
        tag: tag.or_else(|| reference.tag().map(str::to_owned)),
        repository: reference.repository().clone(),
        platform: images::platform(&ask.query)?,
    };
    told(engine.push(options).await?, Way::Push).await
}

/// Answers with the steps as they happen. What fails before the first of them is a status.
async fn told(mut events: TransferStream, way: Way) -> Answered {
    let first = match events.next().await {
        Some(Err(error)) => return Err(error.into()),
        first => first,
    };
    let all = stream::iter(first).chain(events);
    let lines = all.map(move |event| {
        let documents = event.map_or_else(|error| vec![failure(&error)], |event| step(way, &event));
        let text: String = documents.iter().map(|document| format!("{document}\r\n")).collect();
        Ok::<_, std::convert::Infallible>(Bytes::from(text))
    });
    Ok(answer::of_type("application/json", body::stream(lines)))
}

fn failure(error: &Error) -> Value {
    json!({"errorDetail": {"message": error.message}, "error": error.message})
}

/// Returns docker's documents of a step.
fn step(way: Way, event: &TransferEvent) -> Vec<Value> {
    let status = |text: String| vec![json!({"status": safe(&text)})];
    match event {
        TransferEvent::Note(text) => match text.split_once(": Pulling from ") {
            Some((tag, from)) => {
                vec![json!({"status": format!("Pulling from {}", safe(from)), "id": safe(tag)})]
            }
            None => status(text.clone()),
        },
        TransferEvent::Layer { layer, state } => vec![of_layer(way, layer, state)],
        TransferEvent::Pulled(pulled) => status(format!("Digest: {}", pulled.digest)),
        TransferEvent::Ended { reference, newer } => status(match newer {
            true => format!("Status: Downloaded newer image for {reference}"),
            false => format!("Status: Image is up to date for {reference}"),
        }),
        TransferEvent::Pushed(pushed) => vec![
            json!({"status": format!(
                "{}: digest: {} size: {}", safe(&pushed.tag), pushed.digest, pushed.size
            )}),
            json!({"progressDetail": {}, "aux": {
                "Tag": pushed.tag, "Digest": pushed.digest.as_str(), "Size": pushed.size,
            }}),
        ],
        _ => Vec::new(),
    }
}

fn of_layer(way: Way, layer: &str, state: &LayerState) -> Value {
    let mut document = json!({
        "status": words(way, state),
        "progressDetail": {},
        "id": safe(layer),
    });
    let (done, total) = match state {
        LayerState::Downloading { done, total }
        | LayerState::Extracting { done, total }
        | LayerState::Uploading { done, total } => (*done, *total),
        _ => return document,
    };
    document["progressDetail"]["current"] = done.into();
    let count = match total.filter(|total| *total > 0) {
        Some(total) => {
            document["progressDetail"]["total"] = total.into();
            let cells = u64::try_from(BAR).unwrap_or_default();
            let full = u128::from(done.min(total)) * u128::from(cells) / u128::from(total);
            let full = usize::try_from(full).unwrap_or(BAR);
            let bar = format!("[{}>{}]", "=".repeat(full), " ".repeat(BAR - full));
            format!("{bar} {:>8}/{}", human::size(done.min(total)), human::size(total))
        }
        None => format!("{:>8}", human::size(done)),
    };
    document["progress"] = count.into();
    document
}

async fn import(server: &Server, ask: Ask) -> Answered {
    let query = ask.query.clone();
    if query.get("fromSrc") != Some("-") {
        return Err(Refusal::invalid(
            "wharf fetches no archives from addresses: send the archive, with fromSrc=-",
        ));
    }
    let options = ImportOptions {
        name: query.text("repo").map(|repo| images::name(repo, query.get("tag"))).transpose()?,
        changes: images::changes(&query),
        message: query.get("message").unwrap_or_default().to_owned(),
        platform: images::platform(&query)?,
    };
    let id = server.engine.import(ask.reader(), options).await?;
    let text = format!("{}\r\n", json!({"status": id.as_str()}));
    Ok(answer::of_type("application/json", body::full(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_dockers_documents() {
        let note = TransferEvent::Note("latest: Pulling from library/x".to_owned());
        assert_eq!(
            step(Way::Pull, &note),
            [json!({"status": "Pulling from library/x", "id": "latest"})]
        );
        let state = LayerState::Downloading { done: 1_048_576, total: Some(3_145_728) };
        let layer = TransferEvent::Layer { layer: "ab".to_owned(), state };
        let document = step(Way::Pull, &layer).remove(0);
        assert_eq!(document["progressDetail"], json!({"current": 1_048_576, "total": 3_145_728}));
        let bar = format!("[{}>{}]  1.049MB/3.146MB", "=".repeat(16), " ".repeat(34));
        assert_eq!(document["progress"], bar);
        let error = failure(&Error::new(wharf_model::ErrorKind::NotFound, "no"));
        assert_eq!(error, json!({"errorDetail": {"message": "no"}, "error": "no"}));
    }
}
