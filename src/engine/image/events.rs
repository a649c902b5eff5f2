//! What happens to images, for those who watch.

use chrono::Utc;
use rusqlite::{OptionalExtension, Transaction};
use wharf_model::{Digest, Event, EventKind};

use super::document::ConfigDocument;
use crate::Result;
use crate::engine::Engine;
use crate::state::add_event;

/// Adds an event in the transaction of the change it tells of.
pub(super) fn record(
    tx: &Transaction<'_>,
    action: &str,
    image: &Digest,
    name: Option<&str>,
) -> Result<()> {
    // Of one that goes docker doesn't know them any more.
    let labelled = Some(image).filter(|_| action != "delete");
    add(tx, action, labelled, image.as_str(), name.unwrap_or(image.as_str()))
}

impl Engine {
    /// Tells that a pull or a push has come to its end: as with docker, of what was asked for (a
    /// repository with its tag, digest or neither), whether or not anything was new.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn transferred(&self, action: &str, reference: &str, repository: &str) -> Result<()> {
        self.with_images(|images| {
            let image = images.find(reference).ok().map(|found| found.id);
            images.store.transaction(|tx| add(tx, action, image.as_ref(), reference, repository))
        })
    }
}

/// Adds an event about an image, with its labels as far as it is there.
fn add(
    tx: &Transaction<'_>,
    action: &str,
    image: Option<&Digest>,
    id: &str,
    name: &str,
) -> Result<()> {
    let config: Option<Vec<u8>> = tx
        .prepare_cached("SELECT config FROM image WHERE id = ? AND removed = 0")?
        .query_row([image.map(Digest::as_str)], |row| row.get(0))
        .optional()?;
    let document = config.and_then(|bytes| serde_json::from_slice::<ConfigDocument>(&bytes).ok());
    let labels = document.and_then(|document| document.config).map(|config| config.labels);
    let mut attributes = labels.unwrap_or_default();
    attributes.insert("name".to_owned(), name.to_owned());
    let (time, action) = (Utc::now(), action.to_owned());
    add_event(tx, &Event { time, kind: EventKind::Image, action, id: id.to_owned(), attributes })
}
