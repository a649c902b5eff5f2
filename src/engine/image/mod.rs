//! Images and their layers.
//!
//! Archives come in through [`Images::load`] (images) and [`Images::import`] (a root filesystem):
//! they are spooled and unpacked in a staging folder, checked against every digest they name, and
//! published in one transaction. Layers are shared: each is unpacked once, named by its chain ID,
//! and stays while an image has it. An image that was removed while stopped containers use it
//! stays hidden until the last of them is gone ([`Images::collect`]).

pub(crate) mod archive;
mod blobs;
mod builtin;
mod commit;
pub(crate) mod compression;
mod conduit;
mod document;
mod events;
pub(crate) mod frame;
mod hash;
mod import;
mod instructions;
mod intake;
pub(crate) mod layers;
mod list;
mod load;
mod oci;
mod outgoing;
mod owned;
pub(crate) mod pack;
pub(crate) mod pipe;
mod publish;
mod receive;
mod remove;
mod resolve;
mod save;
mod settle;
pub(crate) mod staging;
mod tar_stream;
mod tar_writer;
pub(crate) mod tree;
pub(crate) mod unpack;
mod usage;
mod work;

#[cfg(test)]
mod blob_tests;
#[cfg(test)]
mod tests;

pub(crate) use blobs::{disagreeing, forget};
pub use builtin::{DEMO_IMAGE, DEMO_PROGRAMS};
pub(crate) use commit::Commit;
pub use load::Loaded;
pub use outgoing::{Outgoing, OutgoingLayer};
pub use receive::{BlobDescriptor, Here, Receiving, ReceivingLayer};
pub(crate) use remove::unpacked;
pub use remove::{PrunedImages, Removed};
pub use resolve::Image;
pub use save::Saving;

use crate::Paths;
use crate::state::Store;

/// Returns the half-made things of processes that were killed.
pub(crate) fn leftovers(paths: &Paths) -> crate::Result<Vec<std::path::PathBuf>> {
    Ok(staging::dead(paths)?.into_iter().map(|(path, _)| path).collect())
}

/// The images of an engine. Cheap to make: it only borrows.
pub struct Images<'a> {
    store: &'a mut Store,
    paths: &'a Paths,
}

impl<'a> Images<'a> {
    /// Returns the images that this database and these folders hold.
    pub fn new(store: &'a mut Store, paths: &'a Paths) -> Self {
        Self { store, paths }
    }
}
