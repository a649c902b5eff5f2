//! Images as a tree: below each the machine that it is for.
//!
//! An engine here keeps one image under a name, for one machine, so that each tree has one branch.

use std::collections::BTreeSet;

use wharf_inspect::human;
use wharf_model::{ImageDetail, ImageSummary, LayerInfo};

/// Columns after the names, as wide as docker's; those that there is no room for are left out from the
/// right.
const COLUMNS: [(&str, usize, bool); 4] =
    [("ID", 12, false), ("DISK USAGE", 10, true), ("CONTENT SIZE", 12, true), ("EXTRA", 5, false)];
const BETWEEN: usize = 3;

/// What names have at least: room for any platform.
const NARROWEST: usize = 18;

const LEGEND: &str = "Info ->  U In Use ";

/// An image.
pub(crate) struct Node {
    names: Vec<String>,
    platform: String,
    id: String,
    /// Bytes of the disk: unpacked, and kept as they came.
    disk: u64,
    /// Those that are kept as they came.
    content: u64,
    used: bool,
}

impl Node {
    /// Returns an image with its layers, as far as the engine tells of them.
    pub(crate) fn new(image: &ImageSummary, layers: &[LayerInfo], detail: &ImageDetail) -> Self {
        // The same blob twice is kept once.
        let blobs: BTreeSet<_> =
            layers.iter().filter_map(|layer| layer.space.as_ref()?.blob.as_ref()).collect();
        let content = blobs.iter().map(|(_, size)| size).sum();
        let mut names: Vec<String> = image.tags.iter().map(ToString::to_string).collect();
        if names.is_empty() {
            names.push("<untagged>".to_owned());
        }
        Self {
            names,
            platform: format!("{}/{}", detail.os, detail.architecture),
            id: image.id.short().to_owned(),
            disk: image.size.saturating_add(content),
            content,
            used: image.containers > 0,
        }
    }

    /// Returns what stands right of the name.
    fn cells(&self) -> [String; 4] {
        let used = if self.used { "U" } else { "" };
        let (disk, content) = (human::image_size(self.disk), human::image_size(self.content));
        [self.id.clone(), disk, content, used.to_owned()]
    }
}

/// Returns the tree as so many columns have room for it.
pub(crate) fn draw(nodes: &[Node], columns: usize) -> String {
    let mut room = columns.max(20);
    let mut shown = 0;
    for (_, width, _) in COLUMNS {
        match room.checked_sub(width + BETWEEN) {
            Some(left) if left >= NARROWEST => (room, shown) = (left, shown + 1),
            _ => break,
        }
    }
    let branch = |node: &Node| format!("└─ {}", node.platform);
    let names = nodes.iter().flat_map(|node| &node.names).map(|name| name.chars().count());
    let widest = names.chain(nodes.iter().map(|node| branch(node).chars().count())).max();
    let width = widest.unwrap_or_default().max("IMAGE".len()).min(room);
    let row = |name: &str, cells: [&str; 4]| {
        let mut line = format!("{name:width$}");
        for ((_, width, right), cell) in COLUMNS.iter().zip(cells).take(shown) {
            let (gap, width) = (" ".repeat(BETWEEN), *width);
            line.push_str(&match right {
                true => format!("{gap}{cell:>width$}"),
                false => format!("{gap}{cell:width$}"),
            });
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = format!("{LEGEND:>0$}", columns.max(20)).trim_end().to_owned();
    text.push_str("\n\n");
    text.push_str(&row("IMAGE", COLUMNS.map(|(title, ..)| title)));
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let cells = node.cells();
        let cells = [0, 1, 2, 3].map(|column: usize| cells[column].as_str());
        for (index, name) in node.names.iter().enumerate() {
            let is_last = index + 1 == node.names.len();
            let fits = name.chars().count() <= width;
            if !is_last || !fits {
                text.push_str(&format!("{name}\n"));
            }
            if is_last {
                text.push_str(&row(if fits { name } else { "" }, cells));
            }
        }
        text.push_str(&row(&branch(node), cells));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(names: &[&str], used: bool) -> Node {
        Node {
            names: names.iter().map(ToString::to_string).collect(),
            platform: "linux/amd64".to_owned(),
            id: "abababababab".to_owned(),
            disk: 171_456_789,
            content: 48_000_000,
            used,
        }
    }

    #[test]
    fn a_tree_is_as_wide_as_there_is_room() {
        let nodes = [node(&["127.0.0.1:5911/debian:12", "debian:12"], true), node(&["b"], false)];
        insta::assert_snapshot!(draw(&nodes, 80), @r"
                                                                      Info ->  U In Use

        IMAGE                      ID             DISK USAGE   CONTENT SIZE   EXTRA
        127.0.0.1:5911/debian:12
        debian:12                  abababababab        171MB           48MB   U
        └─ linux/amd64             abababababab        171MB           48MB   U

        b                          abababababab        171MB           48MB
        └─ linux/amd64             abababababab        171MB           48MB
        ");
        let long = node(&["registry.example:5000/team/image:1"], true);
        insta::assert_snapshot!(draw(&[long], 40), @r"
                              Info ->  U In Use

        IMAGE                       ID
        registry.example:5000/team/image:1
                                    abababababab
        └─ linux/amd64              abababababab
        ");
        assert_eq!(draw(&[], 20), "  Info ->  U In Use\n\nIMAGE\n");
    }
}
