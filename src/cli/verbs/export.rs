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
    let output = call.parsed.last("output").filter(|path| !path.is_empty());
    if output.is_none() && io::stdout().is_terminal() {
        let message = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
        return Err(Failure::new(1, message).into());
    }
    if let Some(path) = output {
        paths::check_output(path.as_bytes())
            .map_err(|message| anyhow!("failed to export container: {message}"))?;
    }
    call.over_engine(async |backend| {
        let stream = backend.export(name).await?;
        match output {
            None => to_stdout(stream).await,
            Some(path) => to_file(stream, Path::new(path)).await,
        }
    })
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
async fn to_file(mut stream: ByteStream, path: &Path) -> anyhow::Result<i32> {
    if path.is_dir() {
        return Err(anyhow!("failed to export container: {} is a directory", path.display()));
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
