//! Joining the namespaces of another container.
//!
//! That one's supervisor hands over its first process as a descriptor: a number read from a row
//! could have come to mean another process.

use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags};
use wharf_model::{ErrorKind, NamespaceMode, NetworkMode};
use wharf_sys::clone::Child;

use crate::channel::{Channel, Request};
use crate::container::signal::not_running;
use crate::state::{Record, Store};
use crate::{Error, Paths, Result};

/// Returns the first process of a running container, and its record.
fn first_process(paths: &Paths, store: &Store, id: &str) -> Result<(Record, OwnedFd)> {
    let record = store.container(id)?;
    if !record.observed.state.status.is_alive() {
        return Err(not_running(&record));
    }
    let ask = || -> Result<Option<OwnedFd>> {
        let channel = Channel::connect(&paths.container_run(&record.id))
            .map_err(|cause| Error::failed("connect", cause))?;
        channel
            .send_request(&Request::Process, &[])
            .map_err(|cause| Error::failed("connect", cause))?;
        Ok(channel.answer()?.into_iter().next())
    };
    // Whatever is wrong, its supervisor has ended.
    match ask() {
        Ok(Some(process)) => Ok((record, process)),
        Ok(None) | Err(_) => Err(not_running(&record)),
    }
}

/// Returns the process whose PID namespace is to be joined, if another container's is.
pub(super) fn of_pid(
    paths: &Paths,
    store: &Store,
    mode: &NamespaceMode,
) -> Result<Option<OwnedFd>> {
    match mode {
        NamespaceMode::Container(id) => {
            first_process(paths, store, id).map(|(_, process)| Some(process))
        }
        _ => Ok(None),
    }
}

/// Returns the process whose IPC namespace is to be joined.
pub(super) fn of_ipc(paths: &Paths, store: &Store, id: &str) -> Result<OwnedFd> {
    let refuse = |why: String| {
        Error::new(ErrorKind::Conflict, format!("can't join IPC of container {id}: {why}"))
    };
    let (record, process) =
        first_process(paths, store, id).map_err(|error| refuse(error.to_string()))?;
    match record.spec.host.ipc_mode {
        NamespaceMode::Shareable | NamespaceMode::Host | NamespaceMode::Container(_) => Ok(process),
        NamespaceMode::Default | NamespaceMode::Private | NamespaceMode::None => Err(refuse(
            "non-shareable IPC (hint: use IpcMode:shareable for the donor container)".to_owned(),
        )),
    }
}

/// Returns the process whose network namespace is to be joined, if another container's is.
pub(super) fn of_network(
    paths: &Paths,
    store: &Store,
    mode: &NetworkMode,
) -> Result<Option<OwnedFd>> {
    let NetworkMode::Container(id) = mode else { return Ok(None) };
    first_process(paths, store, id).map(|(_, process)| Some(process)).map_err(|error| {
        let text = match error.kind() {
            ErrorKind::NotFound => format!("joining network namespace of container: {error}"),
            _ => format!("cannot join network of a non running container: {id}"),
        };
        Error::new(ErrorKind::Conflict, text)
    })
}

/// Makes a process in the PID namespace of another one. Only what is cloned after joining is in a
/// joined PID namespace, so this process joins it, clones, and goes back.
pub(super) fn in_pid_namespace_of(
    process: Option<&OwnedFd>,
    clone: impl FnOnce() -> std::io::Result<Child>,
) -> Result<Child> {
    let started = |made: std::io::Result<Child>| {
        made.map_err(|cause| Error::failed("start a process in new namespaces", cause))
    };
    let Some(process) = process else { return started(clone()) };
    let failed = |cause: std::io::Error| Error::failed("join the PID namespace", cause);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/self/ns/pid", flags, Mode::empty())
        .map_err(|cause| failed(cause.into()))?;
    setns(process, CloneFlags::CLONE_NEWPID).map_err(|cause| failed(cause.into()))?;
    let made = clone();
    let back = setns(&own, CloneFlags::CLONE_NEWPID).map_err(|cause| failed(cause.into()));
    match (started(made), back) {
        (Ok(child), Err(error)) => Err(super::launch::abort(&child, error)),
        (made, _) => made,
    }
}
