//! Further programs in a running container.

use bollard::models::ExecConfig;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;
use wharf_model::{Event, EventOptions, ExecSpec, Filters, TermSize};

use super::session::{Framing, resizer, streams};
use super::transport::full;
use super::{Docker, container_segment, error};
use crate::session::untold;
use crate::{Error, Result, Session};

impl Docker {
    /// Starts a program and connects to its streams, unless it is to be left alone.
    pub(super) async fn exec_session(
        &self,
        container: &str,
        spec: ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Session> {
        let segment = container_segment(container)?;
        let config = ExecConfig {
            attach_stdin: Some(spec.stdin && !spec.detach),
            attach_stdout: Some(!spec.detach),
            attach_stderr: Some(!spec.detach),
            tty: Some(spec.tty),
            env: Some(spec.env),
            cmd: Some(spec.command),
            privileged: Some(spec.privileged),
            user: spec.user,
            working_dir: spec.working_dir,
            ..Default::default()
        };
        // Before the start, so that the end can't be missed.
        let filters = Filters::from_iter([("type", "container"), ("event", "exec_die")]);
        let wanted = EventOptions { filters, ..EventOptions::default() };
        let events = self.event_stream(&wanted).await?;
        let id = self.client.create_exec(&segment, config).await?.id;
        let path = format!("/exec/{id}");
        let start = serde_json::json!({"Detach": spec.detach, "Tty": spec.tty}).to_string();
        if spec.detach {
            let body = full(start.into_bytes());
            self.transport.post(&format!("{path}/start"), &[], body, "application/json").await?;
            return Ok(detached());
        }
        let connection =
            self.transport.hijack(&format!("{path}/start"), &[], start.into_bytes()).await?;
        let framing = if spec.tty { Framing::Raw } else { Framing::Multiplexed };
        let (input, output) = streams(connection, framing, spec.stdin);
        let (closed, output_end) = watch::channel(());
        let output = output.chain(
            // Tells the exit future that the output is over, and says nothing itself.
            futures_util::stream::once(async move { drop(closed) })
                .filter_map(|()| std::future::ready(None)),
        );
        let resize = resizer(self, format!("{path}/resize"), size.filter(|_| spec.tty));
        let exit = self.exec_exit(id, events, output_end);
        Ok(Session { input, output: output.boxed(), resize, exit, leave: untold(), process: None })
    }

    /// Returns a future of the program's exit code. The engine tells it in an event; a program that
    /// could not be started has none, but its output ends.
    fn exec_exit(
        &self,
        id: String,
        mut events: BoxStream<'static, Result<Event>>,
        mut output_end: watch::Receiver<()>,
    ) -> BoxFuture<'static, Result<i32>> {
        let docker = self.clone();
        Box::pin(async move {
            let mut output_open = true;
            loop {
                tokio::select! {
                    event = events.next() => match event {
                        Some(Ok(event)) => {
                            if event.attributes.get("execID") == Some(&id)
                                && let Some(code) = event.attributes.get("exitCode")
                                && let Ok(code) = code.parse()
                            {
                                return Ok(code);
                            }
                        }
                        Some(Err(error)) => return Err(error),
                        None => return match docker.exec_code(&id).await? {
                            Some(code) => Ok(code),
                            None => Err(error::broken("exec", "no more events")),
                        },
                    },
                    // The channel carries nothing: it is closed with the output.
                    _ = output_end.changed(), if output_open => {
                        output_open = false;
                        if let Some(code) = docker.exec_code(&id).await? {
                            return Ok(code);
                        }
                    }
                }
            }
        })
    }

    /// Returns the exit code if the program has ended.
    async fn exec_code(&self, id: &str) -> Result<Option<i32>> {
        let answer = self.client.inspect_exec(id).await.map_err(Error::from)?;
        if answer.running.unwrap_or_default() {
            return Ok(None);
        }
        Ok(answer.exit_code.and_then(|code| i32::try_from(code).ok()))
    }
}

/// Returns the session of a program that nobody waits for.
fn detached() -> Session {
    let (resize, _) = tokio::sync::mpsc::channel(1);
    Session {
        input: None,
        output: futures_util::stream::empty().boxed(),
        resize,
        exit: Box::pin(std::future::ready(Ok(0))),
        leave: untold(),
        process: None,
    }
}
