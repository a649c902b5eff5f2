//! `exec`: a further program in a container.

use std::sync::Arc;
use std::time::Instant;

use bollard_stubs::models::{ExecConfig, ExecStartConfig};
use futures_util::stream::{BoxStream, StreamExt};
use hyper::StatusCode;
use serde_json::json;
use wharf_backend::{Backend, DetachKeys, Error, Session};
use wharf_model::{
    ContainerDetail, ErrorKind, Event, EventOptions, ExecSpec, Filters, LogStream, Status, TermSize,
};

use super::attach::size;
use crate::answer::{self, Answered, Refusal};
use crate::create::{terminal_size, words};
use crate::execs::{self, Exec, Stage, Taken};
use crate::frames::Framing;
use crate::hijack::{self, Wanted};
use crate::request::{self, Ask, Query};
use crate::server::Server;

fn unknown(id: &str) -> Refusal {
    Refusal::missing(format!("No such exec instance: {id}"))
}

/// Refuses a container in which no program can be run now.
fn check_runs(detail: &ContainerDetail) -> Result<(), Refusal> {
    let id = &detail.id;
    let text = match detail.state.status {
        Status::Running => return Ok(()),
        Status::Paused => format!("Container {id} is paused, unpause the container before exec"),
        Status::Restarting => {
            format!("Container {id} is restarting, wait until the container is running")
        }
        _ => format!("container {id} is not running"),
    };
    Err(Refusal::new(StatusCode::CONFLICT, text))
}

/// Returns the container of a program; with its container a program is gone.
async fn container_of(server: &Server, id: &str, exec: &Exec) -> Result<ContainerDetail, Refusal> {
    server.engine.container(exec.container.as_str()).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => unknown(id),
        _ => error.into(),
    })
}

pub(crate) async fn create(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let mut document = ask.required().await?;
    words(&mut document, "Cmd");
    let config: ExecConfig = request::typed(document)?;
    let command = config.cmd.unwrap_or_default();
    if command.is_empty() {
        return Err(Refusal::invalid("No exec command specified"));
    }
    let detail = server.engine.container(name).await?;
    check_runs(&detail)?;
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
    let action = Event::of_program("exec_create", &spec.command);
    let attributes = [("execID", exec_id.clone())];
    let container = detail.id;
    let exec = Exec {
        container: container.clone(),
        spec,
        stdout: config.attach_stdout.unwrap_or_default(),
        stderr: config.attach_stderr.unwrap_or_default(),
        detach_keys: keys,
        size: terminal_size(config.console_size.as_deref()),
        process: None,
        stage: Stage::Made(Instant::now()),
    };
    if !server.execs.add(&exec_id, exec) {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many further programs are known: wait until some have ended",
        ));
    }
    server.engine.note(container.as_str(), &action, &attributes).await?;
    answer::created(&json!({"Id": exec_id}))
}

pub(crate) async fn start(server: &Arc<Server>, id: &str, ask: Ask) -> Answered {
    let (upgrades, version) = (ask.upgrades, ask.version);
    let document = ask.document().await?.unwrap_or_else(|| json!({}));
    let config: ExecStartConfig = request::typed(document)?;
    // One that can't be run now can be run later.
    let known = server.execs.get(id).ok_or_else(|| unknown(id))?;
    check_runs(&container_of(server, id, &known).await?)?;
    let exec = server.execs.begin(id).map_err(|taken| match taken {
        Taken::Unknown => unknown(id),
        Taken::Before => Refusal::new(
            StatusCode::CONFLICT,
            format!("exec command {id} has already run or is running"),
        ),
    })?;
    let detach = config.detach.unwrap_or_default();
    let first = terminal_size(config.console_size.as_deref()).or(exec.size);
    let spec = ExecSpec { detach, stdin: exec.spec.stdin && !detach, ..exec.spec.clone() };
    let tty = spec.tty;
    let framing = Framing::of(tty);
    let keys = DetachKeys::parse(exec.detach_keys.as_deref()).ok().filter(|_| tty);
    // A terminal has one output.
    let wanted =
        Wanted { framing, stdout: exec.stdout || tty, stderr: exec.stderr, keys, reads_on: true };
    let began = begin(Arc::clone(server), id.to_owned(), exec, spec, first.filter(|_| tty));
    if detach {
        super::to_its_end(async { Ok(began.await?) }).await?;
        return Ok(answer::status(StatusCode::OK));
    }
    // As docker has it, the head of the answer goes out before the program begins, and why it can't be
    // run is its only output. Clients may lose what comes together with the head.
    Ok(hijack::leaving(upgrades, framing.content_type(version), async move |mut connection| {
        match began.await {
            Ok(Began::Attached(session, ended)) => connection.join(session, wanted, ended).await,
            Ok(Began::Detached) => connection.close().await,
            Err(error) => {
                let text = format!("{}\r\n", error.message);
                // Whoever has gone needs no reason.
                let _ = connection.send(&framing.frame(LogStream::Stdout, text.as_bytes())).await;
                connection.close().await;
            }
        }
    }))
}

/// Is told a program's exit code.
type Ended = Box<dyn FnOnce(i32) + Send>;

/// A program that runs.
enum Began {
    /// Nobody is connected to it.
    Detached,
    /// Its streams, and who is to be told of its end.
    Attached(Session, Ended),
}

async fn begin(
    server: Arc<Server>,
    id: String,
    exec: Exec,
    spec: ExecSpec,
    size: Option<TermSize>,
) -> Result<Began, Error> {
    // A detached program is nobody's to wait for, but events tell of its end. They are listened to
    // before there is anything to tell.
    let detach = spec.detach;
    let container = exec.container.as_str();
    let listened = match detach {
        true => {
            let filters = Filters::from_iter([
                ("container", container),
                ("event", "exec_die"),
                ("event", "die"),
            ]);
            let options = EventOptions { filters, ..EventOptions::default() };
            server.engine.list_events(options).await.map(Some)
        }
        false => Ok(None),
    };
    let begun = match listened {
        Ok(events) => {
            let session = server.engine.exec(container, spec, size).await;
            session.map(|session| (session, events))
        }
        Err(error) => Err(error),
    };
    let (session, events) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let code = if error.kind == ErrorKind::CommandNotFound { 127 } else { 126 };
            server.execs.end(&id, code);
            return Err(error);
        }
    };
    server.execs.run(&id, session.resize.clone(), session.process);
    let ended = move |code: i32| server.execs.end(&id, code);
    match events {
        Some(events) => {
            let id = exec.spec.id;
            tokio::spawn(async move { ended(end_of(&id, events).await) });
            Ok(Began::Detached)
        }
        None => Ok(Began::Attached(session, Box::new(ended))),
    }
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
    container_of(server, id, &exec).await?;
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
        // What can be removed isn't known any more.
        "CanRemove": false,
        "ContainerID": exec.container.as_str(),
        "DetachKeys": exec.detach_keys.as_deref().unwrap_or_default(),
        "Pid": exec.process.unwrap_or_default(),
    }))
}
