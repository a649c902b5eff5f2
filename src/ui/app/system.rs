//! The system screen: what the engine says of itself, and what takes its disk.

use super::list::Cursor;

/// The system screen.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Where the cursor is.
    pub cursor: Cursor,
}
