//! Whose the files of an archive can be.

use std::io;

use super::tar_stream::Entry;
use crate::userns::{self, Owners};

/// Which owners there can be here.
pub(super) struct Owned<'a> {
    users: u32,
    groups: u32,
    owners: Option<&'a Owners>,
}

impl<'a> Owned<'a> {
    /// Returns those of this process's user namespace; `owners` are those of an archive for another.
    pub(super) fn current(owners: Option<&'a Owners>) -> Self {
        let (users, groups) =
            if userns::is_nested() { userns::mapped() } else { (u32::MAX, u32::MAX) };
        Self { users, groups, owners }
    }

    /// Gives all to root where there is nobody else, and refuses an owner that isn't mapped.
    pub(super) fn fit(&self, entry: &mut Entry) -> io::Result<()> {
        if let Some(owners) = self.owners {
            let Some(here) = owners.outside((entry.uid, entry.gid)) else {
                let text = format!(
                    "owner {}:{} is not mapped in the container's user namespace",
                    entry.uid, entry.gid
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            };
            (entry.uid, entry.gid) = here;
            return Ok(());
        }
        if self.users <= 1 || self.groups <= 1 {
            (entry.uid, entry.gid) = (0, 0);
        }
        if entry.uid < self.users && entry.gid < self.groups {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "owner {}:{} is not mapped in this user's namespace, which has {} users and {} groups: \
                 add a range to /etc/subuid and /etc/subgid",
                entry.uid, entry.gid, self.users, self.groups
            ),
        ))
    }
}
