//! `export`: a container's root filesystem as a tar.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use wharf_backend::ByteStream;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::paths;

pub(crate) static VERB: Verb = Verb {
    name: "export",
    paths: &["container export"],
    usage: "[OPTIONS] CONTAINER",
    about: "Write a container's root filesystem as a tar",
    group: Group::Images,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("output", "string", "Write to this file instead of standard output").short('o')
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let output = Output::new(call, "failed to export container")?;
    call.over_engine(async |backend| output.write(backend.export(name).await?).await)
}

/// Where an archive is written.
pub(super) enum Output<'a> {
    Stdout,
    File(&'a str, &'static str),
}

impl<'a> Output<'a> {
    /// Returns what `-o` says, after a look whether it can be; `what` begins the errors.
    ///
    /// # Errors
    /// When it would be a terminal, or the file can't be there.
    pub(super) fn new(call: &'a Call, what: &'static str) -> anyhow::Result<Self> {
        let Some(path) = call.parsed.last("output").filter(|path| !path.is_empty()) else {
            if io::stdout().is_terminal() {
                let message =
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect";
                return Err(Failure::new(1, message).into());
            }
            return Ok(Self::Stdout);
        };
        paths::check_output(path.as_bytes()).map_err(|message| anyhow!("{what}: {message}"))?;
        Ok(Self::File(path, what))
    }

    /// Writes a stream there.
    pub(super) async fn write(&self, stream: ByteStream) -> anyhow::Result<i32> {
        match self {
            Self::Stdout => to_stdout(stream).await,
            Self::File(path, what) => to_file(stream, Path::new(path), what).await,
        }
    }
}

/// Writes a stream to standard output.
pub(super) async fn to_stdout(mut stream: ByteStream) -> anyhow::Result<i32> {
    let mut out = io::stdout();
    while let Some(piece) = stream.next().await {
        // The whole program waits for its reader, who is the only one waiting.
        out.write_all(&piece?)?;
    }
    out.flush()?;
    Ok(0)
}

/// Writes a stream to a file, which appears, or changes, only once it is whole.
async fn to_file(mut stream: ByteStream, path: &Path, what: &str) -> anyhow::Result<i32> {
    if path.is_dir() {
        return Err(anyhow!("{what}: {} is a directory", path.display()));
    }
    let unfinished = Unfinished::beside(path)?;
    let mut file = &unfinished.file;
    while let Some(piece) = stream.next().await {
        file.write_all(&piece?).with_context(|| format!("write {}", path.display()))?;
    }
    std::fs::rename(&unfinished.path, path).with_context(|| format!("write {}", path.display()))?;
    Ok(0)
}

/// A file that is removed unless it was moved to its place.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn beside(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default();
        let mut own = b".wharf-".to_vec();
        own.extend_from_slice(name.as_bytes());
        own.extend_from_slice(format!(".{}", std::process::id()).as_bytes());
        let path = path.with_file_name(std::ffi::OsStr::from_bytes(&own));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, file })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Moved away, or not wanted.
        let _ = std::fs::remove_file(&self.path);
    }
}
