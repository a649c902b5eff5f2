//! The steps of an image.

use chrono::{DateTime, SecondsFormat, Utc};
use wharf_model::HistoryEntry;

use wharf_inspect::human;

use super::{table, text};

/// Returns the table of `history`. `human` sizes and ages, or bytes and times.
pub(crate) fn table(
    entries: &[HistoryEntry],
    truncate: bool,
    human: bool,
    now: DateTime<Utc>,
) -> String {
    let header = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let step = text::clean(&entry.created_by);
        [
            id(entry, truncate),
            match entry.created {
                None => "N/A".to_owned(),
                Some(time) if human => human::ago(time, now),
                Some(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
            },
            if truncate { text::ellipsis(&step, 45) } else { step },
            if human { human::image_size(entry.size) } else { entry.size.to_string() },
            text::clean(&entry.comment),
        ]
    }));
    table::render(&rows, table::LIST)
}

/// Returns the ids, one a line.
pub(crate) fn ids(entries: &[HistoryEntry], truncate: bool) -> String {
    entries.iter().map(|entry| format!("{}\n", id(entry, truncate))).collect()
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
        insta::assert_snapshot!(table(&entries, true, true, now), @r#"
        IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT
        010101010101   4 weeks ago   CMD ["/bin/sh"]                                 0B        
        <missing>      4 weeks ago   ADD file:37a76ec18f9887751cd8473744917d08b74…   7.05MB    
        "#);
        assert!(table(&entries, false, false, now).contains("2024-04-06T12:00:00Z"));
        assert_eq!(ids(&entries, true), "010101010101\n<missing>\n");
    }
}
