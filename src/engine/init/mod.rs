//! What happens between `clone` and the user's program, in the container's first process.
//!
//! The supervisor makes a [`Plan`] while it still has the host's view, clones itself into new
//! namespaces, and the copy calls [`run`]. Mounts need nothing from the supervisor and begin at
//! once; the supervisor meanwhile makes the network interface, and says so over the [`Channel`]. The channel closes by itself when the user's program
//! is executed; until then the copy reports any failure over it.

pub(crate) mod binds;
pub(crate) mod devices;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod pid1;
pub(crate) mod program;
pub(crate) mod rootfs;
mod settings;
pub(crate) mod terminal;
pub(crate) mod toolbox;
mod user;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use wharf_cgroup::{Gate, Layout};
use wharf_model::{Mount, NetworkMode, TermSize};

use crate::channel::Channel;
use crate::network::Endpoint;
use crate::network::files::Forwarding;
use crate::userns::{remap, trees};
use crate::{Error, Result};
use program::Program;

/// Everything a container is made from.
pub(crate) struct Plan {
    /// None leaves the host's name alone.
    pub(crate) hostname: Option<String>,
    /// The NIS domain name, or empty.
    pub(crate) domainname: String,
    pub(crate) layers: mounts::Layers,
    /// The engine's own files: source on the host, target inside.
    pub(crate) files: Vec<(PathBuf, &'static str)>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) tmpfs: BTreeMap<String, String>,
    /// Devices of the host's.
    pub(crate) devices: Vec<devices::Node>,
    pub(crate) read_only: bool,
    pub(crate) privileged: bool,
    /// Whether the engine is in a user namespace, where no device node can be made.
    pub(crate) nested: bool,
    /// Whether the container gets a user namespace of its own.
    pub(crate) remapped: bool,
    /// Whether no path of /proc and /sys is hidden or read-only.
    pub(crate) unconfined_paths: bool,
    /// Whether it has the host's PID namespace.
    pub(crate) host_pids: bool,
    pub(crate) shm: Shm,
    /// Its cgroup's name, when it stays in the host's cgroup namespace.
    pub(crate) host_cgroups: Option<String>,
    /// Kernel settings of its namespaces: names with dots.
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) network: NetworkMode,
    /// The first process of the container whose network namespace it joins.
    pub(crate) joined_network: Option<OwnedFd>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// What its name server does about others' names, if it has one.
    pub(crate) forwarding: Option<Forwarding>,
    pub(crate) terminal: Option<Option<TermSize>>,
    pub(crate) program: Program,
}

/// Whose /dev/shm a container has.
pub(crate) enum Shm {
    /// Its own, of so many bytes.
    Own(u64),
    /// None.
    None,
    /// The host's.
    Host,
    /// That of the container whose first process this is, together with its IPC namespace.
    Of(OwnedFd),
}

/// The child's ends of the container's streams, where it has no terminal.
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Streams {
    /// Makes them the standard streams.
    pub(crate) fn install(&self) -> Result<()> {
        let install = || -> rustix::io::Result<()> {
            rustix::stdio::dup2_stdin(&self.stdin)?;
            rustix::stdio::dup2_stdout(&self.stdout)?;
            rustix::stdio::dup2_stderr(&self.stderr)
        };
        install().map_err(|cause| Error::failed("set up the standard streams", cause))
    }
}

/// Waits for the supervisor's next word; its end is the end of the start.
fn proceed(channel: &Channel) -> Result<()> {
    match channel.receive(1) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::failed("start", "the supervisor has ended")),
        Err(cause) => Err(Error::failed("start", cause)),
    }
}

/// Becomes the container's program. Returns only on failure, which it has reported.
pub(crate) fn run(
    plan: &Plan,
    layout: &Layout,
    gate: &Gate,
    streams: Option<&Streams>,
    channel: &Channel,
) -> i32 {
    let error = match prepare(plan, layout, gate, streams, channel) {
        Ok(()) => program::become_program(&plan.program),
        Err(error) => error,
    };
    // When nobody hears it, nobody waits for it.
    let _ = channel.send_failure(&error);
    1
}

fn prepare(
    plan: &Plan,
    layout: &Layout,
    gate: &Gate,
    streams: Option<&Streams>,
    channel: &Channel,
) -> Result<()> {
    // When the supervisor has ended before this, `proceed` finds the channel closed.
    program::tie()?;
    fresh_signals()?;
    gate.enter().map_err(|cause| Error::failed("join the container's cgroup", cause))?;
    limits::set_oom_score(plan.program.oom_score_adj)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::setsid().map_err(|cause| Error::failed("setsid", cause))?;
    let trees = if plan.remapped { Some(trees::receive(plan, channel)?) } else { None };
    if trees.is_some() {
        remap::become_root()?;
        program::tie()?;
    }
    let shm = mounts::open_shared_memory(&plan.shm)?;
    if let Shm::Of(process) = &plan.shm {
        nix::sched::setns(process, nix::sched::CloneFlags::CLONE_NEWIPC)
            .map_err(|cause| Error::failed("join the IPC namespace", cause))?;
    }
    if let Some(process) = &plan.joined_network {
        // Before /sys is mounted, which shows the links of the namespace that mounts it.
        nix::sched::setns(process, nix::sched::CloneFlags::CLONE_NEWNET)
            .map_err(|cause| Error::failed("join the network namespace", cause))?;
    }
    let binds = binds::open(&plan.files, &plan.mounts, &plan.tmpfs, trees.as_ref())?;
    let root = mounts::root(plan, trees.as_ref())?;
    drop(trees);
    mounts::kernel_filesystems(&root, plan, shm)?;
    if plan.host_cgroups.is_none() {
        // In its cgroups, which become the root of its cgroup namespace.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
            .map_err(|cause| Error::failed("make a cgroup namespace", cause))?;
    }
    mounts::cgroups(&root, plan, layout)?;
    let settings = settings::open(&root)?;
    binds::attach(&root, &binds)?;
    drop(binds);
    devices::make(&root, &plan.devices, plan.nested || plan.remapped)?;
    if !plan.privileged && !plan.unconfined_paths {
        mounts::protect(&root)?;
    }
    root.make_folder(Path::new(&plan.program.working_dir), 0o755).map_err(|cause| {
        Error::failed(
            format_args!("make the working directory {}", plan.program.working_dir),
            cause,
        )
    })?;
    if let Some(name) = &plan.hostname {
        nix::unistd::sethostname(name)
            .map_err(|cause| Error::failed(format_args!("set the host name {name}"), cause))?;
        if !plan.domainname.is_empty() {
            rustix::system::setdomainname(plan.domainname.as_bytes())
                .map_err(|cause| Error::failed("set the domain name", cause))?;
        }
    }
    if let Some(size) = plan.terminal {
        terminal::attach(&root, size, channel)?;
    }
    // Now with its network interface.
    proceed(channel)?;
    if plan.network.is_private() {
        crate::network::configure_inside(&plan.endpoints)?;
    }
    // Some belong to its network interface.
    settings::write(&settings, plan)?;
    drop(settings);
    mounts::pivot(&root, plan.read_only)?;
    drop(root);
    if let Some(streams) = streams {
        streams.install()?;
    }
    let_go(channel, &plan.program)
}

/// Closes what the copy of the supervisor has open, before anything is looked up by a path that the
/// image or the container controls: a working directory or a program in `/proc/self/fd` would
/// otherwise lead to folders of the host (CVE-2024-21626).
pub(crate) fn let_go(channel: &Channel, program: &Program) -> Result<()> {
    let init = program.init.as_deref().map(AsFd::as_fd);
    let keep: Vec<_> = std::iter::once(channel.as_fd()).chain(init).collect();
    wharf_sys::descriptors::close_all_but(&keep)
        .map_err(|cause| Error::failed("close descriptors", cause))
}

/// Gives the program the signal settings of a fresh process.
pub(crate) fn fresh_signals() -> Result<()> {
    wharf_sys::signals::reset();
    nix::sys::signal::SigSet::empty()
        .thread_set_mask()
        .map_err(|cause| Error::failed("unblock signals", cause))
}
