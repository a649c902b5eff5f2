//! Making containers, and changing them.

use std::sync::Arc;

use serde_json::json;
use wharf_backend::Backend;
use wharf_model::{Command, Outcome};

use crate::answer::{self, Answered, Refusal};
use crate::create;
use crate::request::Ask;
use crate::server::Server;

pub(crate) async fn create(server: &Arc<Server>, ask: Ask) -> Answered {
    let name = ask.query.text("name").map(str::to_owned);
    let platform = ask.query.text("platform").map(str::to_owned);
    let version = ask.version;
    let mut options = create::options(ask.required().await?, name.as_deref(), platform.as_deref())?;
    create::as_of(version, &mut options)?;
    if options.image.is_empty() {
        return Err(Refusal::invalid("no image was given: Image is empty"));
    }
    let mut command = Command::Create(Box::new(options));
    let outcome = server.engine.execute(command.clone()).await;
    let outcome = match (outcome, &mut command) {
        // What isn't here for this platform isn't here, and a client that is told so pulls it.
        (Err(error), Command::Create(options)) if super::images::is_other_platform(&error) => {
            return Err(Refusal::missing(format!(
                "No such image: {}: {}",
                options.image, error.message
            )));
        }
        (outcome, _) => outcome?,
    };
    match outcome {
        Outcome::Created(created) => {
            let warnings = created.warnings;
            answer::created(&json!({"Id": created.id.as_str(), "Warnings": warnings}))
        }
        other => Err(super::unexpected("create", &other)),
    }
}

pub(crate) async fn update(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let document = ask.json().await?;
    let options = Box::new(create::update(document)?);
    let container = name.to_owned();
    match server.engine.execute(Command::Update { container, options }).await? {
        Outcome::Updated { warnings } => {
            let warnings = if warnings.is_empty() { json!(null) } else { json!(warnings) };
            answer::document(&json!({"Warnings": warnings}))
        }
        other => Err(super::unexpected("update", &other)),
    }
}
