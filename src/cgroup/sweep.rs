//! Finding groups that were left behind.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::group::children;
use crate::layout::Layout;

/// Returns the names of all groups directly below `parent` (`wharf`) in any hierarchy, each as
/// `parent/name`, in order: open each with [`crate::Group::open`], kill and delete it.
///
/// # Errors
/// When a hierarchy can't be read.
pub fn list(layout: &Layout, parent: &str) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for hierarchy in layout.hierarchies() {
        for path in children(&hierarchy.mount.join(parent))? {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                names.insert(format!("{parent}/{name}"));
            }
        }
    }
    Ok(names.into_iter().collect())
}
