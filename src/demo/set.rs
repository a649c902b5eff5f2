//! The containers that `wharf demo` runs: one of each kind that a dashboard has to show.

use std::time::Duration;

use wharf_model::{CreateOptions, HealthCheck, HostConfig, Resources};

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
    // Well for a minute and a half, ill for half a minute, in turns.
    let mut web = service("web", &["http"], &["UNHEALTHY=90:30"]);
    web.healthcheck = Some(HealthCheck {
        test: vec!["CMD".to_owned(), "probe".to_owned()],
        interval: Some(Duration::from_secs(5)),
        timeout: Some(Duration::from_secs(3)),
        start_period: Some(Duration::from_secs(10)),
        start_interval: Some(Duration::from_secs(1)),
        retries: Some(2),
    });
    vec![
        web,
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
            let probe = options.healthcheck.iter().flat_map(|check| check.test.get(1));
            assert!(probe.into_iter().all(|name| crate::programs().any(|p| p == name)));
            assert_eq!(options.labels["com.docker.compose.project"], PROJECT);
        }
    }
}
