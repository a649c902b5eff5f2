//! `rename`.

use wharf_model::ErrorKind;

use crate::engine::Engine;
use crate::{Error, Result, names};

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// In docker's words, when the name isn't well formed, or is taken.
    pub fn rename(&self, reference: &str, name: &str) -> Result<()> {
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, message);
        let name = name.strip_prefix('/').unwrap_or(name);
        if reference.is_empty() || name.is_empty() {
            return Err(invalid("Neither old nor new names may be empty"));
        }
        self.with_store(|store| {
            let (_verbs, record) = self.locked(store, reference)?;
            if record.name == name {
                return Err(invalid("Renaming a container with the same name as its current name"));
            }
            let refused = |error: Error| {
                let kind = error.kind();
                Error::new(kind, format!("Error when allocating new name: {error}"))
            };
            names::check(name).map_err(refused)?;
            store.rename_container(&record, name).map_err(refused)
        })
    }
}
