//! Sockets that are served: a file below a folder, one handed over by systemd, or a port behind TLS.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::fs::{Mode, chown};
use rustix::net::{AddressFamily, sockopt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use wharf_backend::docker::keep_alive;

use crate::stream::Stream;
use crate::tls::{self, Files};

/// How long a client may take to show who it is.
const SHOWING: Duration = Duration::from_secs(10);

/// How many may be about it at once: they are strangers still.
const STRANGERS: usize = 256;

/// A socket that listens, and its file.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    /// The file and its number, if it is this server's to remove.
    file: Option<(PathBuf, u64)>,
}

enum Kind {
    Unix(UnixListener),
    Tls(TcpListener, TlsAcceptor),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(listener) => listener.fmt(f),
            Self::Tls(listener, _) => listener.fmt(f),
        }
    }
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
            Ok(number) => {
                Ok(Self { kind: Kind::Unix(listener), file: Some((path.to_owned(), number)) })
            }
            Err(cause) => {
                let _ = std::fs::remove_file(&new);
                Err(failed(cause))
            }
        }
    }

    /// Listens on a port, for clients whose certificates are of the authority in `files`.
    ///
    /// # Errors
    /// A sentence: when a file isn't what it should be, or the port can't be had.
    pub fn port(place: &str, files: Files<'_>) -> Result<Self, String> {
        let acceptor = tls::acceptor(files)?;
        let failed = |cause: io::Error| format!("listen on tcp://{place}: {cause}");
        // As with docker, no host means all of this host's addresses.
        let whole = if place.starts_with(':') { format!("[::]{place}") } else { place.to_owned() };
        let addresses: Vec<SocketAddr> = whole.to_socket_addrs().map_err(failed)?.collect();
        let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
        Ok(Self { kind: Kind::Tls(listener, acceptor), file: None })
    }

    /// Returns the port's address, which the kernel has chosen if the port was 0.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Unix(_) => None,
            Kind::Tls(listener, _) => listener.local_addr().ok(),
        }
    }

    /// Takes over a socket that listens already, whose file is somebody else's; a port only with
    /// `files`.
    ///
    /// # Errors
    /// A sentence: when it is a port and there are no files, or neither a port nor a unix socket.
    pub fn given(descriptor: OwnedFd, files: Option<Files<'_>>) -> Result<Self, String> {
        let family = sockopt::socket_domain(&descriptor)
            .map_err(|cause| format!("the service manager's socket: {cause}"))?;
        let kind = match (family, files) {
            (AddressFamily::UNIX, _) => Kind::Unix(UnixListener::from(descriptor)),
            (AddressFamily::INET | AddressFamily::INET6, Some(files)) => {
                Kind::Tls(TcpListener::from(descriptor), tls::acceptor(files)?)
            }
            (AddressFamily::INET | AddressFamily::INET6, None) => {
                return Err(needs_tls("the service manager's port"));
            }
            _ => return Err("the service manager's socket is neither unix nor tcp".to_owned()),
        };
        Ok(Self { kind, file: None })
    }

    /// Returns the listener for a runtime.
    pub(crate) fn listener(&self) -> io::Result<Listener> {
        match &self.kind {
            Kind::Unix(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(tokio::net::UnixListener::from_std(listener)?))
            }
            Kind::Tls(listener, acceptor) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Tls {
                    listener: tokio::net::TcpListener::from_std(listener)?,
                    acceptor: acceptor.clone(),
                    room: Arc::new(Semaphore::new(STRANGERS)),
                })
            }
        }
    }
}

/// Returns why a port without TLS isn't served.
pub fn needs_tls(place: &str) -> String {
    format!(
        "{place} is served to clients with certificates alone, since whoever may ask is as good as \
         root: give --tlsverify, --tlscacert, --tlscert and --tlskey"
    )
}

/// A socket in a runtime's care.
pub(crate) enum Listener {
    Unix(tokio::net::UnixListener),
    Tls { listener: tokio::net::TcpListener, acceptor: TlsAcceptor, room: Arc<Semaphore> },
}

/// Somebody at the door.
pub(crate) enum Arrived {
    Unix(tokio::net::UnixStream),
    Tls(TcpStream, TlsAcceptor, Arc<Semaphore>),
}

impl Listener {
    /// Returns whoever comes.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Arrived>> {
        match self {
            Self::Unix(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Arrived::Unix(stream))
            }
            Self::Tls { listener, acceptor, room } => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Arrived::Tls(stream, acceptor.clone(), Arc::clone(room))),
        }
    }
}

impl Arrived {
    /// Lets a client in; none when it isn't who it should be.
    pub(crate) async fn enter(self) -> Option<Stream> {
        let (stream, acceptor, room) = match self {
            Self::Unix(stream) => return Some(Stream::Left(stream)),
            Self::Tls(stream, acceptor, room) => (stream, acceptor, room),
        };
        let _place = room.try_acquire().ok()?;
        // What is typed shall be there at once, and who has gone be noticed.
        stream.set_nodelay(true).ok()?;
        keep_alive(&stream).ok()?;
        let shown = tokio::time::timeout(SHOWING, acceptor.accept(stream)).await;
        Some(Stream::Right(Box::new(shown.ok()?.ok()?)))
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
        std::mem::forget(first);
        assert!(path.exists());
        let unknown = Socket::make(&folder.path().join("y"), Some("no such group")).unwrap_err();
        assert!(unknown.contains("/etc/group"), "{unknown}");
    }
}
