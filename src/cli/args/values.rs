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

/// The least memory limit that docker takes.
const LEAST_MEMORY: u64 = 6 << 20;

/// Returns a memory limit (`-m`); 0 is none.
///
/// # Errors
/// As [`bytes`], or when it is less than 6 MiB.
pub(crate) fn memory(text: &str) -> Result<Option<u64>, Reason> {
    match bytes(text)? {
        0 => Ok(None),
        size if size < LEAST_MEMORY => Err("Minimum memory limit allowed is 6MB".to_owned()),
        size => Ok(Some(size)),
    }
}

/// Returns billionths of a CPU from a decimal number of CPUs (`--cpus`); 0 is no limit.
///
/// # Errors
/// When it isn't a number that is not negative, or has more than nine decimals.
pub(crate) fn cpus(text: &str) -> Result<Option<u64>, Reason> {
    let bad = || format!("failed to parse {text} as a rational number");
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(bad());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
    let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    let nano =
        whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(fraction)).ok_or_else(bad)?;
    Ok((nano > 0).then_some(nano))
}

/// Refuses more CPUs than there are.
///
/// # Errors
/// In docker's words.
pub(crate) fn check_cpus(nano_cpus: u64, available: usize) -> Result<(), Reason> {
    let most = u64::try_from(available).unwrap_or(u64::MAX).saturating_mul(1_000_000_000);
    if nano_cpus > most {
        return Err(format!(
            "Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs \
             available"
        ));
    }
    Ok(())
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

/// Returns the `NAME=value` entry of `-e`: as it stands, or from the caller's environment when only
/// a name is given. None when the caller has no such variable.
///
/// # Errors
/// When the name is empty.
pub(crate) fn environment(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, Reason> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    if text.contains('=') {
        return Ok(Some(text.to_owned()));
    }
    Ok(lookup(text).map(|value| format!("{text}={value}")))
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
        assert_eq!(memory("5m"), Err("Minimum memory limit allowed is 6MB".to_owned()));
        assert_eq!(memory("6m"), Ok(Some(6 << 20)));
        assert_eq!(memory("0"), Ok(None));
    }

    #[test]
    fn cpu_counts() {
        assert_eq!(cpus("1.5"), Ok(Some(1_500_000_000)));
        assert_eq!(cpus(".5"), Ok(Some(500_000_000)));
        assert_eq!(cpus("2"), Ok(Some(2_000_000_000)));
        assert_eq!(cpus("0"), Ok(None));
        assert_eq!(cpus("0.1000000000"), Ok(Some(100_000_000)));
        assert_eq!(cpus("a"), Err("failed to parse a as a rational number".to_owned()));
        assert_eq!(cpus(""), Err("failed to parse  as a rational number".to_owned()));
        assert_eq!(cpus("-1"), Err("failed to parse -1 as a rational number".to_owned()));
        assert_eq!(cpus("0.0000000001"), Err("value is too precise".to_owned()));
        assert!(check_cpus(2_000_000_000, 2).is_ok());
        assert_eq!(
            check_cpus(2_500_000_000, 2),
            Err("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available".to_owned())
        );
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
        assert_eq!(environment("A=b=c", &lookup), Ok(Some("A=b=c".into())));
        assert_eq!(environment("HOME", &lookup), Ok(Some("HOME=/root".into())));
        assert_eq!(environment("NONE", &lookup), Ok(None));
        assert!(environment("=x", &lookup).is_err());
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(label("a"), Ok(("a".into(), String::new())));
        assert!(label("=x").is_err());
    }
}
