//! `serve`: the Docker Engine API on a unix socket, for programs that speak it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use wharf_api::Options;
use wharf_api::socket::Socket;
use wharf_backend::native::Native;

use crate::args::create::invalid;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;
use crate::target::Target;

pub(crate) static VERB: Verb = Verb {
    name: "serve",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Serve the Docker Engine API on a socket",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("group", "string", "Let the members of this group use the socket too"),
        Flag::value("host", "string", "The socket: unix:///path (beside the runtime folder)")
            .short('H'),
        Flag::value("idle-timeout", "duration", "End once nobody was served for so long (10m)"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let Target::Native(paths) = &call.target else {
        return Err(Failure::new(
            1,
            "serve is for wharf's own engine: name the socket behind the verb, as in 'wharf serve \
             --host unix:///path'",
        )
        .into());
    };
    let idle_timeout = idle_timeout(call.parsed.last("idle-timeout"))?;
    let group = call.parsed.last("group").filter(|group| !group.is_empty());
    let host = call.parsed.last("host").filter(|host| !host.is_empty());
    // Before anything else is opened, since it has numbers of its own.
    let given = given_socket()?;
    connect::enter(&call.target)?;
    let socket = match given {
        Some(socket) => {
            if host.is_some() || group.is_some() {
                let text = "the service manager has made the socket: leave out --host and --group";
                return Err(Failure::new(1, text).into());
            }
            socket
        }
        None => {
            let path = match host {
                Some(host) => path(host)?,
                None => default_path(paths.run()),
            };
            let socket = Socket::make(&path, group).map_err(|message| Failure::new(1, message))?;
            crate::notice(&format!("listening on unix://{}", path.display()));
            socket
        }
    };
    wharf_stats::raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the server")?;
    let options = Options { version: crate::VERSION.to_owned(), idle_timeout };
    let served = runtime.block_on(async {
        let mut ended = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
            .into_iter()
            .map(signal)
            .collect::<Result<Vec<_>, _>>()?;
        let stop = std::future::poll_fn(move |context| {
            match ended.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        });
        let native = Native::open_with(paths.clone(), connect::engine_options()?)?;
        let engine = native.with_registries(connect::registry_folders());
        wharf_api::serve(engine, &socket, &options, stop).await.context("serve")
    });
    // Attached clients are cut off: what they are attached to goes on without them.
    runtime.shutdown_background();
    drop(socket);
    served.map(|()| 0)
}

/// Returns the socket beside the runtime folder, which itself is root's alone.
fn default_path(run: &Path) -> PathBuf {
    run.with_extension("sock")
}

fn path(host: &str) -> Result<PathBuf, Failure> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Some(("tcp" | "fd" | "npipe" | "http" | "https" | "ssh", _)) => Err(Failure::new(
            1,
            format!("{host} is not supported yet by this version of wharf: give unix:///path"),
        )),
        None if host.starts_with('/') => Ok(PathBuf::from(host)),
        _ => Err(Failure::new(1, format!("unable to parse host `{host}`: give unix:///path"))),
    }
}

/// Returns how long the server stays without anybody to serve; `0` is for ever.
fn idle_timeout(text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text.filter(|text| !matches!(*text, "" | "0")) else { return Ok(None) };
    let time = wharf_inspect::duration(text).and_then(|time| time.to_std().ok());
    let time = time.ok_or_else(|| {
        invalid(text, "--idle-timeout", &format!("time: invalid duration {text:?}"))
    })?;
    Ok(Some(time).filter(|time| !time.is_zero()))
}

/// Returns the socket that the service manager has made for this process, if it has
/// (`sd_listen_fds(3)`).
fn given_socket() -> anyhow::Result<Option<Socket>> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = std::process::id().to_string();
    if variable("LISTEN_PID").as_deref() != Some(own.as_str()) {
        return Ok(None);
    }
    let count: u16 = variable("LISTEN_FDS").and_then(|text| text.parse().ok()).unwrap_or_default();
    if count == 0 {
        return Ok(None);
    }
    let mut given =
        wharf_sys::descriptors::given(count).context("take over the service manager's socket")?;
    if given.len() != 1 {
        let text = "the service manager hands over several sockets: one is served";
        return Err(Failure::new(1, text).into());
    }
    Ok(given.pop().map(Socket::given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_times_are_read() {
        assert_eq!(path("unix:///a/b"), Ok("/a/b".into()));
        assert_eq!(path("/a/b"), Ok("/a/b".into()));
        for bad in ["tcp://1.2.3.4:5", "unix://a", "a", "fd://"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert_eq!(default_path(Path::new("/run/wharf")), Path::new("/run/wharf.sock"));
        assert_eq!(idle_timeout(Some("10m")), Ok(Some(Duration::from_secs(600))));
        assert_eq!(idle_timeout(Some("0")), Ok(None));
        assert!(idle_timeout(Some("-5s")).is_err() && idle_timeout(Some("x")).is_err());
    }
}
