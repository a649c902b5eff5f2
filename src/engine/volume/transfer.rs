//! `volume export`, `import` and `clone`: what a volume holds as an archive, and back.

use std::io::{self, Read, Write};

use chrono::Utc;
use rustix::fs::{CWD, RenameFlags};
use wharf_model::{ContainerId, ErrorKind, VolumeInfo};

use super::fill::{Opened, copy_tree, is_empty, open};
use super::folder::Staged;
use super::record::{New, Volume, VolumeSpec};
use super::{ANONYMOUS, check_name, give_back, lock, mount};
use crate::channel::{Channel, Request};
use crate::container::mounts::points;
use crate::engine::Engine;
use crate::image::archive::explain;
use crate::image::compression::decompress;
use crate::image::pack::Packer;
use crate::image::tree::Node;
use crate::image::unpack::{Options, unpack_into};
use crate::lock::{self as locks, Lock};
use crate::state::Store;
use crate::{Error, Paths, Result};

/// Opens what a volume holds. One with a mount of its own that nobody uses now is mounted where this
/// process alone sees it.
pub(super) fn data(paths: &Paths, volume: &Volume) -> Result<Opened> {
    let place = paths.volume_data(&volume.name);
    let is_mounted = mount::is_mounted(&place)
        .map_err(|cause| Error::failed(format_args!("look at {}", place.display()), cause))?;
    if !volume.is_mount() || is_mounted {
        return Opened::plain(&place);
    }
    Opened::privately(&place, || mount::mount(paths, volume))
}

/// A volume that is to be read.
pub struct Export {
    opened: Opened,
    volume: Volume,
    paths: Paths,
    /// Keep the containers still that may write to it.
    holds: Vec<Channel>,
}

impl Export {
    /// Writes what it holds as a tar whose paths begin with `./`: owners, modes, times to the
    /// nanosecond, attributes, hard links and holes. Sockets are left out, which no archive can hold.
    ///
    /// # Errors
    /// When a file can't be read, `to` refuses, or the volume was removed meanwhile.
    pub fn write(self, to: impl Write) -> io::Result<()> {
        let mut packer = Packer::new(to).exact();
        packer.tree(Node::from_fd(self.opened.folder.try_clone()?)?, b".")?;
        let place = self.paths.volume_data(&self.volume.name);
        if !self.volume.is_mount() && !self.opened.is_at(&place) {
            let text = format!("volume {} was removed or exchanged meanwhile", self.volume.name);
            return Err(io::Error::other(text));
        }
        // Whoever has read the archive's end finds the containers running.
        self.holds.into_iter().for_each(Channel::end_hold);
        packer.finish().map(drop)
    }
}

impl Engine {
    /// Opens a volume for reading; with `pause`, the containers that may write to it stand still until
    /// it is read.
    ///
    /// # Errors
    /// When there is no such volume, it can't be mounted, or a container can't be held.
    pub fn export_volume(&self, name: &str, pause: bool) -> Result<Export> {
        self.with_store(|store| {
            let volume = store.volume(name)?;
            let holds = if pause { self.hold_writers(store, name)? } else { Vec::new() };
            let opened = data(self.paths(), &volume)?;
            Ok(Export { opened, volume, paths: self.paths().clone(), holds })
        })
    }

    /// Has the supervisors of the containers that run and may write to a volume hold them still.
    fn hold_writers(&self, store: &mut Store, name: &str) -> Result<Vec<Channel>> {
        let mut holds = Vec::new();
        let writers = self.true_records(store, |record| {
            let writes = points(&record.spec)
                .iter()
                .any(|point| point.mount.source == name && !point.mount.read_only);
            (writes && record.observed.state.status.is_alive()).then(|| Box::new(record))
        })?;
        for record in writers.into_iter().flatten() {
            match self.ask(&record, &Request::Hold) {
                Ok(hold) => holds.push(hold),
                // It has just ended.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(holds)
    }

    /// Unpacks a tar, plain, gzip or zstd, in a volume, which is made unless it is there. What the
    /// volume holds is exchanged with `replace` only. All of it is unpacked aside first, so that the
    /// volume has all of it or is as it was.
    ///
    /// # Errors
    /// When the archive is damaged or cut off, the volume holds something already, or a container runs
    /// with it.
    pub fn import_volume(&self, name: &str, archive: impl Read, replace: bool) -> Result<()> {
        check_name(name).map_err(|error| renamed(&error, name))?;
        self.with_store(|store| {
            let known = store.find_volume(name)?;
            if let Some(volume) = &known {
                self.check_import(store, volume, replace)?;
            }
            let staged = Staged::new(self.paths())?;
            let failed = |cause: io::Error| {
                let kind = match cause.kind() {
                    io::ErrorKind::InvalidData
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::Unsupported => ErrorKind::Invalid,
                    _ => ErrorKind::Internal,
                };
                Error::new(kind, format!("import {name}: {}", explain(cause)))
            };
            let mut archive = decompress(archive).map_err(failed)?;
            let options = Options { sets_root: true, wants_end: true, ..Options::default() };
            let root = open(&staged.data())?;
            unpack_into(&mut archive, root.try_clone().map_err(failed)?, options)
                .map_err(failed)?;
            // Whoever writes the archive has a right to write all of it; a checksum comes at its end.
            io::copy(&mut archive, &mut io::sink()).map_err(failed)?;
            // What takes another's place is on the disk first.
            rustix::fs::syncfs(&root).map_err(|cause| failed(cause.into()))?;
            if known.is_none() {
                let spec = VolumeSpec::default();
                let volume = Volume { name: name.to_owned(), created: Utc::now(), spec };
                let new = New { volume, staged };
                return match self.add_volume(store, &new)? {
                    true => Ok(()),
                    false => Err(conflict(name, "somebody has just made it")),
                };
            }
            let held = lock(self.paths(), name)?;
            let volume = store.volume(name)?;
            let held = self.without_runners(store, &volume, held)?;
            let place = self.paths().volume_data(name);
            if !replace && !is_empty(&place) {
                return Err(not_empty(name));
            }
            rustix::fs::renameat_with(CWD, staged.data(), CWD, &place, RenameFlags::EXCHANGE)
                .map_err(|cause| failed(cause.into()))?;
            drop(held);
            Ok(())
        })
    }

    fn check_import(&self, store: &mut Store, volume: &Volume, replace: bool) -> Result<()> {
        let name = &volume.name;
        if volume.is_mount() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "import {name}: what it holds is elsewhere ({}) and can't be exchanged at once: \
                     unpack the archive in a container that has the volume",
                    volume.spec.options.get("device").map_or("", String::as_str)
                ),
            ));
        }
        let held = lock(self.paths(), name)?;
        drop(self.without_runners(store, volume, held)?);
        if !replace && !is_empty(&self.paths().volume_data(name)) {
            return Err(not_empty(name));
        }
        Ok(())
    }

    /// Refuses when a container runs with a volume. One that is at its end is waited for; `held` is the
    /// volume's lock, which is given up meanwhile.
    fn without_runners(&self, store: &mut Store, volume: &Volume, held: Lock) -> Result<Lock> {
        let name = &volume.name;
        let mut held = held;
        loop {
            let runners = store.volume_runners(name)?;
            let Some(runner) = runners.first() else { return Ok(held) };
            drop(held);
            self.wait_for_end(store, name, runner)?;
            held = lock(self.paths(), name)?;
        }
    }

    fn wait_for_end(&self, store: &mut Store, name: &str, runner: &ContainerId) -> Result<()> {
        match store.container(runner.as_str()) {
            Ok(record) => {
                let record = self.refreshed(store, record)?;
                if record.observed.state.status.is_supervised() {
                    let text = format!("container {} runs with it: stop it first", record.name);
                    return Err(conflict(name, &text));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let folder = self.paths().container_run(runner);
        let life = Lock::acquire(&folder, locks::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        let row = store.container(runner.as_str());
        if row.as_ref().is_ok_and(|record| record.observed.state.status.is_supervised()) {
            // It was started again.
            return Ok(());
        }
        give_back(self.paths(), store, runner)?;
        if row.is_err() {
            locks::forget(&folder, locks::LIFE);
        }
        drop(life);
        Ok(())
    }

    /// Makes a volume with all that another one holds, and its labels.
    ///
    /// # Errors
    /// When the one isn't there or the other is.
    pub fn clone_volume(&self, from: &str, to: &str) -> Result<VolumeInfo> {
        check_name(to)?;
        self.with_store(|store| {
            let source = store.volume(from)?;
            let taken =
                || Error::new(ErrorKind::Conflict, format!("create {to}: volume is there already"));
            if store.find_volume(to)?.is_some() {
                return Err(taken());
            }
            let staged = Staged::new(self.paths())?;
            let opened = data(self.paths(), &source)?;
            let again = opened.folder.try_clone().map_err(|cause| Error::failed("clone", cause))?;
            copy_tree(again, open(&staged.data())?)?;
            if !source.is_mount() && !opened.is_at(&self.paths().volume_data(from)) {
                return Err(conflict(from, "it was removed or exchanged meanwhile"));
            }
            let mut labels = source.spec.labels;
            labels.remove(ANONYMOUS);
            let spec = VolumeSpec { labels, options: Default::default() };
            let volume = Volume { name: to.to_owned(), created: Utc::now(), spec };
            match self.add_volume(store, &New { volume, staged })? {
                true => self.volume_info(store, to),
                false => Err(taken()),
            }
        })
    }
}

fn renamed(error: &Error, name: &str) -> Error {
    let text = error.to_string();
    let why = text.strip_prefix(&format!("create {name}: ")).unwrap_or(&text);
    Error::new(error.kind(), format!("import {name}: {why}"))
}

fn conflict(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("volume {name}: {why}"))
}

fn not_empty(name: &str) -> Error {
    let why = "it holds files already: --replace puts the archive in their place";
    conflict(name, why)
}
