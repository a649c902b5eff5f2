//! `info` and `version`.

use wharf_cgroup::{Feature, Layout};
use wharf_model::{EngineInfo, Status, VersionInfo};

use crate::container::discard::RESTORABLE;
use crate::engine::Engine;
use crate::image::Images;
use crate::{Result, rootless, userns};

/// The newest Docker Engine API whose documents these are.
pub const API_VERSION: &str = "1.48";

/// Docker's word for the architecture this was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Returns the distribution's name (os-release(5)).
fn distribution() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

impl Engine {
    /// Returns the engine's version.
    pub fn version(&self) -> VersionInfo {
        VersionInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: API_VERSION.to_owned(),
            git_commit: option_env!("WHARF_COMMIT").unwrap_or_default().to_owned(),
            os: "linux".to_owned(),
            arch: architecture().to_owned(),
            kernel_version: kernel(),
        }
    }

    /// Returns facts about the engine and its host.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn info(&self) -> Result<EngineInfo> {
        let containers = self.containers(true)?;
        let count = |status: Status| containers.iter().filter(|c| c.status == status).count();
        let (running, paused) = (count(Status::Running), count(Status::Paused));
        let images = self.with_store(|store| Ok(Images::new(store, self.paths()).list()?.len()))?;
        let layout = Layout::detect().ok();
        let memory = rustix::system::sysinfo();
        Ok(EngineInfo {
            engine: "wharf".to_owned(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            containers: containers.len(),
            running,
            paused,
            stopped: containers.len() - running - paused,
            images,
            storage_driver: "overlay2".to_owned(),
            logging_driver: self.log_settings().driver.as_str().to_owned(),
            cgroup_version: layout.as_ref().map_or("none", Layout::version_word).to_owned(),
            cgroup_driver: "cgroupfs".to_owned(),
            kernel_version: kernel(),
            operating_system: distribution(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            memory_total: memory.totalram * u64::from(memory.mem_unit),
            root_dir: self.paths().root().display().to_string(),
            security_options: security_options(self.userns_remap()?.is_some()),
            warnings: self
                .warnings()
                .iter()
                .map(|warning| format!("WARNING: {warning}"))
                .chain(warnings(layout.as_ref()))
                .collect(),
            undo_seconds: u32::try_from(RESTORABLE.num_seconds()).ok(),
            no_statistics: no_statistics(layout.as_ref()),
        })
    }
}

fn security_options(remapped: bool) -> Vec<String> {
    let mut options = vec!["name=seccomp,profile=builtin".to_owned()];
    if rootless::is_rootless() {
        options.push("name=rootless".to_owned());
    }
    if remapped {
        options.push("name=userns".to_owned());
    }
    options
}

/// Returns why nothing can be measured, if so.
fn no_statistics(layout: Option<&Layout>) -> Option<String> {
    match layout {
        None => Some("no statistics: no cgroup hierarchy is mounted".to_owned()),
        Some(layout) if layout.is_empty() => {
            Some(format!("no statistics: {}", userns::limits::why(layout)))
        }
        Some(_) => None,
    }
}

/// Returns what this host can't do, as docker's sentences.
fn warnings(layout: Option<&Layout>) -> Vec<String> {
    let Some(layout) = layout else {
        return vec!["WARNING: no cgroup hierarchy is mounted".to_owned()];
    };
    let mut warnings: Vec<String> =
        rootless::note().map(|note| format!("WARNING: {note}")).into_iter().collect();
    if layout.is_empty() {
        let why = userns::limits::why(layout);
        warnings.push(format!("WARNING: No limits, statistics and pause: {why}"));
        return warnings;
    }
    let lacks = |feature| !layout.supports(feature);
    let mut warn = |what: &str| warnings.push(format!("WARNING: No {what} support"));
    match lacks(Feature::Memory) {
        true => warn("memory limit"),
        false if lacks(Feature::Swap) => warn("swap limit"),
        false => {}
    }
    // Kernels since 5.0 have no weights in version 1, and no kernel has this switch in version 2.
    let unified = layout.version_word() == "2";
    if !unified && lacks(Feature::OomKillDisable) {
        warn("oom kill disable");
    }
    let weights = [
        (Feature::BlockWeight, "io.weight"),
        (Feature::BlockWeightDevice, "io.weight (per device)"),
    ];
    for (feature, what) in weights {
        if unified && lacks(feature) {
            warn(what);
        }
    }
    for (feature, what) in [
        (Feature::CpuQuota, "cpu cfs quota"),
        (Feature::CpuQuota, "cpu cfs period"),
        (Feature::CpuShares, "cpu shares"),
        (Feature::Cpuset, "cpuset"),
        (Feature::Pids, "pids limit"),
    ] {
        if lacks(feature) {
            warn(what);
        }
    }
    for (feature, names) in [
        (Feature::ReadBps, ["blkio throttle.read_bps_device", "io.max (rbps)"]),
        (Feature::WriteBps, ["blkio throttle.write_bps_device", "io.max (wbps)"]),
        (Feature::ReadIops, ["blkio throttle.read_iops_device", "io.max (riops)"]),
        (Feature::WriteIops, ["blkio throttle.write_iops_device", "io.max (wiops)"]),
    ] {
        if lacks(feature) {
            warn(names[usize::from(unified)]);
        }
    }
    warnings
}
