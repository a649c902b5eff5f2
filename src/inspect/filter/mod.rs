//! Which containers, images and events a `--filter` lets through, by docker's rules.
//!
//! A filter is made once of the conditions as the user wrote them, which is when wrong keys and
//! values are refused, and is then asked about each object.

mod containers;
mod events;
mod images;
mod networks;
mod ports;
mod volumes;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use regex::Regex;
use wharf_model::{Filters, ParseError};

pub use containers::{ContainerFilter, PruneFilter};
pub use events::EventFilter;
pub use images::{ImageFilter, ImagePruneFilter};
pub use networks::{NetworkFilter, NetworkPruneFilter};
pub use volumes::{VolumeFilter, VolumePruneFilter};

/// Refuses keys that mean nothing here.
fn check_keys(filters: &Filters, known: &[&str]) -> Result<(), ParseError> {
    match filters.keys().find(|key| !known.contains(key)) {
        Some(key) => Err(ParseError(format!("invalid filter '{key}'"))),
        None => Ok(()),
    }
}

/// Returns a condition that is true or false; none when it isn't given.
fn truth(filters: &Filters, key: &str) -> Result<Option<bool>, ParseError> {
    match filters.values(key) {
        [] => Ok(None),
        [value] if matches!(value.to_lowercase().as_str(), "1" | "t" | "true") => Ok(Some(true)),
        [value] if matches!(value.to_lowercase().as_str(), "0" | "f" | "false") => Ok(Some(false)),
        values => Err(ParseError(format!("invalid filter '{key}=[{}]'", values.join(" ")))),
    }
}

/// Returns the instant that `until` names.
fn until(filters: &Filters, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ParseError> {
    match filters.values("until") {
        [] => Ok(None),
        [value] => crate::instant::instant(value, now).map(Some).map_err(|_| {
            ParseError(format!("failed to parse value as time or duration: {value:?}"))
        }),
        _ => Err(ParseError("more than one until filter specified".to_owned())),
    }
}

/// Returns whether all conditions on labels hold: `NAME` or `NAME=VALUE`.
fn labels_match(wanted: &[String], labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|condition| match condition.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|label| label == value),
        None => labels.contains_key(condition),
    })
}

/// Regular expressions of which one must match; what is none is passed over, as docker does.
#[derive(Clone, Debug, Default)]
struct Patterns(Option<Vec<Regex>>);

impl Patterns {
    fn new(filters: &Filters, key: &str) -> Self {
        let patterns = filters.values(key).iter().filter_map(|text| Regex::new(text).ok());
        Self(filters.contains(key).then(|| patterns.collect()))
    }

    fn matches(&self, texts: &[&str]) -> bool {
        let Some(patterns) = &self.0 else { return true };
        patterns.iter().any(|pattern| texts.iter().any(|text| pattern.is_match(text)))
    }
}

/// Returns whether a value is asked for, or nothing is.
fn one_of(filters: &Filters, key: &str, value: &str) -> bool {
    !filters.contains(key) || filters.values(key).iter().any(|wanted| wanted == value)
}
