//! Which engine the command line talks to, and how it is reached. The only file that knows the
//! adapters and the dashboard by name.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::bail;
use chrono::{DateTime, Utc};

use wharf_backend::Backend;
use wharf_backend::docker::Docker;
use wharf_backend::native::Native;
use wharf_engine::{EngineOptions, Paths, network, rootless};
use wharf_registry::{CredentialStore, Folders, Registries, Resolve, Settings};

use crate::call::{ENGINE_FAILED, Failure};
use crate::verbs;

/// Where the embedded engine keeps what lasts.
const DEFAULT_ROOT: &str = "/var/lib/wharf";
/// Where it keeps what doesn't outlive a reboot.
const DEFAULT_RUN: &str = "/run/wharf";
/// Where root says what is so for registries and networks.
const DEFAULT_CONFIG: &str = "/etc/wharf";
/// The name of the settings of networks in it.
const NETWORKS: &str = "networks.json";

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The embedded one, with its folders.
    Native(Paths),
    /// A Docker Engine API socket: `unix:///path`.
    Docker(String),
}

impl Target {
    /// Returns the engine that flags and environment name: `--host`, then `--root`, then
    /// `WHARF_HOST`, `DOCKER_HOST` and `WHARF_ROOT`. What is said on the command line counts more
    /// than what is in the environment.
    ///
    /// # Errors
    /// When the host isn't a unix socket.
    pub(crate) fn choose(
        host: Option<&str>,
        root: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        if let Some(host) = host {
            return Self::host(host);
        }
        if let Some(root) = root {
            return Ok(Self::native(Some(root.to_owned())));
        }
        match variable("WHARF_HOST").or_else(|| variable("DOCKER_HOST")) {
            Some(host) => Self::host(&host),
            None => match variable("WHARF_ROOT") {
                None if !rustix::process::geteuid().is_root() => rootless::folders(&variable)
                    .map(Self::Native)
                    .map_err(|error| Failure::new(ENGINE_FAILED, error.to_string())),
                root => Ok(Self::native(root)),
            },
        }
    }

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

    fn host(host: &str) -> Result<Self, Failure> {
        match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Docker(host.to_owned())),
            None if host.starts_with('/') => Ok(Self::Docker(format!("unix://{host}"))),
            Some((scheme @ ("tcp" | "ssh" | "npipe" | "fd" | "http" | "https"), _)) => {
                Err(Failure::new(
                    1,
                    format!(
                        "host {host:?}: {scheme} is not supported yet by this version of wharf: \
                         give unix:///path/to/docker.sock"
                    ),
                ))
            }
            _ => Err(Failure::new(
                1,
                format!("unable to parse docker host `{host}`: give unix:///path/to/docker.sock"),
            )),
        }
    }

    /// Returns the words of a command line that lead to it.
    fn program(&self) -> Vec<String> {
        match self {
            // Those of `--root`; whoever is elsewhere said nothing.
            Self::Native(paths) if paths.run() == paths.root().join("run") => {
                vec!["wharf".to_owned(), "--root".to_owned(), paths.root().display().to_string()]
            }
            Self::Native(_) => vec!["wharf".to_owned()],
            Self::Docker(host) => vec!["wharf".to_owned(), "--host".to_owned(), host.clone()],
        }
    }

    /// Returns whether the engine is the embedded one.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self, Self::Native(_))
    }
}

/// Enters the user namespace in which an ordinary user's engine is. To be called before there is a
/// second thread; root, and who is in it already, stay where they are.
///
/// # Errors
/// When this host lets the user make none.
pub(crate) fn enter(target: &Target) -> anyhow::Result<()> {
    match target {
        Target::Native(paths) => rootless::enter(paths)
            .map_err(|error| Failure::new(ENGINE_FAILED, error.to_string()).into()),
        Target::Docker(_) => Ok(()),
    }
}

/// Returns whether this is an ordinary user's engine, once it is entered.
pub(crate) fn is_rootless() -> bool {
    rootless::is_rootless()
}

/// Says what the namespace of this user's engine does to an image's files, if it does anything.
pub(crate) fn tell_of_namespace() {
    if let Some(note) = rootless::note() {
        crate::report(&format!("WARNING: {note}"));
    }
}

/// Returns whether the embedded engine is where it is when nobody says otherwise.
pub(crate) fn is_default(paths: &Paths) -> bool {
    paths.root() == std::path::Path::new(DEFAULT_ROOT)
        && paths.run() == std::path::Path::new(DEFAULT_RUN)
}

/// Returns a connection to the engine.
///
/// # Errors
/// When it can't be reached.
pub(crate) async fn backend(target: &Target) -> anyhow::Result<Arc<dyn Backend>> {
    #[cfg(test)]
    if let Some(backend) = crate::tests::given() {
        return Ok(backend);
    }
    match target {
        Target::Native(paths) => {
            let native = Native::open_with(paths.clone(), engine_options()?)?;
            Ok(Arc::new(native.with_registries(folders())))
        }
        Target::Docker(host) => {
            let store = CredentialStore::new(folders().docker);
            Ok(Arc::new(Docker::connect(host)?.with_credentials(store)))
        }
    }
}

/// Returns the registries as this user's files describe them; `insecure` names one that may be
/// without TLS.
///
/// # Errors
/// When a file can't be understood.
pub(crate) fn registries(insecure: Option<&str>) -> anyhow::Result<Registries> {
    let folders = folders();
    let mut settings = Settings::read(&folders)?;
    if let Some(domain) = insecure {
        settings = settings.with_insecure(domain);
    }
    let resolve: Resolve = Arc::new(wharf_engine::network::host_addresses);
    Ok(Registries::new(settings, CredentialStore::new(folders.docker), resolve))
}

/// Returns what the host's administrator, or this user, says of the engine.
pub(crate) fn engine_options() -> anyhow::Result<EngineOptions> {
    let network = match folders().config {
        Some(folder) => network::Settings::read(&folder.join(NETWORKS))?,
        None => network::Settings::default(),
    };
    Ok(EngineOptions { network })
}

/// Docker's folder, where the command line names it.
static DOCKER_FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Takes docker's settings from this folder, whatever the environment says.
pub(crate) fn use_docker_folder(folder: &str) {
    // The command line is read once.
    let _ = DOCKER_FOLDER.set(PathBuf::from(folder));
}

/// Returns docker's folder: what `--config` and `DOCKER_CONFIG` say, or the usual place.
pub(crate) fn docker_folder() -> Option<PathBuf> {
    folders().docker
}

/// Returns where this user's settings are: `WHARF_CONFIG`, or the usual places; and docker's.
fn folders() -> Folders {
    let variable =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME");
    let config = variable("WHARF_CONFIG").or_else(|| {
        // In a user's own namespace everybody is root.
        if rustix::process::geteuid().is_root() && !is_rootless() {
            return Some(PathBuf::from(DEFAULT_CONFIG));
        }
        let config = variable("XDG_CONFIG_HOME");
        let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
        config.map(|config| config.join("wharf"))
    });
    let docker = DOCKER_FOLDER
        .get()
        .cloned()
        .or_else(|| variable("DOCKER_CONFIG"))
        .or_else(|| home.map(|home| home.join(".docker")));
    Folders { config, docker }
}

/// Returns whether there is an engine to ask; asking the embedded one would make it.
pub(crate) fn exists(target: &Target) -> bool {
    match target {
        Target::Native(paths) => paths.database().exists(),
        Target::Docker(_) => true,
    }
}

/// Opens the embedded engine itself, for what no backend offers.
///
/// # Errors
/// When the target is another engine, or the embedded one can't be opened.
pub(crate) fn engine(target: &Target) -> anyhow::Result<wharf_engine::Engine> {
    enter(target)?;
    match target {
        Target::Native(paths) => {
            Ok(wharf_engine::Engine::open_with(paths.clone(), engine_options()?)?)
        }
        Target::Docker(host) => {
            bail!("this is for wharf's own engine, and can't be done at {host}")
        }
    }
}

/// Lets the embedded engine give back what only running containers need, and says what failed.
pub(crate) fn rest(target: &Target) -> bool {
    match engine(target).and_then(|engine| Ok(engine.rest()?)) {
        Ok(()) => true,
        Err(error) => {
            crate::report(&error.to_string());
            false
        }
    }
}

/// Returns a folder of the user's: what the environment names, or what is below the home folder.
fn of_user(
    environment: &dyn Fn(&str) -> Option<String>,
    variable: &str,
    below_home: &str,
) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)));
    base.map(|base| base.join("wharf"))
}

/// Returns the dashboard's settings file; none without a home folder.
pub(crate) fn settings_file(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    of_user(environment, "XDG_CONFIG_HOME", ".config").map(|folder| folder.join("config.toml"))
}

/// Returns the folder of the dashboard's layout and of its audit file.
fn state_folder(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    of_user(environment, "XDG_STATE_HOME", ".local/state")
}

/// Returns the dashboard's settings, and what is wrong with them.
pub(crate) fn settings(
    environment: &dyn Fn(&str) -> Option<String>,
) -> (wharf_ui::config::Config, Option<String>) {
    let Some(file) = settings_file(environment) else { return Default::default() };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Default::default(),
        Err(cause) => {
            let complaint = format!("read {}: {cause}", file.display());
            return (Default::default(), Some(complaint));
        }
    };
    let (config, problems) = wharf_ui::config::read(&text);
    let complaint = problems.first().map(|first| {
        let more = match problems.len() {
            1 => String::new(),
            count => format!(" (and {} more: wharf config check)", count - 1),
        };
        format!("{}{more}", verbs::config::told("config.toml", first))
    });
    (config, complaint)
}

/// Why the dashboard was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The user closed it.
    Closed,
    /// The terminal is gone, or a signal ended it: nobody can be asked anything.
    Terminated,
}

/// Shows the dashboard until the user leaves it. `environment` says what the terminal can show.
///
/// # Errors
/// When the terminal fails.
pub(crate) async fn dashboard(
    target: &Target,
    backend: Arc<dyn Backend>,
    read_only: bool,
    replay: Option<DateTime<Utc>>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Left> {
    let look = wharf_ui::Look::from_env(environment);
    let (config, complaint) = settings(environment);
    let options = wharf_ui::Options {
        read_only,
        replay,
        look,
        complaint,
        state: state_folder(environment),
        update: Some(verbs::update::understand),
        program: target.program(),
        run: Some(verbs::run::understand),
        copy: Some(verbs::cp::for_dashboard),
        ..wharf_ui::Options::default()
    };
    let options = options.with(config);
    Ok(match wharf_ui::run(backend, options).await? {
        wharf_ui::Exit::Quit => Left::Closed,
        wharf_ui::Exit::Terminated => Left::Terminated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_counts_more_than_environment() {
        let environment = |name: &str| match name {
            "WHARF_HOST" => Some("unix:///w.sock".to_owned()),
            "DOCKER_HOST" => Some("unix:///d.sock".to_owned()),
            "WHARF_ROOT" => Some("/r".to_owned()),
            _ => None,
        };
        let none = |_: &str| None;
        let choose = |host, root, environment: &dyn Fn(&str) -> Option<String>| {
            Target::choose(host, root, environment).unwrap()
        };
        assert_eq!(
            choose(Some("unix:///x"), Some("/y"), &environment),
            Target::Docker("unix:///x".into())
        );
        assert_eq!(
            choose(None, Some("/y"), &environment),
            Target::Native(Paths::new("/y", "/y/run"))
        );
        assert_eq!(choose(None, None, &environment), Target::Docker("unix:///w.sock".into()));
        let docker = |name: &str| if name == "WHARF_HOST" { None } else { environment(name) };
        assert_eq!(choose(None, None, &docker), Target::Docker("unix:///d.sock".into()));
        let root = |name: &str| (name == "WHARF_ROOT").then(|| "/r".to_owned());
        assert_eq!(choose(None, None, &root), Target::Native(Paths::new("/r", "/r/run")));
        assert_eq!(
            choose(None, None, &none),
            Target::Native(Paths::new("/var/lib/wharf", "/run/wharf"))
        );
        assert!(Target::choose(Some("tcp://1.2.3.4:2375"), None, &none).is_err());
        assert!(Target::choose(Some("foo"), None, &none).is_err());
    }
}
