//! Files of containers on their way in and out: what a path leads to, what a container changed, and
//! how an image is made of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Mode bits above the permissions, as the Engine API writes them (those of Go's `os.FileMode`).
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const FIFO: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SET_UID: u32 = 1 << 23;
const SET_GID: u32 = 1 << 22;
const CHARACTER: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;

/// What a path in a container leads to: the Engine API's `X-Docker-Container-Path-Stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathStat {
    /// The last name of the path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Kind and permissions, in the bits of Go's `os.FileMode`.
    pub mode: u32,
    /// When its content last changed.
    pub mtime: DateTime<Utc>,
    /// For a symbolic link, the absolute path in the container that it leads to in the end.
    pub link_target: String,
}

impl PathStat {
    /// Returns the Engine API's mode for the `st_mode` of `stat(2)`.
    pub fn mode_of(st_mode: u32) -> u32 {
        let kind = match st_mode & 0o170_000 {
            0o040_000 => DIRECTORY,
            0o120_000 => SYMLINK,
            0o060_000 => DEVICE,
            0o020_000 => DEVICE | CHARACTER,
            0o010_000 => FIFO,
            0o140_000 => SOCKET,
            _ => 0,
        };
        let special = [(0o4000, SET_UID), (0o2000, SET_GID), (0o1000, STICKY)];
        let special = special.iter().filter(|(bit, _)| st_mode & bit != 0);
        special.fold(kind | st_mode & 0o777, |mode, (_, bit)| mode | bit)
    }

    /// Returns whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.mode & DIRECTORY != 0
    }

    /// Returns whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & SYMLINK != 0
    }

    /// Returns whether it is a device node.
    pub fn is_device(&self) -> bool {
        self.mode & DEVICE != 0
    }
}

/// How a container's file differs from its image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// It is another one, or has other properties.
    Modified,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// Returns docker's letter.
    pub fn letter(self) -> char {
        match self {
            Self::Modified => 'C',
            Self::Added => 'A',
            Self::Deleted => 'D',
        }
    }
}

/// One line of `diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// The absolute path in the container.
    pub path: String,
}

/// An image to be made of a container (`commit`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CommitOptions {
    /// Which container.
    pub container: String,
    /// The new image's name; none leaves it without.
    pub name: Option<crate::ImageName>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub message: String,
    /// Whether the container's processes stand still meanwhile.
    pub pause: bool,
    /// Instructions of a Dockerfile that change the configuration, one each.
    pub changes: Vec<String>,
    /// Settings that the image has rather than the container's; what is empty is the container's, and
    /// lists of names are joined.
    pub config: Option<Box<crate::ImageConfig>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_the_engine_api() {
        assert_eq!(PathStat::mode_of(0o100_644), 0o644);
        assert_eq!(PathStat::mode_of(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(PathStat::mode_of(0o104_755), 1 << 23 | 0o755);
        assert_eq!(PathStat::mode_of(0o120_777), 1 << 27 | 0o777);
        assert_eq!(PathStat::mode_of(0o020_666), 1 << 26 | 1 << 21 | 0o666);
        let stat = PathStat { mode: PathStat::mode_of(0o040_755), ..Default::default() };
        assert!(stat.is_dir() && !stat.is_symlink() && !stat.is_device());
        let text = serde_json::to_string(&stat).unwrap();
        assert!(text.contains("\"linkTarget\":\"\""), "{text}");
    }
}
