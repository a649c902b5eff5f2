//! What is done with a container that changes nothing of it, and is told all the same.

use crate::Result;
use crate::engine::Engine;

impl Engine {
    /// Tells in the events what somebody has done with a container, by docker's word for it. What
    /// changes something tells of itself.
    ///
    /// # Errors
    /// When there is no such container, or the database refuses.
    pub fn note(
        &self,
        reference: &str,
        action: &str,
        attributes: &[(&'static str, String)],
    ) -> Result<()> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            store.add_container_event(&record, action, attributes)
        })
    }
}
