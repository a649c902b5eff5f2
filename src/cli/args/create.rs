//! What the flags of `run` and `create` ask of the engine.

use std::path::Path;

use wharf_model::{Attach, CreateOptions, HostConfig, UsernsMode, mounts};

use super::values::{self, Reason};
use super::{Flag, Parsed, Takes, networks, policy, ports, resources, signals, spaces};
use crate::call::Failure;

/// What the conversion needs to know of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// Returns a variable of the caller's environment.
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The caller's working directory.
    pub(crate) folder: &'a Path,
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
    let mut host = host(parsed, surroundings)?;
    let (mode, networks) = networks::take(parsed)?;
    host.network_mode = mode;
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
        attach: if parsed.on("detach") { Attach::default() } else { streams(parsed)? },
        stop_signal: stop_signal(parsed)?,
        stop_timeout: stop_timeout(parsed)?,
        healthcheck: policy::health_check(parsed)?,
        exposed_ports: ports::exposed(parsed)?,
        host,
        networks,
        domainname: parsed.last("domainname").unwrap_or_default().to_owned(),
        platform: non_empty(parsed.last("platform")),
        ..CreateOptions::default()
    };
    if let Some(name) = non_empty(parsed.last("name")) {
        options.name = Some(values::container_name(&name).map_err(Failure::usage)?);
    }
    options.env = environment(parsed, surroundings)?;
    for text in parsed.all("volume") {
        if let mounts::Asked::Anonymous(path) =
            mounts::volume(text, surroundings.folder).map_err(Failure::usage)?
        {
            options.volumes.push(path);
        }
    }
    for (name, value) in lines(parsed, "label-file")? {
        // A name alone labels nothing, there.
        options.labels.extend(value.map(|value| (name, value)));
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
    entries.extend(file_environment(parsed, around.environment)?);
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
        entries.push(entry);
    }
    Ok(entries)
}

/// Returns the entries of `--env-file`; a name alone is taken from the caller's environment, and
/// left out when it isn't there.
///
/// # Errors
/// A usage error that names the file.
pub(crate) fn file_environment(
    parsed: &Parsed,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Failure> {
    let entries = lines(parsed, "env-file")?.into_iter();
    let filled = entries.filter_map(|(name, value)| {
        value.or_else(|| lookup(&name)).map(|value| format!("{name}={value}"))
    });
    Ok(filled.collect())
}

/// Returns the lines of the named files, `NAME=value` or `NAME`, without empty ones and comments.
fn lines(parsed: &Parsed, flag: &str) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut lines = Vec::new();
    for path in parsed.all(flag) {
        let invalid = |why: String| Failure::usage(format!("invalid env file ({path}): {why}"));
        let bytes = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("open {path}: {}", values::cause(&error))))?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line).map_err(|_| {
                let shown: Vec<String> = line.iter().map(u8::to_string).collect();
                invalid(format!("invalid utf8 bytes at line {}: [{}]", at + 1, shown.join(" ")))
            })?;
            let text = text.trim_start();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            if name.contains(char::is_whitespace) {
                return Err(invalid(format!("variable '{name}' contains whitespaces")));
            }
            if name.is_empty() {
                return Err(invalid(format!("no variable name on line '{text}'")));
            }
            lines.push((name.to_owned(), value));
        }
    }
    Ok(lines)
}

fn host(parsed: &Parsed, around: &Surroundings<'_>) -> Result<HostConfig, Failure> {
    let mut host = HostConfig {
        auto_remove: parsed.on("rm"),
        readonly_rootfs: parsed.on("read-only"),
        published_ports: ports::published(parsed)?,
        publish_all_ports: parsed.on("publish-all"),
        privileged: parsed.on("privileged"),
        init: parsed.on("init"),
        userns_mode: userns(parsed)?,
        restart_policy: policy::restart(parsed)?,
        health_on_failure: policy::health_action(parsed)?,
        log_config: policy::log_config(parsed)?,
        ..HostConfig::default()
    };
    resources::create(parsed, &mut host)?;
    spaces::take(parsed, around.folder, &mut host)?;
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
    Ok(host)
}

fn userns(parsed: &Parsed) -> Result<UsernsMode, Failure> {
    let text = parsed.last("userns").unwrap_or_default();
    text.parse().map_err(|reason: String| invalid(text, "--userns", &reason))
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
        None | Some("always" | "missing" | "never") => Ok(()),
        Some(other) => Err(Failure::usage(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

/// Returns the streams to attach to: those that `-a` names, all of output when it names none, and
/// input with `-i`.
///
/// # Errors
/// When `-a` names another.
pub(crate) fn streams(parsed: &Parsed) -> Result<Attach, Failure> {
    let mut streams = Attach { stdin: parsed.on("interactive"), ..Attach::default() };
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
        streams = Attach { stdout: true, stderr: true, ..streams };
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
    use wharf_model::NetworkMode;

    fn convert(line: &[&str]) -> Result<CreateOptions, String> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let parsed = parse(&VERB, &words).map_err(|error| format!("{error:?}"))?;
        let surroundings = Surroundings {
            environment: &|name| (name == "FROM_CALLER").then(|| "yes".to_owned()),
            folder: Path::new("/home/me"),
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
        assert_eq!(got.env, ["A=1", "FROM_CALLER=yes", "GONE"]);
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
            (
                vec!["-c", "x", "x"],
                "invalid argument \"x\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \
                 \"x\": invalid syntax",
            ),
            (
                vec!["--ulimit", "x=1", "x"],
                "invalid argument \"x=1\" for \"--ulimit\" flag: invalid ulimit type: x",
            ),
            (vec!["--device", "x", "x"], "x is not an absolute path"),
            (vec!["--storage-opt", "x", "x"], "invalid storage option"),
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
        assert_eq!(of(&["x"]), Ok(Attach { stdin: false, stdout: true, stderr: true }));
        assert_eq!(of(&["-i", "x"]), Ok(Attach { stdin: true, stdout: true, stderr: true }));
        assert_eq!(
            of(&["-a", "STDERR", "x"]),
            Ok(Attach { stdin: false, stdout: false, stderr: true })
        );
        assert!(of(&["-a", "x", "x"]).is_err());
    }
}
