//! `commit`: a container becomes an image.

use serde_json::json;
use wharf_model::{CommitOptions, Digest, ImageConfig};

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
                config: settings(store, self, &record)?,
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
