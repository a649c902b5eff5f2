//! The verbs of a container's life, one file each.

pub(crate) mod archive;
pub(crate) mod commit;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod discard;
pub(crate) mod exec;
mod files;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod mounts;
mod namespaces;
mod networks;
mod note;
pub(crate) mod prune;
pub(crate) mod remove;
mod rename;
pub(crate) mod signal;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod toolbox;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod view;

pub(crate) use limits::number_list;
pub(crate) use namespaces::is_ipc_setting;
