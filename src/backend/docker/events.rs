//! The engine's event stream.

use bollard::models;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use wharf_model::{Event, EventKind};

use super::Docker;
use crate::Result;

impl Docker {
    /// Returns what happens from now on, narrowed by `filters` (a key such as `type` or `container`
    /// and the value it must have). The subscription stands when this returns.
    pub(super) async fn event_stream(
        &self,
        filters: &[(&str, &str)],
    ) -> Result<BoxStream<'static, Result<Event>>> {
        // The engine answers a moment before it listens; asking for what it remembers since now
        // closes that gap.
        let now = Utc::now();
        let since = format!("{}.{:09}", now.timestamp(), now.timestamp_subsec_nanos());
        let mut wanted = serde_json::Map::new();
        for (key, value) in filters {
            wanted.insert((*key).to_owned(), serde_json::json!([value]));
        }
        let filters = serde_json::Value::Object(wanted).to_string();
        let query = [("since", since.as_str()), ("filters", filters.as_str())];
        let reply = self.transport.get("/events", &query).await?;
        let events = reply.into_lines::<models::EventMessage>("events").filter_map(|message| {
            std::future::ready(match message {
                Ok(message) => event(message).map(Ok),
                Err(error) => Some(Err(error)),
            })
        });
        Ok(events.boxed())
    }
}

/// Returns the event, if it is about a kind of object that the model has.
fn event(message: models::EventMessage) -> Option<Event> {
    let kind = match message.typ?.to_string().as_str() {
        "container" => EventKind::Container,
        "image" => EventKind::Image,
        "network" => EventKind::Network,
        "volume" => EventKind::Volume,
        "daemon" => EventKind::Daemon,
        _ => return None,
    };
    let time = message
        .time_nano
        .map(DateTime::from_timestamp_nanos)
        .or_else(|| DateTime::from_timestamp(message.time?, 0))?;
    let actor = message.actor.unwrap_or_default();
    Some(Event {
        time,
        kind,
        action: message.action.unwrap_or_default(),
        id: actor.id.unwrap_or_default(),
        attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_dockerd_becomes_an_event() {
        // Captured from Docker 20.10 (`GET /events`).
        let line = r#"{"status":"die","id":"ab","from":"busybox","Type":"container",
            "Action":"die","Actor":{"ID":"ab","Attributes":{"exitCode":"3","image":"busybox",
            "name":"web"}},"scope":"local","time":1700000000,"timeNano":1700000000123456789}"#;
        let event = event(serde_json::from_str(line).unwrap()).unwrap();
        assert_eq!(event.kind, EventKind::Container);
        assert_eq!(event.action, "die");
        assert_eq!(event.attributes["exitCode"], "3");
        assert_eq!(event.time.timestamp_subsec_nanos(), 123_456_789);
    }
}
