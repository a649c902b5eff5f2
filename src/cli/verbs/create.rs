//! `create`: make a container without starting it; and what `run` shares with it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use wharf_backend::{Backend, Error};
use wharf_model::{Command, CreateOptions, Created, ErrorKind, ImageReference, Outcome};

use super::pull;
use crate::args::create::{Surroundings, options};
use crate::args::create_flags::{FLAGS, MISSING};
use crate::args::resources::{CHANGEABLE, FIXED};
use crate::args::{Arity, Group, Parsed, Verb, values};
use crate::call::{Call, ENGINE_FAILED, Failure, print_line};

pub(crate) static VERB: Verb = Verb {
    name: "create",
    paths: &["container create"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    group: Group::Run,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[FLAGS, CHANGEABLE, FIXED],
    missing: MISSING,
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let options = wanted(call)?;
    call.over_engine(async |backend| {
        // `create` ends with 1 where `run` ends with 125.
        let created = create(&**backend, call, options).await.map_err(|failure| {
            if failure.is_cancelled() {
                return failure;
            }
            Failure::new(if failure.is_usage() { ENGINE_FAILED } else { 1 }, failure.message())
        })?;
        print_line(created.id.as_str())?;
        Ok(0)
    })
}

/// Returns what the flags of `run` or `create` ask for.
pub(super) fn wanted(call: &Call) -> Result<CreateOptions, Failure> {
    wanted_by(&call.parsed)
}

/// Returns the same of words that aren't a call.
pub(super) fn wanted_by(parsed: &Parsed) -> Result<CreateOptions, Failure> {
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let surroundings =
        Surroundings { environment: &|name| std::env::var(name).ok(), folder: &folder };
    options(parsed, &surroundings)
}

/// Makes the container, writes its id to `--cidfile`, and prints the engine's warnings.
pub(super) async fn create(
    backend: &dyn Backend,
    call: &Call,
    options: CreateOptions,
) -> Result<Created, Failure> {
    let id_file = match call.parsed.last("cidfile").filter(|path| !path.is_empty()) {
        Some(path) => Some(IdFile::make(Path::new(path))?),
        None => None,
    };
    let policy = call.parsed.last("pull").unwrap_or("missing");
    if policy == "always" {
        fetched(backend, call, &options.image).await?;
    }
    let mut outcome = backend.execute(Command::Create(Box::new(options.clone()))).await;
    if let Err(error) = &outcome
        && policy == "missing"
        && is_missing(error)
        && let Ok(name) = options.image.parse::<ImageReference>()
    {
        if !call.parsed.on("quiet") {
            crate::notice(&format!("Unable to find image '{name}' locally"));
        }
        fetched(backend, call, &options.image).await?;
        outcome = backend.execute(Command::Create(Box::new(options))).await;
    }
    let created = match outcome {
        Ok(Outcome::Created(created)) => created,
        Ok(_) => return Err(Failure::new(ENGINE_FAILED, "the engine made no container")),
        Err(error) => return Err(Failure::new(ENGINE_FAILED, error.message)),
    };
    for warning in &created.warnings {
        crate::notice(&format!("WARNING: {warning}"));
    }
    if let Some(file) = id_file {
        file.write(created.id.as_str())?;
    }
    Ok(created)
}

/// The file of `--cidfile`, which is there before the container and goes away with a failure.
struct IdFile<'a> {
    path: &'a Path,
    file: File,
    written: bool,
}

impl<'a> IdFile<'a> {
    fn make(path: &'a Path) -> Result<Self, Failure> {
        match File::create_new(path) {
            Ok(file) => Ok(Self { path, file, written: false }),
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::new(
                ENGINE_FAILED,
                format!(
                    "container ID file found, make sure the other container isn't running or \
                     delete {}",
                    path.display()
                ),
            )),
            Err(cause) => Err(Failure::new(
                ENGINE_FAILED,
                format!(
                    "failed to create the container ID file: open {}: {}",
                    path.display(),
                    values::cause(&cause)
                ),
            )),
        }
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        self.file.write_all(id.as_bytes()).map_err(|cause| {
            Failure::new(
                ENGINE_FAILED,
                format!("failed to write the container ID to the file: {cause}"),
            )
        })?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // Why there is no container is what the user wants to know.
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// Returns whether a container can't be made since its image isn't here, or is for another machine.
fn is_missing(error: &Error) -> bool {
    (error.kind == ErrorKind::NotFound && error.message.starts_with("No such image"))
        || error.message.contains("does not match the specified platform")
}

async fn fetched(backend: &dyn Backend, call: &Call, image: &str) -> Result<(), Failure> {
    pull::fetch(backend, call, image).await.map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) if failure.is_cancelled() => failure,
        Ok(failure) => Failure::new(ENGINE_FAILED, failure.message()),
        Err(error) => Failure::new(ENGINE_FAILED, format!("{error:#}")),
    })
}
