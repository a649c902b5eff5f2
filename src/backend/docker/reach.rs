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
                let (name, status) = (&party.name, party.state.status.as_str());
                return no(format!(
                    "{name} is not running ({status}): 'wharf start {name}' starts it"
                ));
            }
        }
        let networks = self.networks(&Filters::default()).await?;
        let place = match &to {
            None => question.to.clone(),
            Some(to) => match place(&from, to, &networks) {
                Some(place) => place,
                None => return no(nowhere(&from, to)),
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
    if is_on_host(to) {
        if is_on_host(from) {
            return Some("127.0.0.1".to_owned());
        }
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

fn is_on_host(detail: &ContainerDetail) -> bool {
    detail.host_config.network_mode == NetworkMode::Host
}

/// Returns why there is nothing to try for a container.
fn nowhere(from: &ContainerDetail, to: &ContainerDetail) -> String {
    if from.endpoints.is_empty() && !is_on_host(from) {
        return format!("{} is on no network: it reaches nobody", from.name);
    }
    // The host is reached at the gateway, which none of its networks has.
    match is_on_host(to) {
        true => format!(
            "{} is on the host's network, and {} on internal networks only, which nothing leaves",
            to.name, from.name
        ),
        false => format!("{} is on no network: nobody reaches it", to.name),
    }
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
        let (port, whom) = (question.port, to.map_or(question.to.as_str(), |to| &to.name));
        let nothing = format!("nothing listens on TCP port {port} at {whom}");
        return match to.and_then(|to| to.published_at(port)) {
            Some(inner) => format!(
                "{nothing}; {port} is where the host publishes {inner} of {whom}: among containers \
                 it is {inner}"
            ),
            None => nothing,
        };
    }
    if from.endpoints.is_empty() && !is_on_host(from) {
        return format!("{} is on no network: it reaches nobody", from.name);
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
                (false, Ok(address)) if said.contains("unreachable") => {
                    format!("there is no way to {address} from {}: it is unreachable", from.name)
                }
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

#[cfg(test)]
mod tests {
    use wharf_model::{EndpointInfo, PortBinding};

    use super::*;

    /// Returns a container with an address on each of these networks.
    fn detail(name: &str, mode: &str, networks: &[(&str, Option<&str>)]) -> ContainerDetail {
        let mut detail: ContainerDetail = serde_json::from_value(serde_json::json!({
            "Id": format!("{:0<64}", "ab"), "Name": name, "Created": "2026-03-01T00:00:00Z",
            "ImageId": format!("sha256:{}", "0".repeat(64)),
            "Config": {}, "HostConfig": {"NetworkMode": mode}, "State": {"Status": "running"},
            "Endpoints": [], "Mounts": [], "LogPath": "", "LowerDirs": [], "UpperDir": "",
            "WorkDir": "", "ResolvConfPath": "", "HostnamePath": "", "HostsPath": "",
        }))
        .unwrap();
        let endpoint = |(network, gateway): &(&str, Option<&str>)| EndpointInfo {
            network: (*network).to_owned(),
            ip: [10, 0, 0, 2].into(),
            prefix: 24,
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            mac: String::new(),
            network_id: String::new(),
            endpoint_id: String::new(),
        };
        detail.endpoints = networks.iter().map(endpoint).collect();
        detail
    }

    fn asked(to: &str) -> ReachQuestion {
        ReachQuestion { from: "web".into(), to: to.into(), port: 8080 }
    }

    #[test]
    fn the_host_s_network_is_a_network() {
        let (host, other) = (detail("db", "host", &[]), detail("two", "host", &[]));
        assert_eq!(place(&other, &host, &[]).unwrap(), "127.0.0.1");
        let outside = detail("web", "net", &[("net", Some("10.0.0.1"))]);
        assert_eq!(place(&outside, &host, &[]).unwrap(), "10.0.0.1");
        let inside = detail("web", "inner", &[("inner", None)]);
        assert_eq!(place(&inside, &host, &[]), None);
        assert!(nowhere(&inside, &host).starts_with("db is on the host's network, and web on int"));
        let nowhere_at_all = detail("web", "none", &[]);
        assert_eq!(nowhere(&nowhere_at_all, &host), "web is on no network: it reaches nobody");
    }

    #[test]
    fn a_no_is_about_what_was_tried() {
        let web = detail("web", "net", &[("net", Some("10.0.0.1"))]);
        let mut db = detail("db", "net", &[("net", Some("10.0.0.1"))]);
        let host = Some(("0.0.0.0".parse().unwrap(), 8080));
        db.ports = vec![PortBinding { container_port: 80, protocol: "tcp".to_owned(), host }];
        let said = reason(&web, Some(&db), &[], "nc: Connection refused", &asked("db"));
        assert!(
            said.ends_with("8080 is where the host publishes 80 of db: among containers it is 80")
        );
        let said = reason(&web, None, &[], "nc: Network is unreachable", &asked("10.1.1.1"));
        assert_eq!(said, "there is no way to 10.1.1.1 from web: it is unreachable");
    }
}
