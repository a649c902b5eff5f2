//! Which engines the command line means: what its flags, the environment and docker's contexts say.

use std::path::{Path, PathBuf};

use wharf_backend::docker::{Address, Contexts, DEFAULT, Tls};
use wharf_engine::{Paths, rootless};

use crate::args::Parsed;
use crate::call::{ENGINE_FAILED, Failure};

/// Where the embedded engine keeps what lasts.
const DEFAULT_ROOT: &str = "/var/lib/wharf";
/// Where it keeps what doesn't outlive a reboot.
const DEFAULT_RUN: &str = "/run/wharf";

/// The address of the embedded engine; a path behind it is its root folder.
pub(crate) const OWN: &str = "wharf://";

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The embedded one, with its folders.
    Native(Paths),
    /// One that speaks the Docker Engine API.
    Docker(Remote),
}

/// An engine that speaks the Docker Engine API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Where it is.
    pub(crate) address: Address,
    /// The flags that lead to it.
    pub(crate) flags: Vec<String>,
    /// The context that named it.
    pub(crate) context: Option<String>,
}

/// What the flags before the verb say of engines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// `--host`, each time.
    pub(crate) hosts: Vec<String>,
    /// `--context`, each time.
    pub(crate) contexts: Vec<String>,
    /// `--root`.
    pub(crate) root: Option<String>,
    /// `--tls`, and whether it was given.
    pub(crate) tls: Option<bool>,
    /// `--tlsverify`, and whether it was given.
    pub(crate) verify: Option<bool>,
    /// `--tlscacert`.
    pub(crate) authority: Option<String>,
    /// `--tlscert`.
    pub(crate) certificate: Option<String>,
    /// `--tlskey`.
    pub(crate) key: Option<String>,
}

impl Wanted {
    /// Returns what the flags say.
    pub(crate) fn of(flags: &Parsed) -> Self {
        let text = |name: &str| flags.last(name).map(str::to_owned);
        let all = |name: &'static str| flags.all(name).map(str::to_owned).collect();
        let switch = |name: &str| flags.last(name).map(|_| flags.on(name));
        Self {
            hosts: all("host"),
            contexts: all("context"),
            root: text("root"),
            tls: switch("tls"),
            verify: switch("tlsverify"),
            authority: text("tlscacert"),
            certificate: text("tlscert"),
            key: text("tlskey"),
        }
    }
}

/// The engines that are meant, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The first, or the only one.
    pub(crate) first: Target,
    /// The others.
    pub(crate) others: Vec<Target>,
    /// Whether somebody chose them, on the command line or in the environment.
    pub(crate) chosen: bool,
}

impl Targets {
    /// Returns the engines that flags and environment name: `--host` and `--context`, then `--root`, then
    /// `WHARF_HOST`, `DOCKER_HOST`, `DOCKER_CONTEXT` and `WHARF_ROOT`, then docker's current context. What
    /// is said on the command line counts more than what is in the environment, and that more than what is
    /// in files. `folder` is docker's.
    ///
    /// # Errors
    /// When an address or a context can't be understood.
    pub(crate) fn choose(
        wanted: &Wanted,
        folder: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let maker = Maker { wanted, folder, variable: &variable };
        let alone = |first, chosen| Ok(Self { first, others: Vec::new(), chosen });
        let hosts = wanted.hosts.iter().map(|host| maker.host(host));
        let contexts = wanted.contexts.iter().map(|name| maker.context(name));
        let mut named = hosts.chain(contexts).collect::<Result<Vec<_>, _>>()?;
        if !named.is_empty() {
            let first = named.remove(0);
            return Ok(Self { first, others: named, chosen: true });
        }
        if let Some(root) = &wanted.root {
            return alone(Target::native(Some(root.clone())), true);
        }
        if let Some(host) = variable("WHARF_HOST").or_else(|| variable("DOCKER_HOST")) {
            return alone(maker.host(&host)?, true);
        }
        if let Some(name) = variable("DOCKER_CONTEXT") {
            return alone(maker.context(&name)?, true);
        }
        if variable("WHARF_ROOT").is_some() {
            // It says where the embedded engine is, not that it alone is meant.
            return alone(maker.own()?, false);
        }
        let contexts = folder.map(Contexts::new);
        let current = contexts.map(|contexts| contexts.current()).transpose();
        match current.map_err(|error| failed(&error))?.flatten() {
            Some(name) => alone(maker.context(&name)?, true),
            None => alone(maker.own()?, false),
        }
    }
}

/// Makes targets of what was said.
struct Maker<'m> {
    wanted: &'m Wanted,
    folder: Option<&'m Path>,
    variable: &'m dyn Fn(&str) -> Option<String>,
}

impl Maker<'_> {
    /// Returns the embedded engine, where it is when no flag says otherwise.
    fn own(&self) -> Result<Target, Failure> {
        match (self.variable)("WHARF_ROOT") {
            None if !rustix::process::geteuid().is_root() => rootless::folders(self.variable)
                .map(Target::Native)
                .map_err(|error| Failure::new(ENGINE_FAILED, error.to_string())),
            root => Ok(Target::native(root)),
        }
    }

    fn host(&self, host: &str) -> Result<Target, Failure> {
        if let Some(root) = host.strip_prefix(OWN) {
            return own_at(root, || self.own());
        }
        let tls = self.tls();
        let address = Address::parse(host, tls.clone()).map_err(|error| failed(&error))?;
        let mut flags = vec!["--host".to_owned(), host.to_owned()];
        if matches!(address, Address::Tcp { .. }) {
            flags.extend(self.tls_flags());
        }
        Ok(Target::Docker(Remote { address, flags, context: None }))
    }

    fn context(&self, name: &str) -> Result<Target, Failure> {
        if name == DEFAULT {
            return self.own();
        }
        let folder = self.folder.ok_or_else(|| {
            Failure::new(1, "there is no folder of contexts: set HOME or DOCKER_CONFIG")
        })?;
        let context = Contexts::new(folder).get(name).map_err(|error| failed(&error))?;
        let address = context.address().map_err(|error| failed(&error))?;
        let flags = vec!["--context".to_owned(), name.to_owned()];
        Ok(Target::Docker(Remote { address, flags, context: Some(name.to_owned()) }))
    }

    /// Returns whether and how TLS is wanted: docker's rules for its flags and variables, but that a
    /// certificate that is named is used.
    fn tls(&self) -> Option<Tls> {
        let wanted = self.wanted;
        let named = wanted.authority.is_some() || wanted.certificate.is_some();
        let verify = wanted.verify.unwrap_or_else(|| {
            wanted.authority.is_some() || (self.variable)("DOCKER_TLS_VERIFY").is_some()
        });
        let tls = wanted.tls.unwrap_or_else(|| (self.variable)("DOCKER_TLS").is_some());
        if !(verify || tls || named) {
            return None;
        }
        let folder = (self.variable)("DOCKER_CERT_PATH").map(PathBuf::from);
        let folder = folder.or_else(|| self.folder.map(Path::to_owned)).unwrap_or_default();
        let usual = Tls::in_folder(&folder, verify);
        let path = |text: &Option<String>| text.as_deref().map(PathBuf::from);
        let client = match (path(&wanted.certificate), path(&wanted.key)) {
            (None, None) => usual.client,
            // One that is named alone goes with the other's usual place.
            (certificate, key) => Some((
                certificate.unwrap_or_else(|| folder.join("cert.pem")),
                key.unwrap_or_else(|| folder.join("key.pem")),
            )),
        };
        let authority = path(&wanted.authority).or(usual.authority).filter(|_| verify);
        Some(Tls { authority, client, verify })
    }

    fn tls_flags(&self) -> Vec<String> {
        let wanted = self.wanted;
        let mut flags = Vec::new();
        for (name, on) in [("tls", wanted.tls), ("tlsverify", wanted.verify)] {
            match on {
                Some(true) => flags.push(format!("--{name}")),
                Some(false) => flags.push(format!("--{name}=false")),
                None => {}
            }
        }
        for (name, path) in [
            ("tlscacert", &wanted.authority),
            ("tlscert", &wanted.certificate),
            ("tlskey", &wanted.key),
        ] {
            flags.extend(path.iter().flat_map(|path| [format!("--{name}"), path.clone()]));
        }
        flags
    }
}

fn failed(error: &wharf_backend::Error) -> Failure {
    Failure::new(1, error.message.clone())
}

/// Returns the embedded engine with this root folder, or where it usually is.
fn own_at(root: &str, usual: impl FnOnce() -> Result<Target, Failure>) -> Result<Target, Failure> {
    match root {
        "" => usual(),
        root if root.starts_with('/') => Ok(Target::native(Some(root.to_owned()))),
        root => Err(Failure::new(
            1,
            format!(
                "unable to parse docker host `{OWN}{root}`: {OWN} is followed by a path, if at all"
            ),
        )),
    }
}

/// Makes the engine that a `[[hosts]]` entry of the settings names.
///
/// # Errors
/// When the address or the context can't be understood.
pub(crate) fn of_setting(
    setting: &wharf_ui::config::HostSetting,
    folder: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Target, Failure> {
    let wanted = Wanted {
        verify: setting.verify,
        tls: setting.certificates.is_some().then_some(true),
        ..Wanted::default()
    };
    let variable = |name: &str| match (name, &setting.certificates) {
        ("DOCKER_CERT_PATH", Some(path)) => Some(path.clone()),
        // What is said for the command line's one host isn't said for all.
        ("DOCKER_CERT_PATH" | "DOCKER_TLS_VERIFY" | "DOCKER_TLS", _) => None,
        _ => environment(name).filter(|value| !value.is_empty()),
    };
    let maker = Maker { wanted: &wanted, folder, variable: &variable };
    match (&setting.url, &setting.context) {
        (_, Some(name)) => maker.context(name),
        (url, None) => maker.host(url.as_deref().unwrap_or(OWN)),
    }
}

impl Target {
    /// Returns the embedded engine with everything below `root`, or in its usual places.
    pub(crate) fn native(root: Option<String>) -> Self {
        Self::Native(match root {
            None => Paths::new(DEFAULT_ROOT, DEFAULT_RUN),
            Some(root) => {
                // Absolute, since supervisors outlive this working directory.
                let root = std::path::absolute(&root).unwrap_or_else(|_| PathBuf::from(root));
                let run = root.join("run");
                Paths::new(root, run)
            }
        })
    }

    /// Returns the words of a command line that lead to it.
    pub(crate) fn program(&self) -> Vec<String> {
        let mut words = vec!["wharf".to_owned()];
        match self {
            // Those of `--root`; whoever is elsewhere said nothing.
            Self::Native(paths) if paths.run() == paths.root().join("run") => {
                words.extend(["--root".to_owned(), paths.root().display().to_string()]);
            }
            Self::Native(_) => {}
            Self::Docker(remote) => words.extend(remote.flags.iter().cloned()),
        }
        words
    }

    /// Returns a short name for it, and where it is.
    pub(crate) fn names(&self) -> (String, String) {
        match self {
            Self::Native(paths) if is_default(paths) => ("local".to_owned(), OWN.to_owned()),
            Self::Native(paths) => ("local".to_owned(), format!("{OWN}{}", paths.root().display())),
            Self::Docker(remote) => {
                let name = match (&remote.context, &remote.address) {
                    (Some(context), _) => context.clone(),
                    (None, Address::Unix(path)) => {
                        let name = path.file_stem().unwrap_or_default().to_string_lossy();
                        name.into_owned()
                    }
                    (None, Address::Tcp { host, .. }) => host.clone(),
                    (None, Address::Ssh(address)) => address.host.clone(),
                };
                (name, remote.address.to_string())
            }
        }
    }

    /// Returns whether the engine is the embedded one.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self, Self::Native(_))
    }
}

/// Returns whether the embedded engine is where it is when nobody says otherwise.
pub(crate) fn is_default(paths: &Paths) -> bool {
    paths.root() == Path::new(DEFAULT_ROOT) && paths.run() == Path::new(DEFAULT_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(
        flags: &[(&str, &str)],
        environment: &[(&str, &str)],
        folder: Option<&Path>,
    ) -> Result<Targets, String> {
        let mut wanted = Wanted::default();
        for (name, value) in flags {
            let value = (*value).to_owned();
            match *name {
                "host" => wanted.hosts.push(value),
                "context" => wanted.contexts.push(value),
                "root" => wanted.root = Some(value),
                "tlsverify" => wanted.verify = Some(value == "true"),
                "tlscacert" => wanted.authority = Some(value),
                other => panic!("{other}"),
            }
        }
        let variable =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Targets::choose(&wanted, folder, &variable).map_err(|failure| failure.message().to_owned())
    }

    /// Returns where the first target is, and the words that lead to it.
    fn first(
        flags: &[(&str, &str)],
        environment: &[(&str, &str)],
        folder: Option<&Path>,
    ) -> (String, String) {
        let found = choose(flags, environment, folder).unwrap().first;
        (found.names().1, found.program()[1..].join(" "))
    }

    #[test]
    fn command_line_counts_more_than_environment_and_that_more_than_files() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts::new(folder.path());
        contexts.create("far", "", "ssh://far", None).unwrap();
        contexts.create("near", "", "unix:///near.sock", None).unwrap();
        contexts.use_context("near").unwrap();
        let here = Some(folder.path());
        let mut environment = vec![
            ("WHARF_HOST", "unix:///w.sock"),
            ("DOCKER_HOST", "unix:///d.sock"),
            ("DOCKER_CONTEXT", "far"),
            ("WHARF_ROOT", "/r"),
        ];
        let of = |flags: &[(&str, &str)], environment: &[(&str, &str)]| {
            first(flags, environment, here).0
        };
        let both = [("host", "unix:///x"), ("root", "/y")];
        assert_eq!(of(&both, &environment), "unix:///x");
        assert_eq!(of(&[("root", "/y")], &environment), "wharf:///y");
        assert_eq!(of(&[("context", "near")], &environment), "unix:///near.sock");
        assert_eq!(of(&[("context", "default")], &environment), "wharf:///r");
        for wanted in ["unix:///w.sock", "unix:///d.sock", "ssh://far", "wharf:///r"] {
            assert_eq!(of(&[], &environment), wanted);
            environment.remove(0);
        }
        assert_eq!(of(&[], &[]), "unix:///near.sock");
        assert_eq!(of(&[("host", "wharf://")], &[]), "wharf://");
        assert!(choose(&[], &[], here).unwrap().chosen);
        let none = choose(&[], &[], None).unwrap();
        assert_eq!((none.first, none.chosen), (Target::native(None), false));
        assert!(choose(&[("context", "nope")], &[], here).unwrap_err().contains("does not exist"));
        assert!(choose(&[("host", "foo")], &[], here).unwrap_err().contains("unable to parse"));
        assert!(choose(&[("host", "wharf://x")], &[], here).is_err());
    }

    #[test]
    fn several_may_be_named() {
        let found = choose(&[("host", "ssh://a"), ("host", "wharf:///r")], &[], None).unwrap();
        let others: Vec<String> = found.others.iter().map(|target| target.names().1).collect();
        assert_eq!(
            (found.first.names().1.as_str(), others),
            ("ssh://a", vec!["wharf:///r".to_owned()])
        );
    }

    #[test]
    fn certificates_are_those_of_docker() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = |name: &str| folder.path().join(name);
        let cert_path = folder.path().to_str().unwrap();
        let tls = |flags: &[(&str, &str)], environment: &[(&str, &str)]| {
            let flags = [&[("host", "tcp://h")], flags].concat();
            match choose(&flags, environment, None).unwrap().first {
                Target::Docker(Remote { address: Address::Tcp { tls, port, .. }, .. }) => {
                    (tls, port)
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(tls(&[], &[("DOCKER_CERT_PATH", cert_path)]), (None, 2375));
        let all = Tls {
            authority: Some(path("ca.pem")),
            client: Some((path("cert.pem"), path("key.pem"))),
            verify: true,
        };
        let environment = [("DOCKER_CERT_PATH", cert_path), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(tls(&[], &environment), (Some(all.clone()), 2376));
        let unchecked = Tls { authority: None, verify: false, ..all.clone() };
        let environment = [("DOCKER_CERT_PATH", cert_path), ("DOCKER_TLS", "1")];
        assert_eq!(tls(&[], &environment).0, Some(unchecked));
        let own = Tls { authority: Some("/ca".into()), ..all };
        let environment = [("DOCKER_CERT_PATH", cert_path)];
        assert_eq!(tls(&[("tlscacert", "/ca")], &environment).0, Some(own));
        let flags = [("host", "tcp://h"), ("tlsverify", "true")];
        assert_eq!(first(&flags, &[], None).1, "--host tcp://h --tlsverify");
    }
}
