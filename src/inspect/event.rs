//! Docker's document of an event.

use serde_json::{Value, json};
use wharf_model::{Event, EventKind};

/// Returns docker's document of an event.
pub fn event_document(event: &Event) -> Value {
    let mut document = json!({
        "status": event.action,
        "id": event.id,
        "from": event.attributes.get("image").cloned().unwrap_or_default(),
        "Type": event.kind.as_str(),
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": event.time.timestamp(),
        "timeNano": event.time.timestamp_nanos_opt().unwrap_or_default(),
    });
    if let Some(map) = document.as_object_mut() {
        // What containers and images have from the first API on, and others don't.
        let old = matches!(event.kind, EventKind::Container | EventKind::Image);
        map.retain(|key, value| match key.as_str() {
            "status" | "id" => old,
            "from" => event.kind == EventKind::Container && value != "",
            _ => true,
        });
    }
    document
}
