//! A client's connection: on a unix socket, or by TLS.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// What is read from a client.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// What is written to a client.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection.
pub(crate) type Stream = Either<UnixStream, Box<TlsStream<TcpStream>>>;

/// Returns another descriptor of the same connection.
pub(crate) fn socket(stream: &Stream) -> io::Result<OwnedFd> {
    match stream {
        Either::Left(unix) => unix.as_fd().try_clone_to_owned(),
        Either::Right(tls) => tls.get_ref().0.as_fd().try_clone_to_owned(),
    }
}

/// Returns both directions.
pub(crate) fn split(stream: Stream) -> (Reader, Writer) {
    match stream {
        Either::Left(unix) => {
            let (reader, writer) = unix.into_split();
            (Box::new(reader), Box::new(writer))
        }
        Either::Right(tls) => {
            let (reader, writer) = tokio::io::split(*tls);
            (Box::new(reader), Box::new(writer))
        }
    }
}
