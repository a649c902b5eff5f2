//! The steps of an image.

use chrono::{DateTime, SecondsFormat, Utc};
use wharf_inspect::human;
use wharf_inspect::template::Record;
use wharf_model::HistoryEntry;

use super::{rows, text};

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("Comment", "COMMENT"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("CreatedSince", "CREATED"),
    ("ID", "IMAGE"),
    ("Size", "SIZE"),
];

/// Returns the template that `--format` stands for.
pub(crate) fn format(given: &str, quiet: bool, human: bool) -> &str {
    match (given, quiet, human) {
        ("" | "table", true, _) => "{{.ID}}",
        ("" | "table", false, true) => {
            "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        }
        ("" | "table", false, false) => {
            "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        }
        (template, ..) => template,
    }
}

/// Returns a step as a row. `human` sizes and ages, or bytes and times.
pub(crate) fn row(entry: &HistoryEntry, truncate: bool, human: bool, now: DateTime<Utc>) -> Record {
    let step = entry.created_by.replace('\t', " ");
    let at = match entry.created {
        None => "N/A".to_owned(),
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    rows::row(
        "*formatter.historyContext",
        vec![
            ("Comment", entry.comment.clone()),
            ("CreatedAt", at.clone()),
            ("CreatedBy", if truncate { text::ellipsis(&step, 45) } else { step }),
            (
                "CreatedSince",
                match entry.created {
                    Some(time) if human => human::ago(time, now),
                    _ => at,
                },
            ),
            ("ID", id(entry, truncate)),
            ("Size", if human { human::image_size(entry.size) } else { entry.size.to_string() }),
        ],
    )
}

fn id(entry: &HistoryEntry, truncate: bool) -> String {
    match &entry.id {
        None => "<missing>".to_owned(),
        Some(id) if truncate => id.short().to_owned(),
        Some(id) => id.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::Digest;

    #[test]
    fn newest_first_with_missing_ids() {
        let now = "2024-05-06T12:00:00Z".parse().unwrap();
        let entry = |id: bool, by: &str, size| HistoryEntry {
            id: id.then(|| Digest::from_bytes(&[1; 32])),
            created: Some("2024-04-06T12:00:00Z".parse().unwrap()),
            created_by: by.to_owned(),
            comment: String::new(),
            size,
            empty_layer: size == 0,
            tags: Vec::new(),
        };
        let entries = [
            entry(true, "CMD [\"/bin/sh\"]", 0),
            entry(
                false,
                "ADD file:37a76ec18f9887751cd8473744917d08b7431fc4085097bb6a09 in /",
                7_049_688,
            ),
        ];
        let shown = |given: &str, quiet, human| {
            let all = entries.iter().map(|entry| row(entry, true, human, now));
            rows::Rows::new(format(given, quiet, human)).unwrap().print(all, TITLES).unwrap()
        };
        insta::assert_snapshot!(shown("", false, true), @r#"
        IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT
        010101010101   4 weeks ago   CMD ["/bin/sh"]                                 0B        
        <missing>      4 weeks ago   ADD file:37a76ec18f9887751cd8473744917d08b74…   7.05MB    
        "#);
        assert!(shown("", false, false).contains("CREATED AT"));
        assert!(shown("", false, false).contains("2024-04-06T12:00:00Z"));
        assert_eq!(shown("", true, true), "010101010101\n<missing>\n");
        assert_eq!(shown("{{.Size}}", true, false), "0\n7049688\n");
    }
}
