//! How much disk the engine takes.

use chrono::{DateTime, Utc};
use wharf_inspect::human;
use wharf_inspect::template::{Record, TemplateError};
use wharf_model::{DiskUsage, ImageUsage, Space};

use super::rows::{self, Rows};
use super::{images, ps, volumes};

/// The titles of its fields.
const TITLES: &[(&str, &str)] = &[
    ("Active", "ACTIVE"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Size", "SIZE"),
    ("TotalCount", "TOTAL"),
    ("Type", "TYPE"),
];

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\n\
                   size: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";

/// Returns a row for each kind of objects.
///
/// # Errors
/// When it is no template, or one that asks for a field that isn't there.
pub(crate) fn summary(usage: &DiskUsage, given: &str) -> Result<String, TemplateError> {
    let format = match given {
        "" | "table" => TABLE,
        "raw" => RAW,
        template => template,
    };
    let rows = [
        row("Images", usage.images, true),
        row("Containers", usage.containers, true),
        row("Local Volumes", usage.volumes, true),
        row("Build Cache", usage.build_cache, false),
    ];
    Rows::new(format)?.print(rows, TITLES)
}

fn row(kind: &str, space: Space, percent: bool) -> Record {
    let Space { total, active, size, reclaimable } = space;
    let mut free = human::size(reclaimable);
    if percent && size > 0 {
        let share = u128::from(reclaimable) * 100 / u128::from(size);
        free.push_str(&format!(" ({share}%)"));
    }
    rows::row(
        "*formatter.diskUsageContext",
        vec![
            ("Active", active.to_string()),
            ("Reclaimable", free),
            ("Size", human::size(size)),
            ("TotalCount", total.to_string()),
            ("Type", kind.to_owned()),
        ],
    )
}

const IMAGES: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
                      {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t\
                          {{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "{{.Name}}\t{{.Links}}\t{{.Size}}";

/// Returns each object with its size.
///
/// # Errors
/// As [`summary`].
pub(crate) fn verbose(
    usage: &DiskUsage,
    given: &str,
    now: DateTime<Utc>,
) -> Result<String, TemplateError> {
    let images: Vec<Record> =
        usage.image_list.iter().flat_map(|image| image_rows(image, now)).collect();
    let containers: Vec<Record> =
        usage.container_list.iter().map(|container| ps::row(container, true, now)).collect();
    let volumes: Vec<Record> = usage.volume_list.iter().map(volumes::row).collect();
    let mut out = String::new();
    for (title, template, rows, titles) in [
        ("Images", IMAGES, images, images::TITLES),
        ("Containers", CONTAINERS, containers, ps::TITLES),
        ("Local Volumes", VOLUMES, volumes, volumes::TITLES),
    ] {
        match given {
            "json" | "raw" => out.push_str(&Rows::new("json")?.print(rows, titles)?),
            _ => {
                let table = Rows::new(&format!("table {template}"))?.print(rows, titles)?;
                out.push_str(&format!("{title} space usage:\n\n{table}\n"));
            }
        }
    }
    if !matches!(given, "json" | "raw") {
        let cache = human::size(usage.build_cache.size);
        out.push_str(&format!(
            "Build cache usage: {cache}\n\n\
             CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"
        ));
    }
    Ok(out)
}

fn image_rows(usage: &ImageUsage, now: DateTime<Utc>) -> Vec<Record> {
    let mut rows = images::rows(&usage.image, true, now);
    // What another name of it has isn't shown again.
    rows.truncate(1);
    for row in &mut rows {
        for (name, value) in &mut row.fields {
            match name.as_str() {
                "SharedSize" => *value = human::size(usage.shared).into(),
                "UniqueSize" => {
                    *value = human::size(usage.image.size.saturating_sub(usage.shared)).into();
                }
                _ => {}
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_summed_up_as_docker_does() {
        let usage = DiskUsage {
            images: Space { total: 3, active: 1, size: 4_500_000, reclaimable: 1_500_000 },
            containers: Space { total: 1, active: 1, size: 7, reclaimable: 0 },
            ..DiskUsage::default()
        };
        insta::assert_snapshot!(summary(&usage, "").unwrap(), @r"
        TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
        Images          3         1         4.5MB     1.5MB (33%)
        Containers      1         1         7B        0B (0%)
        Local Volumes   0         0         0B        0B
        Build Cache     0         0         0B        0B
        ");
        assert_eq!(
            summary(&usage, "{{.Type}} {{.Active}}").unwrap().lines().nth(2),
            Some("Local Volumes 0")
        );
        let text = verbose(&usage, "", Utc::now()).unwrap();
        assert!(text.starts_with("Images space usage:\n\nREPOSITORY   TAG"), "{text}");
        assert!(text.contains("\nBuild cache usage: 0B\n"), "{text}");
    }
}
