//! What the engine says about itself.

use wharf_model::{EngineInfo, VersionInfo};

use super::Docker;
use crate::Result;

/// Returns a count that can't be negative, 0 when it is.
pub(super) fn count(value: Option<i64>) -> usize {
    value.and_then(|value| usize::try_from(value).ok()).unwrap_or_default()
}

impl Docker {
    /// Returns docker's `info`, with the engine named by what it says of its parts.
    pub(super) async fn engine_info(&self) -> Result<EngineInfo> {
        let info = self.client.info().await?;
        let version = self.client.version().await?;
        let parts = version.components.unwrap_or_default();
        let podman = parts.iter().any(|part| part.name.contains("Podman"));
        Ok(EngineInfo {
            // The Engine API removes at once.
            undo_seconds: None,
            engine: if podman { "podman" } else { "docker" }.to_owned(),
            server_version: info.server_version.or(version.version).unwrap_or_default(),
            name: info.name.unwrap_or_default(),
            containers: count(info.containers),
            running: count(info.containers_running),
            paused: count(info.containers_paused),
            stopped: count(info.containers_stopped),
            images: count(info.images),
            storage_driver: info.driver.unwrap_or_default(),
            logging_driver: info.logging_driver.unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|v| v.to_string()).unwrap_or_default(),
            cgroup_driver: info.cgroup_driver.map(|d| d.to_string()).unwrap_or_default(),
            kernel_version: info.kernel_version.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
            cpus: u32::try_from(count(info.ncpu)).unwrap_or_default(),
            memory_total: info.mem_total.and_then(|b| u64::try_from(b).ok()).unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
            no_statistics: None,
        })
    }

    /// Returns docker's `version`, the server's part.
    pub(super) async fn engine_version(&self) -> Result<VersionInfo> {
        let version = self.client.version().await?;
        Ok(VersionInfo {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            git_commit: version.git_commit.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
            kernel_version: version.kernel_version.unwrap_or_default(),
        })
    }
}
