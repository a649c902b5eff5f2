//! The socket: made below a folder, or handed over by systemd.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, chown};

/// A socket that listens, and its file.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    /// The file and its number, if it is this server's to remove.
    file: Option<(PathBuf, u64)>,
}

impl Socket {
    /// Makes a socket at `path`, for root and the members of `group` alone. The file of a server that
    /// has ended is replaced.
    ///
    /// To be called while the process has one thread, since the mode goes by the process's mask.
    ///
    /// # Errors
    /// A sentence: when somebody listens there, the group is unknown, or the file can't be made.
    pub fn make(path: &Path, group: Option<&str>) -> Result<Self, String> {
        let shown = format!("unix://{}", path.display());
        let failed = |cause: io::Error| format!("listen on {shown}: {cause}");
        let gid = group.map(gid).transpose()?;
        if UnixStream::connect(path).is_ok() {
            return Err(format!(
                "listen on {shown}: another server listens there: end it, or give another --host"
            ));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // It is nobody else's from its first instant on, and whole when it has its name.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        let _ = std::fs::remove_file(&new);
        let mask = rustix::process::umask(Mode::from_raw_mode(0o117));
        let bound = UnixListener::bind(&new);
        rustix::process::umask(mask);
        let listener = bound.map_err(failed)?;
        let named = || -> io::Result<u64> {
            if let Some(gid) = gid {
                chown(&new, None, Some(rustix::process::Gid::from_raw(gid)))?;
            }
            let number = std::fs::symlink_metadata(&new)?.ino();
            std::fs::rename(&new, path)?;
            Ok(number)
        };
        match named() {
            Ok(number) => Ok(Self { listener, file: Some((path.to_owned(), number)) }),
            Err(cause) => {
                let _ = std::fs::remove_file(&new);
                Err(failed(cause))
            }
        }
    }

    /// Takes over a socket that listens already, whose file is somebody else's.
    pub fn given(descriptor: OwnedFd) -> Self {
        Self { listener: UnixListener::from(descriptor), file: None }
    }

    /// Returns the listener for a runtime.
    pub(crate) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some((path, number)) = &self.file else { return };
        // Another server may have put its own there.
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.ino() == *number) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Returns a group's number.
fn gid(group: &str) -> Result<u32, String> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found.ok_or_else(|| format!("group {group:?} is not in /etc/group: make it, or give another"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_is_made_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/x.sock");
        let first = Socket::make(&path, None).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o660);
        let taken = Socket::make(&path, None).unwrap_err();
        assert!(taken.contains("another server listens there"), "{taken}");
        // A server that was killed leaves its file.
        drop(first.listener.try_clone());
        let Socket { listener, file } = &first;
        let (listener, file) = (listener.try_clone().unwrap(), file.clone());
        std::mem::forget(first);
        drop(listener);
        assert!(file.is_some() && path.exists());
        let unknown = Socket::make(&folder.path().join("y"), Some("no such group")).unwrap_err();
        assert!(unknown.contains("/etc/group"), "{unknown}");
    }
}
