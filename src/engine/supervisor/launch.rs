//! From a container's row to its running first process.

use std::fs::Permissions;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_cgroup::{DeviceAccess, Group, Layout, Limits, OomWatch};
use wharf_model::{ErrorKind, NamespaceMode, NetworkMode, SeccompMode, Status, UsernsMode};
use wharf_sys::clone::{Child, Flags, clone};

use super::proxy::Target;
use super::run::resized;
use super::{health, join, teardown};
use crate::channel::{self, AttachRequest, Channel, Reply, StartRequest};
use crate::container::mounts;
use crate::dns::{Dns, Recorded, Settings};
use crate::image::Images;
use crate::init::program::{DEFAULT_PATH, Manners, Program};
use crate::init::user::Identity;
use crate::init::{self, Plan, Shm, Streams, devices};
use crate::lock::{self, Lock};
use crate::network::files::{self, Forwarding, NetworkFiles, Wishes};
use crate::network::publish::{self, Bound, Way};
use crate::network::{self, Endpoint, Guest};
use crate::security::capabilities;
use crate::state::{Happened, Record, Store};
use crate::userns::{self, remap, trees};
use crate::{Error, Paths, Result, folder, quota, reconcile, rootless, volume};

/// A running container, as its supervisor holds it.
pub(super) struct Container {
    pub(super) paths: Paths,
    pub(super) record: Record,
    pub(super) group: Group,
    pub(super) oom: Option<OomWatch>,
    pub(super) endpoints: Vec<Endpoint>,
    /// Its name server, if it is on a network that has names.
    pub(super) dns: Option<Dns>,
    /// The blocks that subnets are cut from.
    pub(super) network: network::Settings,
    /// The host's ports that it has, and where they lead; handed over to the event loop.
    pub(super) ports: Vec<(Bound, Target)>,
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

/// The size of /dev/shm when nobody says otherwise: docker's 64 MiB.
const DEFAULT_SHM: u64 = 64 << 20;

/// The folder of all containers' cgroups.
pub(super) const PARENT: &str = "wharf";

/// The cgroup of the supervisors themselves.
pub(super) const HOME: &str = "wharf/supervisors";

/// Returns the name of a container's cgroup.
pub(crate) fn cgroup_name(record: &Record) -> String {
    let asked = record.spec.host.cgroup_parent.split('/');
    let asked: Vec<_> = asked.filter(|part| !matches!(*part, "" | ".")).collect();
    match asked.is_empty() {
        true => default_cgroup(&record.id),
        false => format!("{}/{}", asked.join("/"), record.id),
    }
}

/// Returns the name of the cgroup of a container that asks for no parent of its own.
pub(crate) fn default_cgroup(id: &wharf_model::ContainerId) -> String {
    format!("{PARENT}/{id}")
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
    if !request.resumes {
        record.observed.state.restart_count = 0;
    }
    attempt(&paths, &mut store, &mut record, request, &mut (Some(life), None))
}

/// Returns what a start is told by. As with docker, a client was attached before it, and the terminal got
/// the client's size after it.
fn at_start(record: &Record, attach: Option<AttachRequest>) -> Vec<Happened> {
    let attached = attach.map(|_| ("attach".to_owned(), Vec::new()));
    let size = attach.and_then(|attach| attach.size).filter(|_| record.spec.config.tty);
    let started = ("start".to_owned(), Vec::new());
    attached.into_iter().chain([started]).chain(size.map(resized)).collect()
}

/// Starts the container again, in place of the run of it that has ended. When that fails, its state
/// says why, and nothing is left.
pub(super) fn again(old: &mut Container, attach: Option<AttachRequest>) -> Result<()> {
    let paths = old.paths.clone();
    let mut store = Store::open(&paths.database())?;
    let mut record = store.container(old.record.id.as_str())?;
    // What was observed, this process knows best: the row may have missed something.
    record.observed = old.record.observed.clone();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let request = StartRequest {
        root: text(paths.root()),
        run: text(paths.run()),
        id: record.id.clone(),
        attach,
        resumes: true,
        network: old.network.clone(),
    };
    let mut kept = (old.life.take(), old.listener.take());
    match attempt(&paths, &mut store, &mut record, &request, &mut kept) {
        Ok(container) => {
            *old = container;
            Ok(())
        }
        Err(error) => {
            (old.life, old.listener) = kept;
            old.record = record;
            Err(error)
        }
    }
}

/// What outlives a run of the container: the life lock, and where others connect.
type Kept = (Option<Lock>, Option<OwnedFd>);

fn attempt(
    paths: &Paths,
    store: &mut Store,
    record: &mut Record,
    request: &StartRequest,
    kept: &mut Kept,
) -> Result<Container> {
    record.observed.stopped = false;
    // What an earlier supervisor, killed at any moment, has left.
    let result = reconcile::give_back(paths, store, &record.id)
        .and_then(|()| start(paths, store, record, request, kept));
    match result {
        Ok(container) => Ok(container),
        Err(error) => {
            record.observed.state.status = match record.observed.state.status {
                // It will not be tried again, as with docker.
                Status::Restarting => Status::Exited,
                status => status,
            };
            record.observed.state.error = error.to_string();
            record.observed.state.exit_code = match error.kind() {
                ErrorKind::CommandNotFound => 127,
                ErrorKind::CommandNotExecutable => 126,
                _ => 128,
            };
            record.observed.ports.clear();
            // The first failure is the one to report.
            let _ = match record.spec.host.auto_remove {
                false => store.observe(record, "die", &[]),
                true => store
                    .remove_container(record, &[("die", Vec::new()), ("destroy", Vec::new())], true)
                    .and_then(|()| folder::remove(paths, store, &record.id))
                    .and_then(|()| Images::new(store, paths).collect()),
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
    kept: &mut Kept,
) -> Result<Container> {
    folder::make(paths, &record.id)?;
    quota::apply(paths, &record.id, &record.spec.host)?;
    // Before its row says that it runs: who reads it there may connect.
    if kept.1.is_none() {
        let run = paths.container_run(&record.id);
        let listener = channel::listen(&run)
            .map_err(|cause| Error::failed(format_args!("listen in {}", run.display()), cause))?;
        kept.1 = Some(listener);
    }
    let layout = Layout::detect().map_err(|cause| Error::failed("cgroups", cause))?;
    // First of all, since it is what most often can't be had.
    let bound = match publish::has_ports(&record.spec.host.network_mode)
        && publish::is_possible(store, &record.spec.networks())?
    {
        true => publish::bind(store, record)?,
        false => Vec::new(),
    };
    let mut endpoints = Vec::new();
    let result = (|| {
        volume::take(paths, store, record)?;
        prepare_networks(store, record, request, &mut endpoints)?;
        network::links::announce(paths, store, &record.name, &endpoints)?;
        let ways = ways(&endpoints);
        let forwards: Vec<_> = bound.iter().filter_map(|bound| bound.forward(&ways)).collect();
        publish::journal(store, &record.id, &forwards)?;
        let plan = plan(paths, store, record, request, &endpoints)?;
        let group = make_group(store, record, &layout, &plan)?;
        match make_container(paths, store, &plan, record, &layout, &group) {
            Ok(made) => Ok((group, made)),
            Err(error) => {
                let _ = teardown::give_back_group(store, record, &group);
                let _ = remap::give_back(store, &record.id);
                Err(error)
            }
        }
    })();
    match result {
        Ok((group, Made { init, ends, program, dns })) => {
            let oom = OomWatch::open(&group).ok().flatten();
            record.observed.state = wharf_model::ContainerState {
                status: Status::Running,
                pid: Some(init.pid),
                started_at: Some(Utc::now()),
                finished_at: record.observed.state.finished_at,
                restart_count: record.observed.state.restart_count,
                health: health::at_start(record),
                ..Default::default()
            };
            record.observed.boot = boot_id();
            let ways = ways(&endpoints);
            let reach = if endpoints.is_empty() { Target::Inside } else { Target::Routed };
            let ports = aimed(bound, &ways, reach);
            record.observed.ports = ports.iter().map(|(bound, _)| bound.binding()).collect();
            record.observed.started_uptime = Some(uptime());
            let stored = store.observe_all(record, &at_start(record, request.attach));
            let container = Container {
                paths: paths.clone(),
                record: record.clone(),
                group,
                oom,
                endpoints,
                dns,
                network: request.network.clone(),
                ports,
                init,
                ends,
                program,
                listener: kept.1.take(),
                life: kept.0.take(),
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
            // Reported is what failed first; what is left is journalled.
            let _ = volume::give_back(paths, store, &record.id);
            let _ = publish::give_back_all(store, &record.id);
            for endpoint in &endpoints {
                let _ = endpoint.disconnect(store);
            }
            Err(error)
        }
    }
}

/// Returns ports with where each leads by these ways; those that lead nowhere are given up.
pub(super) fn aimed(
    bound: Vec<Bound>,
    ways: &[Way],
    reach: fn(SocketAddr) -> Target,
) -> Vec<(Bound, Target)> {
    let leads = |bound: Bound| Some((reach(bound.forward(ways)?.target), bound));
    bound.into_iter().filter_map(leads).map(|(target, bound)| (bound, target)).collect()
}

/// Returns where a container is reached: at a helper's address, where it is on no network.
fn ways(endpoints: &[Endpoint]) -> Vec<Way> {
    match userns::owns_network() {
        true => publish::ways(endpoints),
        false => {
            vec![Way { address: rootless::network::ADDRESS.into(), bridge: String::new() }]
        }
    }
}

/// Leases addresses on all of the container's networks.
fn prepare_networks(
    store: &mut Store,
    record: &Record,
    request: &StartRequest,
    endpoints: &mut Vec<Endpoint>,
) -> Result<()> {
    // An ordinary user's engine has no bridge: a helper connects its containers.
    if !record.spec.host.network_mode.is_private() || !userns::owns_network() {
        return Ok(());
    }
    let hostname = &record.spec.config.hostname;
    let guest = Guest { container: &record.id, hostname };
    for options in record.spec.networks() {
        endpoints.push(network::prepare(store, guest, &options, &request.network)?);
    }
    store.transaction(|transaction| endpoints.iter().try_for_each(|made| made.tell(transaction)))
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
    let limits = Limits { resources, devices, ..Limits::default() };
    store.journal("cgroup", &name, &record.id)?;
    // The note stays when this fails: it is for the next start, or the sweep, to look.
    Group::create(layout, &name, &limits)
        .map_err(|cause| Error::failed("make the container's cgroup", cause))
}

/// A container's first process, and what belongs to it.
struct Made {
    init: Child,
    ends: Ends,
    program: Program,
    dns: Option<Dns>,
}

fn make_container(
    paths: &Paths,
    store: &mut Store,
    plan: &Plan,
    record: &Record,
    layout: &Layout,
    group: &Group,
) -> Result<Made> {
    let failed = |what: &'static str| move |cause: std::io::Error| Error::failed(what, cause);
    let (ours, theirs) = Channel::pair().map_err(failed("connect to the container's process"))?;
    let pipes = match plan.terminal {
        Some(_) => None,
        None => Some(make_pipes(record.spec.config.open_stdin)?),
    };
    let host = &record.spec.host;
    let maps = remap::prepare(store, &host.userns_mode, &record.id)?;
    let mut flags = Flags::MOUNT;
    for (own, namespace) in [
        (plan.remapped, Flags::USER),
        (has_own_pids(&host.pid_mode), Flags::PID),
        (host.uts_mode != NamespaceMode::Host, Flags::UTS),
        (matches!(plan.shm, Shm::Own(_) | Shm::None), Flags::IPC),
        (plan.network.is_private(), Flags::NETWORK),
    ] {
        if own {
            flags = flags.and(namespace);
        }
    }
    let pids_of = join::of_pid(paths, store, &host.pid_mode)?;
    let cgroup = |cause| Error::failed("join the container's cgroup", cause);
    let gate = group.gate().map_err(cgroup)?;
    let folder = group.directory_fd().map_err(cgroup)?;
    let init = join::in_pid_namespace_of(pids_of.as_ref(), || {
        clone(flags, folder.as_ref().map(AsFd::as_fd), || {
            // Its own copy of the supervisor's end would keep it from seeing that one close. That it
            // is open here is certain, so that closing it can't fail.
            let _ = nix::unistd::close(ours.as_fd().as_raw_fd());
            let streams = pipes.as_ref().map(|(streams, _)| streams);
            init::run(plan, layout, &gate, streams, &theirs)
        })
    })?;
    drop(theirs);
    let mounted = maps.map_or(Ok(()), |maps| {
        let (user_namespace, root) = (maps.apply(&init)?, maps.root()?);
        if let Some((streams, _)) = &pipes {
            let pipes = [&streams.stdin, &streams.stdout, &streams.stderr];
            remap::give_pipes(pipes.map(AsFd::as_fd), root);
        }
        trees::send(plan, &user_namespace, root, &ours)
    });
    match mounted.and_then(|()| bring_up(&init, plan, store, paths, record, &ours)) {
        Ok((terminal, dns)) => {
            let ends = match (terminal, pipes) {
                (Some(master), _) => Ends::Terminal(master),
                (None, Some((_, ends))) => ends,
                (None, None) => {
                    return Err(abort(&init, Error::failed("start", "no terminal came")));
                }
            };
            Ok(Made { init, ends, program: plan.program.clone(), dns })
        }
        Err(error) => Err(abort(&init, error)),
    }
}

/// Returns whether a container's first process is the first of a PID namespace, with whose end the
/// kernel ends all others.
pub(super) fn has_own_pids(mode: &NamespaceMode) -> bool {
    !matches!(mode, NamespaceMode::Host | NamespaceMode::Container(_))
}

/// Ends a process that was to become a container, and waits for it.
pub(crate) fn abort(init: &Child, error: Error) -> Error {
    // Already gone is as good.
    let _ = rustix::process::pidfd_send_signal(&init.pidfd, rustix::process::Signal::KILL);
    let _ = super::run::reap(init);
    error
}

/// Gives the new process its network, and waits until its program runs. Returns the
/// terminal's master, when it has one, and its name server, when it has one.
fn bring_up(
    init: &Child,
    plan: &Plan,
    store: &Store,
    paths: &Paths,
    record: &Record,
    channel: &Channel,
) -> Result<(Option<OwnedFd>, Option<Dns>)> {
    let gone = |cause: std::io::Error| Error::failed("start the container's process", cause);
    let mut dns = None;
    let mut ended = None;
    if plan.network == NetworkMode::Bridge
        && !userns::owns_network()
        && let Err(error) = rootless::network::connect(init, &paths.container_run(&record.id))
    {
        // Perhaps because the process is at its end: what it has said comes first.
        let _ = rustix::process::pidfd_send_signal(&init.pidfd, rustix::process::Signal::KILL);
        ended = Some(error);
    }
    if !plan.endpoints.is_empty() {
        let path = format!("/proc/{}/ns/net", init.pid);
        let failed = |cause| Error::failed("open the container's network namespace", cause);
        match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            // A supervisor has nobody to tell what it changed on the host.
            Ok(namespace) => {
                for endpoint in &plan.endpoints {
                    endpoint.connect(store, namespace.as_fd())?;
                }
                match publish::redirect(store, &publish::journalled_of(store, &record.id)?) {
                    // A kernel that can't redirect leaves it to the supervisor to pass on.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Denied) => {}
                    result => result?,
                }
                if let Some(forwarding) = &plan.forwarding {
                    dns = Some(name_server(paths, record, forwarding, namespace)?);
                }
            }
            // The process is at its end, and has said why.
            Err(Errno::NOENT) => ended = Some(failed(Errno::NOENT)),
            Err(cause) => return Err(failed(cause)),
        }
    }
    // A process that has failed already has closed its end; its reason is still to be read.
    let _ = channel.send_go();
    let mut terminal = None;
    loop {
        match channel.receive_reply().map_err(gone)? {
            Some((Reply::Ok, descriptors)) => terminal = descriptors.into_iter().next(),
            Some((Reply::Failed(error), _)) => return Err(error),
            Some(_) => return Err(Error::failed("start the container's process", "odd message")),
            None => return ended.map_or(Ok((terminal, dns)), Err),
        }
    }
}

/// Starts the name server of a container, in its network namespace.
pub(super) fn name_server(
    paths: &Paths,
    record: &Record,
    forwarding: &Forwarding,
    namespace: OwnedFd,
) -> Result<Dns> {
    let names = Recorded::new(paths.database(), record.id.clone());
    let settings = Settings {
        names: Box::new(names),
        upstreams: forwarding.upstreams.clone(),
        keeps_plain: forwarding.keeps_plain,
    };
    Dns::start(namespace, settings)
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
    endpoints: &[Endpoint],
) -> Result<Plan> {
    let (config, host) = (&record.spec.config, &record.spec.host);
    let shm = match &host.ipc_mode {
        NamespaceMode::Host => Shm::Host,
        NamespaceMode::None => Shm::None,
        NamespaceMode::Container(id) => Shm::Of(join::of_ipc(paths, store, id)?),
        NamespaceMode::Default | NamespaceMode::Private | NamespaceMode::Shareable => {
            Shm::Own(host.shm_size.unwrap_or(DEFAULT_SHM))
        }
    };
    let (files, forwarding) = network_files(paths, store, record, endpoints)?;
    let mut program = program(record)?;
    for entry in network::links::environment(store, &record.name, endpoints)? {
        // What the user says of the same name holds.
        let name = entry.split('=').next().unwrap_or_default();
        if !program.environment.iter().any(|own| own.split('=').next() == Some(name)) {
            program.environment.push(entry);
        }
    }
    let mut sysctls = host.sysctls.clone();
    for endpoint in endpoints {
        sysctls.extend(endpoint.sysctls()?);
    }
    let own_name = host.uts_mode != NamespaceMode::Host;
    let own_cgroups = host.cgroupns_mode != NamespaceMode::Host;
    Ok(Plan {
        hostname: own_name.then(|| config.hostname.clone()),
        domainname: config.domainname.clone(),
        layers: folder::layers(paths, store, record)?,
        files,
        mounts: mounts::points(&record.spec)
            .into_iter()
            .map(|point| volume::located(paths, store, point.mount))
            .collect::<Result<_>>()?,
        tmpfs: host.tmpfs.clone(),
        devices: devices::gather(&host.resources.devices)?,
        read_only: host.readonly_rootfs,
        privileged: host.privileged,
        nested: userns::is_nested(),
        remapped: !matches!(host.userns_mode, UsernsMode::Default | UsernsMode::Host),
        unconfined_paths: host.unconfined_paths,
        host_pids: matches!(host.pid_mode, NamespaceMode::Host),
        shm,
        host_cgroups: (!own_cgroups).then(|| cgroup_name(record)),
        sysctls,
        network: host.network_mode.clone(),
        joined_network: join::of_network(paths, store, &host.network_mode)?,
        endpoints: endpoints.to_vec(),
        forwarding,
        terminal: config.tty.then(|| request.attach.and_then(|a| a.size).or(host.console_size)),
        program,
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
        identity: Identity::Named { user: config.user.clone(), groups: host.group_add.clone() },
        grant: capabilities::select(host.privileged, &host.cap_add, &host.cap_drop)?.into(),
        no_new_privileges: host.no_new_privileges,
        ulimits: host.resources.ulimits.clone(),
        oom_score_adj: host.oom_score_adj,
        seccomp: match (&host.seccomp, host.privileged) {
            (SeccompMode::Default, true) => SeccompMode::Unconfined,
            (mode, _) => mode.clone(),
        },
        apparmor: host.apparmor.clone().filter(|_| !host.privileged),
        init,
        manners: Manners::default(),
        tied: true,
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

/// Sets `NAME=value` in a list, where it stood before if it did; a `NAME` alone is taken away.
pub(crate) fn set(environment: &mut Vec<String>, entry: &str) {
    let name = entry.split('=').next().unwrap_or(entry);
    if name == entry {
        environment.retain(|other| other.split('=').next() != Some(name));
        return;
    }
    let same = |other: &&mut String| other.split('=').next() == Some(name);
    match environment.iter_mut().find(same) {
        Some(old) => entry.clone_into(old),
        None => environment.push(entry.to_owned()),
    }
}

/// The files of the engine's own in a container: their places on the host, and inside.
type Files = Vec<(PathBuf, &'static str)>;

/// Writes the files by which a container knows its name and finds others. One that joins another's
/// network has that one's.
fn network_files(
    paths: &Paths,
    store: &Store,
    record: &Record,
    endpoints: &[Endpoint],
) -> Result<(Files, Option<Forwarding>)> {
    const TARGETS: [(&str, &str); 3] = [
        ("hosts", "/etc/hosts"),
        ("hostname", "/etc/hostname"),
        ("resolv.conf", "/etc/resolv.conf"),
    ];
    if let NetworkMode::Container(whose) = &record.spec.host.network_mode {
        let folder = paths.container(&store.container(whose)?.id);
        let files = TARGETS.map(|(name, target)| (folder.join(name), target)).to_vec();
        return Ok((files, None));
    }
    let folder = paths.container(&record.id);
    let gateway = match network::way_out(endpoints, true).and_then(|e| e.gateway(true)) {
        Some(gateway) => Some(gateway),
        None => network::network(store, network::DEFAULT_NETWORK)?
            .and_then(|network| Some(network.pools().next()?.gateway)),
    };
    let links = network::links::lines(store, endpoints)?;
    let addresses: Vec<IpAddr> = endpoints.iter().flat_map(Endpoint::addresses).collect();
    let wishes = Wishes { gateway, links: &links, ..wishes(record, endpoints, &addresses) };
    let texts = NetworkFiles::of_host(&wishes)?;
    let mut files = Vec::new();
    let contents = [texts.hosts, texts.hostname, texts.resolv_conf];
    for ((name, target), text) in TARGETS.into_iter().zip(contents) {
        let path = folder.join(name);
        let write = || {
            std::fs::write(&path, &text)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o644))
        };
        write().map_err(|cause| Error::failed(format_args!("write {}", path.display()), cause))?;
        files.push((path, target));
    }
    Ok((files, texts.forwarding))
}

/// Returns the container's resolv.conf and what its name server does, if it has one on these
/// networks.
pub(super) fn resolver(
    record: &Record,
    endpoints: &[Endpoint],
) -> Result<Option<(String, Forwarding)>> {
    let addresses: Vec<IpAddr> = endpoints.iter().flat_map(Endpoint::addresses).collect();
    files::resolver(&wishes(record, endpoints, &addresses))
}

/// Returns what those files depend on, without what other containers have to do with it.
fn wishes<'a>(record: &'a Record, endpoints: &[Endpoint], addresses: &'a [IpAddr]) -> Wishes<'a> {
    let (config, host) = (&record.spec.config, &record.spec.host);
    Wishes {
        mode: &host.network_mode,
        hostname: &config.hostname,
        domainname: &config.domainname,
        addresses,
        links: "",
        gateway: None,
        extra_hosts: &host.extra_hosts,
        dns: &host.dns,
        dns_search: &host.dns_search,
        dns_options: &host.dns_options,
        name_server: endpoints.iter().any(|endpoint| !endpoint.network().is_predefined()),
    }
}

/// Returns how long the host has been up, in milliseconds, by a clock that nobody sets.
pub(crate) fn uptime() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
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
        for entry in ["C=1", "PATH=/sbin", "B=", "A=2=3", "C", "D"] {
            set(&mut environment, entry);
        }
        assert_eq!(environment, ["PATH=/sbin", "A=2=3", "B="]);
    }
}
