//! What `run` and `create` say about a container's further life: health checks, restart policy and
//! log.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_model::{HealthAction, HealthCheck, LogConfig, LogDriver, RestartKind, RestartPolicy};

use super::Parsed;
use super::create::{invalid, not_yet};
use super::values::{self, Reason};
use crate::call::Failure;

/// Returns the health check that the flags ask for.
///
/// # Errors
/// In docker's words.
pub(super) fn health_check(parsed: &Parsed) -> Result<Option<HealthCheck>, Failure> {
    let line = parsed.last("health-cmd").filter(|line| !line.is_empty());
    let check = HealthCheck {
        test: line.map(|line| vec!["CMD-SHELL".to_owned(), line.to_owned()]).unwrap_or_default(),
        interval: duration(parsed, "health-interval")?,
        timeout: duration(parsed, "health-timeout")?,
        start_period: duration(parsed, "health-start-period")?,
        start_interval: duration(parsed, "health-start-interval")?,
        retries: retries(parsed)?,
    };
    let any = check != HealthCheck::default();
    match parsed.on("no-healthcheck") {
        true if any => Err(Failure::usage("--no-healthcheck conflicts with --health-* options")),
        true => Ok(Some(HealthCheck { test: vec!["NONE".to_owned()], ..check })),
        false => Ok(any.then_some(check)),
    }
}

/// Returns a time of a health check; 0 is docker's way to say nothing.
fn duration(parsed: &Parsed, flag: &str) -> Result<Option<Duration>, Failure> {
    let Some(text) = parsed.last(flag) else { return Ok(None) };
    let value = match text.trim_start_matches(['+', '-']) {
        "0" => chrono::TimeDelta::zero(),
        number if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            let reason = format!("time: missing unit in duration {text:?}");
            return Err(invalid(text, &format!("--{flag}"), &reason));
        }
        _ => wharf_inspect::duration(text).ok_or_else(|| {
            invalid(text, &format!("--{flag}"), &format!("time: invalid duration {text:?}"))
        })?,
    };
    match value.to_std() {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_zero())),
        Err(_) => Err(Failure::usage(format!("--{flag} cannot be negative"))),
    }
}

fn retries(parsed: &Parsed) -> Result<Option<u32>, Failure> {
    let Some(text) = parsed.last("health-retries") else { return Ok(None) };
    let number =
        values::integer(text).map_err(|reason| invalid(text, "--health-retries", &reason))?;
    if number < 0 {
        return Err(Failure::usage("--health-retries cannot be negative"));
    }
    Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)).filter(|number| *number > 0))
}

/// Returns what becoming unhealthy leads to.
pub(super) fn health_action(parsed: &Parsed) -> Result<HealthAction, Failure> {
    Ok(match parsed.last("health-on-failure") {
        None | Some("" | "none") => HealthAction::None,
        Some("restart") => HealthAction::Restart,
        Some("stop") => HealthAction::Stop,
        Some("kill") => HealthAction::Kill,
        Some(other) => {
            return Err(invalid(
                other,
                "--health-on-failure",
                "must be one of none, restart, stop or kill",
            ));
        }
    })
}

/// Returns the policy that a text such as `on-failure:3` names.
///
/// # Errors
/// In docker's words.
pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, Reason> {
    let (name, count) = match text.split_once(':') {
        Some(("", _)) => {
            return Err("invalid restart policy format: no policy provided before colon".to_owned());
        }
        Some((name, count)) => (name, count),
        None => (text, ""),
    };
    let count = match count {
        "" => 0,
        count => count.parse::<i64>().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    let kind = match name {
        "" | "no" => RestartKind::No,
        "always" => RestartKind::Always,
        "on-failure" => RestartKind::OnFailure,
        "unless-stopped" => RestartKind::UnlessStopped,
        other => {
            return Err(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'"
            ));
        }
    };
    let negative = if count < 0 { " and cannot be negative" } else { "" };
    match kind {
        RestartKind::OnFailure if count < 0 => {
            Err("invalid restart policy: maximum retry count cannot be negative".to_owned())
        }
        RestartKind::OnFailure => {
            Ok(RestartPolicy { kind, maximum_retries: u32::try_from(count).unwrap_or(u32::MAX) })
        }
        _ if count != 0 => Err(format!(
            "invalid restart policy: maximum retry count can only be used with \
             'on-failure'{negative}"
        )),
        _ => Ok(RestartPolicy { kind, maximum_retries: 0 }),
    }
}

/// Returns the policy that the flags ask for.
pub(super) fn restart(parsed: &Parsed) -> Result<RestartPolicy, Failure> {
    let policy =
        restart_policy(parsed.last("restart").unwrap_or_default()).map_err(Failure::usage)?;
    if parsed.on("rm") && policy.kind != RestartKind::No {
        return Err(Failure::usage("conflicting options: cannot specify both --restart and --rm"));
    }
    Ok(policy)
}

/// Drivers of docker's that send a log elsewhere.
const ELSEWHERE: [&str; 9] = [
    "awslogs",
    "etwlogs",
    "fluentd",
    "gcplogs",
    "gelf",
    "journald",
    "logentries",
    "splunk",
    "syslog",
];

/// Returns where the output is to be written.
pub(super) fn log_config(parsed: &Parsed) -> Result<LogConfig, Failure> {
    let word = parsed.last("log-driver").unwrap_or_default();
    let driver = match LogDriver::from_word(word) {
        Some(driver) => driver,
        None if ELSEWHERE.contains(&word) => return Err(not_yet("--log-driver", word)),
        None => {
            return Err(Failure::usage(format!(
                "logger: no log driver named '{word}' is registered"
            )));
        }
    };
    let options: BTreeMap<String, String> = parsed
        .all("log-opt")
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect();
    if driver == LogDriver::None && !options.is_empty() {
        return Err(Failure::usage("invalid logging opts for driver none"));
    }
    Ok(LogConfig { driver, options })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use crate::verbs::run::VERB;

    fn parsed(line: &[&str]) -> Parsed {
        let words: Vec<String> = line.iter().chain(&["image"]).map(|w| (*w).to_owned()).collect();
        parse(&VERB, &words).unwrap()
    }

    #[test]
    fn restart_policies_are_read_as_docker_reads_them() {
        let policy = |kind, maximum_retries| Ok(RestartPolicy { kind, maximum_retries });
        assert_eq!(restart_policy(""), policy(RestartKind::No, 0));
        assert_eq!(restart_policy("no"), policy(RestartKind::No, 0));
        assert_eq!(restart_policy("always"), policy(RestartKind::Always, 0));
        assert_eq!(restart_policy("unless-stopped:"), policy(RestartKind::UnlessStopped, 0));
        assert_eq!(restart_policy("on-failure:7"), policy(RestartKind::OnFailure, 7));
        for (bad, reason) in [
            (":3", "no policy provided before colon"),
            ("on-failure:x", "maximum retry count must be an integer"),
            ("on-failure:-1", "maximum retry count cannot be negative"),
            ("always:2", "can only be used with 'on-failure'"),
            ("always:-2", "'on-failure' and cannot be negative"),
            ("sometimes", "unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure'"),
        ] {
            let error = restart_policy(bad).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        assert!(restart(&parsed(&["--rm", "--restart", "always"])).is_err());
        assert!(restart(&parsed(&["--rm", "--restart", "no"])).is_ok());
    }

    #[test]
    fn health_flags_make_a_check() {
        let check = |line: &[&str]| health_check(&parsed(line)).map_err(|f| f.message().to_owned());
        assert_eq!(check(&[]), Ok(None));
        let got = check(&["--health-cmd", "true", "--health-interval=1.5s", "--health-retries=2"]);
        let got = got.unwrap().unwrap();
        assert_eq!(got.test, ["CMD-SHELL", "true"]);
        assert_eq!(got.interval, Some(Duration::from_millis(1500)));
        assert_eq!((got.retries, got.timeout), (Some(2), None));
        let none = check(&["--no-healthcheck"]).unwrap().unwrap();
        assert_eq!(none.test, ["NONE"]);
        for (line, reason) in [
            (&["--no-healthcheck", "--health-cmd=x"][..], "conflicts with --health-* options"),
            (&["--health-interval=-1s"], "--health-interval cannot be negative"),
            (&["--health-timeout=5"], "time: missing unit in duration \"5\""),
            (&["--health-timeout=x"], "time: invalid duration \"x\""),
            (&["--health-retries=-1"], "--health-retries cannot be negative"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.contains(reason), "{line:?}: {error}");
        }
    }

    #[test]
    fn log_flags_make_a_configuration() {
        let of = |line: &[&str]| log_config(&parsed(line)).map_err(|f| f.message().to_owned());
        let got = of(&["--log-driver=local", "--log-opt", "max-size=1m", "--log-opt=tag=a=b"]);
        let got = got.unwrap();
        assert_eq!((got.driver, got.options["tag"].as_str()), (LogDriver::Local, "a=b"));
        assert!(of(&["--log-driver=none", "--log-opt=a=b"]).unwrap_err().contains("driver none"));
        assert!(of(&["--log-driver=syslog"]).unwrap_err().contains("not supported yet"));
        assert!(of(&["--log-driver=odd"]).unwrap_err().contains("no log driver named 'odd'"));
    }
}
