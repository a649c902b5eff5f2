//! Images on their way from and to registries: what is wanted, and what happens.

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageReference, Repository};

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullOptions {
    /// The image.
    pub reference: ImageReference,
    /// All tags of its repository instead; the reference then has neither tag nor digest.
    pub all_tags: bool,
    /// `os[/arch[/variant]]`, when it isn't this machine's.
    pub platform: Option<String>,
}

impl PullOptions {
    /// Asks for one image for this machine.
    pub fn new(reference: ImageReference) -> Self {
        Self { reference, all_tags: false, platform: None }
    }
}

/// What to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushOptions {
    /// Where to, and which image.
    pub repository: Repository,
    /// Its tag; none for all that are here.
    pub tag: Option<String>,
    /// What machine they must be for, `os/arch[/variant]`; none when that is no matter.
    pub platform: Option<String>,
}

/// What a layer is doing. A layer goes through some of these, each once but for those that count
/// and [`LayerState::Retrying`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LayerState {
    /// It is known, and nothing else is.
    Preparing,
    /// Others go first.
    Waiting,
    /// It comes: bytes as they are in the registry, of so many if that is known.
    Downloading {
        /// Here.
        done: u64,
        /// Of these.
        total: Option<u64>,
    },
    /// The connection broke; the next attempt begins in so many seconds.
    Retrying {
        /// From now.
        seconds: u64,
    },
    /// All of it is here, and its digest is made.
    Verifying,
    /// All of it is here.
    Downloaded,
    /// It is unpacked: bytes as they are in the registry, of so many if that is known.
    Extracting {
        /// Unpacked.
        done: u64,
        /// Of these.
        total: Option<u64>,
    },
    /// It is here, verified and unpacked.
    Complete,
    /// It was here (pull) or there (push) before.
    Exists,
    /// It goes: bytes of so many if that is known.
    Uploading {
        /// There.
        done: u64,
        /// Of these.
        total: Option<u64>,
    },
    /// The registry has taken it.
    Pushed,
    /// The registry has it from another repository of its own.
    Mounted {
        /// That one's path.
        from: String,
    },
}

/// One step of a pull or a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TransferEvent {
    /// A sentence about all of it, in docker's words (`latest: Pulling from library/alpine`).
    Note(String),
    /// A sentence about something that isn't as it should be, and that the transfer gets along with.
    Warning(String),
    /// A layer's new state.
    Layer {
        /// The first 12 digits of its digest: in pulls that of its blob, in pushes its diff ID.
        layer: String,
        /// What it does now.
        state: LayerState,
    },
    /// An image has been pulled. With all tags of a repository there are several of these.
    Pulled(Pulled),
    /// The pull is over: its last event.
    Ended {
        /// What was asked for, as lists show it.
        reference: String,
        /// Whether a name stands for another image now, or is new.
        newer: bool,
    },
    /// An image has been pushed. With all tags of a repository there are several of these.
    Pushed(Pushed),
}

/// An image that was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// Its tag, or its digest where that was asked for.
    pub selector: String,
    /// The digest of what that stands for in the registry, possibly a list of images.
    pub digest: Digest,
}

/// An image that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Its tag.
    pub tag: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of its manifest.
    pub size: u64,
}
