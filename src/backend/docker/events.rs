//! The engine's event stream.

use bollard::models;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use wharf_model::{ErrorKind, Event, EventKind, EventOptions, Filters};

use super::Docker;
use crate::{Error, Result};

impl Docker {
    /// Returns the wanted events. The subscription stands when this returns.
    pub(super) async fn event_stream(
        &self,
        options: &EventOptions,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let number = |time: DateTime<Utc>| {
            format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos())
        };
        // The engine answers a moment before it listens; asking for what it remembers since now
        // closes that gap.
        let since = match (options.since, options.wants_history()) {
            (None, false) => Some(Utc::now()),
            (since, _) => since,
        };
        let filters = json(&options.filters)?;
        let times = [("since", since.map(number)), ("until", options.until.map(number))];
        let mut query = vec![("filters", filters.as_str())];
        query.extend(times.iter().filter_map(|(key, time)| Some((*key, time.as_deref()?))));
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

fn json(filters: &Filters) -> Result<String> {
    serde_json::to_string(filters)
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("filters: {cause}")))
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
