//! The embedded engine: containers, images and networks on this host, without a daemon.
//!
//! Every process that links this crate is a peer. They share `state.db` and one lock per container;
//! the container's own supervisor is the only writer of its observed state. The library never
//! touches the terminal, the environment or the home directory: its callers hand these in.

mod boot;
mod channel;
pub mod check;
mod container;
pub mod copy;
mod disk;
mod dns;
mod engine;
mod error;
mod folder;
mod home;
pub mod image;
mod init;
mod lock;
mod mount_table;
mod names;
pub mod network;
pub mod oci;
mod paths;
mod quota;
mod reconcile;
mod recorder;
mod reset;
pub mod rootless;
mod security;
mod spawn;
pub mod state;
mod supervisor;
mod system;
mod userns;
mod volume;
mod watch;

use std::ffi::OsString;

pub use boot::Booted;
pub use channel::{CHUNK, Channel, Input, Reply};
pub use container::archive::{Export, PutOptions, Source};
pub use container::exec::{ExecStreams, Executed};
pub use container::list::Running;
pub use container::prune::Pruned;
pub use container::start::Attach;
pub use engine::{Engine, EngineOptions};
pub use error::{Error, Result};
pub use paths::Paths;
pub use system::API_VERSION;
pub use volume::{Export as VolumeExport, Pruned as PrunedVolumes};
pub use watch::EventWatch;

/// Runs one of the engine's hidden modes, when the arguments (the program's own name left out) ask
/// for one, and returns its exit code. To be called before the process has a second thread.
pub fn hidden_mode(arguments: &[OsString]) -> Option<i32> {
    match arguments.first()?.to_str()? {
        supervisor::MODE => Some(supervisor::main()),
        init::program::INIT_MODE => Some(init::pid1::main(arguments[1..].to_vec())),
        _ => None,
    }
}
