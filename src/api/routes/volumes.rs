//! Volumes.

use std::sync::Arc;

use bollard_stubs::models::VolumeCreateRequest;
use serde_json::{Value, json};
use wharf_backend::Backend;
use wharf_model::{Command, Outcome, VolumeCreateOptions};

use crate::answer::{self, Answered, Refusal};
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::Version;

pub(crate) async fn list(server: &Arc<Server>, query: &Query) -> Answered {
    let volumes = server.engine.volumes(&query.filters()?, false).await?;
    let rows: Vec<Value> = volumes.iter().map(wharf_inspect::volume_document).collect();
    answer::document(&json!({"Volumes": rows, "Warnings": null}))
}

pub(crate) async fn inspect(server: &Arc<Server>, name: &str) -> Answered {
    answer::document(&server.engine.inspect_volume(name).await?)
}

pub(crate) async fn create(server: &Arc<Server>, ask: Ask) -> Answered {
    let request: VolumeCreateRequest = ask.json().await?;
    if request.cluster_volume_spec.is_some() {
        return Err(Refusal::invalid(
            "ClusterVolumeSpec is for volumes of swarms, of which wharf has none",
        ));
    }
    let options = VolumeCreateOptions {
        name: request.name.filter(|name| !name.is_empty()),
        driver: request.driver.unwrap_or_default(),
        options: request.driver_opts.unwrap_or_default().into_iter().collect(),
        labels: request.labels.unwrap_or_default().into_iter().collect(),
    };
    match server.engine.execute(Command::CreateVolume(Box::new(options))).await? {
        Outcome::VolumeCreated(volume) => answer::created(&wharf_inspect::volume_document(&volume)),
        other => Err(super::unexpected("volume create", &other)),
    }
}

pub(crate) async fn remove(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let command = Command::RemoveVolume { volume: name.to_owned(), force: query.on("force") };
    server.engine.execute(command).await?;
    answer::done()
}

pub(crate) async fn prune(server: &Arc<Server>, ask: &Ask) -> Answered {
    let filters = ask.query.filters()?;
    // Before 1.42 those with names went too.
    let all = ask.version < Version(42);
    match server.engine.execute(Command::PruneVolumes { all, filters }).await? {
        Outcome::VolumesPruned { deleted, reclaimed, .. } => {
            answer::document(&json!({"VolumesDeleted": deleted, "SpaceReclaimed": reclaimed}))
        }
        other => Err(super::unexpected("volume prune", &other)),
    }
}
