//! Every change, as the request that makes it.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateResponse, HealthConfig, HostConfig as DockerHostConfig,
    HostConfigLogConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, PruneContainersOptionsBuilder,
    PruneImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    RenameContainerOptionsBuilder, StartContainerOptions, TagImageOptionsBuilder,
};
use wharf_model::{
    Command, CreateOptions, Created, Digest, ErrorKind, Filters, HealthAction, HealthCheck,
    HostConfig, Outcome, RestartKind,
};

use super::transport::{empty, full};
use super::{Docker, container_segment, error, image_segment, list, ports, resources, spaces};
use crate::{Error, Result};

impl Docker {
    /// Makes a change, and answers when it is made.
    pub(super) async fn run_command(&self, command: Command) -> Result<Outcome> {
        match command {
            Command::Create(options) => self.create(*options).await,
            Command::Start { container } => {
                let container = container_segment(&container)?;
                let options = None::<StartContainerOptions>;
                outcome(self.client.start_container(&container, options).await)
            }
            Command::Stop { container, timeout, signal } => {
                self.end(&container, "stop", timeout, signal).await
            }
            Command::Restart { container, timeout, signal } => {
                self.end(&container, "restart", timeout, signal).await
            }
            Command::Kill { container, signal } => {
                let container = container_segment(&container)?;
                let signal = signal.unwrap_or_else(|| "SIGKILL".to_owned());
                let options = KillContainerOptionsBuilder::default().signal(&signal).build();
                outcome(self.client.kill_container(&container, Some(options)).await)
            }
            Command::Pause { container } => {
                outcome(self.client.pause_container(&container_segment(&container)?).await)
            }
            Command::Unpause { container } => {
                outcome(self.client.unpause_container(&container_segment(&container)?).await)
            }
            Command::Update { container, options } => {
                let path = format!("/containers/{}/update", container_segment(&container)?);
                let body = serde_json::to_vec(&resources::update(*options))
                    .map_err(|cause| error::malformed("update", cause))?;
                // Bollard's own request drops the engine's warnings.
                let reply = self.transport.post(&path, &[], full(body), "application/json").await?;
                let answer: ContainerUpdateResponse = reply.json().await?;
                Ok(Outcome::Updated { warnings: answer.warnings.unwrap_or_default() })
            }
            Command::Remove { container, options } => {
                let container = container_segment(&container)?;
                let options = RemoveContainerOptionsBuilder::default()
                    .force(options.force)
                    .v(options.volumes)
                    .build();
                outcome(self.client.remove_container(&container, Some(options)).await)
            }
            Command::Rename { container, name } => {
                let container = container_segment(&container)?;
                let options = RenameContainerOptionsBuilder::default().name(&name).build();
                outcome(self.client.rename_container(&container, options).await)
            }
            Command::PruneImages { all, filters } => self.prune_images(all, filters).await,
            Command::Prune { filters } => {
                let filters = list::map(&filters);
                let options = PruneContainersOptionsBuilder::default().filters(&filters).build();
                let answer = self.client.prune_containers(Some(options)).await?;
                let deleted = answer.containers_deleted.unwrap_or_default();
                Ok(Outcome::Pruned {
                    deleted: deleted.iter().filter_map(|id| id.parse().ok()).collect(),
                    reclaimed: answer
                        .space_reclaimed
                        .and_then(|bytes| u64::try_from(bytes).ok())
                        .unwrap_or_default(),
                    failed: Vec::new(),
                })
            }
            Command::Tag { image, name } => {
                let options = TagImageOptionsBuilder::default()
                    .repo(&name.familiar_repository())
                    .tag(name.tag())
                    .build();
                outcome(self.client.tag_image(&image_segment(&image)?, Some(options)).await)
            }
            Command::Commit(options) => self.commit(&options).await.map(Outcome::Committed),
            Command::RemoveImage { image, force } => self.remove_image(&image, force).await,
            Command::CreateNetwork(options) => self.create_network(*options).await,
            Command::RemoveNetwork { network, force } => self.remove_network(&network, force).await,
            Command::Connect { container, endpoint } => {
                self.connect_network(&container, *endpoint).await
            }
            Command::Disconnect { container, network, force } => {
                self.disconnect_network(&container, &network, force).await
            }
            Command::PruneNetworks { filters } => self.prune_networks(&filters).await,
            Command::CreateVolume(options) => self.create_volume(*options).await,
            Command::RemoveVolume { volume, force } => self.remove_volume(&volume, force).await,
            Command::CloneVolume { from, to } => self.clone_volume(&from, &to).await,
            Command::PruneVolumes { all, filters } => self.prune_volumes(all, &filters).await,
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                "a Docker engine can't do this through wharf yet",
            )),
        }
    }

    async fn create(&self, options: CreateOptions) -> Result<Outcome> {
        if options.host.health_on_failure != HealthAction::None {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a Docker engine doesn't know --health-on-failure",
            ));
        }
        let mut query = CreateContainerOptionsBuilder::default();
        if let Some(name) = &options.name {
            query = query.name(name);
        }
        if let Some(platform) = &options.platform {
            query = query.platform(platform);
        }
        let answer = self.client.create_container(Some(query.build()), body(options)).await?;
        // The engine makes up a name when none was given.
        let document = self.inspect(&answer.id).await?;
        Ok(Outcome::Created(Created {
            id: answer.id.parse().map_err(|cause| error::malformed("create", cause))?,
            name: document.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            warnings: answer.warnings,
        }))
    }

    /// Stops or restarts. The grace period goes out as it was given, since bollard's own type holds
    /// no "for ever" for engines that know it.
    async fn end(
        &self,
        container: &str,
        verb: &str,
        timeout: Option<i64>,
        signal: Option<String>,
    ) -> Result<Outcome> {
        let path = format!("/containers/{}/{verb}", container_segment(container)?);
        let seconds = timeout.map(|seconds| seconds.to_string());
        let query: Vec<(&str, &str)> = (seconds.iter().map(|text| ("t", text.as_str())))
            .chain(signal.iter().map(|text| ("signal", text.as_str())))
            .collect();
        let reply = self.transport.post(&path, &query, empty(), "application/json").await;
        match reply {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.kind == ErrorKind::NotModified => Ok(Outcome::NotModified),
            Err(error) => Err(error),
        }
    }

    async fn prune_images(&self, all: bool, filters: Filters) -> Result<Outcome> {
        let mut filters = list::map(&filters);
        filters.entry("dangling".to_owned()).or_insert_with(|| vec![(!all).to_string()]);
        let options = PruneImagesOptionsBuilder::default().filters(&filters).build();
        let reply = self.client.prune_images(Some(options)).await?;
        let (mut untagged, mut deleted): (Vec<String>, Vec<Digest>) = (Vec::new(), Vec::new());
        for item in reply.images_deleted.unwrap_or_default() {
            untagged.extend(item.untagged);
            deleted.extend(item.deleted.and_then(|id| id.parse().ok()));
        }
        let reclaimed = reply.space_reclaimed.and_then(|bytes| u64::try_from(bytes).ok());
        let reclaimed = reclaimed.unwrap_or_default();
        Ok(Outcome::ImagesPruned { untagged, deleted, reclaimed, failed: Vec::new() })
    }

    pub(super) async fn remove_image(&self, image: &str, force: bool) -> Result<Outcome> {
        let options = RemoveImageOptionsBuilder::default().force(force).build();
        let items = self.client.remove_image(&image_segment(image)?, Some(options), None).await?;
        let (mut untagged, mut deleted): (Vec<String>, Vec<Digest>) = (Vec::new(), Vec::new());
        for item in items {
            // A `repository@digest` goes with its tag and is no name of its own.
            untagged.extend(item.untagged);
            deleted.extend(item.deleted.and_then(|id| id.parse().ok()));
        }
        Ok(Outcome::ImageRemoved { untagged, deleted })
    }
}

fn outcome(answer: std::result::Result<(), bollard::errors::Error>) -> Result<Outcome> {
    match answer.map_err(Error::from) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) if error.kind == ErrorKind::NotModified => Ok(Outcome::NotModified),
        Err(error) => Err(error),
    }
}

fn body(options: CreateOptions) -> ContainerCreateBody {
    let filled = |list: Vec<String>| (!list.is_empty()).then_some(list);
    ContainerCreateBody {
        image: Some(options.image),
        hostname: options.hostname,
        domainname: Some(options.domainname).filter(|name| !name.is_empty()),
        user: options.user,
        // The end of the first caller's input is the end of the container's.
        stdin_once: Some(options.open_stdin && options.attach.stdin),
        attach_stdin: Some(options.attach.stdin),
        attach_stdout: Some(options.attach.stdout),
        attach_stderr: Some(options.attach.stderr),
        open_stdin: Some(options.open_stdin),
        tty: Some(options.tty),
        env: filled(options.env),
        cmd: filled(options.command),
        working_dir: options.working_dir,
        // One empty string is docker's way to write "no entrypoint".
        entrypoint: options
            .entrypoint
            .map(|list| if list.is_empty() { vec![String::new()] } else { list }),
        labels: (!options.labels.is_empty()).then(|| options.labels.into_iter().collect()),
        stop_signal: options.stop_signal,
        stop_timeout: options.stop_timeout.map(i64::from),
        healthcheck: options.healthcheck.map(health_check),
        volumes: filled(options.volumes),
        exposed_ports: ports::exposed(options.exposed_ports, &options.host),
        host_config: Some(host_config(options.host)),
        ..Default::default()
    }
}

/// Zero is docker's way to write what isn't set.
fn health_check(check: HealthCheck) -> HealthConfig {
    let time = |time: Option<Duration>| {
        time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    };
    HealthConfig {
        test: Some(check.test).filter(|test| !test.is_empty()),
        interval: time(check.interval),
        timeout: time(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: time(check.start_period),
        start_interval: time(check.start_interval),
    }
}

fn restart_policy(policy: wharf_model::RestartPolicy) -> RestartPolicy {
    RestartPolicy {
        name: Some(match policy.kind {
            RestartKind::No => RestartPolicyNameEnum::NO,
            RestartKind::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
            RestartKind::Always => RestartPolicyNameEnum::ALWAYS,
            RestartKind::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        }),
        maximum_retry_count: Some(policy.maximum_retries.into()),
    }
}

/// Nothing, which leaves it to the engine, when nothing was asked for.
fn log_config(config: wharf_model::LogConfig) -> Option<HostConfigLogConfig> {
    (config != wharf_model::LogConfig::default()).then(|| HostConfigLogConfig {
        typ: Some(match config.driver {
            wharf_model::LogDriver::Default => String::new(),
            driver => driver.as_str().to_owned(),
        }),
        config: Some(config.options.into_iter().collect()),
    })
}

fn host_config(host: HostConfig) -> DockerHostConfig {
    let mut body = DockerHostConfig {
        auto_remove: Some(host.auto_remove),
        port_bindings: ports::map(&host),
        publish_all_ports: host.publish_all_ports.then_some(true),
        tmpfs: Some(host.tmpfs.clone().into_iter().collect::<HashMap<_, _>>()),
        readonly_rootfs: Some(host.readonly_rootfs),
        network_mode: Some(host.network_mode.to_string()),
        cap_add: Some(host.cap_add.clone()),
        cap_drop: Some(host.cap_drop.clone()),
        privileged: Some(host.privileged),
        init: host.init.then_some(true),
        oom_score_adj: host.oom_score_adj.map(i64::from),
        storage_opt: (!host.storage_opt.is_empty())
            .then(|| host.storage_opt.clone().into_iter().collect()),
        cgroup_parent: Some(host.cgroup_parent.clone()),
        restart_policy: Some(restart_policy(host.restart_policy)),
        log_config: log_config(host.log_config.clone()),
        ..resources::of_container(host.resources.clone())
    };
    spaces::write(host, &mut body);
    body
}

#[cfg(test)]
mod tests {
    use wharf_model::{Bind, Resources};

    use super::*;

    #[test]
    fn options_become_docker_s_document() {
        let options = CreateOptions {
            image: "busybox".to_owned(),
            command: vec!["true".to_owned()],
            entrypoint: Some(Vec::new()),
            open_stdin: true,
            attach: wharf_model::Attach { stdin: true, stdout: true, stderr: true },
            stop_timeout: Some(3),
            host: HostConfig {
                binds: vec![Bind {
                    source: "/a".to_owned(),
                    target: "/b".to_owned(),
                    read_only: true,
                    options: "ro".to_owned(),
                    ..Bind::default()
                }],
                resources: Resources { memory: Some(1 << 20), ..Default::default() },
                no_new_privileges: true,
                ..Default::default()
            },
            ..Default::default()
        };
        let document = serde_json::to_value(body(options)).unwrap();
        assert_eq!(document["Entrypoint"], serde_json::json!([""]));
        assert_eq!(document["StdinOnce"], true);
        assert_eq!(document["StopTimeout"], 3);
        assert_eq!(document["HostConfig"]["Binds"], serde_json::json!(["/a:/b:ro"]));
        assert_eq!(document["HostConfig"]["Memory"], 1 << 20);
        assert_eq!(document["HostConfig"]["NetworkMode"], "bridge");
        assert_eq!(document["HostConfig"]["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
        assert_eq!(document["HostConfig"].get("NanoCpus"), None);
    }
}
