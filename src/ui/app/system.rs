//! The system screen: what takes the engine's disk, and what it says of itself.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::DiskUsage;

use super::list::Cursor;
use super::{App, Lazy};

/// A kind of objects that take disk, or could be removed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The containers.
    Containers,
    /// The images.
    Images,
    /// The volumes.
    Volumes,
    /// The networks.
    Networks,
}

impl Kind {
    /// All of them, from top to bottom.
    pub const ALL: [Self; 4] = [Self::Containers, Self::Images, Self::Volumes, Self::Networks];

    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Volumes => "volumes",
            Self::Networks => "networks",
        }
    }
}

/// How long sizes are believed: finding them out reads the disk.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// The system screen.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Which engine or kind is selected.
    pub cursor: Cursor,
    /// How many engines stand above the kinds; none where there is but one.
    pub hosts: usize,
    /// What takes how much, or why that isn't known.
    pub usage: Option<Result<Box<DiskUsage>, String>>,
    /// Whether that is asked for.
    pub listing: Lazy,
    /// When it was answered.
    pub asked: Option<DateTime<Utc>>,
}

impl System {
    /// Returns the selected kind.
    pub fn kind(&self) -> Kind {
        let at = self.cursor.at.saturating_sub(self.hosts);
        Kind::ALL.get(at).copied().unwrap_or(Kind::Containers)
    }

    /// Returns whether to ask for the sizes now, for a screen that is seen.
    pub fn due(&mut self, now: DateTime<Utc>) -> bool {
        if self.asked.is_some_and(|asked| now - asked >= FRESH) {
            self.listing.mark();
        }
        self.listing.due()
    }
}

impl App {
    pub(super) fn can_prune_kind(&self) -> Result<(), String> {
        let unused = match self.system.kind() {
            Kind::Containers => self.stopped().next().is_some(),
            Kind::Images => !self.images.unused(true).is_empty(),
            Kind::Volumes => self.volumes.unused(true).next().is_some(),
            // What is on them is found out when it is asked.
            Kind::Networks => true,
        };
        if unused { Ok(()) } else { Err(format!("all {} are in use", self.system.kind().title())) }
    }

    /// Returns the containers that a prune would remove.
    pub fn stopped(&self) -> impl Iterator<Item = &super::Row> {
        self.rows_here().filter(|row| !row.summary.status.is_supervised())
    }
}
