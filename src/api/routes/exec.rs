//! `exec`: a further program in a container.

use std::sync::Arc;
use std::time::Instant;

use bollard_stubs::models::{ExecConfig, ExecStartConfig};
use futures_util::stream::{BoxStream, StreamExt};
use hyper::StatusCode;
use hyper::upgrade::OnUpgrade;
use serde_json::json;
use wharf_backend::{Backend, DetachKeys, Error, Session};
use wharf_model::{ErrorKind, Event, EventOptions, ExecSpec, Filters, LogStream, Status, TermSize};

use super::attach::size;
use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::create::words;
use crate::execs::{self, Exec, Stage, Taken};
use crate::frames::Framing;
use crate::hijack::{self, Connection, Wanted};
use crate::request::{self, Ask, Query};
use crate::server::Server;

fn unknown(id: &str) -> Refusal {
    Refusal::missing(format!("No such exec instance: {id}"))
}

pub(crate) async fn create(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let mut document = ask.document().await?.unwrap_or_default();
    words(&mut document, "Cmd");
    let config: ExecConfig = request::typed(document)?;
    let detail = server.engine.container(name).await?;
    let id = detail.id.as_str();
    let conflict = |text: String| Err(Refusal::new(StatusCode::CONFLICT, text));
    match detail.state.status {
        Status::Running => {}
        Status::Paused => {
            return conflict(format!(
                "Container {id} is paused, unpause the container before exec"
            ));
        }
        Status::Restarting => {
            return conflict(format!(
                "Container {id} is restarting, wait until the container is running"
            ));
        }
        _ => return conflict(format!("container {id} is not running")),
    }
    let command = config.cmd.unwrap_or_default();
    if command.is_empty() {
        return Err(Refusal::invalid("No exec command specified"));
    }
    let keys = config.detach_keys.filter(|keys| !keys.is_empty());
    DetachKeys::parse(keys.as_deref()).map_err(Refusal::invalid)?;
    let exec_id = execs::new_id().map_err(|cause| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("make an id: {cause}"))
    })?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let spec = ExecSpec {
        id: exec_id.clone(),
        command,
        env: config.env.unwrap_or_default(),
        user: filled(config.user),
        working_dir: filled(config.working_dir),
        tty: config.tty.unwrap_or_default(),
        stdin: config.attach_stdin.unwrap_or_default(),
        detach: false,
        privileged: config.privileged.unwrap_or_default(),
        toolbox: None,
    };
    let exec = Exec {
        container: detail.id,
        spec,
        stdout: config.attach_stdout.unwrap_or_default(),
        stderr: config.attach_stderr.unwrap_or_default(),
        detach_keys: keys,
        stage: Stage::Made(Instant::now()),
    };
    if !server.execs.add(&exec_id, exec) {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many further programs are known: wait until some have ended",
        ));
    }
    answer::created(&json!({"Id": exec_id}))
}

pub(crate) async fn start(server: &Arc<Server>, id: &str, mut ask: Ask) -> Answered {
    let upgrade = ask.upgrade.take();
    let version = ask.version;
    let busy = std::mem::replace(&mut ask.busy, server.begin());
    let document = ask.document().await?.unwrap_or_else(|| json!({}));
    let config: ExecStartConfig = request::typed(document)?;
    let exec = server.execs.begin(id).map_err(|taken| match taken {
        Taken::Unknown => unknown(id),
        Taken::Before => Refusal::new(
            StatusCode::CONFLICT,
            format!("exec command {id} has already run or is running"),
        ),
    })?;
    let detach = config.detach.unwrap_or_default();
    let first = config.console_size.as_deref().and_then(|cells| match cells {
        [rows, columns] => Some(TermSize {
            rows: u16::try_from(*rows).ok()?,
            columns: u16::try_from(*columns).ok()?,
        }),
        _ => None,
    });
    let spec = ExecSpec { detach, stdin: exec.spec.stdin && !detach, ..exec.spec.clone() };
    let tty = spec.tty;
    // A detached program is nobody's to wait for, but events tell of its end. They are listened to
    // before there is anything to tell.
    let events = match detach {
        true => {
            let container = exec.container.as_str();
            let filters = Filters::from_iter([
                ("container", container),
                ("event", "exec_die"),
                ("event", "die"),
            ]);
            let options = EventOptions { filters, ..EventOptions::default() };
            Some(server.engine.list_events(options).await?)
        }
        false => None,
    };
    let begun = server.engine.exec(exec.container.as_str(), spec, first.filter(|_| tty)).await;
    let mut session = match begun {
        Ok(session) => session,
        Err(error) => {
            let code = match error.kind {
                ErrorKind::CommandNotFound => 127,
                _ => 126,
            };
            server.execs.set(id, Stage::Ended(code, Instant::now()));
            // As docker has it, why a program can't be run is its only output.
            return match error.kind {
                ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable if !detach => {
                    Ok(told(&error, Framing::of(tty), upgrade, version))
                }
                _ => Err(error.into()),
            };
        }
    };
    server.execs.set(id, Stage::Running(session.resize.clone()));
    let ended = {
        let (server, id) = (Arc::clone(server), id.to_owned());
        move |code: i32| server.execs.set(&id, Stage::Ended(code, Instant::now()))
    };
    if let Some(events) = events {
        let id = id.to_owned();
        tokio::spawn(async move { ended(end_of(&id, events).await) });
        return Ok(answer::status(StatusCode::OK));
    }
    let keys = DetachKeys::parse(exec.detach_keys.as_deref()).ok().filter(|_| tty);
    let framing = Framing::of(tty);
    // A terminal has one output.
    let (stdout, stderr) = (exec.stdout || tty, exec.stderr);
    let Some(upgrade) = upgrade else {
        drop(session.input.take());
        return Ok(plain(session, framing, (stdout, stderr), version, ended));
    };
    let wanted = Wanted { framing, stdout, stderr, keys, reads_on: true };
    tokio::spawn(async move {
        let _busy = busy;
        match Connection::taken(upgrade).await {
            Ok(connection) => connection.join(session, wanted, ended).await,
            Err(_) => ended(drained(session).await),
        }
    });
    Ok(hijack::switching(framing, version))
}

/// Answers with an error as the output of a program.
fn told(
    error: &Error,
    framing: Framing,
    upgrade: Option<OnUpgrade>,
    version: crate::version::Version,
) -> answer::Answer {
    let frame = framing.frame(LogStream::Stdout, format!("{}\r\n", error.message).as_bytes());
    let Some(upgrade) = upgrade else {
        return answer::of_type(framing.content_type(version), body::full(frame));
    };
    tokio::spawn(async move {
        if let Ok(mut connection) = Connection::taken(upgrade).await {
            // Whoever has gone needs no reason.
            let _ = connection.send(&frame).await;
        }
    });
    hijack::switching(framing, version)
}

/// Waits for the end of a program that nobody is connected to, which is at the latest its container's.
async fn end_of(id: &str, mut events: BoxStream<'static, Result<Event, Error>>) -> i32 {
    while let Some(Ok(event)) = events.next().await {
        let of = |name: &str| event.attributes.get(name).map(String::as_str);
        if event.action == "die" {
            return 137;
        }
        if of("execID") == Some(id) {
            return of("exitCode").and_then(|text| text.parse().ok()).unwrap_or(255);
        }
    }
    255
}

/// Reads a program whose client has gone to its end: its next output would end it.
async fn drained(mut session: Session) -> i32 {
    drop(session.input.take());
    while session.output.next().await.is_some() {}
    hijack::code(session.exit.await)
}

/// Answers a client that stays with HTTP: it gets the output as a body, and can give no input.
fn plain(
    session: Session,
    framing: Framing,
    (stdout, stderr): (bool, bool),
    version: crate::version::Version,
    ended: impl FnOnce(i32) + Send + 'static,
) -> answer::Answer {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let Session { mut output, exit, .. } = session;
        while let Some(Ok(chunk)) = output.next().await {
            let wanted = match chunk.stream {
                wharf_model::LogStream::Stdout => stdout,
                wharf_model::LogStream::Stderr => stderr,
            };
            if wanted {
                // Whoever has gone reads no more, but the program goes on.
                let _ = sender.send(framing.frame(chunk.stream, &chunk.data)).await;
            }
        }
        ended(hijack::code(exit.await));
        // Whoever sees the end can ask for the exit code.
        drop(sender);
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), receiver))
    });
    answer::of_type(framing.content_type(version), body::stream(frames))
}

pub(crate) async fn resize(server: &Arc<Server>, id: &str, query: &Query) -> Answered {
    let size = size(query)?;
    let exec = server.execs.get(id).ok_or_else(|| unknown(id))?;
    let not_running =
        || Refusal::new(StatusCode::CONFLICT, format!("exec process {id} is not running"));
    let Stage::Running(sizes) = exec.stage else { return Err(not_running()) };
    sizes.send(size).await.map_err(|_| not_running())?;
    Ok(answer::status(StatusCode::OK))
}

pub(crate) async fn inspect(server: &Arc<Server>, id: &str) -> Answered {
    let exec = server.execs.get(id).ok_or_else(|| unknown(id))?;
    // With its container it is gone.
    server.engine.container(exec.container.as_str()).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => unknown(id),
        _ => error.into(),
    })?;
    let spec = &exec.spec;
    let (entrypoint, arguments) = spec.command.split_first().unzip();
    let code = match exec.stage {
        Stage::Ended(code, _) => Some(code),
        _ => None,
    };
    let running = matches!(exec.stage, Stage::Running(_) | Stage::Starting);
    let mut process = json!({
        "tty": spec.tty,
        "entrypoint": entrypoint,
        "arguments": arguments,
        "privileged": spec.privileged,
    });
    if let Some(user) = &spec.user {
        process["user"] = user.as_str().into();
    }
    answer::document(&json!({
        "ID": id,
        "Running": running,
        "ExitCode": code,
        "ProcessConfig": process,
        "OpenStdin": spec.stdin,
        "OpenStderr": exec.stderr,
        "OpenStdout": exec.stdout,
        "CanRemove": code.is_some(),
        "ContainerID": exec.container.as_str(),
        "DetachKeys": exec.detach_keys.as_deref().unwrap_or_default(),
        "Pid": 0,
    }))
}
