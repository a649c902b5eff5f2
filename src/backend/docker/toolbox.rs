//! A toolbox at a Docker engine: the API runs further programs with a container's own files only, so it
//! is a container beside it, in its PID and network namespaces, that is removed when it ends. The
//! other namespaces can't be had: `uts` takes no container, and `ipc` only one that was made shareable.

use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::StreamExt;
use serde_json::{Value, json};
use wharf_model::{ErrorKind, ExecSpec, TARGET, TOOLBOX, TermSize};

use super::Docker;
use super::transport::full;
use crate::{AttachOptions, Error, Result, Session};

/// Shows the container's root, which the kernel shows in /proc to who has its rights, under the name
/// that it has elsewhere, and becomes the program. Nobody can find out where that is but by being told: a
/// shell's prompt that asks the kernel fails each time, so it is one that asks the shell.
const BEGIN: &str = "ln -s /proc/1/root \"$0\" 2>/dev/null; \
                     if cd \"$0/\" 2>/dev/null; then export PS1='$PWD # '; else cd /; fi; \
                     export PWD; exec \"$@\"";

/// Removes a container when nobody looks at it any more.
struct Remover {
    docker: Docker,
    container: String,
}

impl Drop for Remover {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (docker, container) = (self.docker.clone(), std::mem::take(&mut self.container));
        runtime.spawn(async move {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            // One that has ended is gone by itself.
            let _ = docker.client.remove_container(&container, Some(options)).await;
        });
    }
}

impl Docker {
    /// Runs a program of another image beside a container.
    pub(super) async fn toolbox_session(
        &self,
        container: &str,
        image: &str,
        spec: ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Session> {
        let target = self.inspect(container).await?;
        let id = target.id.unwrap_or_else(|| container.to_owned());
        let host = target.host_config.unwrap_or_default();
        let host = serde_json::to_value(host).unwrap_or_default();
        // The rights are those of the container, so that it gains none.
        let same = |key: &str| host.get(key).cloned().unwrap_or(Value::Null);
        let joined = format!("container:{id}");
        let mut host_config = json!({
            "AutoRemove": true,
            "PidMode": joined,
            "NetworkMode": joined,
            "Privileged": spec.privileged || same("Privileged") == Value::Bool(true),
        });
        for key in ["CapAdd", "CapDrop", "SecurityOpt", "UsernsMode", "CgroupParent"] {
            if let (Some(map), value) = (host_config.as_object_mut(), same(key))
                && !value.is_null()
            {
                map.insert(key.to_owned(), value);
            }
        }
        let ipc = same("IpcMode");
        if let (Some(map), Some("shareable" | "host")) = (host_config.as_object_mut(), ipc.as_str())
        {
            let mode = if ipc == "host" { ipc } else { Value::String(joined) };
            map.insert("IpcMode".to_owned(), mode);
        }
        let command = if spec.command.is_empty() { vec!["sh".to_owned()] } else { spec.command };
        let begin = ["-c".to_owned(), BEGIN.to_owned(), TARGET.to_owned()];
        let body = json!({
            "Image": image,
            "Entrypoint": ["/bin/sh"],
            "Cmd": begin.into_iter().chain(command).collect::<Vec<_>>(),
            "Tty": spec.tty,
            "OpenStdin": spec.stdin,
            "StdinOnce": spec.stdin,
            "Env": spec.env,
            "User": spec.user.unwrap_or_else(|| "0:0".to_owned()),
            "WorkingDir": spec.working_dir,
            "Labels": {TOOLBOX: id},
            "HostConfig": host_config,
        });
        let body = full(body.to_string().into_bytes());
        let made = self.transport.post("/containers/create", &[], body, "application/json").await;
        let reply = made.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                let text = format!(
                    "the toolbox image {image} is not at this engine: get it with \"docker pull \
                     {image}\" or \"docker load\", or name another (--image; toolbox-image in the \
                     dashboard's settings)"
                );
                Error::new(ErrorKind::NotFound, text)
            }
            _ => error,
        })?;
        let made: Value = reply.json().await?;
        let Some(made) = made.get("Id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Error::new(ErrorKind::Internal, "create: the answer has no id"));
        };
        let remover = Remover { docker: self.clone(), container: made.clone() };
        let options = AttachOptions { start: true, stdin: spec.stdin, output: true, size };
        let mut session = self.attach_session(&made, options).await?;
        session.output = session
            .output
            .map(move |chunk| {
                let _ = &remover;
                chunk
            })
            .boxed();
        Ok(session)
    }
}
