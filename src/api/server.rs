//! Connections, and what all answers have.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SERVER, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use wharf_backend::native::Native;

use crate::answer::Refusal;
use crate::body::{Activity, Busy, Counted};
use crate::execs::Execs;
use crate::hijack::{self, Connection, Leaving};
use crate::line::{Lines, Next};
use crate::request::{Ask, Query};
use crate::route;
use crate::sampling::Sampling;
use crate::socket::{Arrived, Listener, Socket};
use crate::stream::Stream;
use crate::version::{NEWEST, Version};
use crate::waiting::Waiting;

/// How many connections there may be at once.
const CONNECTIONS: usize = 4096;

/// How many threads a runtime should have for what blocks: an archive on its way holds one for as long
/// as its client takes, and there shall be some left.
pub const THREADS: usize = CONNECTIONS + 256;

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;

/// How long a client may take for the head of a request. Connections that are kept for the next
/// request end by it too.
const HEAD: Duration = Duration::from_secs(600);

/// After how long without a client that comes or goes memory is given back, and after how long with
/// some.
const STILL: Duration = Duration::from_secs(2);
const UNSETTLED: Duration = Duration::from_secs(60);

/// How long the server waits where it can't take a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How a server is to be.
#[derive(Debug, Default)]
pub struct Options {
    /// The program's version.
    pub version: String,
    /// How long nobody must be served until the server ends; none is for ever.
    pub idle_timeout: Option<Duration>,
    /// Gives memory back that nobody uses now. It may take milliseconds.
    pub rest: Option<fn()>,
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

/// Serves the engine on these sockets until `stop` is ready, or nobody has been served for as long as the
/// options say.
///
/// # Errors
/// When a socket can't be waited on.
pub async fn serve(
    engine: Native,
    sockets: &[Socket],
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
    let listeners = sockets.iter().map(Socket::listener).collect::<io::Result<Vec<_>>>()?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    if let Some(rest) = options.rest {
        tokio::spawn(tidy(activity.clone(), rest));
    }
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // It is never closed.
            let place = Arc::clone(&room).acquire_owned().await;
            (accept(&listeners).await, place)
        };
        tokio::select! {
            (accepted, place) = next => match accepted {
                Ok(arrived) => {
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        if let Some(stream) = arrived.enter().await {
                            converse(server, stream).await;
                        }
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
    match timeout {
        Some(timeout) => activity.quiet(timeout).await,
        None => std::future::pending().await,
    }
}

/// Gives back what requests needed and streams don't, whenever many have come or gone.
async fn tidy(activity: Activity, rest: fn()) {
    loop {
        activity.settled(STILL, UNSETTLED).await;
        // It doesn't come back when the program ends.
        if tokio::task::spawn_blocking(rest).await.is_err() {
            return;
        }
    }
}

/// Returns whoever comes next, at whichever socket.
async fn accept(listeners: &[Listener]) -> io::Result<Arrived> {
    std::future::poll_fn(|context| {
        let mut arrivals = listeners.iter().map(|listener| listener.poll_accept(context));
        arrivals.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// A connection that is to leave HTTP: what is to be written, and who goes on with it.
struct Switch {
    head: Bytes,
    leaving: Leaving,
    _busy: Busy,
}

/// Answers the requests of one connection.
async fn converse(server: Arc<Server>, stream: Stream) {
    let switch = Arc::new(Mutex::new(None));
    let (stream, begins) = Lines::new(stream);
    let leaves = Arc::clone(&switch);
    let service = service_fn(move |request| {
        let (server, leaves) = (Arc::clone(&server), Arc::clone(&leaves));
        let next = Next(Arc::clone(&begins));
        async move {
            match respond(server, request, next).await {
                Ok(response) => Ok::<_, Infallible>(response),
                // The connection is taken from below this.
                Err(switch) => {
                    *leaves.lock().unwrap_or_else(PoisonError::into_inner) = Some(switch);
                    std::future::pending().await
                }
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let over = std::future::poll_fn(|context| {
        // Whoever broke it off knows.
        let is_over = Pin::new(&mut connection).poll(context).is_ready();
        let switch = switch.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (is_over, switch) {
            (false, None) => Poll::Pending,
            (_, switch) => Poll::Ready(switch),
        }
    });
    let Some(Switch { head, leaving, _busy }) = over.await else { return };
    let parts = connection.into_parts();
    let (stream, rest) = parts.io.into_inner().into_inner();
    let early =
        if rest.is_empty() { parts.read_buf } else { [parts.read_buf, rest].concat().into() };
    let mut connection = Connection::new(stream, early);
    // What was begun for a client that has gone has its own end.
    let _ = connection.send(&head).await;
    leaving.go_on(connection).await;
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

async fn respond(
    server: Arc<Server>,
    request: Request<Incoming>,
    next: Next,
) -> Result<Response<Counted>, Switch> {
    let busy = server.activity.begin();
    let (parts, body) = request.into_parts();
    let ask = Ask {
        version: NEWEST,
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        upgrades: wants_upgrade(&parts.headers),
        headers: parts.headers,
        body,
    };
    // Of its own, so that it goes when there is an answer: a connection keeps what it has for requests.
    let answered = Box::pin(route::answer(&server, &parts.method, parts.uri.path(), ask)).await;
    let (mut parts, body) = answered.unwrap_or_else(Refusal::answer).into_parts();
    put_common(&mut parts.headers, &server.product);
    match parts.extensions.remove::<Leaving>() {
        Some(leaving) => {
            let head = hijack::head(parts.status, &parts.headers);
            Err(Switch { head, leaving, _busy: busy })
        }
        None => Ok(Response::from_parts(parts, Counted { body, _busy: busy, _next: next })),
    }
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
