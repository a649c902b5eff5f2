//! Which numbers inside a user namespace stand for which outside (`user_namespaces(7)`).

use std::io;

use serde::{Deserialize, Serialize};

/// Who owns what belongs to nobody of a namespace, as the kernel shows it unless told otherwise.
const NOBODY: u32 = 65_534;

/// So many numbers in a row, inside and outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) length: u32,
}

/// A map of users or of groups, by the first number inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdMap(pub(crate) Vec<Range>);

impl IdMap {
    /// Returns the map that gives the ranges outside (first, length) numbers from 0 on, one after the
    /// other.
    pub(crate) fn stacked(outside: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut ranges = Vec::new();
        let mut inside = 0u32;
        for (first, length) in outside {
            // Numbers end where 32 bits do; the greatest means "nobody" to the kernel.
            let length = length.min(u32::MAX - inside).min(u32::MAX - first);
            if length > 0 {
                ranges.push(Range { inside, outside: first, length });
                inside += length;
            }
        }
        Self(ranges)
    }

    /// Reads a file of the kernel's: `/proc/PID/uid_map` or `gid_map`.
    pub(crate) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split_ascii_whitespace().map(str::parse);
            match (words.next()?, words.next()?, words.next()?) {
                (Ok(inside), Ok(outside), Ok(length)) => Some(Range { inside, outside, length }),
                _ => None,
            }
        };
        let mut ranges: Vec<Range> = text.lines().filter_map(line).collect();
        ranges.sort_by_key(|range| range.inside);
        Self(ranges)
    }

    /// Returns the text that the kernel wants.
    pub(crate) fn text(&self) -> String {
        self.words().collect::<Vec<_>>().chunks(3).map(|line| line.join(" ") + "\n").collect()
    }

    /// Returns the numbers as `newuidmap` wants them.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|r| [r.inside, r.outside, r.length]).map(|n| n.to_string())
    }

    /// Returns how many numbers are mapped from 0 on without a gap.
    pub(crate) fn contiguous(&self) -> u32 {
        self.0.iter().fold(0, |end, range| {
            if range.inside <= end {
                end.max(range.inside.saturating_add(range.length))
            } else {
                end
            }
        })
    }

    /// Returns what a number inside is outside.
    pub(crate) fn outside(&self, inside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let offset =
                inside.checked_sub(range.inside).filter(|offset| *offset < range.length)?;
            range.outside.checked_add(offset)
        })
    }

    /// Returns what a number outside is inside.
    fn inside(&self, outside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let offset =
                outside.checked_sub(range.outside).filter(|offset| *offset < range.length)?;
            range.inside.checked_add(offset)
        })
    }
}

/// The owners of files as a container sees them, and as they are seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    users: IdMap,
    groups: IdMap,
}

impl Owners {
    /// Returns those of a process's user namespace; none when that is this one. Whoever asks knows
    /// that the process lives, after this as before.
    ///
    /// # Errors
    /// When the process can't be asked.
    pub(crate) fn of(pid: i32) -> io::Result<Option<Self>> {
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user"));
        if namespace(&pid.to_string())? == namespace("self")? {
            return Ok(None);
        }
        let map = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{name}"))?;
            Ok::<_, io::Error>(IdMap::parse(&text))
        };
        Ok(Some(Self { users: map("uid_map")?, groups: map("gid_map")? }))
    }

    /// Returns user and group as the container sees them: whom it can't name is nobody.
    pub(crate) fn inside(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        (self.users.inside(uid).unwrap_or(NOBODY), self.groups.inside(gid).unwrap_or(NOBODY))
    }

    /// Returns what a user and a group of the container's are here.
    pub(crate) fn outside(&self, (uid, gid): (u32, u32)) -> Option<(u32, u32)> {
        Some((self.users.outside(uid)?, self.groups.outside(gid)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_stacked_and_written_as_the_kernel_wants() {
        let map = IdMap::stacked([(1000, 1), (100_000, 65_536), (7, 0)]);
        assert_eq!(map.text(), "0 1000 1\n1 100000 65536\n");
        assert_eq!(map.words().collect::<Vec<_>>().join(" "), "0 1000 1 1 100000 65536");
        assert_eq!(map.contiguous(), 65_537);
        assert_eq!(map.outside(0), Some(1000));
        assert_eq!(map.outside(1), Some(100_000));
        assert_eq!(map.outside(65_536), Some(165_535));
        assert_eq!(map.outside(65_537), None);
        assert_eq!(IdMap::parse(&map.text()), map);
    }

    #[test]
    fn a_gap_ends_what_is_mapped_from_0_on() {
        let text = "       100      5000         10\n         0       1000          5\n";
        let map = IdMap::parse(text);
        assert_eq!(map.contiguous(), 5);
        assert_eq!(map.outside(105), Some(5005));
        assert_eq!(IdMap::parse("0 0 4294967295\n").contiguous(), u32::MAX);
        assert_eq!(IdMap::default().contiguous(), 0);
        let owners = Owners { users: map.clone(), groups: IdMap::stacked([(70, 2)]) };
        assert_eq!(owners.outside((105, 1)), Some((5005, 71)));
        assert_eq!(owners.outside((105, 2)), None);
        assert_eq!(owners.inside((5005, 71)), (105, 1));
        assert_eq!(owners.inside((0, 70)), (NOBODY, 0));
        // Ranges never run over the greatest number.
        assert_eq!(IdMap::stacked([(u32::MAX - 1, 100)]).0[0].length, 1);
    }
}
