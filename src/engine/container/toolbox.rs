//! A toolbox: the files of another image for a further program in a container, whose own image may
//! have nothing but its program.
//!
//! Whoever asks for the program mounts the image's layers, with a memory filesystem above them for
//! what the tools write, on a thread in a mount namespace of its own, and sends the mount along with
//! the request. It belongs to no namespace until the new process attaches it
//! ([`crate::init::toolbox`]), so the supervisor needs to know nothing of images, and nothing is left
//! behind when the program ends.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, OpenTreeFlags, mount, mount_change, open_tree,
};
use wharf_model::{ErrorKind, ExecSpec, ImageConfig, TARGET};

use super::view::in_thread;
use crate::engine::Engine;
use crate::image::Images;
use crate::init::mounts::mount_overlay;
use crate::init::toolbox::{FILES, FOLDERS};
use crate::state::Record;
use crate::{Error, Result};

/// What the tools may write at most; it counts as the container's memory.
const ROOM: &std::ffi::CStr = c"mode=755,size=512m";

fn failed(what: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
    move |cause| Error::failed(what, cause)
}

/// What a toolbox needs.
pub(crate) struct Toolbox {
    /// The mount, which is in no namespace.
    pub(crate) tree: OwnedFd,
    /// The program with what the image says about it.
    pub(crate) spec: ExecSpec,
}

impl Engine {
    /// Returns the toolbox that a request asks for, if it asks for one.
    pub(crate) fn toolbox(&self, record: &Record, spec: &ExecSpec) -> Result<Option<Toolbox>> {
        let Some(name) = &spec.toolbox else { return Ok(None) };
        let image = self
            .with_store(|store| Images::new(store, self.paths()).resolve(name))
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::new(ErrorKind::NotFound, missing(name)),
                _ => error,
            })?;
        let place = self.paths().container(&record.id).join("merged");
        let tree = in_thread(|| assemble(&image.lower_dirs, &place))?;
        Ok(Some(Toolbox { tree, spec: settings(spec, &image.config) }))
    }
}

fn missing(name: &str) -> String {
    format!(
        "the toolbox image {name} is not here: get it with \"wharf pull {name}\" or \"wharf load\", or \
         name another (--image; toolbox-image in the dashboard's settings)"
    )
}

/// Returns the program as the image would run it, but for what the caller says.
fn settings(spec: &ExecSpec, image: &ImageConfig) -> ExecSpec {
    let mut spec = spec.clone();
    if spec.command.is_empty() {
        // What an image of tools starts is its shell.
        let given = image.entrypoint.is_empty() && !image.cmd.is_empty();
        spec.command = if given { image.cmd.clone() } else { vec!["sh".to_owned()] };
    }
    // The container's variables are about its own files.
    let mut env = image.env.clone();
    env.append(&mut spec.env);
    spec.env = env;
    spec.user.get_or_insert_with(|| "0:0".to_owned());
    spec.working_dir.get_or_insert_with(|| TARGET.to_owned());
    spec
}

/// Mounts the layers at a place of this thread's own namespace, and returns the mount.
fn assemble(layers: &[PathBuf], place: &Path) -> Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|cause| Error::failed("make a mount namespace", cause))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(failed("keep mounts from the host"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("toolbox", place, "tmpfs", flags, ROOM)
        .map_err(failed("mount a tmpfs for the toolbox"))?;
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| place.join(name));
    for folder in [&upper, &work, &merged] {
        std::fs::create_dir(folder)
            .map_err(|cause| Error::failed(format_args!("make {}", folder.display()), cause))?;
    }
    let root = mount_overlay(layers, Some((&upper, &work)), &merged)?;
    let made = |path: &str, result: rustix::io::Result<OwnedFd>| match result {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::failed(format_args!("make {path} in the toolbox"), cause)),
    };
    for path in FOLDERS.iter().chain([&TARGET]) {
        made(path, root.make_folder(Path::new(path), 0o755))?;
    }
    for path in FILES {
        made(path, root.make_file(Path::new(path)))?;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, &merged, flags).map_err(failed("mount the toolbox"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_image_s_own_shell_is_what_runs_unless_something_else_is_said() {
        let image = ImageConfig {
            cmd: words(&["zsh"]),
            env: words(&["PATH=/tools", "A=1"]),
            ..ImageConfig::default()
        };
        let spec = ExecSpec { env: words(&["A=2"]), ..ExecSpec::default() };
        let set = settings(&spec, &image);
        assert_eq!(set.command, ["zsh"]);
        assert_eq!(set.env, ["PATH=/tools", "A=1", "A=2"]);
        assert_eq!(set.user.as_deref(), Some("0:0"));
        let spec = ExecSpec {
            command: words(&["ls"]),
            user: Some("7".to_owned()),
            working_dir: Some("/tmp".to_owned()),
            ..spec
        };
        let set = settings(&spec, &image);
        assert_eq!((set.command, set.user.as_deref()), (words(&["ls"]), Some("7")));
        assert_eq!(set.working_dir.as_deref(), Some("/tmp"));
        // What an image of a program starts is no shell.
        let image = ImageConfig { entrypoint: words(&["/serve"]), ..image };
        assert_eq!(settings(&ExecSpec::default(), &image).command, ["sh"]);
    }
}
