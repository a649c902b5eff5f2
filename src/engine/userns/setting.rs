//! Which user namespace containers get that ask for none: docker's `userns-remap`, kept with the
//! engine's data, so that it holds for whoever makes a container.

use std::io::ErrorKind;

use wharf_model::{HostConfig, UsernsMode};

use super::remap;
use crate::engine::Engine;
use crate::{Error, Result};

impl Engine {
    /// Returns the user whose subordinate numbers containers get by default, if any:
    /// `default`, or `USER[:GROUP]`.
    ///
    /// # Errors
    /// When the setting can't be read.
    pub fn userns_remap(&self) -> Result<Option<String>> {
        let path = self.paths().userns_remap();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::failed(format_args!("read {}", path.display()), cause)),
        }
    }

    /// Sets it, for containers that are made from now on; none turns it off.
    ///
    /// # Errors
    /// When that user has no subordinate numbers, or this is an ordinary user's engine.
    pub fn set_userns_remap(&self, user: Option<&str>) -> Result<()> {
        let path = self.paths().userns_remap();
        let failed = |cause| Error::failed(format_args!("write {}", path.display()), cause);
        let Some(user) = user else {
            return match std::fs::remove_file(&path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(cause)),
                _ => Ok(()),
            };
        };
        let userns_mode = UsernsMode::Remap(user.to_owned());
        remap::check(&HostConfig { userns_mode, ..HostConfig::default() })?;
        // Whole or not at all, for those who read it meanwhile.
        let new = path.with_extension("new");
        std::fs::write(&new, format!("{user}\n")).map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)
    }

    /// Gives a container that asks for no user namespace the engine's.
    pub(crate) fn default_userns(&self, host: &mut HostConfig) -> Result<()> {
        if host.userns_mode == UsernsMode::Default
            && let Some(user) = self.userns_remap()?
        {
            host.userns_mode = UsernsMode::Remap(user);
        }
        Ok(())
    }
}
