//! The containers that `wharf demo` runs: one of each kind that a dashboard has to show.

use wharf_model::{CreateOptions, HostConfig, Resources};

/// The compose project they belong to, which is how they are found again and removed.
pub const PROJECT: &str = "wharf-demo";

const IMAGE: &str = "wharf/demo:latest";
const MIB: u64 = 1 << 20;

/// Returns the demonstration's containers, to be created and started in this order.
pub fn demo_set() -> Vec<CreateOptions> {
    let mut load = service("load", &["load"], &["PERIOD=40", "MEMORY=96", "DISK=2", "CPU=80"]);
    load.host.resources = Resources {
        memory: Some(128 * MIB),
        nano_cpus: Some(500_000_000),
        pids_limit: Some(16),
        ..Resources::default()
    };
    vec![
        service("web", &["http"], &[]),
        load,
        service("talk", &["talk"], &["RATE=3"]),
        service("crash", &["crash"], &["AFTER=45", "CODE=3"]),
        service("sleep", &["sleep", "infinity"], &[]),
    ]
}

fn service(name: &str, command: &[&str], env: &[&str]) -> CreateOptions {
    let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    let label = |key: &str, value: &str| (format!("com.docker.compose.{key}"), value.to_owned());
    CreateOptions {
        name: Some(format!("{PROJECT}-{name}")),
        image: IMAGE.to_owned(),
        command: owned(command),
        env: owned(env),
        hostname: Some(name.to_owned()),
        labels: [label("project", PROJECT), label("service", name)].into(),
        host: HostConfig::default(),
        ..CreateOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_runs_programs_of_the_image() {
        let set = demo_set();
        assert_eq!(set.len(), 5);
        for options in set {
            assert!(crate::programs().any(|p| p == options.command[0]));
            assert_eq!(options.image, wharf_engine::image::DEMO_IMAGE);
            assert_eq!(options.labels["com.docker.compose.project"], PROJECT);
        }
    }
}
