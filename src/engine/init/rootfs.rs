//! Paths inside a root filesystem that an image or a container controls.
//!
//! Every path is resolved by `openat2` with `RESOLVE_IN_ROOT`: symbolic links, absolute ones too,
//! stay inside, and nothing that is put in the way leads out.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many links that lead to nothing are followed.
const LINKS: u32 = 16;

/// A root filesystem.
pub(crate) struct Root {
    folder: OwnedFd,
}

impl From<OwnedFd> for Root {
    /// The root filesystem whose folder this is.
    fn from(folder: OwnedFd) -> Self {
        Self { folder }
    }
}

/// Returns a path that leads to what `fd` is open on, for calls that take no descriptor.
pub(crate) fn by_descriptor(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

impl Root {
    /// Opens the root filesystem at `folder`, which the caller controls.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { folder: rustix::fs::open(folder, flags, Mode::empty())? })
    }

    /// Returns the root folder itself.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Opens a path inside.
    pub(crate) fn path(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        self.resolve(path, flags, ResolveFlags::IN_ROOT)
    }

    /// Opens a relative path inside, and fails with `XDEV` when a link on the way leads out, or would
    /// if this weren't the root.
    pub(crate) fn below(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH, ResolveFlags::BENEATH)
    }

    fn resolve(
        &self,
        path: &Path,
        flags: OFlags,
        within: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        // The kernel asks for another try when something was renamed while it resolved.
        loop {
            let result = rustix::fs::openat2(
                &self.folder,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                within | ResolveFlags::NO_MAGICLINKS,
            );
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                return result;
            }
        }
    }

    /// Opens a folder inside, making it and its parents when they are missing; where a link leads to
    /// nothing, what it names is made.
    pub(crate) fn make_folder(&self, path: &Path, mode: u32) -> rustix::io::Result<OwnedFd> {
        self.make(path, LINKS, OFlags::PATH | OFlags::DIRECTORY, &|parent, name| {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode))
        })
    }

    fn make(
        &self,
        path: &Path,
        links: u32,
        flags: OFlags,
        create: &dyn Fn(&OwnedFd, &OsStr) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<OwnedFd> {
        match self.path(path, flags) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (parent_path, name) = split(path).ok_or(Errno::NOENT)?;
        let parent = self.make_folder(parent_path, 0o755)?;
        match create(&parent, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        match self.path(path, flags) {
            Err(Errno::NOENT) if links > 0 => {}
            result => return result,
        }
        // The kernel says what the link means, from the folder that it lies in.
        let target = rustix::fs::readlinkat(&parent, name, Vec::new())?;
        let target = parent_path.join(OsStr::from_bytes(target.as_bytes()));
        self.make(&target, links - 1, flags, create)
    }

    /// Makes a folder at the top when it is missing, and fails with `LOOP` or `NOTDIR` when something
    /// else is there, a link to a folder included.
    pub(crate) fn make_plain_folder(&self, path: &str) -> rustix::io::Result<()> {
        let name = path.trim_start_matches('/');
        match rustix::fs::mkdirat(&self.folder, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => {}
            result => return result,
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, name, flags, Mode::empty()).map(drop)
    }

    /// Opens a file inside (anything but a folder), making an empty one and its parents when it is
    /// missing.
    pub(crate) fn make_file(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.make(path, LINKS, OFlags::PATH, &|parent, name| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, mode).map(drop)
        })
    }

    /// Reads a small regular file inside; none when it isn't there or isn't one.
    pub(crate) fn read_small(&self, path: &Path) -> Option<String> {
        use std::io::Read;
        // Not blocking, so that a FIFO in its place doesn't hold the start up.
        let file = File::from(self.path(path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?);
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(1 << 20).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Splits the last name off a path; none for the root or a path that ends in `..`.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    match path.components().next_back()? {
        Component::Normal(name) => Some((path.parent()?, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_in_the_way_leads_out() {
        let base = tempfile::tempdir().unwrap();
        let inside = base.path().join("root");
        std::fs::create_dir(&inside).unwrap();
        std::fs::create_dir(base.path().join("outside")).unwrap();
        symlink("../outside", inside.join("up")).unwrap();
        symlink("/etc", inside.join("abs")).unwrap();
        let root = Root::open(&inside).unwrap();
        // What a link names outside is made inside.
        root.make_folder(Path::new("/up/x"), 0o755).unwrap();
        assert!(!base.path().join("outside/x").exists() && inside.join("outside/x").exists());
        root.make_file(Path::new("/abs/wharf-test")).unwrap();
        assert!(inside.join("etc/wharf-test").exists() && !Path::new("/etc/wharf-test").exists());
        root.make_folder(Path::new("/../../a/b"), 0o700).unwrap();
        assert!(inside.join("a/b").exists());
    }

    #[test]
    fn what_a_link_names_is_made_inside() {
        let base = tempfile::tempdir().unwrap();
        let inside = base.path().join("root");
        std::fs::create_dir_all(inside.join("etc")).unwrap();
        symlink("../run/resolve/stub", inside.join("etc/resolv.conf")).unwrap();
        symlink("../../../../../../out/file", inside.join("etc/hosts")).unwrap();
        symlink("/etc/chain", inside.join("etc/hostname")).unwrap();
        symlink("end", inside.join("etc/chain")).unwrap();
        symlink("/far/away", inside.join("way")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let root = Root::open(&inside).unwrap();
        for name in ["resolv.conf", "hosts", "hostname"] {
            root.make_file(&Path::new("/etc").join(name)).unwrap();
        }
        for made in ["run/resolve/stub", "out/file", "etc/end"] {
            assert!(inside.join(made).is_file(), "{made}");
        }
        root.make_folder(Path::new("/way/below"), 0o755).unwrap();
        assert!(inside.join("far/away/below").is_dir());
        assert_eq!(root.make_file(Path::new("/loop")).unwrap_err(), Errno::LOOP);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let base = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&base.path().join("passwd"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let root = Root::open(base.path()).unwrap();
        assert_eq!(root.read_small(Path::new("/passwd")), None);
    }
}
