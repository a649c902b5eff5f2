//! What happens between `clone` and the user's program, in the container's first process.
//!
//! The supervisor makes a [`Plan`] while it still has the host's view, clones itself into new
//! namespaces, and the copy calls [`run`]. Mounts need nothing from the supervisor and begin at
//! once; the supervisor meanwhile makes the network interface, and says so over the [`Channel`]. The channel closes by itself when the user's program
//! is executed; until then the copy reports any failure over it.

pub(crate) mod binds;
pub(crate) mod bundle;
pub(crate) mod devices;
pub(crate) mod limits;
pub(crate) mod listed;
pub(crate) mod mounts;
pub(crate) mod pid1;
pub(crate) mod program;
pub(crate) mod rootfs;
pub(crate) mod settings;
pub(crate) mod terminal;
pub(crate) mod toolbox;
pub(crate) mod user;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;
use wharf_cgroup::{Gate, Layout};
use wharf_model::{Mount, NetworkMode, READ_ONLY_PATHS, TermSize};

use crate::channel::Channel;
use crate::network::Endpoint;
use crate::network::files::Forwarding;
use crate::userns::{remap, trees};
use crate::{Error, Result};
use program::{AtOnce, Program};
use rootfs::Root;

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

/// What a new process makes of itself before it becomes its container's program. There are two: what
/// the engine makes of an image ([`Plan`]), and what an OCI bundle says ([`bundle::Bundle`]).
pub(crate) trait Contents {
    /// The container's program.
    fn program(&self) -> &Program;

    /// The host name, which none leaves alone, and the NIS domain name, or nothing.
    fn names(&self) -> (Option<&str>, &str);

    /// Whether it has a terminal, and of what size.
    fn terminal(&self) -> Option<Option<TermSize>>;

    /// Joins what there is to join, and mounts the root filesystem with all that belongs in it. The
    /// process is in its cgroups, and in a session of its own.
    ///
    /// # Errors
    /// When the container can't be as it is wanted.
    fn assemble(&self, layout: &Layout, channel: &Channel) -> Result<Assembled>;

    /// Waits until the other side has done its part, and makes the root the process's own.
    ///
    /// # Errors
    /// When the container can't be as it is wanted.
    fn settle(&self, assembled: Assembled, channel: &Channel) -> Result<()>;

    /// Closes what the program must not find open.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn let_go(&self, channel: &Channel) -> Result<()> {
        let_go(channel, self.program())
    }

    /// Becomes the program. Returns only on failure.
    fn execute(&self, _channel: &Channel) -> Error {
        program::become_program(self.program(), &mut AtOnce)
    }
}

/// A root filesystem that is mounted, and not yet the process's own.
pub(crate) struct Assembled {
    pub(crate) root: Root,
    /// `/proc/sys`, opened before anything could be mounted over it.
    pub(crate) settings: OwnedFd,
}

/// Becomes the container's program. Returns only on failure, which it has reported.
pub(crate) fn run(
    contents: &impl Contents,
    layout: &Layout,
    gate: &Gate,
    streams: Option<&Streams>,
    channel: &Channel,
) -> i32 {
    let error = match prepare(contents, layout, gate, streams, channel) {
        Ok(()) => contents.execute(channel),
        Err(error) => error,
    };
    // When nobody hears it, nobody waits for it.
    let _ = channel.send_failure(&error);
    1
}

fn prepare(
    contents: &impl Contents,
    layout: &Layout,
    gate: &Gate,
    streams: Option<&Streams>,
    channel: &Channel,
) -> Result<()> {
    // When the other side has ended before this, `proceed` finds the channel closed.
    program::tie()?;
    fresh_signals()?;
    gate.enter().map_err(|cause| Error::failed("join the container's cgroup", cause))?;
    limits::set_oom_score(contents.program().oom_score_adj)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::setsid().map_err(|cause| Error::failed("setsid", cause))?;
    let assembled = contents.assemble(layout, channel)?;
    let (hostname, domainname) = contents.names();
    if let Some(name) = hostname {
        nix::unistd::sethostname(name)
            .map_err(|cause| Error::failed(format_args!("set the host name {name}"), cause))?;
    }
    if !domainname.is_empty() {
        rustix::system::setdomainname(domainname.as_bytes())
            .map_err(|cause| Error::failed("set the domain name", cause))?;
    }
    if let Some(size) = contents.terminal() {
        terminal::attach(&assembled.root, size, channel)?;
    }
    contents.settle(assembled, channel)?;
    if let Some(streams) = streams {
        streams.install()?;
    }
    contents.let_go(channel)
}

impl Contents for Plan {
    fn program(&self) -> &Program {
        &self.program
    }

    fn names(&self) -> (Option<&str>, &str) {
        match &self.hostname {
            Some(name) => (Some(name), &self.domainname),
            None => (None, ""),
        }
    }

    fn terminal(&self) -> Option<Option<TermSize>> {
        self.terminal
    }

    fn assemble(&self, layout: &Layout, channel: &Channel) -> Result<Assembled> {
        let trees = if self.remapped { Some(trees::receive(self, channel)?) } else { None };
        if trees.is_some() {
            remap::become_root()?;
            program::tie()?;
        }
        let shm = mounts::open_shared_memory(&self.shm)?;
        if let Shm::Of(process) = &self.shm {
            nix::sched::setns(process, nix::sched::CloneFlags::CLONE_NEWIPC)
                .map_err(|cause| Error::failed("join the IPC namespace", cause))?;
        }
        if let Some(process) = &self.joined_network {
            // Before /sys is mounted, which shows the links of the namespace that mounts it.
            nix::sched::setns(process, nix::sched::CloneFlags::CLONE_NEWNET)
                .map_err(|cause| Error::failed("join the network namespace", cause))?;
        }
        let binds = binds::open(&self.files, &self.mounts, &self.tmpfs, trees.as_ref())?;
        let root = mounts::root(self, trees.as_ref())?;
        drop(trees);
        mounts::kernel_filesystems(&root, self, shm)?;
        if self.host_cgroups.is_none() {
            own_cgroups()?;
        }
        let read_only = match self.privileged {
            true => MountFlags::empty(),
            false => MountFlags::RDONLY,
        };
        let target = Path::new("/sys/fs/cgroup");
        mounts::cgroups(&root, target, self.host_cgroups.as_deref(), read_only, layout)?;
        let settings = settings::open(&root)?;
        binds::attach(&root, &binds)?;
        drop(binds);
        devices::make(&root, &self.devices, self.nested || self.remapped)?;
        if !self.privileged && !self.unconfined_paths {
            mounts::hide(&root, mounts::masked_paths())?;
            mounts::make_read_only(&root, READ_ONLY_PATHS.iter().map(PathBuf::from))?;
        }
        make_working_dir(&root, &self.program)?;
        Ok(Assembled { root, settings })
    }

    fn settle(&self, assembled: Assembled, channel: &Channel) -> Result<()> {
        let Assembled { root, settings } = assembled;
        // Now with its network interface.
        proceed(channel)?;
        if self.network.is_private() {
            crate::network::configure_inside(&self.endpoints)?;
        }
        // Some belong to its network interface.
        settings::write(&settings, self)?;
        drop(settings);
        mounts::pivot(&root, false)?;
        if self.read_only { mounts::seal_root() } else { Ok(()) }
    }
}

/// Makes the cgroups that this process is in the root of a cgroup namespace.
fn own_cgroups() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
        .map_err(|cause| Error::failed("make a cgroup namespace", cause))
}

/// Makes the folder that the program begins in.
fn make_working_dir(root: &Root, program: &Program) -> Result<()> {
    let folder = &program.working_dir;
    root.make_folder(Path::new(folder), 0o755)
        .map(drop)
        .map_err(|cause| Error::failed(format_args!("make the working directory {folder}"), cause))
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
