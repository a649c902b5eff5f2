//! The one way to change anything: a [`Command`] given to a backend, answered by an [`Outcome`].

use serde::{Deserialize, Serialize};

use crate::{
    CommitOptions, ContainerId, CreateOptions, Created, Digest, EndpointOptions, Filters,
    ImageName, NetworkCreateOptions, UpdateOptions, VolumeCreateOptions, VolumeInfo,
};

/// How `rm` goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
}

/// A change asked of a backend. `container` and `image` fields take what users type: a name, an id,
/// or the beginning of an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Make a container.
    Create(Box<CreateOptions>),
    /// Start a container that doesn't run.
    Start {
        /// Which.
        container: String,
    },
    /// Ask a container to stop, and kill it if it doesn't.
    Stop {
        /// Which.
        container: String,
        /// Seconds to wait; none means its own setting. Negative waits for ever.
        timeout: Option<i64>,
        /// The signal that asks it to, as for a kill; none means its own.
        signal: Option<String>,
    },
    /// Stop it and start it again.
    Restart {
        /// Which.
        container: String,
        /// Seconds to wait for the stop.
        timeout: Option<i64>,
        /// The signal that asks it to stop; none means its own.
        signal: Option<String>,
    },
    /// Send a signal to the first process.
    Kill {
        /// Which.
        container: String,
        /// A name with or without `SIG`, or a number; none means SIGKILL.
        signal: Option<String>,
    },
    /// Freeze all processes.
    Pause {
        /// Which.
        container: String,
    },
    /// Thaw them.
    Unpause {
        /// Which.
        container: String,
    },
    /// Change limits and the restart policy of a container, running or not.
    Update {
        /// Which.
        container: String,
        /// What.
        options: Box<UpdateOptions>,
    },
    /// Remove a container and all it wrote.
    Remove {
        /// Which.
        container: String,
        /// How.
        options: RemoveOptions,
    },
    /// Put a container aside, running or not, to be removed some minutes later.
    Discard {
        /// Which.
        container: String,
    },
    /// Bring back a container that is put aside.
    Restore {
        /// Which.
        container: String,
    },
    /// Make an image of a container.
    Commit(Box<CommitOptions>),
    /// Give a container another name.
    Rename {
        /// Which.
        container: String,
        /// The new name.
        name: String,
    },
    /// Remove all containers that don't run.
    Prune {
        /// Of these, the ones for which this holds: `label`, `label!`, `until`.
        filters: Filters,
    },
    /// Give an image one more name.
    Tag {
        /// Which.
        image: String,
        /// The new name.
        name: ImageName,
    },
    /// Remove the images that no container uses and that have no name, or all that no container uses.
    PruneImages {
        /// Those with names too.
        all: bool,
        /// Of these, the ones for which this holds: `label`, `label!`, `until`.
        filters: Filters,
    },
    /// Take a name from an image, and remove the image with its last name.
    RemoveImage {
        /// Which.
        image: String,
        /// Even if stopped containers use it.
        force: bool,
    },
    /// Make a network.
    CreateNetwork(Box<NetworkCreateOptions>),
    /// Remove a network that no container is on.
    RemoveNetwork {
        /// Which, by name, id or the beginning of an id.
        network: String,
        /// Whether one that isn't there counts as removed.
        force: bool,
    },
    /// Put a container on one more network, now if it runs, and with its next start.
    Connect {
        /// Which container.
        container: String,
        /// Which network, and how it is to be there.
        endpoint: Box<EndpointOptions>,
    },
    /// Take a container from a network.
    Disconnect {
        /// Which container.
        container: String,
        /// Which network.
        network: String,
        /// Even if the container isn't there any more.
        force: bool,
    },
    /// Remove all networks that no container is on.
    PruneNetworks {
        /// Of these, the ones for which this holds: `label`, `label!`, `until`.
        filters: Filters,
    },
    /// Make a volume, unless it is there already.
    CreateVolume(Box<VolumeCreateOptions>),
    /// Make a volume with all that another one holds.
    CloneVolume {
        /// The one that is copied.
        from: String,
        /// The name of the new one.
        to: String,
    },
    /// Remove a volume that no container has, and all that is in it.
    RemoveVolume {
        /// Its name.
        volume: String,
        /// Whether one that isn't there counts as removed.
        force: bool,
    },
    /// Remove the volumes that no container has: the anonymous ones, or all.
    PruneVolumes {
        /// Those with names too.
        all: bool,
        /// Of these, the ones for which this holds: `label`, `label!`.
        filters: Filters,
    },
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Done,
    /// It already was so; nothing changed.
    NotModified,
    /// A container was made.
    Created(Created),
    /// A container was changed.
    Updated {
        /// What the user should know: a limit that this kernel doesn't have, say.
        warnings: Vec<String>,
    },
    /// An image was made.
    Committed(Digest),
    /// Containers were removed.
    Pruned {
        /// Which.
        deleted: Vec<ContainerId>,
        /// How many bytes that gave back.
        reclaimed: u64,
        /// Why others are still there, a sentence each.
        failed: Vec<String>,
    },
    /// An image was untagged and perhaps removed, in docker's order.
    ImageRemoved {
        /// The names it lost.
        untagged: Vec<String>,
        /// The images and layers that are gone.
        deleted: Vec<Digest>,
    },
    /// Images were removed.
    ImagesPruned {
        /// The names they lost.
        untagged: Vec<String>,
        /// The images and layers that are gone.
        deleted: Vec<Digest>,
        /// How many bytes that gave back.
        reclaimed: u64,
        /// Why others are still there, a sentence each.
        failed: Vec<String>,
    },
    /// A network was made.
    NetworkCreated {
        /// Its id.
        id: String,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// Networks were removed.
    NetworksPruned {
        /// Their names.
        deleted: Vec<String>,
        /// Why others are still there, a sentence each.
        failed: Vec<String>,
    },
    /// A volume was made, or was there.
    VolumeCreated(Box<VolumeInfo>),
    /// Volumes were removed.
    VolumesPruned {
        /// Their names.
        deleted: Vec<String>,
        /// How many bytes that gave back.
        reclaimed: u64,
        /// Why others are still there, a sentence each.
        failed: Vec<String>,
    },
}
