//! A container as an OCI bundle says it, in its first process: see [`Contents`] for the order.
//!
//! The other side is the runtime that creates the container, and ends with that. So this process is
//! tied to it only until it is told that its creation is done; then it waits on a socket of its own for
//! whoever starts it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change, mount_move};
use rustix::process::DumpableBehavior;
use wharf_cgroup::Layout;
use wharf_model::{ErrorKind, TermSize};

use super::listed::{self, Listed};
use super::mounts::{self, failed};
use super::program::{Program, Stages, become_program, tie};
use super::rootfs::Root;
use super::user::Identity;
use super::{Assembled, Contents, devices, own_cgroups, proceed, settings};
use crate::channel::{Channel, Reply};
use crate::mount_table::MountTable;
use crate::oci::hooks::{self, Hooks, Pipes, State};
use crate::userns::remap;
use crate::{Error, Result};

/// All that a bundle's first process has to know.
pub(crate) struct Bundle {
    pub(crate) program: Program,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: String,
    pub(crate) terminal: Option<Option<TermSize>>,
    /// The root filesystem's folder.
    pub(crate) root: PathBuf,
    pub(crate) read_only: bool,
    /// How the root's mount spreads.
    pub(crate) propagation: Option<MountPropagationFlags>,
    /// Whether the root is moved instead of exchanged: the first root of a host that runs from memory
    /// can't be exchanged.
    pub(crate) no_pivot: bool,
    pub(crate) mounts: Vec<Listed>,
    /// The sources of those mounts that show other owners, by their places in the list.
    pub(crate) mapped: BTreeMap<usize, OwnedFd>,
    pub(crate) devices: Vec<devices::Node>,
    pub(crate) masked_paths: Vec<PathBuf>,
    pub(crate) read_only_paths: Vec<PathBuf>,
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Whether it has a user namespace of its own, whose maps are still to be written.
    pub(crate) awaits_maps: bool,
    /// Whether it is in a user namespace below the machine's, where no device node can be made.
    pub(crate) nested: bool,
    /// Whether it is in another one than the runtime.
    pub(crate) remapped: bool,
    /// Whether it has a cgroup namespace of its own.
    pub(crate) own_cgroups: bool,
    /// Its cgroup's name, for one that doesn't.
    pub(crate) cgroup: String,
    pub(crate) new_keyring: bool,
    pub(crate) hooks: Hooks,
    /// What hooks are told of it.
    pub(crate) state: State,
    /// Descriptors that the program inherits.
    pub(crate) preserved: Vec<OwnedFd>,
    /// Where whoever starts it connects.
    pub(crate) listener: Cell<Option<OwnedFd>>,
    /// Its number outside.
    pub(crate) pid: Cell<i32>,
    /// Whether there is somebody who answers system calls for it.
    pub(crate) may_notify: bool,
}

impl Contents for Bundle {
    fn program(&self) -> &Program {
        &self.program
    }

    fn names(&self) -> (Option<&str>, &str) {
        (self.hostname.as_deref(), &self.domainname)
    }

    fn terminal(&self) -> Option<Option<TermSize>> {
        self.terminal
    }

    fn assemble(&self, layout: &Layout, channel: &Channel) -> Result<Assembled> {
        if self.new_keyring {
            // Without keys, it goes on with those of the caller's session, as without this call.
            let _ = wharf_sys::keys::new_session();
        }
        if self.awaits_maps {
            proceed(channel)?;
        }
        if self.remapped {
            remap::become_root()?;
            tie()?;
        }
        if self.own_cgroups {
            own_cgroups()?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The host's, which shows each process the settings of its own namespaces, and which nobody in
        // the container has a hand in.
        let settings = rustix::fs::open("/proc/sys", flags, Mode::empty())
            .map_err(|cause| failed("open /proc/sys", cause))?;
        let root = self.mount_root()?;
        let host_cgroups = (!self.own_cgroups).then_some(self.cgroup.as_str());
        for (index, listed) in self.mounts.iter().enumerate() {
            listed::attach(&root, listed, self.mapped.get(&index), host_cgroups, layout)?;
        }
        self.make_devices(&root)?;
        for listed in &self.mounts {
            listed::finish(&root, listed)?;
        }
        super::make_working_dir(&root, &self.program)?;
        Ok(Assembled { root, settings })
    }

    fn settle(&self, assembled: Assembled, channel: &Channel) -> Result<()> {
        let Assembled { root, settings } = assembled;
        let gone = |cause| Error::failed("create", cause);
        // The runtime's hooks want the mounts as they are now.
        channel.send_ok(&[]).map_err(gone)?;
        match channel.receive_reply().map_err(gone)? {
            Some((Reply::Process(pid), _)) => self.pid.set(pid),
            _ => return Err(Error::failed("create", "the runtime has ended")),
        }
        let state = self.state.with("created", self.pid.get());
        hooks::run(&self.hooks.create_container, "createContainer", &state)?;
        settings::write_all(&settings, &self.sysctls)?;
        drop(settings);
        mounts::hide(&root, self.masked_paths.iter().cloned())?;
        mounts::make_read_only(&root, self.read_only_paths.iter().cloned())?;
        match self.no_pivot {
            true => move_root(&root)?,
            false => mounts::pivot(&root, true)?,
        }
        if let Some(flags) = self.propagation {
            mount_change("/", flags)
                .map_err(|cause| failed("set linux.rootfsPropagation", cause))?;
        }
        if self.read_only { mounts::seal_root() } else { Ok(()) }
    }

    fn let_go(&self, channel: &Channel) -> Result<()> {
        let listener = self.listener.take();
        let own = listener.as_ref().map(AsFd::as_fd);
        let preserved = self.preserved.iter().map(AsFd::as_fd);
        let keep: Vec<_> = [channel.as_fd()].into_iter().chain(own).chain(preserved).collect();
        let result = wharf_sys::descriptors::close_all_but(&keep)
            .map_err(|cause| Error::failed("close descriptors", cause));
        self.listener.set(listener);
        result
    }

    fn execute(&self, channel: &Channel) -> Error {
        let mut waiting = Waiting { bundle: self, channel, starter: None, pipes: None };
        let error = become_program(&self.program, &mut waiting);
        if let Some(starter) = waiting.starter {
            // When it has gone, the end of this process says it.
            let _ = starter.send_failure(&error);
        }
        error
    }
}

impl Bundle {
    /// Mounts the root filesystem's folder on itself, with all that is mounted in it: only a mount can
    /// become the root.
    fn mount_root(&self) -> Result<Root> {
        let what = || format!("mount the root filesystem {}", self.root.display());
        let rest = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        let mut spread = self.propagation.unwrap_or(rest);
        if spread.contains(MountPropagationFlags::UNBINDABLE) {
            // What is bound below couldn't be: it is made so once it is the root.
            spread.remove(MountPropagationFlags::UNBINDABLE);
            spread |= MountPropagationFlags::PRIVATE;
        }
        mount_change("/", spread).map_err(|cause| failed("change how mounts spread", cause))?;
        if let Some(point) = mount_point_of(&self.root)? {
            // What is mounted in the container from here on must not reach the host by it.
            mount_change(&point, MountPropagationFlags::PRIVATE)
                .map_err(|cause| failed(what(), cause))?;
        }
        mount_bind_recursive(&self.root, &self.root).map_err(|cause| failed(what(), cause))?;
        Root::open(&self.root).map_err(|cause| failed(what(), cause))
    }

    fn make_devices(&self, root: &Root) -> Result<()> {
        // Somebody's own /dev is left as it is.
        let is_bound = self.mounts.iter().any(|listed| {
            matches!(listed.what, listed::What::Bind { .. }) && listed.target == Path::new("/dev")
        });
        if is_bound {
            return Ok(());
        }
        devices::make(root, &self.devices, self.nested)?;
        if !self.nested {
            self.devices.iter().try_for_each(|node| node.check(root))?;
        }
        mounts::standard_links(root)
    }
}

/// Returns where the mount that holds `path` is mounted, if it spreads.
fn mount_point_of(path: &Path) -> Result<Option<PathBuf>> {
    let table = MountTable::read()?;
    let holding = table.holding(path)?;
    Ok(holding.filter(|it| it.is_tagged("shared:")).map(|it| it.point()))
}

/// Puts the new root over the old one, which stays where it is.
fn move_root(root: &Root) -> Result<()> {
    let moved = || -> rustix::io::Result<()> {
        rustix::process::fchdir(root.folder())?;
        mount_move(".", "/")?;
        rustix::process::chroot(".")?;
        rustix::process::chdir("/")
    };
    moved().map_err(|cause| failed("move the root filesystem", cause))
}

/// A created container, between its creation and its start.
struct Waiting<'a> {
    bundle: &'a Bundle,
    channel: &'a Channel,
    /// Who has started it.
    starter: Option<Channel>,
    /// What its last hooks read and write.
    pipes: Option<Pipes>,
}

impl Waiting<'_> {
    /// Finds out while the creation can still fail what would keep the start from working.
    fn check(&self) -> Result<()> {
        let program = &self.bundle.program;
        super::limits::apply(&program.ulimits)?;
        // They may bring what isn't there yet.
        if !self.bundle.hooks.start_container.is_empty() {
            return Ok(());
        }
        if let Err(cause) = rustix::process::chdir(program.working_dir.as_str()) {
            return Err(super::program::no_working_dir(&program.working_dir, cause));
        }
        program.file().map(drop)
    }

    /// Waits until somebody connects and says the word. Who connects and says nothing only wants to
    /// know whether this process waits.
    fn wait(&self, listener: &OwnedFd) -> Result<Channel> {
        loop {
            let accepted = rustix::io::retry_on_intr(|| {
                rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC)
            });
            let channel = accepted.map_err(|cause| Error::failed("wait for the start", cause))?;
            let channel = Channel::from(channel);
            if let Ok(Some(_)) = channel.receive(1) {
                return Ok(channel);
            }
        }
    }
}

impl Stages for Waiting<'_> {
    fn looked_up(&mut self) -> Result<()> {
        self.check()?;
        let gone = |cause| Error::failed("create", cause);
        // Others may see this process while it waits with all its rights: they must not be able to
        // trace it. The execution ends this.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|cause| Error::failed("forbid to trace", cause))?;
        let hooks = &self.bundle.hooks.start_container;
        if !hooks.is_empty() {
            let state = self.bundle.state.with("created", self.bundle.pid.get());
            self.pipes = Some(Pipes::new(&state)?);
        }
        give_streams(&self.bundle.program.identity);
        self.channel.send_ok(&[]).map_err(gone)?;
        proceed(self.channel)?;
        rustix::process::set_parent_process_death_signal(None)
            .map_err(|cause| Error::failed("leave the runtime", cause))?;
        self.channel.send_ok(&[]).map_err(gone)?;
        let Some(listener) = self.bundle.listener.take() else {
            return Err(Error::new(ErrorKind::Internal, "wait for the start: no socket"));
        };
        self.starter = Some(self.wait(&listener)?);
        Ok(())
    }

    fn may_notify(&self) -> bool {
        self.bundle.may_notify
    }

    fn listens(&mut self, listener: OwnedFd) -> Result<()> {
        let Some(starter) = &self.starter else { return Ok(()) };
        starter
            .send_ok(&[listener.as_fd()])
            .map_err(|cause| Error::failed("hand over the seccomp listener", cause))
    }

    fn ready(&mut self) -> Result<()> {
        if let Some(pipes) = &self.pipes {
            let hooks = &self.bundle.hooks.start_container;
            hooks.iter().try_for_each(|hook| hook.run("startContainer", pipes))?;
        }
        preserve(&self.bundle.preserved)
    }
}

/// Lets the program that is executed next inherit these descriptors.
pub(crate) fn preserve(descriptors: &[OwnedFd]) -> Result<()> {
    descriptors.iter().try_for_each(|fd| {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())
            .map_err(|cause| Error::failed("preserve descriptors", cause))
    })
}

/// Gives the standard streams to the program's user, so that it can open them again by `/dev/stdout`.
pub(crate) fn give_streams(identity: &Identity) {
    let Identity::Numbers { uid, .. } = identity else { return };
    let null = rustix::fs::makedev(1, 3);
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let Ok(found) = rustix::fs::fstat(stream) else { continue };
        let kind = FileType::from_raw_mode(found.st_mode);
        if found.st_uid == *uid || kind == FileType::CharacterDevice && found.st_rdev == null {
            continue;
        }
        // Without it, the program has them open all the same.
        let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(*uid)), None::<Gid>);
    }
}
