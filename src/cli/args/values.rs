//! Values of flags: sizes, CPU counts, capabilities, names. Errors are docker's texts, without the
//! name of the flag.

use wharf_model::Filters;

use crate::call::Failure;

/// A value that can't be read; the sentence says why.
pub(crate) type Reason = String;

/// Returns the bytes of a size such as `64m`, `1.5GiB` or `6 MB`; all units are powers of 1024.
///
/// # Errors
/// `invalid size: '…'` or `invalid suffix: '…'`.
pub(crate) fn bytes(text: &str) -> Result<u64, Reason> {
    let invalid = || format!("invalid size: '{text}'");
    let split =
        text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(split + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if !(0.0..9.0e18).contains(&size) {
        return Err(invalid());
    }
    let lower = suffix.to_ascii_lowercase();
    let exponent = match lower.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{lower}'")),
    };
    let size = size * 1024_f64.powi(exponent);
    if size >= 9.0e18 {
        return Err(invalid());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above: not negative, and below 2^63"
    )]
    Ok(size as u64)
}

/// Returns billionths of a CPU from a number of CPUs (`--cpus`): `1.5`, `15e-1` or `3/2`; 0 is no
/// limit.
///
/// # Errors
/// When it isn't a number that is not negative, or has more than nine decimals.
pub(crate) fn cpus(text: &str) -> Result<Option<u64>, Reason> {
    let bad = || format!("failed to parse {text} as a rational number");
    let (numerator, denominator) = rational(text).ok_or_else(bad)?;
    let nano = numerator.checked_mul(1_000_000_000).ok_or_else(bad)?;
    if nano % denominator != 0 {
        return Err("value is too precise".to_owned());
    }
    let nano = u64::try_from(nano / denominator).map_err(|_| bad())?;
    Ok((nano > 0).then_some(nano))
}

/// Returns a number that is not negative as a fraction.
fn rational(text: &str) -> Option<(u128, u128)> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let whole = |part: &str| {
        if part.is_empty() || !digits(part) { None } else { part.parse::<u128>().ok() }
    };
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Some((numerator, denominator)) = text.split_once('/') {
        return Some((whole(numerator)?, whole(denominator).filter(|number| *number > 0)?));
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if before.is_empty() && after.is_empty() || !digits(before) || !digits(after) {
        return None;
    }
    let after = after.trim_end_matches('0');
    let numerator = whole(&format!("0{before}{after}"))?;
    let shift = exponent.checked_sub(i32::try_from(after.len()).ok()?)?;
    let power = 10u128.checked_pow(shift.unsigned_abs())?;
    if shift < 0 { Some((numerator, power)) } else { Some((numerator.checked_mul(power)?, 1)) }
}

/// Returns a whole number.
///
/// # Errors
/// In the words docker's users know.
pub(crate) fn integer(text: &str) -> Result<i64, Reason> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// The capabilities of Linux 5.9 and later, `capabilities(7)`.
pub(crate) const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Returns a capability in upper case and without `CAP_`, or `ALL`.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn capability(text: &str) -> Result<String, Reason> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if upper == "ALL" || CAPABILITIES.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!("unknown capability: \"CAP_{name}\""))
    }
}

/// Returns a container's name without a leading slash.
///
/// # Errors
/// When it isn't `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub(crate) fn container_name(text: &str) -> Result<String, Reason> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let well_formed = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if well_formed {
        Ok(name.to_owned())
    } else {
        Err(format!("Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
    }
}

/// Returns the entry of `-e`: as it stands, or from the caller's environment when only a name is
/// given. When the caller has no such variable, the name alone takes it from the container.
///
/// # Errors
/// When the name is empty.
pub(crate) fn environment(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Reason> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    if text.contains('=') {
        return Ok(text.to_owned());
    }
    Ok(lookup(text).map_or_else(|| text.to_owned(), |value| format!("{text}={value}")))
}

/// Returns a switch's value as Go reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Returns why a file can't be opened, in Go's words.
pub(crate) fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// Returns a label's name and value; the value is empty when only a name is given.
///
/// # Errors
/// When the name is empty.
pub(crate) fn label(text: &str) -> Result<(String, String), Reason> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.trim().is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Returns the conditions of `--filter`.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn filters(parsed: &super::Parsed) -> Result<Filters, Failure> {
    let mut filters = Filters::default();
    for text in parsed.all("filter").filter(|text| !text.is_empty()) {
        filters
            .add(text)
            .map_err(|cause| super::create::invalid(text, "-f, --filter", &cause.to_string()))?;
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", 0),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("512", 512),
            ("512b", 512),
            ("6 mb", 6 << 20),
            ("2K", 2048),
            ("1t", 1 << 40),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for (text, reason) in [
            ("x", "invalid size: 'x'"),
            ("1q", "invalid suffix: 'q'"),
            ("1bb", "invalid suffix: 'bb'"),
            ("1mm", "invalid suffix: 'mm'"),
            ("-1", "invalid size: '-1'"),
            ("1.2.3m", "strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"),
            ("99999999p", "invalid size: '99999999p'"),
        ] {
            assert_eq!(bytes(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn cpu_counts() {
        assert_eq!(cpus("1.5"), Ok(Some(1_500_000_000)));
        assert_eq!(cpus(".5"), Ok(Some(500_000_000)));
        assert_eq!(cpus("2"), Ok(Some(2_000_000_000)));
        assert_eq!(cpus("0"), Ok(None));
        assert_eq!(cpus("0.1000000000"), Ok(Some(100_000_000)));
        assert_eq!(cpus("3/2"), Ok(Some(1_500_000_000)));
        assert_eq!(cpus("+15e-1"), Ok(Some(1_500_000_000)));
        assert_eq!(cpus("1e1"), Ok(Some(10_000_000_000)));
        assert_eq!(cpus("1/3"), Err("value is too precise".to_owned()));
        for text in ["1/0", "/2", ".", "1e", "1e99", "1.5/2"] {
            assert_eq!(cpus(text), Err(format!("failed to parse {text} as a rational number")));
        }
        assert_eq!(cpus("a"), Err("failed to parse a as a rational number".to_owned()));
        assert_eq!(cpus(""), Err("failed to parse  as a rational number".to_owned()));
        assert_eq!(cpus("-1"), Err("failed to parse -1 as a rational number".to_owned()));
        assert_eq!(cpus("0.0000000001"), Err("value is too precise".to_owned()));
    }

    #[test]
    fn names_and_capabilities() {
        assert_eq!(capability("net_admin"), Ok("NET_ADMIN".into()));
        assert_eq!(capability("CAP_SYS_TIME"), Ok("SYS_TIME".into()));
        assert_eq!(capability("all"), Ok("ALL".into()));
        assert_eq!(capability("x"), Err("unknown capability: \"CAP_X\"".into()));
        assert_eq!(container_name("/web-1"), Ok("web-1".into()));
        for bad in ["", "a", "-ab", "a b", "ab/c", "é1"] {
            assert!(container_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn environment_and_labels() {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        assert_eq!(environment("A=b=c", &lookup), Ok("A=b=c".into()));
        assert_eq!(environment("HOME", &lookup), Ok("HOME=/root".into()));
        assert_eq!(environment("NONE", &lookup), Ok("NONE".into()));
        assert!(environment("=x", &lookup).is_err());
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(label("a"), Ok(("a".into(), String::new())));
        assert!(label("=x").is_err());
    }
}
