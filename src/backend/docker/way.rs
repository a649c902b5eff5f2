//! The ways to an engine: each opens one connection after the other, whatever became of the last.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use wharf_model::ErrorKind;
use wharf_registry::{Believed, Certificates};

use super::address::{Address, Tls};
use super::error;
use super::ssh::Ssh;
use crate::{Error, Result};

/// How long a connection may take to be made, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);

/// After how long without a word the kernel asks the other end whether it is there, and how often.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

/// The way to one engine.
#[derive(Clone, Debug)]
pub(super) struct Way(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
        tls: Option<TlsWay>,
        place: String,
    },
    Ssh(Ssh),
    /// There is none, for this reason.
    None(Error),
}

/// Certificates, read when they are first needed.
struct TlsWay {
    files: Tls,
    ready: tokio::sync::OnceCell<TlsConnector>,
}

impl std::fmt::Debug for TlsWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.files.fmt(f)
    }
}

impl Way {
    /// Returns the way to this address. Nothing is connected yet.
    pub(super) fn new(address: &Address) -> Self {
        Self(Arc::new(match address {
            Address::Unix(path) => Kind::Unix(path.clone()),
            Address::Tcp { host, port, tls } => {
                let files = tls.clone();
                let tls = files.map(|files| TlsWay { files, ready: Default::default() });
                Kind::Tcp { host: host.clone(), port: *port, tls, place: address.to_string() }
            }
            Address::Ssh(address) => Kind::Ssh(Ssh::new(address.clone())),
        }))
    }

    /// Returns a way that leads nowhere, and says why.
    pub(super) fn none(why: Error) -> Self {
        Self(Arc::new(Kind::None(why)))
    }

    /// Returns whether it leads to a socket of this host. What is behind that may be elsewhere.
    pub(super) fn is_near(&self) -> bool {
        matches!(&*self.0, Kind::Unix(_))
    }

    /// Returns an error if nobody listens at a socket of this host. Of other ways, the first
    /// connection tells.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.0 {
            Kind::Unix(path) => std::os::unix::net::UnixStream::connect(path)
                .map(drop)
                .map_err(|cause| error::unreachable(&place_of(path), &cause)),
            Kind::None(why) => Err(why.clone()),
            Kind::Tcp { .. } | Kind::Ssh(_) => Ok(()),
        }
    }

    /// Returns a new connection.
    pub(super) async fn open(&self) -> Result<Stream> {
        match &*self.0 {
            Kind::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Stream::Unix(stream)),
                Err(cause) => Err(error::unreachable(&place_of(path), &cause)),
            },
            Kind::Tcp { host, port, tls, place } => {
                let opening = open_tcp(host, *port, tls.as_ref());
                match tokio::time::timeout(CONNECTING, opening).await {
                    Ok(Ok(stream)) => Ok(stream),
                    Ok(Err(Failed::Io(cause))) => Err(error::unreachable(place, &cause)),
                    Ok(Err(Failed::Tls(why))) => {
                        Err(Error::new(ErrorKind::Unavailable, format!("{place}: {why}")))
                    }
                    Err(_) => {
                        let cause = io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer");
                        Err(error::unreachable(place, &cause))
                    }
                }
            }
            Kind::Ssh(ssh) => ssh.open().await,
            Kind::None(why) => Err(why.clone()),
        }
    }
}

fn place_of(path: &std::path::Path) -> String {
    format!("unix://{}", path.display())
}

/// Why a connection couldn't be made.
enum Failed {
    /// By the network's reasons.
    Io(io::Error),
    /// By those of TLS.
    Tls(String),
}

async fn open_tcp(
    host: &str,
    port: u16,
    tls: Option<&TlsWay>,
) -> std::result::Result<Stream, Failed> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let mut connected = None;
    for address in addresses(host).await.map_err(Failed::Io)? {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(cause) => failed = cause,
        }
    }
    let Some(stream) = connected else { return Err(Failed::Io(failed)) };
    // What is typed shall be there at once, and who has gone be noticed.
    stream.set_nodelay(true).map_err(Failed::Io)?;
    keep_alive(&stream).map_err(|cause| Failed::Io(cause.into()))?;
    let Some(tls) = tls else { return Ok(Stream::Tcp(stream)) };
    let connector = tls.ready.get_or_try_init(|| connector(&tls.files, host)).await;
    let connector = connector.map_err(Failed::Tls)?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failed::Tls(format!("{host} is no name that a certificate could have")))?;
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(cause) => Err(Failed::Tls(told(&cause))),
    }
}

/// Returns why TLS failed, with the way out where there is one.
fn told(cause: &io::Error) -> String {
    let text = cause.to_string();
    let way = if text.contains("UnknownIssuer") {
        ": its certificate is of another authority: name that one's with --tlscacert"
    } else if text.contains("certificate required") || text.contains("CertificateRequired") {
        ": it wants a certificate of yours: --tlscert and --tlskey"
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
        ": does it speak TLS at all?"
    } else {
        ""
    };
    format!("TLS: {text}{way}")
}

async fn connector(files: &Tls, host: &str) -> std::result::Result<TlsConnector, String> {
    let read = async |path: &PathBuf| {
        let bytes = tokio::fs::read(path).await;
        bytes.map_err(|cause| format!("read {}: {cause}", path.display()))
    };
    let mut certificates = Certificates::default();
    let believed = match &files.authority {
        _ if !files.verify => Believed::Anybody,
        Some(path) => {
            certificates.authorities.push(read(path).await?);
            Believed::These
        }
        None => Believed::SystemsAndThese,
    };
    if let Some((certificate, key)) = &files.client {
        certificates.client = Some((read(certificate).await?, read(key).await?));
    }
    let config = wharf_registry::tls_config(host, &certificates, believed);
    Ok(TlsConnector::from(Arc::new(config.map_err(|error| error.to_string())?)))
}

async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let host = host.to_owned();
    let found = tokio::task::spawn_blocking(move || wharf_engine::network::host_addresses(&host));
    found.await.map_err(io::Error::other)?
}

/// Lets the kernel find out when the other end of a connection is gone without a word.
///
/// # Errors
/// When the system refuses one of the socket's options.
pub fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    let (idle, interval, count) = KEEP_ALIVE;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    sockopt::set_tcp_keepcnt(stream, count)
}

/// One connection.
pub(super) enum Stream {
    /// A unix socket.
    Unix(UnixStream),
    /// TCP in the clear.
    Tcp(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// A program's input and output.
    Pipe(Box<Pipe>),
}

/// A program that passes the connection on; dropping it ends it.
pub(super) struct Pipe {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Pipe {
    /// Returns the connection through a program with pipes; none if it has none.
    pub(super) fn new(mut child: Child) -> Option<Self> {
        let (input, output) = (child.stdin.take(), child.stdout.take()?);
        Some(Self { child, input, output })
    }

    /// Returns the program.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Pipe(pipe) => Pin::new(&mut pipe.output).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Pipe(pipe) => match &mut pipe.input {
                Some(input) => Pin::new(input).poll_write(context, bytes),
                None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Pipe(pipe) => match &mut pipe.input {
                Some(input) => Pin::new(input).poll_flush(context),
                None => Poll::Ready(Ok(())),
            },
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            // A pipe's end is its closing.
            Self::Pipe(pipe) => {
                pipe.input = None;
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// The writing half of a connection, whose end is told to the other side when it is dropped.
pub(super) struct Input(Option<tokio::io::WriteHalf<Stream>>);

impl Input {
    /// Returns the half as input.
    pub(super) fn new(half: tokio::io::WriteHalf<Stream>) -> Self {
        Self(Some(half))
    }

    fn half(self: Pin<&mut Self>) -> io::Result<Pin<&mut tokio::io::WriteHalf<Stream>>> {
        self.get_mut().0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.half()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half()?.poll_shutdown(context)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let Some(mut half) = self.0.take() else { return };
        // A socket takes it at once; TLS may have to wait until there is room for its last word.
        let now = Pin::new(&mut half).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        if now.is_pending()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = half.shutdown().await;
            });
        }
    }
}
