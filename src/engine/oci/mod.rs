//! `wharf oci`: the engine's lowest layer as a runtime of the OCI specification, for whoever brings
//! images, networks and logs himself: podman, containerd, docker.
//!
//! A bundle's `config.json` ([`spec`]) is checked ([`check`]) and becomes what the first process of any
//! container here is made from ([`crate::init::Contents`]), in the same namespaces, control groups and
//! filters. No supervisor stays: the process that creates a container ends, and the container belongs
//! to whoever adopts it. What is remembered of it is in a folder ([`store`]); whether it still waits
//! for its start, runs or has ended, is asked of the kernel each time.

mod check;
mod console;
mod create;
mod events;
mod exec;
mod features;
pub(crate) mod hooks;
mod life;
mod look;
mod mapped;
mod mounts;
mod namespaces;
mod plan;
mod process;
mod resources;
pub mod spec;
mod store;
mod update;

use std::ffi::CString;
use std::path::{Path, PathBuf};

use crate::Result;

/// Goes on as another execution of this program, with these arguments: a container's first process is a
/// copy of the runtime until it executes its program, and must not lead the container to a file that
/// it could change. To be called before the process has a second thread.
///
/// # Errors
/// When that can't be done; else it doesn't return.
pub fn execute_sealed(arguments: &[CString]) -> Result<std::convert::Infallible> {
    crate::spawn::execute_sealed(arguments)
}

/// Returns where this process's runtime keeps its state, below the engine's run folder. In a user
/// namespace that somebody else has made, an ordinary user's podman for one, whoever is root hasn't root's
/// folders, but still those of the user.
pub fn usual_root(run: &Path) -> PathBuf {
    const NAME: &str = "oci";
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    match own.filter(|_| crate::userns::is_nested()) {
        Some(folder) => Path::new(&folder).join("wharf").join(NAME),
        None => run.join(NAME),
    }
}

pub use create::CreateOptions;
pub use exec::ExecOptions;
pub use features::{features, template};
pub use store::{Level, Runtime, Status};
