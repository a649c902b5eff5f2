//! `events`: what happens, a document each.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_model::EventOptions;

use crate::answer::{self, Answered};
use crate::body;
use crate::request::Ask;
use crate::server::Server;

pub(crate) async fn stream(server: &Arc<Server>, ask: &Ask) -> Answered {
    let options = EventOptions {
        since: ask.query.instant("since")?,
        until: ask.query.instant("until")?,
        filters: ask.query.filters()?,
    };
    let events = server.engine.list_events(options).await?;
    let lines = events.map(|event| {
        event.map(|event| {
            let mut text = wharf_inspect::event_document(&event).to_string();
            text.push('\n');
            Bytes::from(text)
        })
    });
    Ok(answer::of_type("application/json", body::stream(lines)))
}
