//! Whether a container reaches something: by a program of the container's own, since the API has no way
//! into its network but that.

use std::net::IpAddr;
use std::time::Instant;

use futures_util::StreamExt;
use wharf_model::{
    ContainerDetail, ErrorKind, ExecSpec, Filters, NetworkInfo, NetworkMode, ReachAnswer,
    ReachQuestion,
};

use super::Docker;
use crate::{Backend, Error, Result};

/// The exit code of [`ATTEMPT`] where the container has nothing to try with.
const NOTHING_TO_TRY_WITH: i32 = 97;

/// Tries a name or address and a port with what the container has: the first one that is there.
const ATTEMPT: &str = r#"
has() { command -v "$1" >/dev/null 2>&1; }
if has getent; then getent ahosts "$1" | sed -n 's/ .*STREAM.*/ (resolved)/p' | sort -u; fi
if has nc && nc -h 2>&1 | grep -q -e '-z'; then exec nc -z -w 3 "$1" "$2"; fi
if has bash; then exec timeout 3 bash -c ': <>"/dev/tcp/$0/$1"' "$1" "$2"; fi
if has python3; then
    exec python3 -c 'import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
except OSError as error: sys.exit(str(error))' "$1" "$2"
fi
if has curl; then
    curl -s -S --connect-timeout 3 -m 4 "telnet://$1:$2" </dev/null
    case $? in 0 | 28 | 52 | 56) exit 0 ;; *) exit 1 ;; esac
fi
if has nc; then exec nc -w 3 "$1" "$2" </dev/null >/dev/null; fi
exit 97
"#;

/// What an attempt came to.
struct Tried {
    code: i32,
    micros: u64,
    said: String,
}

impl Docker {
    /// Tries whether one container reaches another, or an address.
    pub(super) async fn try_reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        let from = self.container(&question.from).await?;
        let to = match self.container(&question.to).await {
            Ok(to) => Some(to),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let no =
            |reason: String| Ok(ReachAnswer { reached: false, micros: 0, steps: vec![reason] });
        for party in [Some(&from), to.as_ref()].into_iter().flatten() {
            if !party.state.status.is_alive() {
                return no(format!("{} is not running", party.name));
            }
        }
        let networks = self.networks(&Filters::default()).await?;
        let place = match &to {
            None => question.to.clone(),
            Some(to) => match place(&from, to, &networks) {
                Some(place) => place,
                None => return no(format!("{} is on no network: nobody reaches it", to.name)),
            },
        };
        let tried = self.attempt(&from, &place, question.port).await?;
        if tried.code == NOTHING_TO_TRY_WITH {
            let text = format!(
                "{} has none of the programs that could try (nc, bash, python3, curl), and a Docker \
                 engine has no other way into its network",
                from.name
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let reached = tried.code == 0;
        let outcome = if reached { "connected" } else { "no connection" };
        let mut steps =
            vec![format!("{} tried {place}, port {}: {outcome}", from.name, question.port)];
        steps
            .extend(tried.said.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        if !reached {
            steps.push(reason(&from, to.as_ref(), &networks, &tried.said, question));
        }
        Ok(ReachAnswer { reached, micros: tried.micros, steps })
    }

    async fn attempt(&self, from: &ContainerDetail, place: &str, port: u16) -> Result<Tried> {
        let port = port.to_string();
        let words = ["sh", "-c", ATTEMPT, "reach", place, &port];
        let spec = ExecSpec { command: words.map(str::to_owned).to_vec(), ..ExecSpec::default() };
        let begin = Instant::now();
        let mut session = self.exec_session(from.id.as_str(), spec, None).await?;
        let mut said = Vec::new();
        while let Some(chunk) = session.output.next().await {
            said.extend_from_slice(&chunk?.data);
        }
        let code = match session.exit.await {
            // No shell, no program.
            Ok(126 | 127) => NOTHING_TO_TRY_WITH,
            Ok(code) => code,
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable
                ) =>
            {
                NOTHING_TO_TRY_WITH
            }
            Err(error) => return Err(error),
        };
        let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Tried { code, micros, said: String::from_utf8_lossy(&said).into_owned() })
    }
}

/// Returns what to try for a container: its name on a common network that has names, its address on
/// another one, or any.
fn place(from: &ContainerDetail, to: &ContainerDetail, networks: &[NetworkInfo]) -> Option<String> {
    if to.host_config.network_mode == NetworkMode::Host {
        return from.endpoints.iter().find_map(|place| place.gateway).map(|at| at.to_string());
    }
    let common = common(from, to);
    let has_names =
        |network: &str| network != "bridge" && networks.iter().any(|known| known.name == network);
    if common.iter().any(|network| has_names(network)) {
        return Some(to.name.clone());
    }
    let on = |network: &str| to.endpoints.iter().find(|place| place.network == network);
    let shared = common.first().and_then(|network| on(network));
    shared.or(to.endpoints.first()).map(|place| place.ip.to_string())
}

/// Returns the networks that both are on.
fn common<'a>(from: &'a ContainerDetail, to: &ContainerDetail) -> Vec<&'a str> {
    let names = from.endpoints.iter().map(|place| place.network.as_str());
    names.filter(|name| to.endpoints.iter().any(|place| place.network == *name)).collect()
}

/// Returns why an attempt failed, as far as it can be known from outside.
fn reason(
    from: &ContainerDetail,
    to: Option<&ContainerDetail>,
    networks: &[NetworkInfo],
    said: &str,
    question: &ReachQuestion,
) -> String {
    let list = |party: &ContainerDetail| {
        let names: Vec<&str> = party.endpoints.iter().map(|place| place.network.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let known = |name: &str| networks.iter().find(|network| network.name == name);
    let said = said.to_lowercase();
    if said.contains("refused") {
        let whom = to.map_or(question.to.as_str(), |to| &to.name);
        return format!("nothing listens on TCP port {} at {whom}", question.port);
    }
    match to {
        Some(to) if common(from, to).is_empty() => {
            let first = to.endpoints.first().map_or("NETWORK", |place| place.network.as_str());
            format!(
                "no common network: {} is on {}, {} on {}; 'wharf network connect {first} {}' gives \
                 them one",
                from.name,
                list(from),
                to.name,
                list(to),
                from.name
            )
        }
        Some(to) => {
            let apart = common(from, to).into_iter().find(|name| {
                let icc =
                    known(name).and_then(|n| n.options.get("com.docker.network.bridge.enable_icc"));
                icc.is_some_and(|value| value == "false")
            });
            match apart {
                Some(name) => format!(
                    "network {name} keeps its containers apart \
                     (com.docker.network.bridge.enable_icc=false)"
                ),
                None => format!(
                    "no answer: nothing listens on TCP port {} of {} beyond its own loopback, or a \
                     firewall drops it",
                    question.port, to.name
                ),
            }
        }
        None => {
            let inside = |name: &str| known(name).is_some_and(|network| network.internal);
            let internal = from.endpoints.iter().all(|place| inside(&place.network));
            match (internal && !from.endpoints.is_empty(), question.to.parse::<IpAddr>()) {
                (true, _) => format!(
                    "{} is on internal networks only ({}), which nothing leaves",
                    from.name,
                    list(from)
                ),
                (false, Ok(address)) => format!(
                    "nothing came back from {address}: it isn't there, or a firewall drops it"
                ),
                (false, Err(_)) => format!(
                    "no container and no host is called {} in {}, or nothing came back from it",
                    question.to, from.name
                ),
            }
        }
    }
}
