//! The list of images.

use chrono::{DateTime, Utc};
use wharf_model::ImageSummary;

use wharf_inspect::human;

use super::{table, text};

/// What of the list is wanted, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Short ids.
    pub(crate) truncate: bool,
    /// A column of digests.
    pub(crate) digests: bool,
}

/// Returns the table of `images`; `wanted` is `REPOSITORY[:TAG]`.
pub(crate) fn table(
    images: &[ImageSummary],
    wanted: Option<&str>,
    view: View,
    now: DateTime<Utc>,
) -> String {
    let mut header = vec!["REPOSITORY", "TAG"];
    if view.digests {
        header.push("DIGEST");
    }
    header.extend(["IMAGE ID", "CREATED", "SIZE"]);
    let mut rows: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for image in images {
        for (repository, tag) in names(image, wanted) {
            let mut row = vec![text::clean(&repository), text::clean(&tag)];
            if view.digests {
                let digest = image.repo_digests.iter().find_map(|text| text.split_once('@'));
                row.push(digest.map_or("<none>".to_owned(), |(_, digest)| text::clean(digest)));
            }
            row.push(id(image, view.truncate));
            row.push(image.created.map_or("N/A".to_owned(), |created| human::ago(created, now)));
            row.push(human::image_size(image.size));
            rows.push(row);
        }
    }
    table::render(&rows, table::LIST)
}

/// Returns the ids, one a line and each once.
pub(crate) fn ids(images: &[ImageSummary], wanted: Option<&str>, truncate: bool) -> String {
    images
        .iter()
        .filter(|image| !names(image, wanted).is_empty())
        .map(|image| format!("{}\n", id(image, truncate)))
        .collect()
}

fn id(image: &ImageSummary, truncate: bool) -> String {
    if truncate { image.id.short() } else { image.id.as_str() }.to_owned()
}

/// Returns an image's repositories and tags that are wanted; `<none>` for one without a name.
fn names(image: &ImageSummary, wanted: Option<&str>) -> Vec<(String, String)> {
    if image.tags.is_empty() && wanted.is_none() {
        return vec![("<none>".to_owned(), "<none>".to_owned())];
    }
    // A colon after the last slash begins the tag; one before it belongs to the host.
    let wanted = wanted.map(|text| match text.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (text, None),
    });
    image
        .tags
        .iter()
        .filter(|name| {
            wanted.is_none_or(|(repository, tag)| {
                let full = format!("{}/{}", name.domain(), name.path());
                (repository == name.familiar_repository() || repository == full)
                    && tag.is_none_or(|tag| tag == name.tag())
            })
        })
        .map(|name| (name.familiar_repository(), name.tag().to_owned()))
        .collect()
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
        let view = View { truncate: true, digests: false };
        insta::assert_snapshot!(table(&images, None, view, now), @r"
        REPOSITORY           TAG       IMAGE ID       CREATED      SIZE
        alpine               latest    cdcdcdcdcdcd   5 days ago   7.05MB
        localhost:5000/a/b   1.2       cdcdcdcdcdcd   5 days ago   7.05MB
        <none>               <none>    cdcdcdcdcdcd   5 days ago   7.05MB
        ");
        let rows = |wanted| table(&images, Some(wanted), view, now).lines().count() - 1;
        assert_eq!(rows("alpine"), 1);
        assert_eq!(rows("docker.io/library/alpine:latest"), 1);
        assert_eq!(rows("alpine:3"), 0);
        assert_eq!(rows("localhost:5000/a/b"), 1);
        assert_eq!(ids(&images, Some("alpine"), true), "cdcdcdcdcdcd\n");
        let view = View { truncate: false, digests: true };
        assert!(table(&images, None, view, now).contains("<none>    sha256:cdcd"));
    }
}
