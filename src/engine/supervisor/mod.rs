//! `__supervise`: the process that stands behind one running container.
//!
//! It starts the container, is the parent of its first process, writes its log, answers whoever
//! connects to its `ctl.sock`, runs further programs in it, and when it has ended records how and
//! gives back all that was taken. One thread with an event loop; it holds the container's life lock
//! from before anything is taken until all is given back.

mod clients;
mod exec;
mod health;
mod join;
mod launch;
mod leave;
mod log;
mod networks;
mod proxy;
mod record;
mod requests;
pub(crate) mod restart;
mod run;
mod streams;
mod teardown;

pub(crate) use exec::{join, other_spaces};
pub(crate) use launch::{abort, boot_id, cgroup_name, default_cgroup, set, uptime};
pub(crate) use restart::is_restarting;
pub(crate) use run::reap;
pub(crate) use teardown::{forget_parents, remove_group};

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

use wharf_cgroup::{Layout, leaf};
use wharf_sys::clone::{Flags, clone};

use crate::channel::{Channel, Request};
use crate::{Error, Paths, Result};

/// The hidden mode.
pub(crate) const MODE: &str = "__supervise";

/// Runs a supervisor whose connection to its starter is standard input. Returns the exit code.
pub(crate) fn main() -> i32 {
    // What the starter's ancestors left open (a lock, a pipe that somebody reads to its end) is not
    // the container's to hold.
    if let Err(error) = wharf_sys::descriptors::close_all_but(&[]) {
        eprintln!("wharf {MODE}: close descriptors: {error}");
        return 1;
    }
    let channel = match take_channel() {
        Ok(channel) => channel,
        Err(error) => {
            eprintln!("wharf {MODE}: {error}");
            return 1;
        }
    };
    // A copy goes on, so that whoever asked needn't wait for the supervisor's end to reap it; where
    // there is cgroup v2, outside of the starter's cgroup: the end of a login or of a service that
    // has started a container is not the container's end.
    let home = Layout::detect().ok().and_then(|layout| leaf(&layout, launch::HOME).ok().flatten());
    let channel = Cell::new(Some(channel));
    let begin = |home: Option<&OwnedFd>| {
        clone(Flags::NONE, home.map(AsFd::as_fd), || channel.take().map_or(1, supervise))
    };
    let begun = match begin(home.as_ref()) {
        // A group that takes no processes is no reason not to run the container.
        Err(_) if home.is_some() => begin(None),
        begun => begun,
    };
    match begun {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("wharf {MODE}: can't start a process: {error}");
            1
        }
    }
}

fn take_channel() -> Result<Channel> {
    let failed = |cause: rustix::io::Errno| Error::failed("take the starter's connection", cause);
    let socket: OwnedFd =
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(failed)?;
    // Only the engine starts this mode, with a socket; a person who tries it gets a clear word.
    rustix::net::sockopt::socket_type(&socket).map_err(failed)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(failed)?;
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    Ok(Channel::from(socket))
}

fn supervise(channel: Channel) -> i32 {
    // Out of the starter's session, and deaf to what is sent to its group.
    let _ = rustix::process::setsid();
    let _ = nix::sys::signal::SigSet::all().thread_set_mask();
    let _ = rustix::thread::set_name(c"wharf");
    let _ = rustix::process::chdir("/");
    crate::init::limits::host_defaults();
    crate::init::limits::protect_supervisor();
    // Without keys, it goes on with those of the starter's session, as without this call.
    let _ = wharf_sys::keys::new_session();
    let Ok(Some((Request::Start(request), verbs))) = channel.receive_request() else { return 1 };
    let stays = crate::rootless::stay(&Paths::new(&request.root, &request.run));
    match stays.and_then(|()| launch::launch(&request)) {
        Ok(container) => run::run(container, channel, request.attach, verbs),
        Err(error) => {
            drop(verbs);
            // When the starter has gone, the container's state still says it.
            let _ = channel.send_failure(&error);
            1
        }
    }
}
