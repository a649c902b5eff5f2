//! Where a Docker engine is: what `--host`, `DOCKER_HOST` and contexts say.

use std::fmt;
use std::path::{Path, PathBuf};

use wharf_model::ErrorKind;

use crate::{Error, Result};

/// The port of an engine without TLS, as IANA has it.
const PLAIN_PORT: u16 = 2375;

/// The port of one with TLS.
const TLS_PORT: u16 = 2376;

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this host: `unix:///path`.
    Unix(PathBuf),
    /// A port: `tcp://host:port`.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// How it proves itself, and we; none talks in the clear.
        tls: Option<Tls>,
    },
    /// By way of the `ssh` program: `ssh://[user@]host[:port][/path]`.
    Ssh(SshAddress),
}

/// An engine behind ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddress {
    /// Who logs in; none leaves it to ssh's settings.
    pub user: Option<String>,
    /// A name of ssh's, or an address.
    pub host: String,
    /// The port; none leaves it to ssh's settings.
    pub port: Option<u16>,
    /// The engine's socket there; none is found out.
    pub path: Option<String>,
}

/// The certificates of a connection, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that the engine's certificate is from; none means the system's.
    pub authority: Option<PathBuf>,
    /// Our own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether the engine has to prove who it is.
    pub verify: bool,
}

impl Tls {
    /// Returns what is in a folder that has docker's names: `ca.pem`, `cert.pem`, `key.pem`. What
    /// isn't there isn't used.
    pub fn in_folder(folder: &Path, verify: bool) -> Self {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let client = file("cert.pem").zip(file("key.pem"));
        Self { authority: file("ca.pem").filter(|_| verify), client, verify }
    }
}

impl Address {
    /// Returns the address that a text names; `tls` is for `tcp` alone.
    ///
    /// # Errors
    /// When it has another form; the message says which there are.
    pub fn parse(text: &str, tls: Option<Tls>) -> Result<Self> {
        let wrong = |why: &str| {
            let text = format!(
                "unable to parse docker host `{text}`: {why}: give unix:///path/to/docker.sock, \
                 tcp://host:port or ssh://user@host"
            );
            Error::new(ErrorKind::Invalid, text)
        };
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(wrong("it names no absolute path")),
            "tcp" => {
                let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
                if !path.is_empty() {
                    return Err(wrong("a tcp address has no path"));
                }
                if place.contains('@') {
                    return Err(wrong("a tcp address has no user"));
                }
                let (host, port) = host_and_port(place).map_err(|why| wrong(&why))?;
                // What docker's own program says of an address without a host.
                let host = if host.is_empty() { "127.0.0.1".to_owned() } else { host };
                let usual = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
                Ok(Self::Tcp { host, port: port.unwrap_or(usual), tls })
            }
            "ssh" => {
                let (place, path) = match rest.find('/') {
                    Some(at) => rest.split_at(at),
                    None => (rest, ""),
                };
                let (user, place) = match place.rsplit_once('@') {
                    Some((user, place)) => (Some(user), place),
                    None => (None, place),
                };
                if user.is_some_and(|user| user.contains(':')) {
                    return Err(wrong("no password is taken: ssh has keys and an agent for that"));
                }
                let (host, port) = host_and_port(place).map_err(|why| wrong(&why))?;
                // ssh would take what begins so for an option.
                let option = |word: &str| word.is_empty() || word.starts_with('-');
                if option(&host) || user.is_some_and(option) {
                    return Err(wrong("user and host are words that don't begin with '-'"));
                }
                if path.contains(['?', '#']) {
                    return Err(wrong("an ssh address has no query"));
                }
                let path = Some(path).filter(|path| path.len() > 1).map(str::to_owned);
                Ok(Self::Ssh(SshAddress { user: user.map(str::to_owned), host, port, path }))
            }
            "npipe" | "fd" | "http" | "https" => Err(wrong(&format!("{scheme} isn't supported"))),
            _ => Err(wrong(&format!("{scheme} is no scheme"))),
        }
    }

    /// Returns what its user should know of the way there.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Tcp { host, tls: None, .. } if !is_loopback(host) => Some(format!(
                "{self} isn't encrypted: whoever reads along can take over, and whoever reaches it \
                 is root there; use TLS (--tlsverify) or ssh://"
            )),
            Self::Tcp { tls: None, .. } => Some(format!(
                "{self} is open to every user of this host, and makes them root there"
            )),
            Self::Tcp { tls: Some(tls), .. } if !tls.verify => {
                Some(format!("{self}: its certificate isn't checked (--tlsverify checks it)"))
            }
            _ => None,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Splits `host:port`, `[address]:port` and both without a port.
fn host_and_port(place: &str) -> std::result::Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("its address has no closing bracket")?;
        (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("it has no port")?)
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets".to_owned());
            }
            Some((host, port)) => (host, port),
            None => (place, ""),
        }
    };
    if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("its host is no name".to_owned());
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match port {
        "" => Ok((host.to_owned(), None)),
        port => {
            let port = number(port).ok_or_else(|| format!("{port} is no port"))?;
            Ok((host.to_owned(), Some(port)))
        }
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => write!(f, "{}", self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.path.as_deref().unwrap_or_default())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<String, String> {
        Address::parse(text, None).map(|address| address.to_string()).map_err(|e| e.message)
    }

    #[test]
    fn every_form_of_an_address_is_understood() {
        for (text, same) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("/run/x.sock", "unix:///run/x.sock"),
            ("tcp://h", "tcp://h:2375"),
            ("tcp://h:1/", "tcp://h:1"),
            ("tcp://:2375", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:2376", "tcp://[::1]:2376"),
            ("tcp://[fe80::1]", "tcp://[fe80::1]:2375"),
            ("ssh://h", "ssh://h"),
            ("ssh://h/", "ssh://h"),
            ("ssh://me@h:22", "ssh://me@h:22"),
            (
                "ssh://me@[::1]:22/run/podman/podman.sock",
                "ssh://me@[::1]:22/run/podman/podman.sock",
            ),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(same), "{text}");
        }
        let tls = Some(Tls::default());
        let address = Address::parse("tcp://h", tls.clone()).unwrap();
        assert_eq!(address, Address::Tcp { host: "h".to_owned(), port: 2376, tls });
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("foo", "no scheme"),
            ("", "no scheme"),
            ("unix://x.sock", "no absolute path"),
            ("unix://", "no absolute path"),
            ("tcp://h:0", "0 is no port"),
            ("tcp://h:99999", "99999 is no port"),
            ("tcp://h:80/x", "has no path"),
            ("tcp://me@h", "has no user"),
            ("tcp://::1", "in brackets"),
            ("tcp://[::1", "no closing bracket"),
            ("ssh://me:secret@h", "no password is taken"),
            ("ssh://-oProxyCommand=touch%20x", "don't begin with '-'"),
            ("ssh://-x@h", "don't begin with '-'"),
            ("ssh://", "don't begin with '-'"),
            ("ssh://h h", "is no name"),
            ("ssh://h/x?y", "no query"),
            ("npipe:////./pipe/docker_engine", "npipe isn't supported"),
            ("gopher://h", "gopher is no scheme"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
            assert!(said.contains("give unix:///path"), "{said}");
        }
    }

    #[test]
    fn an_open_door_is_told() {
        let warning = |text: &str, tls| Address::parse(text, tls).unwrap().warning();
        let told = warning("tcp://h:2375", None).unwrap();
        assert!(told.contains("isn't encrypted"), "{told}");
        assert!(warning("tcp://127.0.0.1:2375", None).unwrap().contains("every user of this host"));
        assert!(warning("tcp://h", Some(Tls::default())).unwrap().contains("isn't checked"));
        let checked = Tls { verify: true, ..Tls::default() };
        assert_eq!(warning("tcp://h", Some(checked)), None);
        assert_eq!(warning("ssh://h", None), None);
    }
}
