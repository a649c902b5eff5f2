//! `cp`: files between a container and this host.
//!
//! The engine knows archives only; which name lands where is decided here, by the rules of
//! [`crate::paths`].

use std::io::{self, IsTerminal, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use futures_util::future::BoxFuture;
use wharf_backend::{ArchivePut, Backend, BytesReader, Reader};
use wharf_engine::copy::{self, Rename};
use wharf_inspect::human::size_with_precision;
use wharf_model::PathStat;
use wharf_ui::CopyRequest;

use super::export::to_stdout;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::paths::{self, CopyInfo, as_path, shown};

pub(crate) static VERB: Verb = Verb {
    name: "cp",
    paths: &["container cp"],
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\twharf cp [OPTIONS] SRC_PATH|- \
            CONTAINER:DEST_PATH",
    about: "Copy files between a container and this host",
    group: Group::Run,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[
        Flag::switch("archive", "Keep the owners of the files").short('a'),
        Flag::switch("follow-link", "Copy what a symbolic link leads to").short('L'),
        Flag::switch("quiet", "Say nothing when it is done").short('q'),
    ]],
    missing: &[],
    run,
};

/// How to copy.
struct Copy<'a> {
    container: &'a str,
    archive: bool,
    follow: bool,
    quiet: bool,
}

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let (source, target) =
        (parsed.argument(0).unwrap_or_default(), parsed.argument(1).unwrap_or_default());
    let refuse = |message: &str| Err(Failure::new(1, message).into());
    if source.is_empty() {
        return refuse("source can not be empty");
    }
    if target.is_empty() {
        return refuse("destination can not be empty");
    }
    let copy = |container| Copy {
        container,
        archive: parsed.on("archive"),
        follow: parsed.on("follow-link"),
        quiet: match parsed.last("quiet") {
            Some(quiet) => quiet == "true",
            None => !io::stdout().is_terminal(),
        },
    };
    match (split_argument(source), split_argument(target)) {
        ((Some(_), _), (Some(_), _)) => refuse("copying between containers is not supported"),
        ((None, _), (None, _)) => refuse("must specify at least one container source"),
        ((Some(container), source), (None, target)) => call
            .over_engine(async |backend| copy(container).take_out(backend, source, target).await),
        ((None, source), (Some(container), target)) => {
            call.over_engine(async |backend| copy(container).put_in(backend, source, target).await)
        }
    }
}

/// Copies files for the dashboard, by the same rules.
pub(crate) fn for_dashboard(
    backend: Arc<dyn Backend>,
    request: CopyRequest,
) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let CopyRequest { container, inside, outside, out } = request;
        let copy = Copy { container: &container, archive: false, follow: false, quiet: true };
        let copied = match out {
            true => copy.take_out(&backend, &inside, &outside).await,
            false => copy.put_in(&backend, &outside, &inside).await,
        };
        copied.map(|_| ()).map_err(|error| error.to_string())
    })
}

/// Splits `CONTAINER:PATH`; a path of this host is one that begins like one, or has no colon.
fn split_argument(argument: &str) -> (Option<&str>, &str) {
    if argument.starts_with('/') {
        return (None, argument);
    }
    match argument.split_once(':') {
        Some((container, path)) if !container.starts_with('.') => (Some(container), path),
        _ => (None, argument),
    }
}

impl Copy<'_> {
    /// Copies out of the container.
    async fn take_out(
        &self,
        backend: &Arc<dyn Backend>,
        source: &str,
        target: &str,
    ) -> anyhow::Result<i32> {
        let target_path = if target == "-" { Vec::new() } else { paths::absolute(target)? };
        if target != "-" {
            paths::check_output(&target_path).map_err(|message| anyhow!(message))?;
        }
        let (mut source, mut rebase) = (source.to_owned(), None);
        if self.follow
            && let Ok(stat) = backend.archive_stat(self.container, &source).await
            && stat.is_symlink()
        {
            let led_to = paths::link_target(source.as_bytes(), stat.link_target.as_bytes());
            let (path, name) = paths::rebased(source.as_bytes(), led_to);
            (source, rebase) = (String::from_utf8_lossy(&path).into_owned(), name);
        }
        let (stat, stream) = backend.archive_get(self.container, &source).await?;
        if target == "-" {
            return to_stdout(stream).await;
        }
        let source =
            CopyInfo { path: source.into_bytes(), exists: true, is_dir: stat.is_dir(), rebase };
        let found = paths::target(&target_path)?;
        let plan = paths::plan(&source, &found).map_err(|message| anyhow!(message))?;
        let rename = renamed(&source, plan.name.or_else(|| source.rebase.clone()));
        let count = Arc::new(AtomicU64::new(0));
        let reader = Counted { inner: BytesReader::new(stream), count: Arc::clone(&count) };
        let folder = as_path(&plan.folder).to_owned();
        let work = move || copy::unpack(reader, &folder, rename);
        tokio::task::spawn_blocking(work).await??;
        self.tell(&count, &shown(&target_path));
        Ok(0)
    }

    /// Copies into the container.
    async fn put_in(
        &self,
        backend: &Arc<dyn Backend>,
        source: &str,
        target: &str,
    ) -> anyhow::Result<i32> {
        let found = self.target(backend, target).await?;
        let options = ArchivePut { keeps_folders: true, keeps_owners: self.archive };
        let count = Arc::new(AtomicU64::new(0));
        if source == "-" {
            if !found.is_dir {
                let message =
                    format!("destination \"{}:{target}\" must be a directory", self.container);
                return Err(anyhow!(message));
            }
            let path = String::from_utf8_lossy(&found.path).into_owned();
            let reader: Reader = Box::new(Counted { inner: io::stdin(), count: count.clone() });
            backend.archive_put(self.container, &path, reader, options).await?;
        } else {
            let source = paths::source(&paths::absolute(source)?, self.follow)?;
            let plan = paths::plan(&source, &found).map_err(|message| anyhow!(message))?;
            let own = || source.rebase.clone().unwrap_or_else(|| paths::split(&source.path).1);
            let name = plan.name.unwrap_or_else(own);
            let folder = String::from_utf8_lossy(&plan.folder).into_owned();
            let (reader, failure) = packed(&source.path, name)?;
            let reader: Reader = Box::new(Counted { inner: reader, count: count.clone() });
            let put = backend.archive_put(self.container, &folder, reader, options).await;
            // Why the archive is cut off says more than that it is.
            match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(cause) => return Err(cause.into()),
                None => put?,
            }
        }
        let target = String::from_utf8_lossy(&found.path).into_owned();
        self.tell(&count, &format!("{}:{target}", self.container));
        Ok(0)
    }

    /// Looks up the target in the container; a link there is followed.
    async fn target(&self, backend: &Arc<dyn Backend>, target: &str) -> anyhow::Result<CopyInfo> {
        let mut path = target.as_bytes().to_vec();
        let mut stat = backend.archive_stat(self.container, target).await;
        if let Ok(link) = &stat
            && link.is_symlink()
        {
            path = paths::link_target(&path, link.link_target.as_bytes());
            let led_to = String::from_utf8_lossy(&path).into_owned();
            stat = backend.archive_stat(self.container, &led_to).await;
        }
        if stat.as_ref().is_ok_and(PathStat::is_device) {
            return Err(anyhow!(
                "destination \"{}:{target}\" must be a directory or a regular file: got a device",
                self.container
            ));
        }
        // A target that isn't there is made, if its folder is there.
        Ok(CopyInfo {
            path,
            exists: stat.is_ok(),
            is_dir: stat.is_ok_and(|stat| stat.is_dir()),
            rebase: None,
        })
    }

    fn tell(&self, count: &AtomicU64, target: &str) {
        if !self.quiet {
            let size = size_with_precision(count.load(Ordering::Relaxed), 3);
            crate::notice(&format!("Successfully copied {size} to {target}"));
        }
    }
}

/// Returns how the names of the source's archive change.
fn renamed(source: &CopyInfo, name: Option<Vec<u8>>) -> Option<Rename> {
    let to = name?;
    let from = match paths::split(&source.path).1 {
        base if base == b"." || base == b"/" => None,
        base => Some(base),
    };
    (from.as_ref() != Some(&to)).then_some(Rename { from, to })
}

/// Why packing failed.
type PackFailure = Arc<Mutex<Option<io::Error>>>;

/// Packs a source on a thread of its own; returns what it writes, and why it stopped.
fn packed(source: &[u8], name: Vec<u8>) -> io::Result<(io::PipeReader, PackFailure)> {
    let (reader, writer) = io::pipe()?;
    let failure = PackFailure::default();
    let (told, source) = (Arc::clone(&failure), as_path(source).to_owned());
    std::thread::spawn(move || {
        let buffered = io::BufWriter::with_capacity(64 << 10, writer);
        if let Err(error) = copy::pack(&source, &name, buffered)
            // The engine has given up; its answer says why.
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    Ok((reader, failure))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_a_container_or_a_path() {
        for (argument, container, path) in [
            ("c:/x", Some("c"), "/x"),
            ("c:x:y", Some("c"), "x:y"),
            ("c:", Some("c"), ""),
            ("/a:b", None, "/a:b"),
            ("./a:b", None, "./a:b"),
            (".a:b", None, ".a:b"),
            ("plain", None, "plain"),
            ("-", None, "-"),
        ] {
            assert_eq!(split_argument(argument), (container, path), "{argument}");
        }
    }
}
