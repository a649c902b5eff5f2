//! Instructions of a Dockerfile that change an image's configuration (`commit -c`), by the rules of
//! the Dockerfile reference.

use std::time::Duration;

use serde_json::json;
use wharf_model::{HealthCheck, ImageConfig};

use super::archive::invalid;
use crate::Result;
use crate::container::signal;

/// Applies instructions in order.
///
/// # Errors
/// In docker's words, when one isn't known, can't change an image, or lacks something.
pub(super) fn apply(config: &mut ImageConfig, instructions: &[String]) -> Result<()> {
    // An instruction may hold several lines.
    let lines: Vec<&str> = instructions.iter().flat_map(|text| text.lines()).collect();
    let lines = lines.into_iter().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    // Without a command of the same call, a new entrypoint leaves nothing of the old one's arguments.
    let mut has_cmd = false;
    for line in lines {
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match keyword.to_ascii_uppercase().as_str() {
            "CMD" => {
                config.cmd = command(rest);
                has_cmd = true;
            }
            "ENTRYPOINT" => {
                config.entrypoint = command(rest);
                if !has_cmd {
                    config.cmd.clear();
                }
            }
            "ENV" => {
                for (name, value) in pairs("ENV", rest, &config.env)? {
                    crate::supervisor::set(&mut config.env, &format!("{name}={value}"));
                }
            }
            "LABEL" => config.labels.extend(pairs("LABEL", rest, &config.env)?),
            "EXPOSE" => {
                for word in at_least_one("EXPOSE", expanded_words(rest, &config.env)?)? {
                    for port in ports(&word)? {
                        config.exposed_ports.insert(port, json!({}));
                    }
                }
            }
            "VOLUME" => {
                let paths = match list(rest) {
                    Some(paths) => paths,
                    None => expanded_words(rest, &config.env)?,
                };
                for path in at_least_one("VOLUME", paths)? {
                    let path = path.trim();
                    if path.is_empty() {
                        return Err(invalid("VOLUME specified can not be an empty string"));
                    }
                    config.volumes.insert(path.to_owned(), json!({}));
                }
            }
            "USER" => config.user = exactly_one("USER", rest, &config.env)?,
            "WORKDIR" => {
                let path = exactly_one("WORKDIR", rest, &config.env)?;
                config.working_dir = joined(&config.working_dir, &path);
            }
            "STOPSIGNAL" => {
                let name = exactly_one("STOPSIGNAL", rest, &config.env)?;
                signal::parse(&name)?;
                config.stop_signal = Some(name);
            }
            "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
            "ONBUILD" => config.on_build.push(trigger(rest)?),
            _ => {
                let keyword = keyword.to_ascii_lowercase();
                return Err(invalid(format!("{keyword} is not a valid change command")));
            }
        }
    }
    Ok(())
}

/// Returns a JSON list of texts, if it is one.
fn list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// Returns a command: a list as it is, anything else for the shell.
fn command(text: &str) -> Vec<String> {
    match list(text) {
        Some(words) => words,
        None if text.is_empty() => Vec::new(),
        None => ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
    }
}

fn at_least_one(keyword: &str, words: Vec<String>) -> Result<Vec<String>> {
    match words.is_empty() {
        true => Err(invalid(format!("{keyword} requires at least one argument"))),
        false => Ok(words),
    }
}

fn exactly_one(keyword: &str, text: &str, env: &[String]) -> Result<String> {
    match text.is_empty() {
        true => Err(invalid(format!("{keyword} requires exactly one argument"))),
        false => expand(text, env),
    }
}

/// Returns the pairs of `NAME=VALUE …`, or of the old `NAME VALUE`.
fn pairs(keyword: &str, text: &str, env: &[String]) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Err(invalid(format!("{keyword} requires at least one argument")));
    }
    let words = words(text);
    if !words.first().is_some_and(|word| word.contains('=')) {
        let Some((name, value)) = text.split_once(char::is_whitespace) else {
            return Err(invalid(format!("{keyword} must have two arguments")));
        };
        return Ok(vec![(expand(name, env)?, expand(value.trim(), env)?)]);
    }
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                invalid(format!(
                    "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
                ))
            })?;
            let name = expand(name, env)?;
            if name.is_empty() {
                return Err(invalid(format!("{keyword} names can not be blank")));
            }
            Ok((name, expand(value, env)?))
        })
        .collect()
}

/// Splits at spaces that aren't quoted; quotes and backslashes stay.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = words.len() - 1;
        match (c, quote) {
            ('\\', None | Some('"')) => {
                words[last].push(c);
                words[last].extend(chars.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        words[last].push(c);
    }
    words.retain(|word| !word.is_empty());
    words
}

fn expanded_words(text: &str, env: &[String]) -> Result<Vec<String>> {
    words(text).iter().map(|word| expand(word, env)).collect()
}

/// Takes quotes away and replaces `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}`, as a
/// Dockerfile has it: nothing is replaced between single quotes or after a backslash.
fn expand(text: &str, env: &[String]) -> Result<String> {
    let value =
        |name: &str| env.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) => out.extend(chars.next()),
            ('\\', Some('"')) => match chars.next() {
                Some(c @ ('"' | '$' | '\\')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            ('$', None | Some('"')) if chars.peek() == Some(&'{') => {
                let inner: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let (name, modifier) = match inner.find(':') {
                    Some(at) => (&inner[..at], &inner[at..]),
                    None => (inner.as_str(), ""),
                };
                let found = value(name).filter(|value| !value.is_empty());
                match (modifier.get(..2), modifier.get(2..)) {
                    (None, _) => out.push_str(value(name).unwrap_or_default()),
                    (Some(":-"), Some(other)) => out.push_str(found.unwrap_or(other)),
                    (Some(":+"), Some(other)) => {
                        out.push_str(found.map_or("", |_| other));
                    }
                    _ => {
                        return Err(invalid(format!(
                            "failed to process {text:?}: unsupported modifier ({modifier}) in \
                             substitution"
                        )));
                    }
                }
            }
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                match name.is_empty() {
                    true => out.push('$'),
                    false => out.push_str(value(&name).unwrap_or_default()),
                }
            }
            (c, _) => out.push(c),
        }
    }
    match quote {
        Some(open) => Err(invalid(format!(
            "failed to process {text:?}: unexpected end of statement while looking for matching \
             {}",
            if open == '"' { "double-quote" } else { "single-quote" }
        ))),
        None => Ok(out),
    }
}

/// Returns the ports that `80`, `53/udp` or `8000-8010/tcp` stands for.
fn ports(text: &str) -> Result<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid(format!("invalid proto: {protocol}")));
    }
    let bad = || invalid(format!("invalid containerPort: {range}"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) =
        (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Returns a working directory seen from the one before.
fn joined(before: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("/{before}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(text: &str) -> Result<HealthCheck> {
    let mut check = HealthCheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let duration = || -> Result<Option<Duration>> {
            let length = duration(value)
                .ok_or_else(|| invalid(format!("time: invalid duration {value:?}")))?;
            if !length.is_zero() && length < Duration::from_millis(1) {
                return Err(invalid(format!("Interval {name:?} cannot be less than 1ms")));
            }
            Ok(Some(length).filter(|length| !length.is_zero()))
        };
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                let retries = value.parse::<u32>().map_err(|_| {
                    invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))
                })?;
                check.retries = Some(retries).filter(|n| *n > 0);
            }
            _ => return Err(invalid(format!("unknown flag: --{name}"))),
        }
        rest = after.trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    match kind.to_ascii_uppercase().as_str() {
        "" => return Err(invalid("HEALTHCHECK requires at least one argument")),
        "NONE" if !rest.is_empty() => {
            return Err(invalid("HEALTHCHECK NONE takes no arguments"));
        }
        "NONE" => check.test = vec!["NONE".to_owned()],
        "CMD" if rest.is_empty() => {
            return Err(invalid("Missing command after HEALTHCHECK CMD"));
        }
        "CMD" => {
            check.test = match list(rest) {
                Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
                None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
            };
        }
        other => {
            return Err(invalid(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")));
        }
    }
    Ok(check)
}

/// Returns a length of time written as Go writes it: `1m30s`, `1.5h`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).ok()
}

fn trigger(text: &str) -> Result<String> {
    let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match keyword.as_str() {
        "" => Err(invalid("ONBUILD requires at least one argument")),
        "ONBUILD" => Err(invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "FROM" | "MAINTAINER" => {
            Err(invalid(format!("{keyword} isn't allowed as an ONBUILD trigger")))
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(lines: &[&str]) -> std::result::Result<ImageConfig, String> {
        let mut config = ImageConfig {
            env: vec!["HOME=/root".to_owned(), "EMPTY=".to_owned()],
            cmd: vec!["old".to_owned()],
            working_dir: "/srv".to_owned(),
            ..ImageConfig::default()
        };
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        apply(&mut config, &lines).map_err(|error: crate::Error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_instruction_changes_its_setting() {
        let config = applied(&[
            "ENV A=1 B=\"two words\" C=$HOME/x",
            "env OLD the  old form",
            "LABEL a.b='$HOME' c=\"${NONE:-d}\"",
            "EXPOSE 80 53/UDP 8000-8002",
            "VOLUME [\"/data\", \"/more\"]",
            "volume /a /b",
            "USER app:$A",
            "WORKDIR sub/../x",
            "STOPSIGNAL SIGQUIT",
            "HEALTHCHECK --interval=1m30s --retries=4 CMD curl -f http://localhost",
            "ONBUILD RUN make",
            "ENTRYPOINT [\"/bin/app\", \"-v\"]",
        ])
        .unwrap();
        assert_eq!(
            config.env,
            ["HOME=/root", "EMPTY=", "A=1", "B=two words", "C=/root/x", "OLD=the  old form"]
        );
        assert_eq!((config.labels["a.b"].as_str(), config.labels["c"].as_str()), ("$HOME", "d"));
        let ports: Vec<&str> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]);
        assert_eq!(config.volumes.len(), 4);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("app:1", "/srv/x"));
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "curl -f http://localhost"]);
        assert_eq!((check.interval, check.retries), (Some(Duration::from_secs(90)), Some(4)));
        assert_eq!(config.on_build, ["RUN make"]);
        assert_eq!(config.entrypoint, ["/bin/app", "-v"]);
        assert!(config.cmd.is_empty(), "the old command is not the new entrypoint's");
    }

    #[test]
    fn commands_are_lists_or_the_shell_s() {
        let config = applied(&["CMD [\"a\",\"b c\"]", "ENTRYPOINT run it"]).unwrap();
        assert_eq!(config.cmd, ["a", "b c"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "run it"]);
        // Not a list of texts: what it says is the shell's business.
        assert_eq!(applied(&["CMD [1]"]).unwrap().cmd, ["/bin/sh", "-c", "[1]"]);
    }

    #[test]
    fn complaints_are_in_docker_words() {
        for (line, says) in [
            ("RUN make", "run is not a valid change command"),
            ("foo", "foo is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV a", "ENV must have two arguments"),
            ("ENV a=b c", "can't find = in \"c\""),
            ("USER", "USER requires exactly one argument"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 90-80", "invalid containerPort: 90-80"),
            ("EXPOSE 1/icmp", "invalid proto: icmp"),
            ("STOPSIGNAL NOPE", "nvalid signal"),
            ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
            ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
            ("HEALTHCHECK TRY x", "Unknown type \"TRY\" in HEALTHCHECK (try CMD)"),
            ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
            ("LABEL a=\"b", "unexpected end of statement while looking for matching double-quote"),
            ("ENV a=${b:?c}", "unsupported modifier"),
        ] {
            let error = applied(&[line]).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn words_are_expanded_as_a_dockerfile_has_it() {
        let env = ["A=1".to_owned(), "E=".to_owned()];
        for (text, out) in [
            ("$A-${A}-$B", "1-1-"),
            ("'$A' \"$A\" \\$A", "$A 1 $A"),
            ("${E:-x}${A:-y}${A:+z}${E:+w}", "x1z"),
            ("\"a\\\"b\\n\"", "a\"b\\n"),
            ("a$", "a$"),
        ] {
            assert_eq!(expand(text, &env).unwrap(), out, "{text}");
        }
    }
}
