//! Making a container and starting it. Of one that can't be started nothing is left, so that the
//! next attempt may have its name.

use wharf_backend::{Backend, Error, Result};
use wharf_model::{Command, ErrorKind, Outcome, RemoveOptions};

use crate::options::RunParser;

/// Does what the words after `run` say; returns the container's name and the engine's warnings.
pub(super) async fn run(
    backend: &dyn Backend,
    parser: Option<RunParser>,
    words: &[String],
) -> Result<(String, Vec<String>)> {
    let invalid = |why: String| Error::new(ErrorKind::Invalid, why);
    let parser = parser.ok_or_else(|| invalid("no containers can be made here".to_owned()))?;
    let options = parser(words).map_err(invalid)?;
    let made = backend.execute(Command::Create(Box::new(options))).await?;
    let Outcome::Created(created) = made else {
        return Err(Error::new(ErrorKind::Internal, "the engine made no container"));
    };
    let container = created.id.as_str().to_owned();
    let start = Command::Start { container: container.clone() };
    match backend.execute(start).await {
        Ok(_) => Ok((created.name, created.warnings)),
        Err(error) => {
            let options = RemoveOptions { force: true, volumes: true };
            match backend.execute(Command::Remove { container, options }).await {
                Ok(_) => Err(error),
                Err(left) if left.kind == ErrorKind::NotFound => Err(error),
                Err(left) => {
                    let text =
                        format!("{}; {} is left: {}", error.message, created.name, left.message);
                    Err(Error::new(error.kind, text))
                }
            }
        }
    }
}
