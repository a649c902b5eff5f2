//! What happens to images, for those who watch.

use std::collections::BTreeMap;

use chrono::Utc;
use wharf_model::{Digest, Event, EventKind};

use crate::Result;
use crate::state::add_event;

/// Adds an event in the transaction of the change it tells of.
pub(super) fn record(
    tx: &rusqlite::Transaction<'_>,
    action: &str,
    image: &Digest,
    name: Option<&str>,
) -> Result<()> {
    let event = Event {
        time: Utc::now(),
        kind: EventKind::Image,
        action: action.to_owned(),
        id: image.to_string(),
        attributes: BTreeMap::from([(
            "name".to_owned(),
            name.map_or_else(|| image.to_string(), str::to_owned),
        )]),
    };
    add_event(tx, &event)
}
