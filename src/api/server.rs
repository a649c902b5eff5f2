//! Connections, and what all answers have.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SERVER, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use wharf_backend::native::Native;

use crate::answer::Refusal;
use crate::body::{Activity, Busy, Counted};
use crate::execs::Execs;
use crate::request::{Ask, Query};
use crate::route;
use crate::sampling::Sampling;
use crate::socket::Socket;
use crate::version::{NEWEST, Version};
use crate::waiting::Waiting;

/// How many connections there may be at once.
const CONNECTIONS: usize = 4096;

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;

/// How long a client may take for the head of a request. Connections that are kept for the next
/// request end by it too.
const HEAD: Duration = Duration::from_secs(600);

/// How long the server waits where it can't take a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How a server is to be.
#[derive(Debug, Default)]
pub struct Options {
    /// The program's version.
    pub version: String,
    /// How long nobody must be served until the server ends; none is for ever.
    pub idle_timeout: Option<Duration>,
}

/// What requests share.
pub(crate) struct Server {
    pub(crate) engine: Native,
    pub(crate) waiting: Waiting,
    pub(crate) execs: Execs,
    pub(crate) sampling: Sampling,
    activity: Activity,
    /// `Server:` of all answers.
    product: HeaderValue,
}

impl Server {
    /// Keeps the server from taking itself for idle.
    pub(crate) fn begin(&self) -> Busy {
        self.activity.begin()
    }
}

/// Serves the engine on a socket until `stop` is ready, or nobody has been served for as long as the
/// options say.
///
/// # Errors
/// When the socket can't be waited on.
pub async fn serve(
    engine: Native,
    socket: &Socket,
    options: &Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let product = HeaderValue::from_str(&format!("Wharf/{} (linux)", options.version));
    let activity = Activity::default();
    let server = Arc::new(Server {
        sampling: Sampling::new(engine.clone()),
        engine,
        waiting: Waiting::default(),
        execs: Execs::default(),
        activity: activity.clone(),
        product: product.unwrap_or_else(|_| HeaderValue::from_static("Wharf")),
    });
    let listener = socket.listener()?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // It is never closed.
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = next => match accepted {
                Ok((stream, _)) => {
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        converse(server, stream).await;
                        drop(place);
                    });
                }
                // No descriptor is left: connections that end give some back.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            () = idle(&activity, options.idle_timeout) => return Ok(()),
            () = &mut stop => return Ok(()),
        }
    }
}

/// Waits until nobody has been served for this long.
async fn idle(activity: &Activity, timeout: Option<Duration>) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    loop {
        if !activity.is_idle() {
            activity.change().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(timeout) => return,
            () = activity.change() => {}
        }
    }
}

/// Answers the requests of one connection.
async fn converse(server: Arc<Server>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(respond(server, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // Whoever broke it off knows.
    let _ = connection.await;
}

/// Returns whether the client wants to go on without HTTP.
fn wants_upgrade(headers: &HeaderMap) -> bool {
    let asks = headers.get_all(CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        })
    });
    asks && headers.contains_key(UPGRADE)
}

async fn respond(server: Arc<Server>, mut request: Request<Incoming>) -> Response<Counted> {
    let busy = server.activity.begin();
    let kept = server.activity.begin();
    let upgrade = wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let ask = Ask {
        version: NEWEST,
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body,
        upgrade,
        busy,
    };
    let answered = route::answer(&server, &parts.method, parts.uri.path(), ask).await;
    let (mut parts, body) = answered.unwrap_or_else(Refusal::answer).into_parts();
    put_common(&mut parts.headers, &server.product);
    Response::from_parts(parts, Counted { body, _busy: kept })
}

/// Adds what docker says with each answer.
fn put_common(headers: &mut HeaderMap, product: &HeaderValue) {
    headers.insert(SERVER, product.clone());
    headers.insert(HeaderName::from_static("api-version"), version(NEWEST));
    headers.insert(HeaderName::from_static("ostype"), HeaderValue::from_static("linux"));
    let experimental = HeaderName::from_static("docker-experimental");
    headers.insert(experimental, HeaderValue::from_static("false"));
}

fn version(version: Version) -> HeaderValue {
    HeaderValue::from_str(&version.to_string()).unwrap_or_else(|_| HeaderValue::from_static("1"))
}
