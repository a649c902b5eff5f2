//! `serve`: the Docker Engine API on sockets, for programs that speak it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use wharf_api::socket::{Socket, needs_tls};
use wharf_api::tls::Files;
use wharf_api::{Options, THREADS};

use crate::args::create::invalid;
use crate::args::{Arity, Flag, Group, Parsed, Verb};
use crate::call::{Call, Failure};
use crate::connect;
use crate::target::Target;

pub(crate) static VERB: Verb = Verb {
    name: "serve",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Serve the Docker Engine API on sockets",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("group", "string", "Let the members of this group use unix sockets too"),
        Flag::list(
            "host",
            "list",
            "Sockets: unix:///path (default beside the runtime folder), tcp://[HOST]:PORT",
        )
        .short('H'),
        Flag::value("idle-timeout", "duration", "End once nobody was served for so long (10m)"),
        Flag::switch("tls", "Part of --tlsverify, and refused without it"),
        Flag::switch("tlsverify", "Serve clients whose certificate is of --tlscacert"),
        Flag::value("tlscacert", "file", "The authority of clients that may come by tcp"),
        Flag::value("tlscert", "file", "The server's certificate"),
        Flag::value("tlskey", "file", "Its key"),
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
    let parsed = &call.parsed;
    let idle_timeout = idle_timeout(parsed.last("idle-timeout"))?;
    let group = parsed.last("group").filter(|group| !group.is_empty());
    let files = files(parsed)?;
    let hosts = parsed.all("host").filter(|host| !host.is_empty()).map(host);
    let hosts: Vec<Host> = hosts.collect::<Result<_, _>>()?;
    if let Some(Host::Tcp(place)) = hosts.iter().find(|host| matches!(host, Host::Tcp(_)))
        && files.is_none()
    {
        return Err(Failure::new(1, needs_tls(&format!("tcp://{place}"))).into());
    }
    // Before anything else is opened, since it has numbers of its own.
    let given = given_sockets()?;
    connect::enter(&call.target)?;
    let sockets = match given.is_empty() {
        true => make(&hosts, group, files, paths.run())?,
        false if !hosts.is_empty() || group.is_some() => {
            let text = "the service manager has made the socket: leave out --host and --group";
            return Err(Failure::new(1, text).into());
        }
        false => {
            let sockets = given.into_iter().map(|socket| Socket::given(socket, files));
            let sockets: Result<Vec<_>, _> = sockets.collect();
            sockets.map_err(|message| Failure::new(1, message))?
        }
    };
    wharf_stats::raise_open_files_limit();
    wharf_sys::memory::limit_heaps(HEAPS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(THREADS)
        .thread_keep_alive(KEPT)
        .enable_all()
        .build()
        .context("start the server")?;
    let options = Options {
        version: crate::VERSION.to_owned(),
        idle_timeout,
        rest: Some(wharf_sys::memory::trim_heaps),
    };
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
        let engine = connect::served_engine(paths)?;
        wharf_api::serve(engine, &sockets, &options, stop).await.context("serve")
    });
    // Attached clients are cut off: what they are attached to goes on without them.
    runtime.shutdown_background();
    drop(sockets);
    served.map(|()| 0)
}

/// Makes the sockets and says where they are; without any, the usual one.
fn make(
    hosts: &[Host],
    group: Option<&str>,
    files: Option<Files<'_>>,
    run: &Path,
) -> Result<Vec<Socket>, Failure> {
    let usual = [Host::Unix(default_path(run))];
    let hosts = if hosts.is_empty() { &usual } else { hosts };
    let mut sockets = Vec::new();
    for host in hosts {
        let (socket, shown) = match host {
            Host::Unix(path) => {
                (Socket::make(path, group), Some(format!("unix://{}", path.display())))
            }
            Host::Tcp(place) => match files {
                Some(files) => (Socket::port(place, files), None),
                None => (Err(needs_tls(place)), None),
            },
        };
        let socket = socket.map_err(|message| Failure::new(1, message))?;
        let address = socket.address().map(|address| format!("tcp://{address}"));
        crate::notice(&format!("listening on {}", shown.or(address).unwrap_or_default()));
        sockets.push(socket);
    }
    Ok(sockets)
}

/// How long a thread for what blocks is kept that has nothing to do.
const KEPT: Duration = Duration::from_secs(2);

/// How many heaps threads share: one for each that serves connections.
const HEAPS: i32 = 2;

/// Why `--tls` alone is refused.
const NO_TLS: &str = "clients are served by tcp if their certificate is known: give --tlsverify";

/// Returns the files of TLS, if it is asked for; then all of them have to be there.
fn files(parsed: &Parsed) -> Result<Option<Files<'_>>, Failure> {
    let file = |flag: &str| parsed.last(flag).filter(|path| !path.is_empty()).map(Path::new);
    let named = ["tlscacert", "tlscert", "tlskey"].map(file);
    match (parsed.on("tlsverify"), named) {
        (false, _) if parsed.on("tls") => Err(Failure::new(1, NO_TLS)),
        (true, [Some(authority), Some(certificate), Some(key)]) => {
            Ok(Some(Files { authority, certificate, key }))
        }
        (false, [None, None, None]) => Ok(None),
        (false, _) => Err(Failure::new(1, NO_TLS)),
        (true, _) => {
            let text = "--tlsverify needs --tlscacert, --tlscert and --tlskey";
            Err(Failure::new(1, text))
        }
    }
}

/// Returns the socket beside the runtime folder, which itself is root's alone.
fn default_path(run: &Path) -> PathBuf {
    run.with_extension("sock")
}

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    /// At this file.
    Unix(PathBuf),
    /// At this `[HOST]:PORT`.
    Tcp(String),
}

fn host(text: &str) -> Result<Host, Failure> {
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Host::Unix(PathBuf::from(path))),
        Some(("tcp", place)) if place.rsplit_once(':').is_some_and(|(_, port)| is_port(port)) => {
            Ok(Host::Tcp(place.to_owned()))
        }
        Some(("fd" | "npipe" | "http" | "https" | "ssh", _)) => Err(Failure::new(
            1,
            format!("{text} is not supported by wharf: give unix:///path or tcp://[HOST]:PORT"),
        )),
        None if text.starts_with('/') => Ok(Host::Unix(PathBuf::from(text))),
        _ => {
            let why = "give unix:///path or tcp://[HOST]:PORT";
            Err(Failure::new(1, format!("unable to parse host `{text}`: {why}")))
        }
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
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

/// Returns the sockets that the service manager has made for this process, if it has
/// (`sd_listen_fds(3)`).
fn given_sockets() -> anyhow::Result<Vec<OwnedFd>> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = std::process::id().to_string();
    if variable("LISTEN_PID").as_deref() != Some(own.as_str()) {
        return Ok(Vec::new());
    }
    let count: u16 = variable("LISTEN_FDS").and_then(|text| text.parse().ok()).unwrap_or_default();
    wharf_sys::descriptors::given(count).context("take over the service manager's sockets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_times_are_read() {
        assert_eq!(host("unix:///a/b"), Ok(Host::Unix("/a/b".into())));
        assert_eq!(host("/a/b"), Ok(Host::Unix("/a/b".into())));
        for place in ["1.2.3.4:5", ":2376", "[::1]:2376", "name:0"] {
            assert_eq!(host(&format!("tcp://{place}")), Ok(Host::Tcp(place.to_owned())));
        }
        for bad in
            ["unix://a", "a", "fd://", "tcp://", "tcp://1.2.3.4", "tcp://x:y", "tcp://x:70000"]
        {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert_eq!(default_path(Path::new("/run/wharf")), Path::new("/run/wharf.sock"));
        assert_eq!(idle_timeout(Some("10m")), Ok(Some(Duration::from_secs(600))));
        assert_eq!(idle_timeout(Some("0")), Ok(None));
        assert!(idle_timeout(Some("-5s")).is_err() && idle_timeout(Some("x")).is_err());
    }
}
