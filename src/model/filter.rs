//! What of a list is wanted: docker's `--filter`, and the options of lists and event streams.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Conditions: a key with the values given for it, in the shape in which docker's API takes them.
/// What a key means, and which there are, depends on what is listed; the engine says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Adds a condition as the command line has it: `KEY=VALUE`.
    ///
    /// # Errors
    /// When there is no `=`.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(ParseError("bad format of filter (expected name=value)".to_owned()));
        };
        self.insert(&key.trim().to_lowercase(), value.trim());
        Ok(())
    }

    /// Adds a value for a key.
    pub fn insert(&mut self, key: &str, value: &str) {
        let values = self.0.entry(key.to_owned()).or_default();
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }

    /// Returns the values of a key, none when it isn't asked for.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a key is asked for.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Filters {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(conditions: T) -> Self {
        let mut filters = Self::default();
        for (key, value) in conditions {
            filters.insert(key, value);
        }
        filters
    }
}

/// Which containers are wanted, and what of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerListOptions {
    /// Those that don't run too.
    pub all: bool,
    /// Only so many of the newest, in any state.
    pub last: Option<usize>,
    /// Their sizes on disk, which are costly to find out.
    pub size: bool,
    /// What must hold.
    pub filters: Filters,
}

/// Which images are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageListOptions {
    /// What must hold.
    pub filters: Filters,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventOptions {
    /// From this instant on; what the engine remembers comes first.
    pub since: Option<DateTime<Utc>>,
    /// Up to this instant; the stream ends then.
    pub until: Option<DateTime<Utc>>,
    /// What must hold.
    pub filters: Filters,
}

impl EventOptions {
    /// Returns whether what is remembered is wanted, not only what happens from now on.
    pub fn wants_history(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_docker_reads_them() {
        let mut filters = Filters::default();
        for text in ["status=exited", " Status = running", "label=a=b", "label!=c", "name="] {
            filters.add(text).unwrap();
        }
        filters.add("status=exited").unwrap();
        assert_eq!(filters.values("status"), ["exited", "running"]);
        assert_eq!(filters.values("label"), ["a=b"]);
        assert_eq!(filters.values("label!"), ["c"]);
        assert_eq!(filters.values("name"), [""]);
        assert!(filters.values("foo").is_empty() && !filters.contains("foo"));
        assert_eq!(
            serde_json::to_string(&filters).unwrap(),
            r#"{"label":["a=b"],"label!":["c"],"name":[""],"status":["exited","running"]}"#
        );
        assert!(filters.add("status").is_err());
    }
}
