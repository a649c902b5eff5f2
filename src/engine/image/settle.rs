//! What a layer takes from those below it: owner and mode of the folders that its archive leaves out.
//! Layers are unpacked in any order, so this comes afterwards.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, ResolveFlags, Uid};
use rustix::io::Errno;

use super::unpack::{Components, open_in, open_root};

/// Gives the folders that a layer's archive leaves out the owner and mode that they have in the layers
/// below, which come topmost first and are settled themselves.
pub(super) fn settle(root: &Path, implied: &[Components], lowers: &[PathBuf]) -> io::Result<()> {
    if implied.is_empty() || lowers.is_empty() {
        return Ok(());
    }
    let root = open_root(root)?;
    let lowers = lowers.iter().map(|lower| open_root(lower)).collect::<io::Result<Vec<_>>>()?;
    for path in implied {
        let mut found = None;
        for lower in &lowers {
            match open_in(lower, path, ResolveFlags::IN_ROOT) {
                Ok(same) => found = Some(rustix::fs::fstat(&same)?),
                Err(Errno::NOENT) => continue,
                Err(_) => {}
            }
            break;
        }
        let Some(stat) = found else { continue };
        let folder = match open_in(&root, path, ResolveFlags::IN_ROOT) {
            // Something else took its place.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            other => other?,
        };
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&folder, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    }
    Ok(())
}
