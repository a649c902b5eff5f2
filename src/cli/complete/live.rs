//! Names of containers and other objects, asked of the engine while somebody waits for them.

use std::time::Duration;

use wharf_backend::{Backend, Error};
use wharf_model::{Filters, Status};

use super::{Candidate, Names};
use crate::connect;
use crate::target::Target;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the names, none when the engine can't be asked. An engine that isn't there yet is not
/// made.
pub(crate) fn names(wanted: Names, target: &Target) -> Vec<Candidate> {
    if !connect::exists(target) {
        return Vec::new();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let names = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async {
            let backend = connect::backend(target).await.ok()?;
            ask(&*backend, wanted).await.ok()
        })
        .await
    });
    runtime.shutdown_background();
    names.ok().flatten().unwrap_or_default()
}

async fn ask(backend: &dyn Backend, wanted: Names) -> Result<Vec<Candidate>, Error> {
    let mut names = Vec::new();
    let wants = |kinds: &[Names]| wanted == Names::All || kinds.contains(&wanted);
    if wants(&[Names::Containers, Names::Running, Names::Stopped, Names::Paused]) {
        for container in backend.containers(wanted != Names::Running).await? {
            let fits = match wanted {
                Names::Stopped => !container.status.is_alive(),
                Names::Paused => container.status == Status::Paused,
                _ => true,
            };
            if fits {
                let about = format!("{}, {}", container.image, container.status_text);
                names.push((container.name, about));
            }
        }
    }
    if wants(&[Names::Images]) {
        for image in backend.images().await? {
            let size = wharf_inspect::human::image_size(image.size);
            names.extend(image.tags.iter().map(|name| (name.to_string(), size.clone())));
        }
    }
    if wants(&[Names::Networks, Names::OwnNetworks]) {
        for network in backend.networks(&Filters::default()).await? {
            let predefined = matches!(network.name.as_str(), "bridge" | "host" | "none");
            if wanted != Names::OwnNetworks || !predefined {
                names.push((network.name, network.driver));
            }
        }
    }
    if wants(&[Names::Volumes]) {
        for volume in backend.volumes(&Filters::default(), false).await? {
            names.push((volume.name, volume.driver));
        }
    }
    Ok(names)
}
