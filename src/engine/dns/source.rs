//! Where the names come from.

use super::table::Table;

/// Names that may change from one query to the next.
pub(crate) trait Names {
    /// Returns the names as they are now; none when they can't be read.
    fn table(&mut self) -> Option<&Table>;

    /// Forgets what can be read again.
    fn forget(&mut self);
}
