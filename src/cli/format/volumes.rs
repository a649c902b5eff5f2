//! The list of volumes.

use wharf_inspect::human;
use wharf_inspect::template::Record;
use wharf_model::VolumeInfo;

use super::rows;

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("Availability", "AVAILABILITY"),
    ("Driver", "DRIVER"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

/// Returns the template that `--format` stands for.
pub(crate) fn format(given: &str, quiet: bool) -> &str {
    match (given, quiet) {
        ("raw", true) => "name: {{.Name}}",
        ("raw", false) => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        ("" | "table", true) => "{{.Name}}",
        ("" | "table", false) => "table {{.Driver}}\t{{.Name}}",
        (template, _) => template,
    }
}

/// Returns the template of `volume size`.
pub(crate) fn size_format(given: &str) -> &str {
    match given {
        "" | "table" => "table {{.Name}}\t{{.Links}}\t{{.Size}}",
        template => template,
    }
}

/// Returns a row. As with docker, only who asks for sizes learns of them and of the users.
pub(crate) fn row(volume: &VolumeInfo) -> Record {
    let labels: Vec<String> =
        volume.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let unknown = || "N/A".to_owned();
    rows::row(
        "*formatter.volumeContext",
        vec![
            ("Availability", unknown()),
            ("Driver", volume.driver.clone()),
            ("Group", unknown()),
            ("Labels", labels.join(",")),
            ("Links", volume.size.map_or_else(unknown, |_| volume.users.len().to_string())),
            ("Mountpoint", volume.mountpoint.clone()),
            ("Name", volume.name.clone()),
            ("Scope", volume.scope.clone()),
            ("Size", volume.size.map_or_else(unknown, human::size)),
            ("Status", unknown()),
        ],
    )
}
