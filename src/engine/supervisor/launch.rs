//! From a container's row to its running first process.

use std::fs::Permissions;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_cgroup::{DeviceAccess, Group, Layout, Limits, OomWatch};
use wharf_model::{ErrorKind, NetworkMode, Status};
use wharf_sys::clone::{Child, Flags, clone};

use super::teardown;
use crate::channel::{self, Channel, Reply, StartRequest};
use crate::image::Images;
use crate::init::program::{DEFAULT_PATH, Program};
use crate::init::{self, Plan, Streams, devices};
use crate::lock::{self, Lock};
use crate::network::files::NetworkFiles;
use crate::network::{self, Endpoint};
use crate::security::capabilities;
use crate::state::{Record, Store};
use crate::{Error, Paths, Result, folder, reconcile};

/// A running container, as its supervisor holds it.
pub(super) struct Container {
    pub(super) paths: Paths,
    pub(super) record: Record,
    pub(super) group: Group,
    pub(super) oom: Option<OomWatch>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) init: Child,
    pub(super) ends: Ends,
    pub(super) program: Program,
    /// Where others connect, until it has ended.
    pub(super) listener: Option<OwnedFd>,
    /// Given up once all is given back.
    pub(super) life: Option<Lock>,
}

/// The supervisor's ends of the container's streams.
pub(super) enum Ends {
    Terminal(OwnedFd),
    /// Handed over to the event loop.
    Taken,
    Pipes {
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
}

/// The folder of all containers' cgroups.
pub(super) const PARENT: &str = "wharf";

/// Returns the name of a container's cgroup.
pub(crate) fn cgroup_name(record: &Record) -> String {
    let asked = record.spec.host.cgroup_parent.split('/');
    let asked: Vec<_> = asked.filter(|part| !matches!(*part, "" | ".")).collect();
    let parent = if asked.is_empty() { PARENT.to_owned() } else { asked.join("/") };
    format!("{parent}/{}", record.id)
}

/// Starts the container. When that fails, its state says why, and nothing is left.
pub(super) fn launch(request: &StartRequest) -> Result<Container> {
    let paths = Paths::new(&request.root, &request.run);
    let run = paths.container_run(&request.id);
    let life = Lock::acquire(&run, lock::LIFE)
        .map_err(|cause| Error::failed(format_args!("lock {}", run.display()), cause))?;
    let mut store = Store::open(&paths.database())?;
    let mut record = store.container(request.id.as_str()).inspect_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            lock::forget(&run, lock::LIFE);
        }
    })?;
    let mut life = Some(life);
    // What an earlier supervisor, killed at any moment, has left.
    let result = reconcile::give_back(&paths, &mut store, &record.id)
        .and_then(|()| start(&paths, &mut store, &mut record, request, &mut life));
    match result {
        Ok(container) => Ok(container),
        Err(error) => {
            record.observed.state.error = error.to_string();
            record.observed.state.exit_code = match error.kind() {
                ErrorKind::CommandNotFound => 127,
                ErrorKind::CommandNotExecutable => 126,
                _ => 128,
            };
            record.observed.endpoint = None;
            // The first failure is the one to report.
            let _ = match record.spec.host.auto_remove {
                false => store.observe(&record, "die", &[]),
                true => store
                    .remove_container(&record, &[("die", Vec::new()), ("destroy", Vec::new())])
                    .and_then(|()| folder::remove(&paths, &store, &record.id))
                    .and_then(|()| Images::new(&mut store, &paths).collect()),
            };
            Err(error)
        }
    }
}

fn start(
    paths: &Paths,
    store: &mut Store,
    record: &mut Record,
    request: &StartRequest,
    life: &mut Option<Lock>,
) -> Result<Container> {
    folder::make(paths, &record.id)?;
    // Before its row says that it runs: who reads it there may connect.
    let run = paths.container_run(&record.id);
    let listener = channel::listen(&run)
        .map_err(|cause| Error::failed(format_args!("listen in {}", run.display()), cause))?;
    let layout = Layout::detect().map_err(|cause| Error::failed("cgroups", cause))?;
    let bridged = record.spec.host.network_mode == NetworkMode::Bridge;
    let endpoint = if bridged { Some(network::prepare(store, &record.id)?) } else { None };
    let result = (|| {
        let plan = plan(paths, store, record, request, endpoint.as_ref())?;
        let group = make_group(store, record, &layout, &plan)?;
        match make_container(plan, record, &layout, &group) {
            Ok((init, ends, program)) => Ok((group, init, ends, program)),
            Err(error) => {
                let _ = teardown::give_back_group(store, record, &group);
                Err(error)
            }
        }
    })();
    match result {
        Ok((group, init, ends, program)) => {
            let oom = OomWatch::open(&group).ok().flatten();
            record.observed.state = wharf_model::ContainerState {
                status: Status::Running,
                pid: Some(init.pid),
                started_at: Some(Utc::now()),
                finished_at: record.observed.state.finished_at,
                restart_count: record.observed.state.restart_count,
                ..Default::default()
            };
            record.observed.boot = boot_id();
            record.observed.endpoint = endpoint.as_ref().map(Endpoint::info);
            let stored = store.observe(record, "start", &[]);
            let container = Container {
                paths: paths.clone(),
                record: record.clone(),
                group,
                oom,
                endpoint,
                init,
                ends,
                program,
                listener: Some(listener),
                life: life.take(),
            };
            match stored {
                Ok(()) => Ok(container),
                Err(error) => {
                    // A container that nobody can know of must not run.
                    teardown::abandon(container, store);
                    Err(error)
                }
            }
        }
        Err(error) => {
            if let Some(endpoint) = &endpoint {
                // Reported is what failed first; what is left is journalled.
                let _ = endpoint.disconnect(store);
            }
            Err(error)
        }
    }
}

fn make_group(store: &Store, record: &Record, layout: &Layout, plan: &Plan) -> Result<Group> {
    let name = cgroup_name(record);
    let resources = record.spec.host.resources.clone();
    let devices = match plan.privileged {
        true => DeviceAccess::Unrestricted,
        false => {
            let mut rules: Vec<_> = plan.devices.iter().map(devices::Node::rule).collect();
            for line in &resources.device_cgroup_rules {
                rules.extend(devices::rules(line)?);
            }
            DeviceAccess::Listed(rules)
        }
    };
    let limits = Limits { resources, devices };
    store.journal("cgroup", &name, &record.id)?;
    // The note stays when this fails: it is for the next start, or the sweep, to look.
    Group::create(layout, &name, &limits)
        .map_err(|cause| Error::failed("make the container's cgroup", cause))
}

type Made = (Child, Ends, Program);

fn make_container(plan: Plan, record: &Record, layout: &Layout, group: &Group) -> Result<Made> {
    let failed = |what: &'static str| move |cause: std::io::Error| Error::failed(what, cause);
    let (ours, theirs) = Channel::pair().map_err(failed("connect to the container's process"))?;
    let pipes = match plan.terminal {
        Some(_) => None,
        None => Some(make_pipes(record.spec.config.open_stdin)?),
    };
    let mut flags = Flags::MOUNT.and(Flags::PID).and(Flags::UTS).and(Flags::IPC);
    if plan.network != NetworkMode::Host {
        flags = flags.and(Flags::NETWORK);
    }
    let cgroup = |cause| Error::failed("join the container's cgroup", cause);
    let gate = group.gate().map_err(cgroup)?;
    let folder = group.directory_fd().map_err(cgroup)?;
    let init = clone(flags, folder.as_ref().map(AsFd::as_fd), || {
        // Its own copy of the supervisor's end would keep it from seeing that one close. That it is
        // open here is certain, so that closing it can't fail.
        let _ = nix::unistd::close(ours.as_fd().as_raw_fd());
        let streams = pipes.as_ref().map(|(streams, _)| streams);
        init::run(&plan, layout, &gate, streams, &theirs)
    })
    .map_err(failed("start a process in new namespaces"))?;
    drop(theirs);
    match bring_up(&init, plan.endpoint.as_ref(), &ours) {
        Ok(terminal) => {
            let ends = match (terminal, pipes) {
                (Some(master), _) => Ends::Terminal(master),
                (None, Some((_, ends))) => ends,
                (None, None) => {
                    return Err(abort(&init, Error::failed("start", "no terminal came")));
                }
            };
            Ok((init, ends, plan.program))
        }
        Err(error) => Err(abort(&init, error)),
    }
}

/// Ends a process that was to become a container, and waits for it.
fn abort(init: &Child, error: Error) -> Error {
    // Already gone is as good.
    let _ = rustix::process::pidfd_send_signal(&init.pidfd, rustix::process::Signal::KILL);
    let _ = super::run::reap(init);
    error
}

/// Gives the new process its network, and waits until its program runs. Returns the
/// terminal's master, when it has one.
fn bring_up(
    init: &Child,
    endpoint: Option<&Endpoint>,
    channel: &Channel,
) -> Result<Option<OwnedFd>> {
    let gone = |cause: std::io::Error| Error::failed("start the container's process", cause);
    if let Some(endpoint) = endpoint {
        let namespace = rustix::fs::open(
            format!("/proc/{}/ns/net", init.pid),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|cause| Error::failed("open the container's network namespace", cause))?;
        // A supervisor has nobody to tell what it changed on the host.
        let _notes = endpoint.connect(namespace.as_fd())?;
    }
    // A process that has failed already has closed its end; its reason is still to be read.
    let _ = channel.send_go();
    let mut terminal = None;
    loop {
        match channel.receive_reply().map_err(gone)? {
            Some((Reply::Ok, descriptors)) => terminal = descriptors.into_iter().next(),
            Some((Reply::Failed(error), _)) => return Err(error),
            Some(_) => return Err(Error::failed("start the container's process", "odd message")),
            None => return Ok(terminal),
        }
    }
}

fn make_pipes(open_stdin: bool) -> Result<(Streams, Ends)> {
    let make = || -> rustix::io::Result<(Streams, Ends)> {
        let (stdout, stdout_in) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_in) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdin, ours) = if open_stdin {
            let (stdin, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            (stdin, Some(ours))
        } else {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            (rustix::fs::open("/dev/null", flags, Mode::empty())?, None)
        };
        let streams = Streams { stdin, stdout: stdout_in, stderr: stderr_in };
        Ok((streams, Ends::Pipes { stdin: ours, stdout, stderr }))
    };
    make().map_err(|cause| Error::failed("make pipes", cause))
}

fn plan(
    paths: &Paths,
    store: &mut Store,
    record: &Record,
    request: &StartRequest,
    endpoint: Option<&Endpoint>,
) -> Result<Plan> {
    let folder = paths.container(&record.id);
    let (config, host) = (&record.spec.config, &record.spec.host);
    Ok(Plan {
        hostname: config.hostname.clone(),
        lower_dirs: Images::new(store, paths).lower_dirs(&record.image)?,
        upper_dir: folder.join("upper"),
        work_dir: folder.join("work"),
        merged_dir: folder.join("merged"),
        files: network_files(&folder, record, endpoint)?,
        binds: host.binds.clone(),
        tmpfs: host.tmpfs.clone(),
        devices: devices::gather(&host.resources.devices)?,
        read_only: host.readonly_rootfs,
        privileged: host.privileged,
        network: host.network_mode.clone(),
        endpoint: endpoint.cloned(),
        terminal: config.tty.then(|| request.attach.and_then(|a| a.size)),
        program: program(record)?,
    })
}

/// Returns the container's own program, as far as its row says.
pub(super) fn program(record: &Record) -> Result<Program> {
    let (config, host) = (&record.spec.config, &record.spec.host);
    let init = match host.init {
        false => None,
        true => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let own = rustix::fs::open("/proc/self/exe", flags, Mode::empty())
                .map_err(|cause| Error::failed("open this program's file", cause))?;
            Some(Arc::new(own))
        }
    };
    Ok(Program {
        arguments: config.entrypoint.iter().chain(&config.cmd).cloned().collect(),
        environment: environment(record),
        working_dir: match config.working_dir.as_str() {
            "" => "/".to_owned(),
            folder => folder.to_owned(),
        },
        user: config.user.clone(),
        capabilities: capabilities::select(host.privileged, &host.cap_add, &host.cap_drop)?,
        no_new_privileges: host.no_new_privileges,
        filtered: !host.privileged,
        ulimits: host.resources.ulimits.clone(),
        oom_score_adj: host.oom_score_adj,
        init,
    })
}

/// Returns the environment: what docker sets, then the image's and the user's; the last of a name
/// holds.
fn environment(record: &Record) -> Vec<String> {
    let config = &record.spec.config;
    let mut environment =
        vec![format!("PATH={DEFAULT_PATH}"), format!("HOSTNAME={}", config.hostname)];
    if config.tty {
        environment.push("TERM=xterm".to_owned());
    }
    for entry in &config.env {
        set(&mut environment, entry);
    }
    environment
}

/// Sets `NAME=value` in a list, where it stood before if it did.
pub(crate) fn set(environment: &mut Vec<String>, entry: &str) {
    let name = entry.split('=').next().unwrap_or(entry);
    let same = |other: &&mut String| other.split('=').next() == Some(name);
    match environment.iter_mut().find(same) {
        Some(old) => entry.clone_into(old),
        None => environment.push(entry.to_owned()),
    }
}

/// Writes the files by which a container knows its name and finds others.
fn network_files(
    folder: &Path,
    record: &Record,
    endpoint: Option<&Endpoint>,
) -> Result<Vec<(PathBuf, &'static str)>> {
    let mode = &record.spec.host.network_mode;
    let address = endpoint.map(|endpoint| endpoint.info().ip);
    let texts = NetworkFiles::of_host(mode, &record.spec.config.hostname, address)?;
    let mut files = Vec::new();
    for (name, target, text) in [
        ("hosts", "/etc/hosts", texts.hosts),
        ("hostname", "/etc/hostname", texts.hostname),
        ("resolv.conf", "/etc/resolv.conf", texts.resolv_conf),
    ] {
        let path = folder.join(name);
        let write = || {
            std::fs::write(&path, &text)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o644))
        };
        write().map_err(|cause| Error::failed(format_args!("write {}", path.display()), cause))?;
        files.push((path, target));
    }
    Ok(files)
}

/// Returns what tells this boot of the host from all others.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_holds_in_its_first_place() {
        let mut environment = vec!["PATH=/bin".to_owned(), "A=1".to_owned()];
        for entry in ["PATH=/sbin", "B=", "A=2=3"] {
            set(&mut environment, entry);
        }
        assert_eq!(environment, ["PATH=/sbin", "A=2=3", "B="]);
    }
}
