//! The list of networks.

use wharf_inspect::template::Record;
use wharf_model::NetworkInfo;

use super::rows;

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("CreatedAt", "CREATED AT"),
    ("Driver", "DRIVER"),
    ("ID", "NETWORK ID"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("Name", "NAME"),
    ("Scope", "SCOPE"),
];

/// Returns the template that `--format` stands for.
pub(crate) fn format(given: &str, quiet: bool) -> String {
    match (given, quiet) {
        ("raw", true) => "network_id: {{.ID}}",
        ("raw", false) => {
            "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
        }
        ("" | "table", true) => "{{.ID}}",
        ("" | "table", false) => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        (template, _) => template,
    }
    .to_owned()
}

/// Returns a network as a row.
pub(crate) fn row(network: &NetworkInfo, truncate: bool) -> Record {
    let id = if truncate { network.id.get(..12).unwrap_or(&network.id) } else { &network.id };
    let created = network.created.format("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string();
    let labels: Vec<String> =
        network.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut row = rows::row(
        "*network.networkContext",
        vec![
            ("CreatedAt", created),
            ("Driver", network.driver.clone()),
            ("ID", id.to_owned()),
            ("IPv4", network.ipv4.to_string()),
            ("IPv6", network.ipv6.to_string()),
            ("Internal", network.internal.to_string()),
            ("Labels", labels.join(",")),
            ("Name", network.name.clone()),
            ("Scope", network.scope.clone()),
        ],
    );
    row.hidden.push(("Label".to_owned(), rows::label(network.labels.clone())));
    row
}
