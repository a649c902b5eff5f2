//! What the engine says about itself.

use serde_json::Value;
use wharf_model::{EngineInfo, VersionInfo};

use super::Docker;
use crate::Result;

/// Returns a text of a document, empty when it isn't there.
fn text(document: &Value, name: &str) -> String {
    document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Docker {
    /// Returns docker's `info`, with the engine named by what it says of its parts.
    pub(super) async fn engine_info(&self) -> Result<EngineInfo> {
        // Read field by field: podman leaves some empty that have a few words of their own in docker.
        let info: Value = self.transport.get("/info", &[]).await?.json().await?;
        let version: Value = self.transport.get("/version", &[]).await?.json().await?;
        let components = version.get("Components").and_then(Value::as_array);
        let mut parts = components.into_iter().flatten();
        let podman = parts.any(|part| text(part, "Name").contains("Podman"));
        let server = text(&info, "ServerVersion");
        let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or_default();
        let size = |name: &str| usize::try_from(number(name)).unwrap_or_default();
        let list = |name: &str| {
            let list = info.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        Ok(EngineInfo {
            // The Engine API removes at once.
            undo_seconds: None,
            engine: if podman { "podman" } else { "docker" }.to_owned(),
            server_version: if server.is_empty() { text(&version, "Version") } else { server },
            name: text(&info, "Name"),
            containers: size("Containers"),
            running: size("ContainersRunning"),
            paused: size("ContainersPaused"),
            stopped: size("ContainersStopped"),
            images: size("Images"),
            storage_driver: text(&info, "Driver"),
            logging_driver: text(&info, "LoggingDriver"),
            cgroup_version: text(&info, "CgroupVersion"),
            cgroup_driver: text(&info, "CgroupDriver"),
            kernel_version: text(&info, "KernelVersion"),
            operating_system: text(&info, "OperatingSystem"),
            architecture: text(&info, "Architecture"),
            cpus: u32::try_from(number("NCPU")).unwrap_or_default(),
            memory_total: number("MemTotal"),
            root_dir: text(&info, "DockerRootDir"),
            security_options: list("SecurityOptions"),
            warnings: list("Warnings"),
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
