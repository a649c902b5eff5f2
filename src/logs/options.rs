//! `--log-opt`: what the options of a log driver ask for, checked as docker does.

use std::collections::BTreeMap;

use regex::Regex;
use wharf_model::{LogConfig, LogDriver};

use crate::Rotation;

/// What a driver of docker's keeps by default where it rotates by itself: `local`'s 20 MiB.
const LOCAL_SIZE: u64 = 20 * 1024 * 1024;
/// And how many files.
const LOCAL_FILES: u32 = 5;

/// What waits at most for a log that isn't waited for: docker's 1 MiB.
const BUFFER: u64 = 1 << 20;

/// What the tag's template and the attributes are made of.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The container's whole id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its image, as the user named it.
    pub image: &'a str,
    /// The image's id: `sha256:…`.
    pub image_id: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its environment, `NAME=value`.
    pub env: &'a [String],
}

/// Checks the options of a container that is about to be made.
///
/// # Errors
/// Docker's sentence, when an option isn't the driver's or has no sense.
pub fn check(config: &LogConfig) -> Result<(), String> {
    if config.driver == LogDriver::None {
        return match config.options.is_empty() {
            true => Ok(()),
            false => Err("invalid logging opts for driver none".to_owned()),
        };
    }
    let options = &config.options;
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(format!("logger: logging mode not supported: {mode}"));
    }
    if options.contains_key("max-buffer-size") && mode != "non-blocking" {
        return Err(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'".to_owned()
        );
    }
    buffer(config)?;
    let known: &[&str] = match config.driver {
        LogDriver::Local => &["max-size", "max-file", "compress"],
        _ => &[
            "max-size",
            "max-file",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
        ],
    };
    let driver = config.driver.as_str();
    if let Some(name) = options.keys().find(|key| {
        !matches!(key.as_str(), "mode" | "max-buffer-size") && !known.contains(&key.as_str())
    }) {
        return Err(format!("unknown log opt '{name}' for {driver} log driver"));
    }
    rotation(config)?;
    for name in ["labels-regex", "env-regex"] {
        if let Some(pattern) = options.get(name) {
            Regex::new(pattern).map_err(|_| format!("invalid {name} pattern: {pattern}"))?;
        }
    }
    let labels = BTreeMap::new();
    let nobody = About { id: "", name: "", image: "", image_id: "", labels: &labels, env: &[] };
    tag(config, &nobody).map(drop)
}

/// Returns how many bytes may wait to be written while the container goes on, where it doesn't wait
/// for its log (`mode=non-blocking`).
///
/// # Errors
/// Docker's sentence, when the size has no sense.
pub fn buffer(config: &LogConfig) -> Result<Option<u64>, String> {
    if config.options.get("mode").is_none_or(|mode| mode != "non-blocking") {
        return Ok(None);
    }
    match config.options.get("max-buffer-size") {
        None => Ok(Some(BUFFER)),
        Some(size) => size_of(size, 1024)
            .map(Some)
            .map_err(|reason| format!("error parsing option max-buffer-size: {reason}")),
    }
}

/// Returns when a log is rotated.
///
/// # Errors
/// Docker's sentence, when an option has no sense.
pub fn rotation(config: &LogConfig) -> Result<Rotation, String> {
    let option = |name: &str| config.options.get(name).map(String::as_str);
    let local = config.driver == LogDriver::Local;
    let max_size = match option("max-size") {
        // -1 is docker's word for no limit.
        Some("-1") => None,
        Some(text) => {
            let size = size_of(text, 1000)
                .map_err(|reason| format!("error parsing option max-size: {reason}"))?;
            if size == 0 {
                return Err("max-size must be a positive number".to_owned());
            }
            Some(size)
        }
        None => local.then_some(LOCAL_SIZE),
    };
    let max_files = match option("max-file") {
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
            .and_then(|count| {
                u32::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or_else(|| "max-file cannot be less than 1".to_owned())
            })?,
        None if local => LOCAL_FILES,
        None => 1,
    };
    let compress = match option("compress") {
        None => local && max_files > 1 && max_size.is_some(),
        Some(text) => {
            let compress = boolean(text)
                .ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))?;
            if compress && (max_files == 1 || max_size.is_none()) {
                return Err(
                    "compress cannot be true when max-file is less than 2 or max-size is not set"
                        .to_owned(),
                );
            }
            compress
        }
    };
    Ok(Rotation { max_size, max_files, compress })
}

/// Returns a truth value as Go reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Returns the bytes of `10m`; `base` is what a unit counts by.
fn size_of(text: &str, base: u64) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let exponent = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    let size = number * (base as f64).powi(exponent);
    if !(0.0..9.0e18).contains(&size) {
        return Err(invalid());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above: not negative, and below 2^63"
    )]
    Ok(size as u64)
}

/// Returns the attributes that each record of a container bears: the labels and variables that the
/// options name, and the tag.
///
/// # Errors
/// When a pattern or the tag's template can't be understood.
pub fn attributes(
    config: &LogConfig,
    about: &About<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    let names = |option: &str| -> Vec<String> {
        let text = config.options.get(option).map_or("", String::as_str);
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let pattern = |option: &str| {
        let pattern = config.options.get(option).filter(|pattern| !pattern.is_empty());
        pattern
            .map(|pattern| {
                Regex::new(pattern).map_err(|_| format!("invalid {option} pattern: {pattern}"))
            })
            .transpose()
    };
    let mut take = |option: &str, entries: &mut dyn Iterator<Item = (&str, &str)>| {
        let (wanted, matching) = (names(option), pattern(&format!("{option}-regex"))?);
        for (key, value) in entries {
            if wanted.iter().any(|name| name == key)
                || matching.as_ref().is_some_and(|matching| matching.is_match(key))
            {
                found.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok::<(), String>(())
    };
    take("labels", &mut about.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    take("env", &mut about.env.iter().filter_map(|entry| entry.split_once('=')))?;
    if let Some(tag) = tag(config, about)?.filter(|tag| !tag.is_empty()) {
        found.insert("tag".to_owned(), tag);
    }
    Ok(found)
}

/// Returns the tag: docker's template with its fields filled in.
fn tag(config: &LogConfig, about: &About<'_>) -> Result<Option<String>, String> {
    let Some(template) = config.options.get("tag") else { return Ok(None) };
    let bad = || {
        format!(
            "invalid tag {template:?}: give text with {{{{.ID}}}}, {{{{.FullID}}}}, {{{{.Name}}}}, \
             {{{{.ImageID}}}}, {{{{.ImageFullID}}}}, {{{{.ImageName}}}} or {{{{.DaemonName}}}}"
        )
    };
    let short = |id: &str| {
        let digits = id.strip_prefix("sha256:").unwrap_or(id);
        digits.get(..12).unwrap_or(digits).to_owned()
    };
    let mut text = String::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, after) = after.split_once("}}").ok_or_else(bad)?;
        text.push_str(before);
        text.push_str(&match field.trim() {
            ".ID" => short(about.id),
            ".FullID" => about.id.to_owned(),
            ".Name" => about.name.to_owned(),
            ".ImageID" => short(about.image_id),
            ".ImageFullID" => about.image_id.to_owned(),
            ".ImageName" => about.image.to_owned(),
            ".DaemonName" => "wharf".to_owned(),
            _ => return Err(bad()),
        });
        rest = after;
    }
    text.push_str(rest);
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(driver: LogDriver, options: &[(&str, &str)]) -> LogConfig {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LogConfig { driver, options }
    }

    #[test]
    fn options_are_checked_as_docker_does() {
        let complaint =
            |options: &[(&str, &str)]| check(&config(LogDriver::JsonFile, options)).unwrap_err();
        assert_eq!(complaint(&[("foo", "1")]), "unknown log opt 'foo' for json-file log driver");
        assert_eq!(complaint(&[("mode", "odd")]), "logger: logging mode not supported: odd");
        assert!(complaint(&[("max-buffer-size", "4m")]).contains("only supported with"));
        assert_eq!(complaint(&[("max-file", "0")]), "max-file cannot be less than 1");
        assert!(complaint(&[("compress", "true")]).starts_with("compress cannot be true"));
        assert!(complaint(&[("max-size", "ten")]).contains("invalid size: 'ten'"));
        assert!(complaint(&[("tag", "{{.Nope}}")]).contains("invalid tag"));
        assert!(complaint(&[("labels-regex", "(")]).contains("labels-regex"));
        let local = |options: &[(&str, &str)]| check(&config(LogDriver::Local, options));
        assert_eq!(
            local(&[("labels", "a")]).unwrap_err(),
            "unknown log opt 'labels' for local log driver"
        );
        local(&[("max-file", "1")]).unwrap();
        assert!(check(&config(LogDriver::None, &[("max-size", "1m")])).is_err());
        check(&config(
            LogDriver::JsonFile,
            &[("mode", "non-blocking"), ("max-buffer-size", "4m"), ("max-size", "10m")],
        ))
        .unwrap();
    }

    #[test]
    fn rotation_has_each_drivers_defaults() {
        let of = |driver, options: &[(&str, &str)]| rotation(&config(driver, options)).unwrap();
        assert_eq!(of(LogDriver::JsonFile, &[]), Rotation::default());
        let local = Rotation { max_size: Some(20 << 20), max_files: 5, compress: true };
        assert_eq!(of(LogDriver::Local, &[]), local);
        let some = of(LogDriver::JsonFile, &[("max-size", "10m"), ("max-file", "3")]);
        let expected = Rotation { max_size: Some(10_000_000), max_files: 3, compress: false };
        assert_eq!(some, expected, "docker counts by 1000 here");
    }

    #[test]
    fn records_bear_what_is_asked_for() {
        let labels =
            [("a", "1"), ("b.c", "2"), ("d", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let labels = BTreeMap::from(labels);
        let env = ["HOME=/root".to_owned(), "MY_X=y=z".to_owned()];
        let id = "0123456789abcdef";
        let about = About {
            id,
            name: "web",
            image: "busybox",
            image_id: "sha256:fedcba9876543210",
            labels: &labels,
            env: &env,
        };
        let config = config(
            LogDriver::JsonFile,
            &[
                ("labels", "a,nope"),
                ("labels-regex", r"^b\."),
                ("env-regex", "^MY_"),
                ("tag", "{{.Name}}/{{ .ID }}-{{.ImageID}}"),
            ],
        );
        let found = attributes(&config, &about).unwrap();
        let expected =
            [("MY_X", "y=z"), ("a", "1"), ("b.c", "2"), ("tag", "web/0123456789ab-fedcba987654")];
        assert!(found.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{found:?}");
    }
}
