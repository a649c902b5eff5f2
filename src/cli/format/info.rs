//! What the engine says of itself and its host.

use wharf_model::EngineInfo;

use wharf_inspect::human;

use super::text;

/// Returns what `info` prints.
pub(crate) fn sections(client: &str, info: &EngineInfo) -> String {
    let mut out = format!("Client:\n Version:    {client}\n\nEngine:\n");
    let mut line = |indent: &str, title: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!(" {indent}{title}: {}\n", text::clean(&value)));
        }
    };
    line("", "Engine", info.engine.clone());
    line("", "Containers", info.containers.to_string());
    line(" ", "Running", info.running.to_string());
    line(" ", "Paused", info.paused.to_string());
    line(" ", "Stopped", info.stopped.to_string());
    line("", "Images", info.images.to_string());
    line("", "Server Version", info.server_version.clone());
    line("", "Storage Driver", info.storage_driver.clone());
    line("", "Logging Driver", info.logging_driver.clone());
    line("", "Cgroup Driver", info.cgroup_driver.clone());
    line("", "Cgroup Version", info.cgroup_version.clone());
    line("", "Security Options", info.security_options.join(", "));
    line("", "Kernel Version", info.kernel_version.clone());
    line("", "Operating System", info.operating_system.clone());
    line("", "Architecture", info.architecture.clone());
    line("", "CPUs", info.cpus.to_string());
    line("", "Total Memory", human::binary_size(info.memory_total));
    line("", "Name", info.name.clone());
    line("", "Root Dir", info.root_dir.clone());
    out
}

/// Returns the engine's warnings, without the word that begins them.
pub(crate) fn warnings(info: &EngineInfo) -> Vec<String> {
    let word = "WARNING: ";
    info.warnings
        .iter()
        .map(|warning| text::clean(warning.strip_prefix(word).unwrap_or(warning)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_warnings() {
        let info = EngineInfo {
            engine: "wharf".into(),
            server_version: "0.1.0".into(),
            containers: 3,
            running: 2,
            stopped: 1,
            cpus: 2,
            memory_total: 4 << 30,
            warnings: vec!["no memory controller".into()],
            ..EngineInfo::default()
        };
        insta::assert_snapshot!(sections("0.1.0", &info), @r"
        Client:
         Version:    0.1.0

        Engine:
         Engine: wharf
         Containers: 3
          Running: 2
          Paused: 0
          Stopped: 1
         Images: 0
         Server Version: 0.1.0
         CPUs: 2
         Total Memory: 4GiB
        ");
        assert_eq!(warnings(&info), ["no memory controller"]);
    }
}
