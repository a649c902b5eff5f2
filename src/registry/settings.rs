//! What the user says about registries: which may be talked to without TLS, which have mirrors,
//! which certificates hold, and whose signatures are wanted.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::policy::Policy;
use crate::{Error, Result};

/// The name of the policy's file in the folder.
const POLICY: &str = "policy.json";

/// Where docker keeps certificates for registries.
const DOCKER_CERTS: &str = "/etc/docker/certs.d";

/// The name of Docker Hub in references.
pub(crate) const HUB: &str = "docker.io";

/// Where settings are read from, and those that the caller has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// wharf's own: `policy.json`, `certs.d`.
    pub config: Option<PathBuf>,
    /// docker's of this user: `config.json`.
    pub docker: Option<PathBuf>,
    /// What is said of single registries.
    pub hosts: Hosts,
}

/// Which registries may be talked to without TLS, and which have mirrors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    insecure: Vec<Insecure>,
    mirrors: BTreeMap<String, Vec<String>>,
}

/// The settings, read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    hosts: Hosts,
    certs: Vec<PathBuf>,
    pub(crate) policy: Policy,
}

/// A registry, or several, that may be talked to without TLS or with certificates that nobody
/// vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Insecure {
    /// A host, with its port if it has one.
    Host(String),
    /// All of these addresses.
    Net(IpNet),
}

impl Hosts {
    /// Lets a registry, or all in a block of addresses, be talked to without TLS, or with certificates
    /// that nobody vouches for: `HOST[:PORT]` or `10.0.0.0/8`.
    ///
    /// # Errors
    /// A sentence, when it is neither.
    pub fn add_insecure(&mut self, name: &str) -> std::result::Result<(), String> {
        if name.is_empty() || name.contains("://") {
            return Err(format!("insecure registry {name:?}: give a host, not an address"));
        }
        self.insecure.push(match name.parse::<IpNet>() {
            Ok(net) => Insecure::Net(net),
            Err(_) => Insecure::Host(name.to_owned()),
        });
        Ok(())
    }

    /// Adds a mirror of a registry, to be asked after those that were added before.
    ///
    /// # Errors
    /// A sentence, when it is no address.
    pub fn add_mirror(&mut self, registry: &str, mirror: &str) -> std::result::Result<(), String> {
        let rest = mirror.strip_prefix("https://").or_else(|| mirror.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', '@'])) {
            return Err(format!("mirror {mirror:?}: give https://HOST[:PORT][/PATH]"));
        }
        let address = mirror.trim_end_matches('/').to_owned();
        self.mirrors.entry(registry.to_owned()).or_default().push(address);
        Ok(())
    }

    /// Returns which registries may be talked to without TLS: single ones, and blocks of addresses.
    pub fn insecure(&self) -> (Vec<&str>, Vec<IpNet>) {
        let (mut hosts, mut nets) = (Vec::new(), Vec::new());
        for insecure in &self.insecure {
            match insecure {
                Insecure::Host(name) => hosts.push(name.as_str()),
                Insecure::Net(net) => nets.push(*net),
            }
        }
        (hosts, nets)
    }

    /// Returns the addresses of mirrors, best first, by registry.
    pub fn mirrors(&self) -> &BTreeMap<String, Vec<String>> {
        &self.mirrors
    }
}

impl Settings {
    /// Reads the settings; files that aren't there say nothing.
    ///
    /// # Errors
    /// When a file can't be read or understood: a policy that is passed over would be none.
    pub fn read(folders: &Folders) -> Result<Self> {
        let mut settings = Self { hosts: folders.hosts.clone(), ..Self::default() };
        let docker = PathBuf::from(DOCKER_CERTS);
        let Some(folder) = &folders.config else {
            settings.certs.push(docker);
            return Ok(settings);
        };
        settings.certs = vec![folder.join("certs.d"), docker];
        let path = folder.join(POLICY);
        if let Some(text) = read(&path)? {
            settings.policy = Policy::parse(&text).map_err(|why| {
                Error::invalid(format!("signature policy {}: {why}", path.display()))
            })?;
        }
        Ok(settings)
    }

    /// Returns the same settings with a registry that may be talked to without TLS.
    #[must_use]
    pub fn with_insecure(mut self, domain: &str) -> Self {
        self.hosts.insecure.push(Insecure::Host(domain.to_owned()));
        self
    }

    /// Returns the addresses of a registry's mirrors, best first.
    pub(crate) fn mirrors(&self, domain: &str) -> &[String] {
        self.hosts.mirrors.get(domain).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a host (with its port, if it has one) may be talked to without TLS. As with
    /// docker, this host itself may; but not where a certificate is there to know it by.
    pub(crate) fn is_insecure(&self, authority: &str) -> bool {
        let host = host_of(authority);
        let named = self.hosts.insecure.iter().any(|insecure| match insecure {
            Insecure::Host(name) => name == authority || name == host,
            Insecure::Net(net) => address(host).is_some_and(|address| net.contains(&address)),
        });
        named || (is_loopback(host) && self.authorities(authority).is_none())
    }

    /// Returns the folder with the certificates for a host, if one has any.
    fn authorities(&self, authority: &str) -> Option<PathBuf> {
        self.certs.iter().map(|certs| certs.join(authority)).find(|folder| folder.is_dir())
    }

    /// Returns the certificates for a host.
    ///
    /// # Errors
    /// When a file can't be read, or a client's certificate has no key.
    pub(crate) fn certificates(&self, authority: &str) -> Result<Certificates> {
        let mut found = Certificates::default();
        let Some(folder) = self.authorities(authority) else { return Ok(found) };
        let failed = |path: &Path, cause: &io::Error| {
            Error::invalid(format!("certificates of {authority}: {}: {cause}", path.display()))
        };
        let entries = std::fs::read_dir(&folder).map_err(|cause| failed(&folder, &cause))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in &paths {
            let bytes = || std::fs::read(path).map_err(|cause| failed(path, &cause));
            match path.extension().and_then(|extension| extension.to_str()) {
                // A client's certificate is NAME.cert with NAME.key; an authority's is NAME.crt.
                Some("crt") => found.authorities.push(bytes()?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    let key_bytes = std::fs::read(&key).map_err(|_| {
                        Error::invalid(format!(
                            "certificates of {authority}: missing key {} for client certificate \
                             {}",
                            key.display(),
                            path.display()
                        ))
                    })?;
                    found.client = Some((bytes()?, key_bytes));
                }
                Some("key") if !path.with_extension("cert").exists() => {
                    return Err(Error::invalid(format!(
                        "certificates of {authority}: missing client certificate {} for key {}",
                        path.with_extension("cert").display(),
                        path.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Certificates, as PEM.
#[derive(Debug, Default)]
pub struct Certificates {
    /// Those of authorities, beside the system's.
    pub authorities: Vec<Vec<u8>>,
    /// The client's own, and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::invalid(format!("read {}: {cause}", path.display()))),
    }
}

/// Returns the host of `host[:port]`.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// Returns whether a host is this one, by its address or the one name that always is.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || address(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hosts: Hosts) -> Settings {
        Settings { hosts, ..Settings::default() }
    }

    #[test]
    fn only_named_hosts_and_this_one_are_insecure() {
        let mut hosts = Hosts::default();
        for name in ["a.example:5000", "b.example", "10.1.0.0/16"] {
            hosts.add_insecure(name).unwrap();
        }
        assert!(hosts.add_insecure("http://a").is_err());
        let some = settings(hosts);
        for host in
            ["a.example:5000", "b.example", "b.example:80", "10.1.2.3:5000", "localhost:5000"]
        {
            assert!(some.is_insecure(host), "{host}");
        }
        for host in ["a.example", "a.example:5001", "c.b.example", "10.2.2.3", "localhost.example"]
        {
            assert!(!some.is_insecure(host), "{host}");
        }
        let none = Settings::default();
        assert!(none.is_insecure("127.9.9.9") && none.is_insecure("[::1]:5000"));
        assert!(!none.is_insecure("128.0.0.1") && !none.is_insecure("127.0.0.1.example"));
    }

    #[test]
    fn mirrors_are_addresses() {
        let mut hosts = Hosts::default();
        hosts.add_mirror("docker.io", "https://m.example/").unwrap();
        hosts.add_mirror("a.example", "http://x:1/p").unwrap();
        for bad in ["m.example", "https://u:p@m.example", "", "https://"] {
            assert!(hosts.add_mirror("docker.io", bad).is_err(), "{bad}");
        }
        let some = settings(hosts);
        assert_eq!(some.mirrors("docker.io"), ["https://m.example"]);
        assert_eq!(some.mirrors("a.example"), ["http://x:1/p"]);
        assert!(some.mirrors("b.example").is_empty());
    }

    #[test]
    fn certificates_are_found_as_docker_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut some = Settings { certs: vec![folder.path().to_owned()], ..Settings::default() };
        let place = folder.path().join("localhost:5000");
        assert!(some.is_insecure("localhost:5000"));
        std::fs::create_dir(&place).unwrap();
        assert!(!some.is_insecure("localhost:5000"), "there is a certificate to know it by");
        std::fs::write(place.join("ca.crt"), "ca").unwrap();
        std::fs::write(place.join("client.cert"), "cert").unwrap();
        let missing = some.certificates("localhost:5000").unwrap_err();
        assert!(missing.message.contains("missing key"), "{missing}");
        std::fs::write(place.join("client.key"), "key").unwrap();
        let found = some.certificates("localhost:5000").unwrap();
        assert_eq!(found.authorities, [b"ca"]);
        assert_eq!(found.client, Some((b"cert".to_vec(), b"key".to_vec())));
        some = some.with_insecure("localhost:5000");
        assert!(some.is_insecure("localhost:5000"));
    }
}
