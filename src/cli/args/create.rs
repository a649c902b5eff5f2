//! What the flags of `run` and `create` ask of the engine.

use std::path::Path;

use wharf_model::{CreateOptions, HostConfig, NetworkMode, Resources};

use super::values::{self, Reason};
use super::{Flag, Parsed, Takes, mounts, policy, signals};
use crate::call::Failure;

/// What the conversion needs to know of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// Returns a variable of the caller's environment.
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The caller's working directory.
    pub(crate) folder: &'a Path,
    /// How many CPUs there are, where the engine is on this host.
    pub(crate) cpus: Option<usize>,
}

/// Returns what the flags and arguments ask for.
///
/// # Errors
/// A usage error (exit code 125) that names the flag.
pub(crate) fn options(
    parsed: &Parsed,
    surroundings: &Surroundings<'_>,
) -> Result<CreateOptions, Failure> {
    let mut words = parsed.arguments.iter().cloned();
    let mut options = CreateOptions {
        image: words.next().unwrap_or_default(),
        command: words.collect(),
        entrypoint: parsed.last("entrypoint").map(|program| match program {
            "" => Vec::new(),
            program => vec![program.to_owned()],
        }),
        working_dir: working_dir(parsed)?,
        user: non_empty(parsed.last("user")),
        hostname: hostname(parsed)?,
        tty: parsed.on("tty"),
        open_stdin: parsed.on("interactive"),
        stop_signal: stop_signal(parsed)?,
        stop_timeout: stop_timeout(parsed)?,
        healthcheck: policy::health_check(parsed)?,
        host: host(parsed, surroundings)?,
        ..CreateOptions::default()
    };
    if let Some(name) = non_empty(parsed.last("name")) {
        options.name = Some(values::container_name(&name).map_err(Failure::usage)?);
    }
    options.env = environment(parsed, surroundings)?;
    for line in lines(parsed, "label-file")? {
        let (name, value) = values::label(&line).map_err(|r| invalid(&line, "--label-file", &r))?;
        options.labels.insert(name, value);
    }
    for text in parsed.all("label") {
        let (name, value) = values::label(text).map_err(|r| invalid(text, "-l, --label", &r))?;
        options.labels.insert(name, value);
    }
    check_partial(parsed)?;
    Ok(options)
}

/// Returns the entries of the files and then of the flags, which override them.
fn environment(parsed: &Parsed, around: &Surroundings<'_>) -> Result<Vec<String>, Failure> {
    let mut entries = Vec::new();
    for line in lines(parsed, "env-file")? {
        let entry = values::environment(&line, around.environment)
            .map_err(|reason| invalid(&line, "--env-file", &reason))?;
        entries.extend(entry);
    }
    entries.extend(flag_environment(parsed, around.environment)?);
    Ok(entries)
}

/// Returns the entries of `-e`.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn flag_environment(
    parsed: &Parsed,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Failure> {
    let mut entries = Vec::new();
    for text in parsed.all("env") {
        let entry = values::environment(text, lookup)
            .map_err(|reason| invalid(text, "-e, --env", &reason))?;
        entries.extend(entry);
    }
    Ok(entries)
}

/// Returns the lines of the named files, without empty ones and comments.
pub(crate) fn lines(parsed: &Parsed, flag: &str) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for path in parsed.all(flag) {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("open {path}: {error}")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let wanted = text.lines().map(str::trim_start);
        lines.extend(
            wanted.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned),
        );
    }
    Ok(lines)
}

fn host(parsed: &Parsed, around: &Surroundings<'_>) -> Result<HostConfig, Failure> {
    let mut host = HostConfig {
        auto_remove: parsed.on("rm"),
        readonly_rootfs: parsed.on("read-only"),
        network_mode: network(parsed)?,
        resources: resources(parsed, around)?,
        privileged: parsed.on("privileged"),
        init: parsed.on("init"),
        restart_policy: policy::restart(parsed)?,
        health_on_failure: policy::health_action(parsed)?,
        log_config: policy::log_config(parsed)?,
        ..HostConfig::default()
    };
    for text in parsed.all("volume") {
        let bind = mounts::bind(text, around.folder).map_err(Failure::usage)?;
        if host.binds.iter().any(|other| other.target == bind.target) {
            return Err(Failure::usage(format!("Duplicate mount point: {}", bind.target)));
        }
        host.binds.push(bind);
    }
    for text in parsed.all("tmpfs") {
        let (path, mount_options) =
            mounts::tmpfs(text).map_err(|reason| invalid(text, "--tmpfs", &reason))?;
        if host.binds.iter().any(|bind| bind.target == path) {
            return Err(Failure::usage(format!("Duplicate mount point: {path}")));
        }
        host.tmpfs.insert(path, mount_options);
    }
    for text in parsed.all("cap-add") {
        let name = values::capability(text)
            .map_err(|reason| Failure::usage(format!("invalid CapAdd: {reason}")))?;
        host.cap_add.push(name);
    }
    for text in parsed.all("cap-drop") {
        let name = values::capability(text)
            .map_err(|reason| Failure::usage(format!("invalid CapDrop: {reason}")))?;
        host.cap_drop.push(name);
    }
    for text in parsed.all("security-opt") {
        host.no_new_privileges = match text {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => true,
            "no-new-privileges:false" | "no-new-privileges=false" => false,
            _ => return Err(not_yet("--security-opt", text)),
        };
    }
    Ok(host)
}

fn resources(parsed: &Parsed, around: &Surroundings<'_>) -> Result<Resources, Failure> {
    let mut resources = Resources::default();
    if let Some(text) = parsed.last("memory") {
        values::bytes(text).map_err(|reason| invalid(text, "-m, --memory", &reason))?;
        resources.memory = values::memory(text).map_err(Failure::usage)?;
    }
    if let Some(text) = parsed.last("cpus") {
        resources.nano_cpus =
            values::cpus(text).map_err(|reason| invalid(text, "--cpus", &reason))?;
        if let (Some(nano), Some(cpus)) = (resources.nano_cpus, around.cpus) {
            values::check_cpus(nano, cpus).map_err(Failure::usage)?;
        }
    }
    if let Some(text) = parsed.last("pids-limit") {
        let limit =
            values::integer(text).map_err(|reason| invalid(text, "--pids-limit", &reason))?;
        // Zero and negative mean no limit, as docker has it.
        resources.pids_limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
    }
    Ok(resources)
}

fn network(parsed: &Parsed) -> Result<NetworkMode, Failure> {
    match parsed.last("network") {
        None | Some("bridge" | "default") => Ok(NetworkMode::Bridge),
        Some("none") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some("") => Err(Failure::usage("no name set for network")),
        Some(other) => Err(not_yet("--network", other)),
    }
}

fn hostname(parsed: &Parsed) -> Result<Option<String>, Failure> {
    let Some(name) = non_empty(parsed.last("hostname")) else { return Ok(None) };
    // A label of RFC 1123 is at most 63 long, the kernel takes 64.
    let well_formed = name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.']);
    if well_formed {
        Ok(Some(name))
    } else {
        Err(Failure::usage(format!("invalid hostname format: {name}")))
    }
}

fn working_dir(parsed: &Parsed) -> Result<Option<String>, Failure> {
    match non_empty(parsed.last("workdir")) {
        Some(folder) if !folder.starts_with('/') => Err(Failure::usage(format!(
            "the working directory '{folder}' is invalid, it needs to be an absolute path"
        ))),
        folder => Ok(folder),
    }
}

fn stop_signal(parsed: &Parsed) -> Result<Option<String>, Failure> {
    let Some(name) = non_empty(parsed.last("stop-signal")) else { return Ok(None) };
    signals::signal(&name).map_err(Failure::usage)?;
    Ok(Some(name))
}

fn stop_timeout(parsed: &Parsed) -> Result<Option<u32>, Failure> {
    let Some(text) = parsed.last("stop-timeout") else { return Ok(None) };
    let seconds =
        values::integer(text).map_err(|reason| invalid(text, "--stop-timeout", &reason))?;
    u32::try_from(seconds).map(Some).map_err(|_| not_yet("--stop-timeout", text))
}

/// Flags of which only the values that change nothing work yet.
fn check_partial(parsed: &Parsed) -> Result<(), Failure> {
    match parsed.last("pull") {
        None | Some("missing" | "never") => Ok(()),
        Some("always") => Err(not_yet("--pull", "always")),
        Some(other) => Err(Failure::usage(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

/// Which streams `-a` names; all of output, and input with `-i`, when it names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streams {
    /// Standard input.
    pub(crate) stdin: bool,
    /// Standard output.
    pub(crate) stdout: bool,
    /// Standard error.
    pub(crate) stderr: bool,
}

/// Returns the streams to attach to.
///
/// # Errors
/// When `-a` names another.
pub(crate) fn streams(parsed: &Parsed) -> Result<Streams, Failure> {
    let mut streams = Streams { stdin: false, stdout: false, stderr: false };
    let mut any = false;
    for text in parsed.all("attach") {
        any = true;
        match text.to_ascii_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => {
                return Err(invalid(
                    text,
                    "-a, --attach",
                    "valid streams are STDIN, STDOUT and STDERR",
                ));
            }
        }
    }
    if !any {
        streams = Streams { stdin: parsed.on("interactive"), stdout: true, stderr: true };
    }
    Ok(streams)
}

/// Returns the error for a flag's bad value.
pub(crate) fn invalid(value: &str, flag: &str, reason: &str) -> Failure {
    Failure::usage(format!("invalid argument {value:?} for {flag:?} flag: {reason}"))
}

pub(super) fn not_yet(flag: &str, value: &str) -> Failure {
    Failure::usage(format!("{flag} {value} is not supported yet by this version of wharf"))
}

fn non_empty(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Returns the flag's whole number, or nothing when it isn't given.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn integer_flag(parsed: &Parsed, flag: &Flag) -> Result<Option<i64>, Failure> {
    debug_assert!(matches!(flag.takes, Takes::Value(_)), "switches have no number");
    let Some(text) = parsed.last(flag.long) else { return Ok(None) };
    let number: Result<i64, Reason> = values::integer(text);
    number.map(Some).map_err(|reason| invalid(text, &flag.display(), &reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use crate::verbs::run::VERB;

    fn convert(line: &[&str]) -> Result<CreateOptions, String> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let parsed = parse(&VERB, &words).map_err(|error| format!("{error:?}"))?;
        let surroundings = Surroundings {
            environment: &|name| (name == "FROM_CALLER").then(|| "yes".to_owned()),
            folder: Path::new("/home/me"),
            cpus: Some(2),
        };
        options(&parsed, &surroundings).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn everything_at_once() {
        let got = convert(&[
            "-it",
            "--rm",
            "--name",
            "web",
            "-e",
            "A=1",
            "-e",
            "FROM_CALLER",
            "-e",
            "GONE",
            "-w",
            "/srv",
            "-u",
            "1000:1000",
            "--entrypoint",
            "/bin/x",
            "-h",
            "box",
            "-v",
            "/a:/b:ro",
            "--tmpfs",
            "/t:size=1m",
            "--read-only",
            "--net",
            "none",
            "-m",
            "64m",
            "--cpus",
            "1.5",
            "--pids-limit",
            "100",
            "--cap-add",
            "net_admin",
            "--cap-drop",
            "ALL",
            "--privileged",
            "--security-opt",
            "no-new-privileges",
            "-l",
            "a=b",
            "--stop-signal",
            "SIGINT",
            "--stop-timeout",
            "3",
            "--init",
            "img",
            "-c",
            "true",
        ])
        .unwrap();
        assert_eq!(got.image, "img");
        assert_eq!(got.command, ["-c", "true"]);
        assert_eq!(got.name.as_deref(), Some("web"));
        assert_eq!(got.env, ["A=1", "FROM_CALLER=yes"]);
        assert_eq!(got.working_dir.as_deref(), Some("/srv"));
        assert_eq!(got.user.as_deref(), Some("1000:1000"));
        assert_eq!(got.entrypoint, Some(vec!["/bin/x".to_owned()]));
        assert_eq!(got.hostname.as_deref(), Some("box"));
        assert!(got.tty && got.open_stdin);
        assert_eq!(got.labels["a"], "b");
        assert_eq!(got.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(got.stop_timeout, Some(3));
        let host = got.host;
        assert!(host.auto_remove && host.readonly_rootfs && host.privileged && host.init);
        assert!(host.no_new_privileges);
        assert_eq!(host.binds[0].target, "/b");
        assert_eq!(host.tmpfs["/t"], "size=1m");
        assert_eq!(host.network_mode, NetworkMode::None);
        assert_eq!(host.resources.memory, Some(64 << 20));
        assert_eq!(host.resources.nano_cpus, Some(1_500_000_000));
        assert_eq!(host.resources.pids_limit, Some(100));
        assert_eq!(host.cap_add, ["NET_ADMIN"]);
        assert_eq!(host.cap_drop, ["ALL"]);
    }

    #[test]
    fn refusals_name_the_flag() {
        for (line, message) in [
            (
                vec!["-m", "1q", "x"],
                "invalid argument \"1q\" for \"-m, --memory\" flag: invalid suffix: 'q'",
            ),
            (vec!["-m", "1m", "x"], "Minimum memory limit allowed is 6MB"),
            (
                vec!["--cpus", "3", "x"],
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            ),
            (
                vec!["--network", "container:a", "x"],
                "--network container:a is not supported yet by this version of wharf",
            ),
            (
                vec!["--pull", "always", "x"],
                "--pull always is not supported yet by this version of wharf",
            ),
            (
                vec!["--security-opt", "seccomp=unconfined", "x"],
                "--security-opt seccomp=unconfined is not supported yet by this version of wharf",
            ),
            (vec!["-v", "/a:/c", "-v", "/b:/c", "x"], "Duplicate mount point: /c"),
            (
                vec!["--name", "-x", "x"],
                "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            ),
            (
                vec!["-w", "srv", "x"],
                "the working directory 'srv' is invalid, it needs to be an absolute path",
            ),
            (vec!["--cap-add", "FOO", "x"], "invalid CapAdd: unknown capability: \"CAP_FOO\""),
            (vec!["--stop-signal", "FOO", "x"], "invalid signal: FOO"),
            (vec!["-h", "-a-", "x"], "invalid hostname format: -a-"),
        ] {
            assert_eq!(convert(&line).unwrap_err(), message);
        }
    }

    #[test]
    fn streams_follow_the_flags() {
        let of = |line: &[&str]| {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            streams(&parse(&VERB, &words).unwrap()).map_err(|failure| failure.message().to_owned())
        };
        assert_eq!(of(&["x"]), Ok(Streams { stdin: false, stdout: true, stderr: true }));
        assert_eq!(of(&["-i", "x"]), Ok(Streams { stdin: true, stdout: true, stderr: true }));
        assert_eq!(
            of(&["-a", "STDERR", "x"]),
            Ok(Streams { stdin: false, stdout: false, stderr: true })
        );
        assert!(of(&["-a", "x", "x"]).is_err());
    }
}
