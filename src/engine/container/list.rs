//! Lists, details, and the sentence that says how a container is.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use super::{discard, mounts};
use crate::engine::Engine;
use crate::image::Images;
use crate::lock;
use crate::network::{self, publish};
use crate::state::{Record, Store};
use crate::supervisor::cgroup_name;
use crate::{Error, Paths, Result, disk};
use chrono::Utc;
use wharf_inspect::filter::ContainerFilter;
use wharf_inspect::human::status_text;
use wharf_model::{
    ContainerDetail, ContainerId, ContainerListOptions, ContainerSize, ContainerState,
    ContainerSummary, ErrorKind, Filters, LogDriver, NetworkMode, PortBinding,
};

/// A running container, as the sampler needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: ContainerId,
    /// Its first process.
    pub pid: i32,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Its cgroup's name, below each hierarchy.
    pub cgroup: String,
    /// The host's ends of its interfaces; none when not all of them have one.
    pub links: Option<Vec<String>>,
}

impl Engine {
    /// Returns the containers, newest first; only those that run unless `all`.
    ///
    /// # Errors
    /// When the database refuses, or what a killed supervisor left can't be cleaned up.
    pub fn containers(&self, all: bool) -> Result<Vec<ContainerSummary>> {
        self.list_containers(&ContainerListOptions { all, ..ContainerListOptions::default() })
    }

    /// Returns the containers that are wanted, newest first. Sizes are found out for these alone.
    ///
    /// # Errors
    /// As for [`Engine::containers`], and when a filter means nothing.
    pub fn list_containers(&self, options: &ContainerListOptions) -> Result<Vec<ContainerSummary>> {
        let filters = self.with_store(|store| Ok(named_networks(store, &options.filters)))?;
        let mut filter = ContainerFilter::new(&filters)
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let all = options.all || options.last.is_some() || filter.wants_all();
        self.with_store(|store| {
            let records = self.true_records(store, |record| {
                let shown = all || record.observed.state.status.is_supervised();
                shown.then(|| Box::new(summary(self.paths(), &record)))
            })?;
            self.complete(&mut filter, store)?;
            let mut places = network::endpoints(store)?;
            let mut containers: Vec<ContainerSummary> = records
                .into_iter()
                .flatten()
                .map(|container| {
                    let held = places.remove(&container.id).unwrap_or_default();
                    let alive = container.status.is_alive();
                    let endpoints = held.iter().filter(|_| alive).map(network::Endpoint::info);
                    ContainerSummary { endpoints: endpoints.collect(), ..*container }
                })
                .filter(|container| filter.matches(container))
                .take(options.last.unwrap_or(usize::MAX))
                .collect();
            if options.size {
                let images = Images::new(store, self.paths());
                for container in &mut containers {
                    container.size = Some(self.size(&images, container)?);
                }
            }
            Ok(containers)
        })
    }

    /// Tells a filter what it has to know of other containers and of images.
    fn complete(&self, filter: &mut ContainerFilter, store: &mut Store) -> Result<()> {
        let (before, since) = filter.limits();
        let before = before.map(|reference| store.container(reference)).transpose()?;
        let since = since.map(|reference| store.container(reference)).transpose()?;
        if let Some(record) = before {
            filter.set_before(record.created, record.id);
        }
        if let Some(record) = since {
            filter.set_since(record.created, record.id);
        }
        if !filter.ancestors().is_empty() {
            let images = Images::new(store, self.paths());
            let mut wanted = Vec::new();
            for ancestor in filter.ancestors() {
                match images.descendants(ancestor) {
                    Ok(images) => wanted.extend(images),
                    // Nothing is made from an image that isn't there.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {}
                    Err(error) => return Err(error),
                }
            }
            filter.set_images(wanted);
        }
        Ok(())
    }

    fn size(&self, images: &Images<'_>, container: &ContainerSummary) -> Result<ContainerSize> {
        let writable = disk::usage(&self.paths().container(&container.id).join("upper"));
        let image = match &container.image_id {
            Some(image) => images.size(image)?,
            None => 0,
        };
        Ok(ContainerSize { writable, root: writable.saturating_add(image) })
    }

    /// Returns the containers that run.
    ///
    /// # Errors
    /// As for [`Engine::containers`].
    pub fn running(&self) -> Result<Vec<Running>> {
        self.with_store(|store| {
            let mut running = self.true_records(store, |record| {
                let state = &record.observed.state;
                let pid = state.pid.filter(|_| state.status.is_alive())?;
                let private = record.spec.host.network_mode.is_private();
                Some(Running {
                    links: private.then(Vec::new),
                    pid,
                    started_ms: state.started_at?.timestamp_millis(),
                    cgroup: cgroup_name(&record),
                    id: record.id,
                })
            })?;
            let mut endpoints = network::endpoints(store)?;
            for container in running.iter_mut().flatten() {
                let held = endpoints.remove(&container.id).unwrap_or_default();
                if !held.iter().all(network::Endpoint::is_on_host) {
                    container.links = None;
                } else if let Some(links) = &mut container.links {
                    links.extend(held.iter().map(|one| one.link().to_owned()));
                }
            }
            Ok(running.into_iter().flatten().collect())
        })
    }

    /// Returns what `keep` makes of each container as it truly is, newest first, after correcting
    /// those whose supervisor is gone. However many there are, there is one record at a time.
    ///
    /// # Errors
    /// When the database refuses, or what a killed supervisor left can't be cleaned up.
    pub(crate) fn true_records<T>(
        &self,
        store: &mut Store,
        mut keep: impl FnMut(Record) -> T,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let mut known = BTreeSet::new();
        let mut alive = BTreeSet::new();
        let mut take = |record: Record| {
            known.insert(record.id.clone());
            if record.observed.state.status.is_alive() {
                alive.insert(record.id.clone());
            }
            let order = (Reverse(record.created), record.id.clone());
            found.push((order, keep(record)));
        };
        let mut doubtful = Vec::new();
        // Opened once, so that not every lock is looked for from the filesystem's root.
        let folders = File::open(self.paths().run().join("containers")).ok();
        let lives = |record: &Record| {
            let path = Path::new(record.id.as_str()).join(lock::LIFE);
            folders
                .as_ref()
                .is_some_and(|folders| lock::is_held_below(folders.as_fd(), &path).unwrap_or(false))
        };
        store.each_container(|record| {
            let overdue = discard::is_over(&record);
            if !overdue && (!record.observed.state.status.is_supervised() || lives(&record)) {
                take(record);
            } else {
                doubtful.push(record);
            }
            Ok(())
        })?;
        for record in doubtful {
            // One that can't be removed now is still there, and the next list tries again.
            if self.finish_discarded(store, &record).unwrap_or(false) {
                continue;
            }
            let id = record.id.clone();
            match self.refreshed(store, record) {
                // Removed at its end, because it was run with `--rm`.
                Ok(record)
                    if record.spec.host.auto_remove && store.container(id.as_str()).is_err() => {}
                Ok(record) => take(record),
                // Removed while the list was made.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.sweep(store, &alive)?;
        self.sweep_locks(store, &known)?;
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().map(|(_, kept)| kept).collect())
    }

    /// Returns all that is known of a container.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn container(&self, reference: &str) -> Result<ContainerDetail> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            let images = Images::new(store, self.paths());
            let lower_dirs = images.lower_dirs(&record.image)?;
            let image_manifest = images.manifest_descriptor(&record.image)?;
            let folder = self.paths().container(&record.id);
            let text = |path: std::path::PathBuf| path.display().to_string();
            Ok(ContainerDetail {
                mounts: mounts::shown(self.paths(), &record.spec),
                log_path: match record.spec.host.log_config.driver {
                    LogDriver::None => String::new(),
                    _ => text(self.paths().log(&record.id)),
                },
                lower_dirs: lower_dirs.into_iter().map(text).collect(),
                upper_dir: text(folder.join("upper")),
                work_dir: text(folder.join("work")),
                resolv_conf_path: text(folder.join("resolv.conf")),
                hostname_path: text(folder.join("hostname")),
                hosts_path: text(folder.join("hosts")),
                image_manifest,
                ports: ports(&record),
                networks: network::places(store, &record)?,
                endpoints: network::endpoints_of(store, &record.id)?
                    .iter()
                    .filter(|_| record.observed.state.status.is_alive())
                    .map(network::Endpoint::info)
                    .collect(),
                id: record.id,
                name: record.name,
                created: record.created,
                image_id: record.image,
                config: record.spec.config,
                host_config: record.spec.host,
                state: record.observed.state,
            })
        })
    }
}

/// Returns the ports of a container that runs: those that the host serves, and those that it only
/// says it has. Where the network isn't its own, it has none to tell of, as with docker.
fn ports(record: &Record) -> Vec<PortBinding> {
    let alive = record.observed.state.status.is_alive();
    if !alive || !publish::has_ports(&record.spec.host.network_mode) {
        return Vec::new();
    }
    let mut ports = record.observed.ports.clone();
    for (container_port, protocol) in
        record.spec.config.exposed_ports.iter().filter_map(|text| publish::exposed(text))
    {
        let protocol = protocol.as_str().to_owned();
        let same = |p: &PortBinding| p.container_port == container_port && p.protocol == protocol;
        if !ports.iter().any(same) {
            ports.push(PortBinding { container_port, protocol, host: None });
        }
    }
    ports.sort();
    ports
}

/// Returns the conditions with the names of the networks that they name by id as well.
fn named_networks(store: &Store, filters: &Filters) -> Filters {
    let mut named = filters.clone();
    for value in filters.values("network") {
        if let Ok(network) = network::find(store, value) {
            named.insert("network", &network.name);
        }
    }
    named
}

/// Returns the networks that lists name for a container.
fn networks(record: &Record) -> Vec<String> {
    match &record.spec.host.network_mode {
        mode @ (NetworkMode::Host | NetworkMode::None) => vec![mode.to_string()],
        NetworkMode::Container(_) => Vec::new(),
        _ => record.spec.networks().into_iter().map(|on| on.network).collect(),
    }
}

pub(super) fn summary(paths: &Paths, record: &Record) -> ContainerSummary {
    let state = &record.observed.state;
    let config = &record.spec.config;
    // Docker's words: arguments with spaces in single quotes.
    let quoted = |word: &String| match word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    let mut words = config.entrypoint.iter().chain(&config.cmd);
    let program = words.next().cloned().unwrap_or_default();
    let command: Vec<String> = std::iter::once(program).chain(words.map(quoted)).collect();
    // What doesn't run is neither well nor ill.
    let health = state.health.as_ref().filter(|_| state.status.is_alive());
    let health = health.map(|health| health.status);
    let started_at = state.started_at.map(|started| record.observed.start_by_clock(started));
    ContainerSummary {
        id: record.id.clone(),
        name: record.name.clone(),
        image: config.image.clone(),
        image_id: Some(record.image.clone()),
        command: command.join(" "),
        created: record.created,
        status: state.status,
        status_text: status_text(&ContainerState { started_at, ..state.clone() }, Utc::now()),
        exit_code: (!state.status.is_alive() && state.finished_at.is_some())
            .then_some(state.exit_code),
        started_at,
        health,
        restart_count: Some(state.restart_count),
        auto_remove: record.spec.host.auto_remove,
        labels: config.labels.clone(),
        ports: ports(record),
        endpoints: Vec::new(),
        networks: networks(record),
        network_mode: record.spec.host.network_mode.clone(),
        mounts: mounts::shown(paths, &record.spec),
        size: None,
    }
}
