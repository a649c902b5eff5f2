//! `system reset`: an engine's folders, and all it has on the host, are gone.

use wharf_model::RemoveOptions;

use crate::engine::Engine;
use crate::supervisor::forget_parents;
use crate::{Error, Result, network, volume};

impl Engine {
    /// Ends and removes all containers, and removes the network, the images and the folders.
    ///
    /// # Errors
    /// All that couldn't be removed, in one sentence; the database stays then, so that it can be
    /// tried again.
    pub fn reset(&self) -> Result<()> {
        let mut failures: Vec<Error> = Vec::new();
        let options = RemoveOptions { force: true, volumes: true };
        for container in self.containers(true)? {
            match self.remove(container.id.as_str(), options) {
                Err(error) if error.kind() != wharf_model::ErrorKind::NotFound => {
                    failures.push(error);
                }
                _ => {}
            }
        }
        failures.extend(self.with_store(|store| self.settle_all(store)).err());
        failures.extend(self.with_store(network::remove_networks).err());
        for volume in self.with_store(|store| store.volumes())? {
            failures.extend(self.remove_volume(&volume.name, true).err());
        }
        // What is mounted there isn't the engine's to empty.
        if let Some(point) = volume::mounted_below(&self.paths().volumes())? {
            failures.push(Error::failed(point, "is mounted in the folder of volumes: unmount it"));
        }
        if !failures.is_empty() {
            let text: Vec<String> = failures.iter().map(ToString::to_string).collect();
            return Err(Error::failed("reset", text.join("; ")));
        }
        forget_parents();
        self.close();
        let root = self.paths().root();
        let below = [
            "containers",
            "layers",
            "blobs",
            "tmp",
            "volumes",
            "userns-remap",
            "recorder-off",
            "host-record",
            "state.db",
            "state.db-wal",
            "state.db-shm",
        ];
        let mut folders: Vec<_> = below.iter().map(|name| root.join(name)).collect();
        folders.push(self.paths().run().to_path_buf());
        for path in folders {
            let removed = match path.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            match removed {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(format_args!("remove {}", path.display()), cause));
                }
                _ => {}
            }
        }
        // Something of the user's may be beside it.
        let _ = std::fs::remove_dir(root);
        Ok(())
    }

    /// Gives back what only running containers need and an engine without any shouldn't keep: the
    /// bridge with its rules, and the cgroups' common parents. The next start makes them again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn rest(&self) -> Result<()> {
        if self.running()?.is_empty() {
            match self.with_store(network::remove_network) {
                // Somebody has just started one.
                Err(error) if error.kind() == wharf_model::ErrorKind::Conflict => {}
                result => result?,
            }
            forget_parents();
        }
        Ok(())
    }
}
