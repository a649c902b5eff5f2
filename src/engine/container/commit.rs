//! `commit`: a container becomes an image.

use serde_json::json;
use wharf_model::{CommitOptions, Digest, ImageConfig};

use super::signal;
use crate::channel::Request;
use crate::engine::Engine;
use crate::image::{Commit, Images};
use crate::state::{Record, Store};
use crate::{Result, folder};

impl Engine {
    /// Makes an image of a container and returns its id. With [`CommitOptions::pause`] its processes
    /// stand still while its files are copied; they go on even if this process is killed, since its
    /// supervisor holds them only as long as it is asked to.
    ///
    /// # Errors
    /// When there is no such container, an instruction is wrong, or the disk is full; then nothing
    /// of the image stays.
    pub fn commit(&self, options: &CommitOptions) -> Result<Digest> {
        self.with_store(|store| {
            // It must neither be started nor removed meanwhile.
            let (verbs, record) = self.locked(store, &options.container)?;
            let is_alive = record.observed.state.status.is_alive();
            let hold = match is_alive && options.pause {
                true => Some(self.ask(&record, &Request::Hold)?),
                false => None,
            };
            let layers = folder::layers(self.paths(), store, &record)?;
            let commit = Commit {
                config: match &options.config {
                    Some(asked) => joined(asked, settings(store, self, &record)?)?,
                    None => settings(store, self, &record)?,
                },
                image: &record.image,
                layers: &layers,
                author: options.author.clone(),
                comment: options.message.clone(),
                changes: &options.changes,
                name: options.name.clone(),
            };
            let copied = |store: &Store| {
                // With `--rm` it may have ended, and its files with it; its row goes before them.
                let is_there = store.container(record.id.as_str()).map(drop);
                if let Some(hold) = hold {
                    hold.end_hold();
                }
                drop(verbs);
                is_there
            };
            let id = Images::new(store, self.paths()).commit(commit, copied)?;
            let name = options.name.as_ref().map(ToString::to_string).unwrap_or_default();
            let attributes = [
                ("comment", options.message.clone()),
                ("imageID", id.to_string()),
                ("imageRef", name),
            ];
            store.add_container_event(&record, "commit", &attributes)?;
            Ok(id)
        })
    }
}

/// Returns a container's settings as an image's. What only images have comes from its own image.
fn settings(store: &mut Store, engine: &Engine, record: &Record) -> Result<ImageConfig> {
    let of_image = Images::new(store, engine.paths()).config(&record.image)?;
    let config = &record.spec.config;
    let stop_signal = Some(config.stop_signal.clone())
        .filter(|signal| signal != "SIGTERM")
        .or_else(|| of_image.stop_signal.clone());
    Ok(ImageConfig {
        user: config.user.clone(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        volumes: config.volumes.iter().map(|path| (path.clone(), json!({}))).collect(),
        stop_signal,
        healthcheck: config.healthcheck.clone().or(of_image.healthcheck.clone()),
        ..of_image
    })
}

/// Returns what was asked for with what only the container says, by docker's rules.
fn joined(asked: &ImageConfig, container: ImageConfig) -> Result<ImageConfig> {
    fn filled<T>(asked: Vec<T>, otherwise: Vec<T>) -> Vec<T> {
        if asked.is_empty() { otherwise } else { asked }
    }
    let text = |asked: &str, otherwise: String| match asked {
        "" => otherwise,
        asked => asked.to_owned(),
    };
    let stop_signal = asked.stop_signal.clone().filter(|signal| !signal.is_empty());
    if let Some(signal) = &stop_signal {
        signal::parse(signal)?;
    }
    let mut config = container;
    for entry in &asked.env {
        crate::supervisor::set(&mut config.env, entry);
    }
    config.exposed_ports.extend(asked.exposed_ports.clone());
    config.volumes.extend(asked.volumes.clone());
    config.labels.extend(asked.labels.clone());
    // Another entrypoint leaves nothing of the old one's arguments.
    if asked.entrypoint.is_empty() {
        config.cmd = filled(asked.cmd.clone(), config.cmd);
    } else {
        config.entrypoint.clone_from(&asked.entrypoint);
        config.cmd.clone_from(&asked.cmd);
    }
    config.user = text(&asked.user, config.user);
    config.working_dir = text(&asked.working_dir, config.working_dir);
    config.shell = filled(asked.shell.clone(), config.shell);
    config.on_build = filled(asked.on_build.clone(), config.on_build);
    config.stop_signal = stop_signal.or(config.stop_signal);
    config.healthcheck = match (&asked.healthcheck, config.healthcheck) {
        (Some(asked), Some(known)) => {
            let mut check = asked.clone();
            check.merge(&known);
            Some(check)
        }
        (asked, known) => asked.clone().or(known),
    };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_before_what_the_container_says() {
        let read = |document: serde_json::Value| serde_json::from_value(document).unwrap();
        let container = || {
            read(json!({
                "User": "app", "Env": ["A=1", "B=2"], "Entrypoint": ["run"], "Cmd": ["x"],
                "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/srv",
                "StopSignal": "SIGINT",
            }))
        };
        let asked: ImageConfig = read(json!({
            "Env": ["B=3", "C=4"], "Cmd": ["y"], "Labels": {"c": "d"},
            "ExposedPorts": {"81/tcp": {}}, "User": "other",
        }));
        let got = joined(&asked, container()).unwrap();
        assert_eq!(got.env, ["A=1", "B=3", "C=4"]);
        assert_eq!((got.entrypoint, got.cmd), (vec!["run".to_owned()], vec!["y".to_owned()]));
        assert_eq!((got.labels.len(), got.exposed_ports.len()), (2, 2));
        assert_eq!((got.user.as_str(), got.working_dir.as_str()), ("other", "/srv"));
        assert_eq!(got.stop_signal.as_deref(), Some("SIGINT"));
        let other: ImageConfig = read(json!({"Entrypoint": ["z"]}));
        let got = joined(&other, container()).unwrap();
        assert_eq!((got.entrypoint, got.cmd), (vec!["z".to_owned()], vec![]));
        let wrong: ImageConfig = read(json!({"StopSignal": "NOPE"}));
        assert!(joined(&wrong, container()).is_err());
    }
}
