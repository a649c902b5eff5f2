//! `attach`: a container's streams on the connection itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use hyper::StatusCode;
use tokio::sync::oneshot;
use wharf_backend::{AttachOptions, Backend, DetachKeys, Error, Session};
use wharf_model::{
    ContainerDetail, ContainerId, ErrorKind, EventOptions, Filters, LogOptions, Status, TermSize,
};

use super::logs::Lines;
use crate::answer::{self, Answered, Refusal};
use crate::frames::Framing;
use crate::hijack::{self, Connection, Wanted};
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::Version;
use crate::websocket::{self, Payload};

/// Reads a terminal's size.
///
/// # Errors
/// When it isn't one.
pub(super) fn size(query: &Query) -> Result<TermSize, Refusal> {
    let cells = |name: &str| {
        let text = query.get(name).unwrap_or_default();
        text.parse::<u16>().map_err(|_| {
            Refusal::invalid(format!("invalid resize {name}: {text:?} is not a number of cells"))
        })
    };
    Ok(TermSize { rows: cells("h")?, columns: cells("w")? })
}

pub(crate) async fn resize(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let size = Some(size(query)?);
    let options = AttachOptions { start: false, stdin: false, output: false, size };
    // The size goes with the connection, which isn't needed any longer.
    match server.engine.attach(name, options).await {
        Ok(_) => Ok(answer::status(StatusCode::OK)),
        Err(error) if error.kind == ErrorKind::Conflict => Err(not_running(server, name).await?),
        Err(error) => Err(error.into()),
    }
}

async fn not_running(server: &Arc<Server>, name: &str) -> Result<Refusal, Error> {
    let detail = server.engine.container(name).await?;
    Ok(Refusal::new(StatusCode::CONFLICT, format!("container {} is not running", detail.id)))
}

/// What a client asked for.
struct Attach {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    /// What is and what comes, rather than what was.
    stream: bool,
    /// What was.
    logs: bool,
    keys: Option<DetachKeys>,
}

impl Attach {
    fn read(query: &Query, detail: &ContainerDetail) -> Result<Self, Refusal> {
        let keys = DetachKeys::parse(query.text("detachKeys")).map_err(Refusal::invalid)?;
        Ok(Self {
            stdin: query.on("stdin") && detail.config.open_stdin,
            stdout: query.on("stdout"),
            stderr: query.on("stderr"),
            stream: query.on("stream"),
            logs: query.on("logs"),
            // Only a terminal has keys.
            keys: detail.config.tty.then_some(keys),
        })
    }
}

pub(crate) async fn attach(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let detail = server.engine.container(name).await?;
    let attach = Attach::read(&ask.query, &detail)?;
    let framing = Framing::of(detail.config.tty);
    let place = find(server, &detail, &attach).await?;
    let server = Arc::clone(server);
    Ok(hijack::leaving(ask.upgrades, framing.content_type(ask.version), move |connection| {
        converse(server, detail.id, attach, place, framing, connection)
    }))
}

/// Attaches by a websocket, whose messages are pieces of the streams, both outputs in one.
pub(crate) async fn by_websocket(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let accepted = websocket::accept(&ask.headers)?;
    let detail = server.engine.container(name).await?;
    let mut attach = Attach::read(&ask.query, &detail)?;
    if ask.version < Version(42) {
        // Nobody could choose then.
        (attach.stdin, attach.stdout, attach.stderr) = (detail.config.open_stdin, true, true);
    }
    let payload = if ask.version < Version(28) { Payload::Text } else { Payload::Binary };
    let place = find(server, &detail, &attach).await?;
    let server = Arc::clone(server);
    Ok(websocket::leaving(accepted, payload, move |connection| {
        converse(server, detail.id, attach, place, Framing::Raw, connection)
    }))
}

/// Joins a client and a container from the first byte that the client wants to the last.
async fn converse(
    server: Arc<Server>,
    id: ContainerId,
    attach: Attach,
    place: Place,
    framing: Framing,
    mut connection: Connection,
) {
    if attach.logs && replay(&server, &id, &attach, framing, &mut connection).await.is_err() {
        return;
    }
    let session = tokio::select! {
        session = arrive(&server, &id, place, attach.stdin) => session,
        () = connection.gone() => return,
    };
    let Some(session) = session else { return connection.close().await };
    let wanted = Wanted {
        framing,
        stdout: attach.stdout,
        stderr: attach.stderr,
        keys: attach.keys,
        reads_on: false,
    };
    connection.join(session, wanted, |_| ()).await;
}

/// Finds where a container's streams are.
async fn find(
    server: &Server,
    detail: &ContainerDetail,
    attach: &Attach,
) -> Result<Place, Refusal> {
    Ok(match detail.state.status {
        _ if !attach.stream => {
            server.engine.note(detail.id.as_str(), "attach", &[]).await?;
            Place::Nowhere
        }
        Status::Created | Status::Exited | Status::Dead | Status::Removing => {
            let (number, session) = server.waiting.wait(detail.id.as_str(), attach.stdin);
            Place::Later { number, session, before: detail.state.started_at }
        }
        Status::Paused => {
            let text =
                format!("container {} is paused, unpause the container before attach", detail.id);
            return Err(Refusal::new(StatusCode::CONFLICT, text));
        }
        _ => {
            let options = options(attach.stdin);
            Place::Now(Box::new(server.engine.attach(detail.id.as_str(), options).await?))
        }
    })
}

/// Where a container's streams are.
enum Place {
    /// Not wanted.
    Nowhere,
    /// Here.
    Now(Box<Session>),
    /// With whoever starts it.
    Later {
        /// What tells this client from others who wait.
        number: u64,
        session: oneshot::Receiver<Session>,
        /// When it was started the last time until now.
        before: Option<DateTime<Utc>>,
    },
}

fn options(stdin: bool) -> AttachOptions {
    AttachOptions { start: false, stdin, output: true, size: None }
}

/// Waits for a container's streams. Where somebody else starts it than this server, the first output
/// may be missed.
async fn arrive(server: &Server, id: &ContainerId, place: Place, stdin: bool) -> Option<Session> {
    let (number, mut session, before) = match place {
        Place::Nowhere => return None,
        Place::Now(session) => return Some(*session),
        Place::Later { number, session, before } => (number, session, before),
    };
    let id = id.as_str();
    let filters = Filters::from_iter([("container", id), ("event", "start"), ("event", "destroy")]);
    let options_of_events = EventOptions { filters, ..EventOptions::default() };
    let mut events = server.engine.list_events(options_of_events).await.ok()?;
    // A start that came before the events were listened to is known from here.
    let now = server.engine.container(id).await;
    if now.is_ok_and(|detail| detail.state.started_at == before) {
        tokio::select! {
            session = &mut session => return session.ok(),
            _ = events.next() => {}
        }
    }
    if !server.waiting.withdraw(id, number) {
        // It is this server that starts it, or has: the connection is on its way.
        return session.await.ok();
    }
    // One that has gone, or ended again, has nothing more to say.
    server.engine.attach(id, options(stdin)).await.ok()
}

/// Sends what a container has written so far.
async fn replay(
    server: &Server,
    id: &ContainerId,
    attach: &Attach,
    framing: Framing,
    connection: &mut Connection,
) -> Result<(), ()> {
    let records = server.engine.logs(id.as_str(), LogOptions::default()).await;
    // A container without a log has written nothing that could be read.
    let Ok(records) = records else { return Ok(()) };
    let lines = Lines::plain(attach.stdout, attach.stderr).frames(records, framing);
    let mut lines = std::pin::pin!(lines);
    while let Some(piece) = lines.next().await {
        let piece = piece.map_err(drop)?;
        connection.send(&piece).await.map_err(drop)?;
    }
    Ok(())
}
