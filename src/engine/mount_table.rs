//! The mounts that this process sees (proc_pid_mountinfo(5)).

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::{Error, Result};

/// All of them, as they were when it was read.
pub(crate) struct MountTable(String);

/// One of them.
pub(crate) struct Mounted<'t> {
    id: &'t str,
    point: &'t str,
    tags: Vec<&'t str>,
}

impl MountTable {
    /// Reads it.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub(crate) fn read() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let text = std::fs::read_to_string(path);
        Ok(Self(text.map_err(|cause| Error::failed(format_args!("read {path}"), cause))?))
    }

    /// Returns the mounts in the order they were made.
    pub(crate) fn mounts(&self) -> impl DoubleEndedIterator<Item = Mounted<'_>> {
        self.0.lines().filter_map(|line| {
            // ID, parent, device, root, mount point, options, tags, a dash and what follows it.
            let mut fields = line.split(' ');
            let (id, point) = (fields.next()?, fields.nth(3)?);
            let tags = fields.skip(1).take_while(|field| *field != "-").collect();
            Some(Mounted { id, point, tags })
        })
    }

    /// Returns the mount that a path is on.
    ///
    /// # Errors
    /// When the path can't be looked at.
    pub(crate) fn holding(&self, path: &Path) -> Result<Option<Mounted<'_>>> {
        let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID);
        let found = found.map_err(|cause| {
            Error::failed(format_args!("look at the mount of {}", path.display()), cause)
        })?;
        let id = found.stx_mnt_id.to_string();
        Ok(self.mounts().find(|mounted| mounted.id == id))
    }
}

impl Mounted<'_> {
    /// Returns where it is mounted.
    pub(crate) fn point(&self) -> PathBuf {
        unescaped(self.point).into()
    }

    /// Returns whether it has a tag that begins so: `shared:`, `master:`.
    pub(crate) fn is_tagged(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own.starts_with(tag))
    }
}

/// Returns a path with its octal escapes undone.
fn unescaped(path: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(path.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "29 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
                    30 29 0:5 /x /a\\040b\\134c rw - tmpfs none rw\n";
        let table = MountTable(text.to_owned());
        let found: Vec<_> = table
            .mounts()
            .map(|it| (it.point(), it.is_tagged("shared:"), it.is_tagged("master:")))
            .collect();
        assert_eq!(
            found,
            [(PathBuf::from("/"), true, true), (PathBuf::from("/a b\\c"), false, false)]
        );
    }

    #[test]
    fn a_path_has_its_mount() {
        let table = MountTable::read().unwrap();
        let found = table.holding(Path::new("/proc/self")).unwrap().unwrap();
        assert_eq!(found.point(), Path::new("/proc"));
    }
}
