//! Values of the flags that limit a container: units, rates, devices. Errors are docker's texts,
//! without the name of the flag.

use wharf_model::{DeviceMapping, DeviceRate, RestartKind, RestartPolicy, Ulimit};

use super::values::{self, Reason};

/// Returns memory and swap together (`--memory-swap`); -1 is no limit.
///
/// # Errors
/// As [`values::bytes`].
pub(crate) fn memory_swap(text: &str) -> Result<i64, Reason> {
    match text {
        "-1" => Ok(-1),
        _ => values::bytes(text).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
    }
}

/// Returns how readily memory is swapped out (`--memory-swappiness`); -1 is the kernel's default.
///
/// # Errors
/// When it isn't 0 to 100.
pub(crate) fn swappiness(percent: i64) -> Result<Option<u8>, Reason> {
    match percent {
        -1 => Ok(None),
        0..=100 => Ok(u8::try_from(percent).ok()),
        _ => Err(format!("invalid value: {percent}. Valid memory swappiness range is 0-100")),
    }
}

/// Returns a weight of block devices (`--blkio-weight`); 0 is none.
///
/// # Errors
/// In the words docker's users know.
pub(crate) fn weight(text: &str) -> Result<Option<u16>, Reason> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(weight) => Ok(Some(weight)),
        Err(_) => Err(format!("strconv.ParseUint: parsing {text:?}: {why}")),
    }
}

/// Splits `PATH:VALUE` of a device.
fn device_and_value(text: &str) -> Result<(&str, &str), Reason> {
    let parts = text.split_once(':').filter(|(_, value)| !value.contains(':'));
    let (path, value) = parts.ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, value)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

/// Returns the weight of one device (`--blkio-weight-device`).
///
/// # Errors
/// When it isn't `/dev/…:WEIGHT` with a weight of 10 to 1000.
pub(crate) fn device_weight(text: &str) -> Result<DeviceRate, Reason> {
    let (path, weight) = device_and_value(text)?;
    let rate = weight.parse().ok().filter(|weight| matches!(weight, 0 | 10..=1000));
    let rate = rate.ok_or_else(|| format!("invalid weight for device: {text}"))?;
    Ok(DeviceRate { path: path.to_owned(), rate })
}

/// Returns the bytes a second of one device (`--device-read-bps`, `--device-write-bps`).
///
/// # Errors
/// When it isn't `/dev/…:SIZE`.
pub(crate) fn device_bytes(text: &str) -> Result<DeviceRate, Reason> {
    let (path, size) = device_and_value(text)?;
    let rate = values::bytes(size).map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is \
             <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional \
             and can be kb, mb, or gb"
        )
    })?;
    Ok(DeviceRate { path: path.to_owned(), rate })
}

/// Returns the operations a second of one device (`--device-read-iops`, `--device-write-iops`).
///
/// # Errors
/// When it isn't `/dev/…:NUMBER`.
pub(crate) fn device_operations(text: &str) -> Result<DeviceRate, Reason> {
    let (path, number) = device_and_value(text)?;
    let rate = number.parse().map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. \
             Number must be a positive integer"
        )
    })?;
    Ok(DeviceRate { path: path.to_owned(), rate })
}

/// Names of `--ulimit`: those of getrlimit(2) in small letters, without the address space, which
/// would keep the start itself from working.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Returns the limit that `NAME=SOFT[:HARD]` asks for; the hard one is the soft one where it isn't
/// given.
///
/// # Errors
/// When there is no such limit, or the soft one is above the hard one.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, Reason> {
    let (name, limits) =
        text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let mut parts = limits.split(':');
    let soft = values::integer(parts.next().unwrap_or_default())?;
    let hard = parts.next().map_or(Ok(soft), values::integer)?;
    if parts.next().is_some() {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    if hard != -1 && soft == -1 {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), \
             hard: {hard}"
        ));
    }
    if hard != -1 && soft > hard {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// Returns the device that `HOST[:CONTAINER][:PERMISSIONS]` asks for.
///
/// # Errors
/// When a path isn't absolute, or the permissions aren't some of `r`, `w` and `m`.
pub(crate) fn device(text: &str) -> Result<DeviceMapping, Reason> {
    let permissions = |mode: &str| {
        let mut letters = mode.chars();
        let once = |letter: char| mode.matches(letter).count() == 1;
        !mode.is_empty() && letters.all(|letter| "rwm".contains(letter) && once(letter))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, mode) = match parts.as_slice() {
        [""] | ["", ..] => return Err(format!("bad format for path: {text}")),
        [host] => (*host, *host, "rwm"),
        [host, mode] if permissions(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [_, _, mode] if !permissions(mode) => return Err(format!("bad mode specified: {mode}")),
        [host, inside, mode] => (*host, *inside, *mode),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: inside.to_owned(),
        permissions: mode.to_owned(),
    })
}

/// Returns a rule of the device filter (`--device-cgroup-rule`) as it stands.
///
/// # Errors
/// When it isn't of the form `c 42:* rwm`.
pub(crate) fn device_rule(text: &str) -> Result<String, Reason> {
    let number =
        |text: &str| text == "*" || !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let well_formed = match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["a" | "b" | "c", numbers, letters] => {
            numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&letters.len())
                && letters.bytes().all(|letter| b"rwm".contains(&letter))
        }
        _ => false,
    };
    match well_formed {
        true => Ok(text.to_owned()),
        false => Err(format!("invalid device cgroup format '{text}'")),
    }
}

/// Returns the policy that `no`, `always`, `unless-stopped` or `on-failure[:RETRIES]` names.
///
/// # Errors
/// In docker's words.
pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, Reason> {
    let (name, retries) = match text.split_once(':') {
        Some((name, retries)) => (name, Some(retries)),
        None => (text, None),
    };
    let kind = match name {
        "" if retries.is_some() => {
            return Err("invalid restart policy format: no policy provided before colon".to_owned());
        }
        "" | "no" => RestartKind::No,
        "always" => RestartKind::Always,
        "unless-stopped" => RestartKind::UnlessStopped,
        "on-failure" => RestartKind::OnFailure,
        _ => {
            return Err(format!(
                "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'"
            ));
        }
    };
    let retries = retries.map(|text| {
        text.parse::<i64>().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })
    });
    let maximum_retries = match retries.transpose()? {
        None | Some(0) => 0,
        Some(_) if kind != RestartKind::OnFailure => {
            return Err(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'"
                    .to_owned(),
            );
        }
        Some(count) => u32::try_from(count).map_err(|_| {
            "invalid restart policy: maximum retry count cannot be negative".to_owned()
        })?,
    };
    Ok(RestartPolicy { kind, maximum_retries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits() {
        let of = |text: &str| ulimit(text).map(|limit| (limit.name, limit.soft, limit.hard));
        assert_eq!(of("nofile=1024"), Ok(("nofile".to_owned(), 1024, 1024)));
        assert_eq!(of("core=5:-1"), Ok(("core".to_owned(), 5, -1)));
        assert_eq!(of("core=-1"), Ok(("core".to_owned(), -1, -1)));
        for (text, reason) in [
            ("x", "invalid ulimit argument: x"),
            ("x=1", "invalid ulimit type: x"),
            ("nofile=a", "strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("nofile=1:", "strconv.ParseInt: parsing \"\": invalid syntax"),
            (
                "nofile=1:2:3",
                "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
            ),
            ("nofile=5:4", "ulimit soft limit must be less than or equal to hard limit: 5 > 4"),
            (
                "nofile=-1:5",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 \
                 (unlimited), hard: 5",
            ),
        ] {
            assert_eq!(of(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn devices() {
        let of = |text: &str| {
            device(text).map(|d| [d.path_on_host, d.path_in_container, d.permissions].join(" "))
        };
        assert_eq!(of("/dev/a"), Ok("/dev/a /dev/a rwm".to_owned()));
        assert_eq!(of("/dev/a:rw"), Ok("/dev/a /dev/a rw".to_owned()));
        assert_eq!(of("/dev/a:/dev/b"), Ok("/dev/a /dev/b rwm".to_owned()));
        assert_eq!(of("/dev/a:/dev/b:r"), Ok("/dev/a /dev/b r".to_owned()));
        for (text, reason) in [
            ("", "bad format for path: "),
            ("x", "x is not an absolute path"),
            ("/dev/null:", " is not an absolute path"),
            ("/dev/null:x", "x is not an absolute path"),
            ("/dev/null:/dev/n:z", "bad mode specified: z"),
            ("/dev/null:/dev/n:rr", "bad mode specified: rr"),
            ("a:b:c:d", "bad format for path: a:b:c:d"),
        ] {
            assert_eq!(of(text), Err(reason.to_owned()), "{text}");
        }
        assert!(device_rule("c 1:* rwm").is_ok() && device_rule("a *:* r").is_ok());
        for bad in ["", "a", "c 1:3", "c 1:3 rwx", "c :3 r", "c 1:3 ", "c  1:3 r"] {
            assert!(device_rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_weights() {
        let of = |rate: Result<DeviceRate, Reason>| rate.map(|one| (one.path, one.rate));
        assert_eq!(of(device_bytes("/dev/a:1mb")), Ok(("/dev/a".to_owned(), 1 << 20)));
        assert_eq!(of(device_operations("/dev/a:100")), Ok(("/dev/a".to_owned(), 100)));
        assert_eq!(of(device_weight("/dev/a:500")), Ok(("/dev/a".to_owned(), 500)));
        assert_eq!(of(device_weight("/dev/x")), Err("bad format: /dev/x".to_owned()));
        assert_eq!(of(device_weight("x:5")), Err("bad format for device path: x:5".to_owned()));
        for text in ["/dev/a:5", "/dev/a:x", "/dev/a:1001"] {
            assert_eq!(of(device_weight(text)), Err(format!("invalid weight for device: {text}")));
        }
        let error = of(device_bytes("/dev/a:-1")).unwrap_err();
        assert!(error.starts_with("invalid rate for device: /dev/a:-1. The correct"), "{error}");
        assert!(device_operations("/dev/a:1k").is_err());
        assert_eq!((weight("0"), weight("500")), (Ok(None), Ok(Some(500))));
        let error = "strconv.ParseUint: parsing \"70000\": value out of range";
        assert_eq!(weight("70000"), Err(error.to_owned()));
        let error = "strconv.ParseUint: parsing \"-1\": invalid syntax";
        assert_eq!(weight("-1"), Err(error.to_owned()));
        assert_eq!((memory_swap("-1"), memory_swap("1k")), (Ok(-1), Ok(1024)));
        assert_eq!(memory_swap("-2"), Err("invalid size: '-2'".to_owned()));
        assert_eq!((swappiness(-1), swappiness(60)), (Ok(None), Ok(Some(60))));
        assert!(swappiness(101).is_err() && swappiness(-2).is_err());
    }

    #[test]
    fn restart_policies() {
        let of = |text: &str| restart_policy(text).map(|p| (p.kind, p.maximum_retries));
        assert_eq!(of("no"), Ok((RestartKind::No, 0)));
        assert_eq!(of("on-failure:3"), Ok((RestartKind::OnFailure, 3)));
        assert_eq!(of("unless-stopped"), Ok((RestartKind::UnlessStopped, 0)));
        for bad in ["x", ":3", "on-failure:x", "on-failure:-1", "always:3"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
