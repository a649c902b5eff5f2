//! The list of images.

use chrono::{DateTime, Utc};
use wharf_inspect::human;
use wharf_inspect::template::Record;
use wharf_model::ImageSummary;

use super::rows;

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// What of the list is wanted, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Ids alone.
    pub(crate) quiet: bool,
    /// Short ids.
    pub(crate) truncate: bool,
    /// A column of digests.
    pub(crate) digests: bool,
}

/// Returns the template that `--format` stands for.
pub(crate) fn format(given: &str, view: View) -> String {
    let digest = |text: &str| if view.digests { text.to_owned() } else { String::new() };
    match (given, view.quiet) {
        ("raw", true) => "image_id: {{.ID}}".to_owned(),
        ("raw", false) => format!(
            "repository: {{{{.Repository}}}}\n{}tag: {{{{.Tag}}}}\nimage_id: {{{{.ID}}}}\n\
             created_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n",
            digest("digest: {{.Digest}}\n")
        ),
        ("" | "table", true) => "{{.ID}}".to_owned(),
        ("" | "table", false) => format!(
            "table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{}{{{{.ID}}}}\t{{{{.CreatedSince}}}}\t\
             {{{{.Size}}}}",
            digest("{{.Digest}}\t")
        ),
        (template, _) if template.starts_with("table") && !template.contains("{{.Digest}}") => {
            format!("{template}{}", digest("\t{{.Digest}}"))
        }
        (template, _) => template.to_owned(),
    }
}

/// Returns an image as rows: one for each name.
pub(crate) fn rows(image: &ImageSummary, truncate: bool, now: DateTime<Utc>) -> Vec<Record> {
    let none = || "<none>".to_owned();
    let mut names: Vec<(String, String)> =
        image.tags.iter().map(|name| (name.familiar_repository(), name.tag().to_owned())).collect();
    if names.is_empty() {
        // It was pulled by its digest, or its tag is another's now.
        let repositories = image.repo_digests.iter().filter_map(|text| text.split_once('@'));
        names.extend(repositories.map(|(repository, _)| (repository.to_owned(), none())));
        names.dedup();
    }
    if names.is_empty() {
        names.push((none(), none()));
    }
    let id = if truncate { image.id.short() } else { image.id.as_str() };
    let row = |(repository, tag): (String, String)| {
        let mut digests = image.repo_digests.iter().filter_map(|text| text.split_once('@'));
        let digest = digests.find(|(of, _)| *of == repository);
        let unknown = || "N/A".to_owned();
        rows::row(
            "*formatter.imageContext",
            vec![
                ("Containers", image.containers.to_string()),
                ("CreatedAt", image.created.map_or_else(unknown, rows::time)),
                ("CreatedSince", image.created.map_or_else(unknown, |at| human::ago(at, now))),
                ("Digest", digest.map_or_else(none, |(_, digest)| digest.to_owned())),
                ("ID", id.to_owned()),
                ("Repository", repository),
                ("SharedSize", unknown()),
                ("Size", human::image_size(image.size)),
                ("Tag", tag),
                ("UniqueSize", unknown()),
                ("VirtualSize", human::size(image.size)),
            ],
        )
    };
    names.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::Digest;

    fn image(tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: Digest::from_bytes(&[0xcd; 32]),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            repo_digests: Vec::new(),
            created: Some("2024-05-01T12:00:00Z".parse().unwrap()),
            size: 7_049_688,
            containers: 0,
            labels: std::collections::BTreeMap::default(),
        }
    }

    #[test]
    fn one_row_a_name() {
        let now = "2024-05-06T12:00:00Z".parse().unwrap();
        let images = [image(&["alpine", "localhost:5000/a/b:1.2"]), image(&[])];
        let view = View { quiet: false, truncate: true, digests: false };
        let shown = |given: &str, view: View| {
            let all = images.iter().flat_map(|image| rows(image, view.truncate, now));
            rows::Rows::new(&format(given, view)).unwrap().print(all, TITLES).unwrap()
        };
        insta::assert_snapshot!(shown("", view), @r"
        REPOSITORY           TAG       IMAGE ID       CREATED      SIZE
        alpine               latest    cdcdcdcdcdcd   5 days ago   7.05MB
        localhost:5000/a/b   1.2       cdcdcdcdcdcd   5 days ago   7.05MB
        <none>               <none>    cdcdcdcdcdcd   5 days ago   7.05MB
        ");
        let digests = View { digests: true, truncate: false, ..view };
        assert!(shown("table", digests).contains("<none>    sha256:cdcd"));
        assert!(shown("table {{.ID}}", digests).starts_with("IMAGE ID"));
        assert!(shown("table {{.ID}}", digests).contains("DIGEST\n"));
        assert!(shown("raw", view).starts_with("repository: alpine\ntag: latest\nimage_id: cdcd"));
        let by_digest =
            ImageSummary { repo_digests: vec!["a/b@sha256:1".to_owned()], ..image(&[]) };
        let row = &rows(&by_digest, true, now)[0].fields;
        let field = |name: &str| row.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(field("Repository").as_text(), Some("a/b"));
        assert_eq!(field("Digest").as_text(), Some("sha256:1"));
        let quiet = View { quiet: true, ..view };
        assert_eq!(shown("raw", quiet).lines().next(), Some("image_id: cdcdcdcdcdcd"));
        assert_eq!(shown("{{.Tag}}|{{.VirtualSize}}", quiet).lines().next(), Some("latest|7.05MB"));
    }
}
