//! Which engine the command line talks to, and how it is reached. The only file that knows the
//! adapters and the dashboard by name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::bail;

use wharf_backend::docker::{Address, Docker};
use wharf_backend::native::Native;
use wharf_backend::{Backend, Error};
use wharf_engine::{EngineOptions, Paths, rootless};
use wharf_model::ErrorKind;
use wharf_registry::{CredentialStore, Folders, Registries, Resolve, Settings};

use crate::call::{Call, ENGINE_FAILED, Failure};
use crate::engine_settings::{self, EngineSettings};
use crate::target::{Remote, Target, of_setting};
use crate::verbs;

/// Where root says what is so for the engine and for registries.
const DEFAULT_CONFIG: &str = "/etc/wharf";
/// The name of the settings in it.
const SETTINGS: &str = "config.toml";

/// Files that had the engine's settings before there was one for all, and the table that each became.
const FORMER: [(&str, &str); 2] = [("registries.json", "registry"), ("networks.json", "network")];

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
            let settings = engine_settings()?;
            let native = Native::open_with(paths.clone(), settings.engine)?;
            Ok(Arc::new(native.with_registries(Folders { hosts: settings.hosts, ..folders() })))
        }
        Target::Docker(remote) => {
            let docker = docker(remote)?;
            docker.check()?;
            Ok(Arc::new(docker))
        }
    }
}

fn docker(remote: &Remote) -> anyhow::Result<Docker> {
    let store = CredentialStore::new(folders().docker);
    Ok(Docker::at(&remote.address)?.with_credentials(store))
}

/// Returns the engine, whether or not it can be reached now: what is wrong with it, each question to it
/// tells.
///
/// # Errors
/// None that depends on the target.
pub(crate) async fn backend_or_reason(target: &Target) -> anyhow::Result<Arc<dyn Backend>> {
    match target {
        Target::Native(_) => Ok(match backend(target).await {
            Ok(backend) => backend,
            Err(error) => {
                let text = format!("{error:#}");
                Arc::new(Docker::nowhere(Error::new(ErrorKind::Unavailable, text))?)
            }
        }),
        Target::Docker(remote) => Ok(Arc::new(docker(remote)?)),
    }
}

/// Returns the registries as this user's files describe them; `insecure` names one that may be
/// without TLS.
///
/// # Errors
/// When a file can't be understood.
pub(crate) fn registries(insecure: Option<&str>) -> anyhow::Result<Registries> {
    let folders = Folders { hosts: engine_settings()?.hosts, ..folders() };
    let mut settings = Settings::read(&folders)?;
    if let Some(domain) = insecure {
        settings = settings.with_insecure(domain);
    }
    let resolve: Resolve = Arc::new(wharf_engine::network::host_addresses);
    Ok(Registries::new(settings, CredentialStore::new(folders.docker), resolve))
}

/// Returns the file with what the host's administrator, or this user, says of the engine.
pub(crate) fn engine_settings_file() -> Option<PathBuf> {
    folders().config.map(|folder| folder.join(SETTINGS))
}

/// Returns what the host's administrator, or this user, says of the engine.
///
/// # Errors
/// When the file can't be read, or not all of it can be understood: what is passed over could be what
/// keeps somebody out.
fn engine_settings() -> anyhow::Result<EngineSettings> {
    let Some(file) = engine_settings_file() else { return Ok(EngineSettings::default()) };
    let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(invalid(format!("read {shown}: {cause}")).into()),
    };
    let (mut settings, problems) = engine_settings::read(&text);
    settings.engine.warnings = passed_over(&file);
    match problems.first() {
        None => Ok(settings),
        Some(first) => Err(invalid(verbs::config::told(&shown, first)).into()),
    }
}

/// Returns what to say of files beside this one that aren't read any more.
pub(crate) fn passed_over(file: &Path) -> Vec<String> {
    let old = FORMER.iter().map(|(name, table)| (file.with_file_name(name), table));
    old.filter(|(old, _)| old.exists())
        .map(|(old, table)| {
            let (old, new) = (old.display(), file.display());
            format!("{old} isn't read: say it in [{table}] of {new}, and remove that file")
        })
        .collect()
}

/// Returns how the embedded engine is to be.
///
/// # Errors
/// As [`backend`].
pub(crate) fn engine_options() -> anyhow::Result<EngineOptions> {
    engine_settings().map(|settings| settings.engine)
}

/// Opens this host's engine for a server: the settings are this user's, and who somebody is at a
/// registry, each client says itself.
///
/// # Errors
/// As [`backend`].
pub(crate) fn served_engine(paths: &Paths) -> anyhow::Result<Native> {
    let EngineSettings { engine, hosts, .. } = engine_settings()?;
    let native = Native::open_with(paths.clone(), engine)?;
    Ok(native.with_registries(Folders { docker: None, hosts, ..folders() }))
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
    Folders { config, docker, ..Folders::default() }
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
        Target::Docker(remote) => {
            bail!("this is for wharf's own engine, and can't be done at {}", remote.address)
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

/// Returns the engines that a dashboard shows, with names that tell them apart: those that were chosen,
/// else those of its settings, else the embedded one.
///
/// # Errors
/// When the settings name one that can't be understood.
pub(crate) fn hosts(
    call: &Call,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Vec<(String, Target)>> {
    let settings = match call.chosen {
        true => Vec::new(),
        // What is wrong with the file, the dashboard tells.
        false => settings(environment).0.hosts,
    };
    let folder = docker_folder();
    let mut hosts: Vec<(String, Target)> = Vec::new();
    for setting in &settings {
        let target = of_setting(setting, folder.as_deref(), environment).map_err(|failure| {
            let text = format!("config.toml: host {:?}: {}", setting.name, failure.message());
            Failure::new(failure.code(), text)
        })?;
        hosts.push((setting.name.clone(), target));
    }
    if hosts.is_empty() {
        for target in std::iter::once(&call.target).chain(&call.others) {
            hosts.push((target.names().0, target.clone()));
        }
    }
    let by_ssh = |target: &Target| {
        let Target::Docker(remote) = target else { return false };
        matches!(remote.address, Address::Ssh(_))
    };
    let mut targets = hosts.iter().map(|(_, target)| target);
    // In the namespace of an ordinary user's engine ssh would take the user for root, with root's keys.
    if !rustix::process::geteuid().is_root()
        && targets.clone().any(Target::is_native)
        && targets.any(by_ssh)
    {
        let text = "an ordinary user's own engine and hosts by ssh can't be shown together: leave out \
                    wharf://, or give the hosts as tcp:// or unix://";
        return Err(Failure::new(1, text).into());
    }
    for at in 1..hosts.len() {
        let taken = |name: &str| hosts[..at].iter().any(|(other, _)| other == name);
        let name = hosts[at].0.clone();
        let free = (2..).map(|n| format!("{name}-{n}")).find(|name| !taken(name));
        if taken(&name)
            && let Some(free) = free
        {
            hosts[at].0 = free;
        }
    }
    Ok(hosts)
}

fn host(name: &str, target: &Target) -> wharf_ui::HostOptions {
    let warning = match target {
        Target::Native(_) => None,
        Target::Docker(remote) => remote.address.warning(),
    };
    let (name, address) = (name.to_owned(), target.names().1);
    wharf_ui::HostOptions { name, address, program: target.program(), warning }
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
    hosts: Vec<(String, Target)>,
    backends: Vec<Arc<dyn Backend>>,
    read_only: bool,
    replay: Option<wharf_ui::Replay>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Left> {
    let look = wharf_ui::Look::from_env(environment);
    let looking = |backend: Arc<dyn Backend>| match read_only {
        true => backend.looking_only().unwrap_or(backend),
        false => backend,
    };
    let backends = backends.into_iter().map(looking).collect();
    let (config, complaint) = settings(environment);
    let options = wharf_ui::Options {
        read_only,
        replay,
        look,
        complaint,
        state: state_folder(environment),
        update: Some(verbs::update::understand),
        hosts: hosts.iter().map(|(name, target)| host(name, target)).collect(),
        run: Some(verbs::run::understand),
        copy: Some(verbs::cp::for_dashboard),
        // Nothing is lost when it can't.
        rest: Some(|| drop(wharf_sys::memory::trim())),
        ..wharf_ui::Options::default()
    };
    let options = options.with(config);
    Ok(match wharf_ui::run(backends, options).await? {
        wharf_ui::Exit::Quit => Left::Closed,
        wharf_ui::Exit::Terminated => Left::Terminated,
    })
}
