//! `create`: from a bundle to a process that only waits for its start.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{PidfdFlags, pidfd_open};
use wharf_cgroup::{Group, Layout};
use wharf_model::ErrorKind;
use wharf_sys::clone::{Child, Flags, clone};

use super::namespaces::{Kind, Namespaces, time};
use super::plan::{self, Source};
use super::spec::{Config, TimeOffset};
use super::store::{Held, Phase, Record, Runtime, start_time, write};
use super::{check, console, hooks, mapped, process, resources, store};
use crate::channel::{self, Channel, Reply};
use crate::init::bundle::Bundle;
use crate::init::{self, program::tie};
use crate::supervisor::{abort, reap};
use crate::{Error, Result};

/// How a container is created.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Its name.
    pub id: String,
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Where its terminal's master is sent.
    pub console_socket: Option<PathBuf>,
    /// Where its first process's number is written.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on its program inherits.
    pub preserve_fds: u16,
    /// Whether its root is moved instead of exchanged.
    pub no_pivot: bool,
    /// Whether it keeps the caller's session keyring.
    pub no_new_keyring: bool,
}

/// A container that waits for its start.
pub(super) struct Created {
    pub(super) held: Held,
    pub(super) child: Child,
    /// Its terminal, where that wasn't sent to anybody.
    pub(super) master: Option<OwnedFd>,
}

impl Runtime {
    /// Creates a container. To be called by a process with one thread, at its beginning; the
    /// container's first process is its child, and outlives it.
    ///
    /// # Errors
    /// When the bundle is wrong, wants what can't be done, or a hook fails. Nothing is left then.
    pub fn create(&self, options: &CreateOptions) -> Result<()> {
        let preserved = process::take_preserved(options.preserve_fds)?;
        self.make(options, preserved, false).map(drop)
    }

    /// As [`Runtime::create`]; with `attached`, a terminal that no socket is for comes back.
    pub(super) fn make(
        &self,
        options: &CreateOptions,
        preserved: Vec<OwnedFd>,
        attached: bool,
    ) -> Result<Created> {
        check::id(&options.id)?;
        let bundle = std::fs::canonicalize(&options.bundle).map_err(|cause| {
            let text = format!("bundle {}: {cause}", options.bundle.display());
            Error::new(ErrorKind::NotFound, text)
        })?;
        let (config, text) = plan::read(&bundle)?;
        let namespaces = plan::checked(&config)?;
        self.debug(format_args!("bundle {}: version {}", bundle.display(), config.oci_version));
        if let Some(process) = &config.process {
            process::unknown_capabilities(process).for_each(|name| {
                self.warn(&format!("process.capabilities: there is no {name}: left out"));
            });
        }
        let has_terminal = config.process.as_ref().is_some_and(|process| process.terminal);
        check_console(has_terminal, options.console_socket.is_some(), attached)?;
        let cgroup = cgroup_name(&config, &options.id);
        let record = Record {
            id: options.id.clone(),
            bundle: bundle.display().to_string(),
            rootfs: plan::root(&config, &bundle)?.display().to_string(),
            created: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true),
            // It is this container's once it is made: until then somebody else's may have the name.
            cgroup: String::new(),
            phase: Phase::Creating,
            pid: 0,
            start_time: 0,
            own_pids: namespaces.is_new(Kind::Pid),
            owner: rustix::process::getuid().as_raw(),
        };
        let source = Source {
            id: &options.id,
            config: &config,
            bundle: &bundle,
            cgroup: &cgroup,
            no_pivot: options.no_pivot,
            new_keyring: !options.no_new_keyring,
        };
        let mut held = self.add(record, &text)?;
        let mut began = false;
        let socket = options.console_socket.as_deref();
        match self.build(&mut held, &source, &namespaces, preserved, socket, &mut began) {
            Ok((child, master)) => match finish(&mut held, &child, options) {
                Ok(()) => Ok(Created { held, child, master }),
                Err(error) => Err(undo(held, Some(child), &source, began, error)),
            },
            Err((child, error)) => Err(undo(held, child, &source, began, error)),
        }
    }

    fn build(
        &self,
        held: &mut Held,
        source: &Source<'_>,
        namespaces: &Namespaces,
        preserved: Vec<OwnedFd>,
        console_socket: Option<&Path>,
        began: &mut bool,
    ) -> std::result::Result<(Child, Option<OwnedFd>), Broken> {
        let before = |error: Error| (None, error);
        let folder = &held.folder;
        let listen = || -> std::io::Result<OwnedFd> {
            let listener = channel::listen(folder)?;
            rustix::io::ioctl_fionbio(&listener, false)?;
            Ok(listener)
        };
        let listener = listen().map_err(|cause| {
            before(Error::failed(format_args!("listen in {}", folder.display()), cause))
        })?;
        let mut bundle = plan::bundle(source, namespaces, preserved, listener).map_err(before)?;
        bundle.mapped = mapped::trees(source.config, &bundle.mounts).map_err(before)?;
        if bundle.terminal == Some(None) && console_socket.is_none() {
            bundle.terminal = Some(console::own_size());
        }
        let layout = store::layout().map_err(before)?;
        let limits = resources::limits(source.config.linux.resources.as_ref()).map_err(before)?;
        let group = Group::create(&layout, source.cgroup, &limits).map_err(|cause| {
            before(Error::new(cause.kind(), format!("make the cgroup: {cause}")))
        })?;
        held.record.cgroup = source.cgroup.to_owned();
        let none = "none: nothing was handed down to this user";
        let name = if layout.is_empty() { none } else { source.cgroup };
        self.debug(format_args!("control group {name}"));
        let offsets = &source.config.linux.time_offsets;
        let offsets = namespaces.is_new(Kind::Time).then_some(offsets);
        let (child, ours) =
            first_process(&bundle, &layout, &group, namespaces, offsets).map_err(before)?;
        self.debug(format_args!("first process {}", child.pid));
        let broken = |child: Child, error: Error| (Some(child), error);
        held.record.pid = child.pid;
        held.record.start_time = start_time(child.pid).map_or(0, |(started, _)| started);
        let result = held.save().and_then(|()| {
            *began = true;
            self.accompany(&child, &ours, source, &bundle, console_socket)
        });
        match result {
            Ok(master) => {
                self.debug(format_args!("created: it waits for its start"));
                Ok((child, master))
            }
            Err(error) => Err(broken(child, error)),
        }
    }

    /// Does the runtime's part while the first process makes itself the container's.
    fn accompany(
        &self,
        child: &Child,
        channel: &Channel,
        source: &Source<'_>,
        bundle: &Bundle,
        console_socket: Option<&Path>,
    ) -> Result<Option<OwnedFd>> {
        let gone = |cause: std::io::Error| Error::failed("start the container's process", cause);
        let linux = &source.config.linux;
        if bundle.awaits_maps {
            mapped::write(child, &linux.uid_mappings, &linux.gid_mappings)?;
            channel.send_go().map_err(gone)?;
        }
        let mut master = None;
        if bundle.terminal.is_some() {
            let terminal = heard(channel)?.into_iter().next();
            let terminal = terminal.ok_or_else(|| Error::failed("start", "no terminal came"))?;
            match console_socket {
                Some(path) => console::send(path, terminal.as_fd(), b"/dev/ptmx")?,
                None => master = Some(terminal),
            }
        }
        heard(channel)?;
        self.debug(format_args!("namespaces and mounts are made"));
        let state = plan::state(source).with("created", child.pid);
        let all = &source.config.hooks;
        self.run_hooks(&all.prestart, "prestart", &state)?;
        self.run_hooks(&all.create_runtime, "createRuntime", &state)?;
        channel.send_process(child.pid, &[]).map_err(gone)?;
        // It has found all that it needs.
        heard(channel)?;
        channel.send_go().map_err(gone)?;
        // It doesn't end with this process any more.
        heard(channel)?;
        Ok(master)
    }

    /// Runs hooks of the runtime's one after the other, and stops at the first that fails.
    ///
    /// # Errors
    /// That one's.
    pub(super) fn run_hooks(&self, all: &[hooks::Hook], name: &str, state: &str) -> Result<()> {
        all.iter().for_each(|hook| self.debug(format_args!("{name} hook {}", hook.path)));
        hooks::run(all, name, state)
    }
}

/// Refuses a terminal that nobody gets, and a socket for none.
pub(super) fn check_console(has_terminal: bool, has_socket: bool, attached: bool) -> Result<()> {
    let text = match (has_terminal, has_socket) {
        (true, false) if !attached => {
            "cannot allocate tty if wharf will detach without setting console socket: \
             --console-socket says where the terminal goes"
        }
        (false, true) => {
            "cannot use console socket if the process has no terminal: process.terminal is false"
        }
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Invalid, text))
}

/// Returns the name of a container's control group, below the mounts.
///
/// What a caller that has systemd in mind writes, `slice:prefix:name`, is a name as any other unless
/// systemd is asked for (`--systemd-cgroup`, which is refused).
fn cgroup_name(config: &Config, id: &str) -> String {
    let path = &config.linux.cgroups_path;
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.is_empty() {
        true => format!("wharf-oci/{id}"),
        false => parts.join("/"),
    }
}

type Broken = (Option<Child>, Error);

/// Makes the first process.
fn first_process(
    bundle: &Bundle,
    layout: &Layout,
    group: &Group,
    namespaces: &Namespaces,
    offsets: Option<&std::collections::BTreeMap<String, TimeOffset>>,
) -> Result<(Child, Channel)> {
    let cgroup = |cause| Error::failed("join the container's cgroup", cause);
    let gate = group.gate().map_err(cgroup)?;
    let folder = group.directory_fd().map_err(cgroup)?;
    let (ours, theirs) = Channel::pair()
        .map_err(|cause| Error::failed("connect to the container's process", cause))?;
    let ours_raw = ours.as_fd().as_raw_fd();
    let joins = namespaces.joins() || offsets.is_some();
    let become_first = |flags: Flags| {
        clone(flags, folder.as_ref().map(AsFd::as_fd), || {
            // Its own copy of the other end would keep it from seeing that one close. That it is open
            // here is certain, so that closing it can't fail.
            let _ = nix::unistd::close(ours_raw);
            // What it says must come after its maker has said who it is.
            if joins && !matches!(theirs.receive(1), Ok(Some(_))) {
                return 1;
            }
            init::run(bundle, layout, &gate, None, &theirs)
        })
        .map_err(|cause| Error::failed("start a process in new namespaces", cause))
    };
    if !joins {
        let child = become_first(namespaces.flags())?;
        return Ok((child, ours));
    }
    // What is joined, and a time namespace, only takes in what is cloned afterwards, and must not
    // become this process's own: hooks run in the runtime's.
    let joiner = clone(Flags::NONE, None, || {
        let made = tie()
            .and_then(|()| namespaces.join())
            .and_then(|()| offsets.map_or(Ok(()), make_time))
            .and_then(|()| become_first(namespaces.flags().and(Flags::SIBLING)));
        let told = made.and_then(|child| {
            theirs.send_process(child.pid, &[]).map_err(|cause| Error::failed("create", cause))
        });
        if let Err(error) = &told {
            // When nobody hears it, nobody waits for it.
            let _ = theirs.send_failure(error);
        }
        i32::from(told.is_err())
    })
    .map_err(|cause| Error::failed("start a process that joins namespaces", cause))?;
    drop(theirs);
    let child = announced(&ours);
    let _ = reap(&joiner);
    child.map(|child| (child, ours))
}

/// Makes a time namespace for what is cloned next.
fn make_time(offsets: &std::collections::BTreeMap<String, TimeOffset>) -> Result<()> {
    nix::sched::unshare(time()).map_err(|cause| Error::failed("make a time namespace", cause))?;
    // time_namespaces(7): clock, seconds, nanoseconds.
    let lines: String = offsets
        .iter()
        .map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    std::fs::write("/proc/self/timens_offsets", lines)
        .map_err(|cause| Error::failed("set linux.timeOffsets", cause))
}

/// Waits until the joiner says whom it has made, and lets that one go on.
pub(super) fn announced(channel: &Channel) -> Result<Child> {
    let failed = |cause: std::io::Error| Error::failed("start the container's process", cause);
    match channel.receive_reply().map_err(failed)? {
        Some((Reply::Process(pid), _)) => {
            // A child of this process, and not reaped: the number is its own.
            let pidfd = rustix::process::Pid::from_raw(pid)
                .ok_or(rustix::io::Errno::SRCH)
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
                .map_err(|cause| failed(cause.into()))?;
            channel.send_go().map_err(failed)?;
            Ok(Child { pid, pidfd })
        }
        Some((Reply::Failed(error), _)) => Err(error),
        _ => Err(Error::new(ErrorKind::Internal, "start the container's process: it has ended")),
    }
}

/// Waits for the first process's next word, and returns what came with it.
pub(super) fn heard(channel: &Channel) -> Result<Vec<OwnedFd>> {
    let doing = "start the container's process";
    match channel.receive_reply() {
        Err(cause) => Err(Error::failed(doing, cause)),
        Ok(Some((Reply::Failed(error), _))) => Err(error),
        Ok(Some((_, descriptors))) => Ok(descriptors),
        Ok(None) => {
            let ended = format!("{doing}: it has ended without a word");
            Err(Error::new(ErrorKind::Internal, ended))
        }
    }
}

/// Makes the container one that is there.
fn finish(held: &mut Held, child: &Child, options: &CreateOptions) -> Result<()> {
    if let Some(path) = &options.pid_file {
        write_pid(path, child.pid)?;
    }
    held.record.phase = Phase::Created;
    held.save()
}

/// Writes a process's number to a file, which is there whole or not at all.
pub(super) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write(folder.unwrap_or(Path::new(".")), &name, pid.to_string().as_bytes(), 0o644)
        .map_err(|cause| Error::failed(format_args!("write {}", path.display()), cause))
}

/// Takes back what a failed creation has made, and tells the caller's last hooks if it had begun.
fn undo(held: Held, child: Option<Child>, source: &Source<'_>, began: bool, error: Error) -> Error {
    let error = match child {
        Some(child) => abort(&child, error),
        None => error,
    };
    // Reported is what failed first.
    let _ = held.destroy();
    if began {
        let state = plan::state(source).with("stopped", 0);
        let _ = hooks::run_each(&source.config.hooks.poststop, "poststop", &state);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_where_the_bundle_says_or_in_a_folder_of_the_runtime_s() {
        let of = |path: &str| {
            let text = format!("{{\"linux\":{{\"cgroupsPath\":{path:?}}}}}");
            cgroup_name(&serde_json::from_str(&text).unwrap(), "c1")
        };
        assert_eq!(of(""), "wharf-oci/c1");
        assert_eq!(of("/docker/abc"), "docker/abc");
        assert_eq!(of("a//b/./c/"), "a/b/c");
        assert_eq!(of("system.slice:docker:c1"), "system.slice:docker:c1");
    }

    #[test]
    fn a_terminal_goes_somewhere() {
        assert!(check_console(true, true, false).is_ok());
        assert!(check_console(true, false, true).is_ok());
        assert!(check_console(false, false, false).is_ok());
        assert!(check_console(true, false, false).is_err());
        assert!(check_console(false, true, true).is_err());
    }
}
