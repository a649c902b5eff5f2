//! What `--log-opt` adds to records of logs.

use std::collections::BTreeMap;

/// Returns a log record's attributes as docker writes them: `key=value,key=value`, escaped as in a query.
pub fn log_attributes(attributes: &BTreeMap<String, String>) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pairs: Vec<String> = attributes
        .iter()
        .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)))
        .collect();
    pairs.join(",")
}
