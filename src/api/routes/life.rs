//! The life of a container: start, stop and what is between, and waiting for its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use hyper::StatusCode;
use serde_json::json;
use wharf_backend::{AttachOptions, Backend, Error};
use wharf_model::{
    Command, ContainerId, ErrorKind, Event, EventOptions, Filters, Outcome, RemoveOptions, Status,
};

use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::Version;

/// How often it is looked whether a container whose end was missed is still there.
const LOOK: Duration = Duration::from_secs(10);

/// Does a change that has nothing to say.
async fn execute(server: &Server, command: Command) -> Answered {
    match server.engine.execute(command).await? {
        Outcome::NotModified => Ok(answer::status(StatusCode::NOT_MODIFIED)),
        _ => answer::done(),
    }
}

pub(crate) async fn start(server: &Arc<Server>, name: &str, mut ask: Ask) -> Answered {
    if ask.has_body() {
        ask.drain().await?;
        return Err(Refusal::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and \
             removed in v1.24",
        ));
    }
    if ask.query.text("checkpoint").is_some() {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "wharf has no checkpoints of containers",
        ));
    }
    let detail = server.engine.container(name).await?;
    // Others may be attached, who shall not lose their connection with the one that starts it.
    super::to_its_end(begin(Arc::clone(server), detail.id.to_string())).await
}

/// Starts a container, and connects those who wait for that.
async fn begin(server: Arc<Server>, id: String) -> Answered {
    // Whatever becomes of the start, nobody waits for it afterwards.
    let mut waiters = server.waiting.take(&id).into_iter();
    let Some(first) = waiters.next() else {
        return execute(&server, Command::Start { container: id }).await;
    };
    let options = AttachOptions { start: true, stdin: first.stdin, output: true, size: None };
    match server.engine.attach(&id, options).await {
        Ok(session) => {
            // It may have gone meanwhile, which detaches it.
            let _ = first.session.send(session);
        }
        Err(error) if error.kind == ErrorKind::NotModified => {
            server.waiting.add(&id, first);
            waiters.for_each(|waiter| server.waiting.add(&id, waiter));
            return Ok(answer::status(StatusCode::NOT_MODIFIED));
        }
        Err(error) => return Err(error.into()),
    }
    for waiter in waiters {
        let stdin = waiter.stdin;
        let options = AttachOptions { start: false, stdin, output: true, size: None };
        // One that has ended already has nothing more to say.
        if let Ok(session) = server.engine.attach(&id, options).await {
            let _ = waiter.session.send(session);
        }
    }
    answer::done()
}

/// Reads how long a stop may take, and the signal that it begins with, which nobody could choose before
/// 1.42.
fn how_to_stop(ask: &Ask) -> Result<(Option<i64>, Option<String>), Refusal> {
    let signal = ask.query.text("signal").filter(|_| ask.version >= Version(42));
    Ok((ask.query.number("t")?, signal.map(str::to_owned)))
}

pub(crate) async fn stop(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let (timeout, signal) = how_to_stop(ask)?;
    execute(server, Command::Stop { container: name.to_owned(), timeout, signal }).await
}

pub(crate) async fn restart(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let (timeout, signal) = how_to_stop(ask)?;
    execute(server, Command::Restart { container: name.to_owned(), timeout, signal }).await
}

pub(crate) async fn kill(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let signal = query.text("signal").map(str::to_owned);
    execute(server, Command::Kill { container: name.to_owned(), signal }).await
}

pub(crate) async fn pause(server: &Arc<Server>, name: &str) -> Answered {
    execute(server, Command::Pause { container: name.to_owned() }).await
}

pub(crate) async fn unpause(server: &Arc<Server>, name: &str) -> Answered {
    execute(server, Command::Unpause { container: name.to_owned() }).await
}

pub(crate) async fn rename(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let new = query
        .text("name")
        .ok_or_else(|| Refusal::invalid("Neither old nor new names may be empty"))?;
    let new = new.strip_prefix('/').unwrap_or(new).to_owned();
    execute(server, Command::Rename { container: name.to_owned(), name: new }).await
}

pub(crate) async fn remove(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    if query.on("link") {
        return Err(Refusal::invalid(
            "wharf can't remove a link alone: remove the container that has it",
        ));
    }
    let options = RemoveOptions { force: query.on("force"), volumes: query.on("v") };
    execute(server, Command::Remove { container: name.to_owned(), options }).await
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// Answers with the exit code once the condition holds. The head of the answer goes out at once: the
/// client knows then that it will miss nothing.
pub(crate) async fn wait(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    // Before 1.30 there was one thing to wait for.
    let condition = ask.query.get("condition").filter(|_| ask.version >= Version(30));
    let condition = match condition.unwrap_or_default() {
        "" | "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => {
            return Err(Refusal::invalid(format!("invalid condition: {other:?}")));
        }
    };
    let detail = server.engine.container(name).await?;
    let id = detail.id.as_str();
    let filters = Filters::from_iter([
        ("container", id),
        ("event", "start"),
        ("event", "die"),
        ("event", "destroy"),
    ]);
    let options = EventOptions { filters, ..EventOptions::default() };
    let events = server.engine.list_events(options).await?;
    // What happened before the events were listened to is known from here.
    let detail = match server.engine.container(id).await {
        Ok(detail) => detail,
        Err(error) if error.kind == ErrorKind::NotFound => detail,
        Err(error) => return Err(error.into()),
    };
    let of = Waited { id: detail.id, status: detail.state.status, code: detail.state.exit_code };
    let waited = ended(Arc::clone(server), of, events, condition);
    if ask.version < Version(30) {
        // Clients of old wait for the head itself.
        return match waited.await {
            Ok(code) => answer::document(&json!({"StatusCode": code})),
            Err(error) => Err(error.into()),
        };
    }
    // Versions of old have a place for what went wrong in any case.
    let says_nothing = ask.version < Version(42);
    let text = async move {
        let document = match waited.await {
            Ok(code) if says_nothing => json!({"Error": null, "StatusCode": code}),
            Ok(code) => json!({"StatusCode": code}),
            Err(error) => json!({"Error": {"Message": error.message}, "StatusCode": -1}),
        };
        Ok::<_, std::convert::Infallible>(Bytes::from(format!("{document}\n")))
    };
    let body = body::stream(futures_util::stream::once(text));
    Ok(answer::of_type("application/json", body))
}

/// A container whose end is waited for, as it was when that began.
struct Waited {
    id: ContainerId,
    status: Status,
    code: i32,
}

/// Waits for a container's end; returns its exit code.
async fn ended(
    server: Arc<Server>,
    of: Waited,
    mut events: BoxStream<'static, Result<Event, Error>>,
    condition: Condition,
) -> Result<i32, Error> {
    let id = of.id.as_str();
    let mut runs = of.status.is_supervised();
    let mut code = (!runs).then_some(of.code);
    match condition {
        Condition::NotRunning if of.status == Status::Created => return Ok(0),
        Condition::NotRunning if !runs => return Ok(of.code),
        Condition::NotRunning | Condition::NextExit => code = None,
        Condition::Removed => {}
    }
    loop {
        if code.is_some() && condition != Condition::Removed {
            return Ok(code.unwrap_or_default());
        }
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => match event.action.as_str() {
                    "start" => runs = true,
                    "die" => {
                        runs = false;
                        code = event.attributes.get("exitCode").and_then(|text| text.parse().ok());
                        code = code.or(Some(255));
                    }
                    // With `rm -f` of one that was never started there is no other end.
                    _ => return Ok(code.unwrap_or_default()),
                },
                Some(Err(error)) => return Err(error),
                None => return Err(Error::new(ErrorKind::Internal, "events have ended")),
            },
            // Asks the supervisor itself: one that was killed tells of no end, and this corrects
            // the row, from which the event comes.
            exit = server.engine.wait(id), if runs => match exit {
                Ok(exit) => {
                    runs = false;
                    code = Some(exit);
                }
                Err(error) if error.kind == ErrorKind::NotFound => runs = false,
                Err(error) => return Err(error),
            },
            () = tokio::time::sleep(LOOK), if !runs && condition == Condition::Removed => {
                match server.engine.container(id).await {
                    Err(error) if error.kind == ErrorKind::NotFound => {
                        return Ok(code.unwrap_or_default());
                    }
                    _ => {}
                }
            }
        }
    }
}
