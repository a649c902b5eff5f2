//! How much disk a folder takes.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};

/// How deep folders are looked into; a container could make them endlessly deep.
const DEEPEST: usize = 256;

/// Returns the bytes of all files in a folder and those in it, each file once however many names it
/// has; folders themselves count nothing, as docker has it. What goes away meanwhile is left out, and
/// no link is followed.
pub(crate) fn usage(folder: &Path) -> u64 {
    sum(folder, |stat| match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 0,
        _ => u64::try_from(stat.st_size).unwrap_or_default(),
    })
}

/// Returns the bytes of the disk that everything in a folder takes, the folders in it too, each file
/// once however many names it has.
pub(crate) fn blocks(folder: &Path) -> u64 {
    // stat(2): blocks of 512 bytes, whatever the filesystem's own are.
    sum(folder, |stat| u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512))
}

/// Returns the bytes of the disk that a file, or a folder with everything in it, takes; none when it
/// isn't there.
pub(crate) fn all(path: &Path) -> u64 {
    let Ok(own) = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) else { return 0 };
    let within = match FileType::from_raw_mode(own.st_mode) {
        FileType::Directory => blocks(path),
        _ => 0,
    };
    u64::try_from(own.st_blocks).unwrap_or_default().saturating_mul(512).saturating_add(within)
}

/// Adds up what `size` says of everything in a folder.
fn sum(folder: &Path, size: impl Fn(&Stat) -> u64) -> u64 {
    let Ok(folder) = openat(CWD, folder, flags(), Mode::empty()) else { return 0 };
    let mut open = Vec::new();
    push(&mut open, folder);
    let mut known = HashSet::new();
    let mut total = 0_u64;
    while let Some(dir) = open.last_mut() {
        let Some(entry) = dir.read() else {
            open.pop();
            continue;
        };
        let Ok(entry) = entry else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(parent) = dir.fd() else { continue };
        let Ok(stat) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_folder || stat.st_nlink < 2 || known.insert((stat.st_dev, stat.st_ino)) {
            total = total.saturating_add(size(&stat));
        }
        if is_folder
            && let Ok(folder) = openat(parent, name, flags(), Mode::empty())
            && open.len() < DEEPEST
        {
            push(&mut open, folder);
        }
    }
    total
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn push(open: &mut Vec<Dir>, folder: OwnedFd) {
    if let Ok(dir) = Dir::new(folder) {
        open.push(dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_once_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("a/b/c")).unwrap();
        std::fs::write(path("a/b/c/file"), [0; 1000]).unwrap();
        std::fs::write(path("a/other"), [0; 24]).unwrap();
        std::fs::hard_link(path("a/other"), path("again")).unwrap();
        std::os::unix::fs::symlink("/usr", path("link")).unwrap();
        assert_eq!(usage(folder.path()), 1000 + 24 + 4);
        assert_eq!(usage(&path("nothing")), 0);
        let out = std::process::Command::new("du").args(["-s", "-B1"]).arg(folder.path()).output();
        let text = String::from_utf8(out.unwrap().stdout).unwrap();
        let all: u64 = text.split('\t').next().unwrap().parse().unwrap();
        let own = std::os::unix::fs::MetadataExt::blocks(&folder.path().metadata().unwrap()) * 512;
        assert_eq!(blocks(folder.path()), all - own);
        assert_eq!(usage(&path("link")), 0);
    }
}
