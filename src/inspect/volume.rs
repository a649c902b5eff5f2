//! Docker's inspect document of a volume.

use chrono::{Local, SecondsFormat};
use serde_json::{Value, json};
use wharf_model::VolumeInfo;

/// Returns docker's document of a volume.
pub fn volume_document(volume: &VolumeInfo) -> Value {
    // Docker writes nothing, not an empty map.
    let map = |map: &std::collections::BTreeMap<String, String>| match map.is_empty() {
        true => Value::Null,
        false => json!(map),
    };
    let created = volume
        .created
        .map(|at| at.with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Secs, true));
    json!({
        "CreatedAt": created,
        "Driver": volume.driver,
        "Labels": map(&volume.labels),
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": map(&volume.options),
        "Scope": volume.scope,
    })
}
