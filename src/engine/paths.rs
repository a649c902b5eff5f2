//! Where the engine keeps what it has: the one place that knows the layout on disk.

use std::path::{Path, PathBuf};

use wharf_model::{ContainerId, Digest};

/// The engine's folders. `root` outlives a reboot, `run` need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    run: PathBuf,
}

impl Paths {
    /// Returns the layout below these two folders.
    pub fn new(root: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), run: run.into() }
    }

    /// Returns the folder of everything that lasts.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of sockets and locks.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Returns the state database.
    pub fn database(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// Returns the file that says whose numbers containers get by default; missing when they have the
    /// engine's own.
    pub fn userns_remap(&self) -> PathBuf {
        self.root.join("userns-remap")
    }

    /// Returns the folder of blobs, one each, named by their digests' digits.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Returns where a blob is kept as it came.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Returns the folder of unpacked layers, one each, named by the chain ID's digits.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Returns the folder a layer is unpacked in.
    pub fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.layers().join(chain_id.hex())
    }

    /// Returns the file that tells how a layer's archive is put together again.
    pub fn frame(&self, chain_id: &Digest) -> PathBuf {
        self.layers().join(format!("{}.frame", chain_id.hex()))
    }

    /// Returns the folder of volumes, one each, named as they are.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Returns the folder of what a volume holds.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.volumes().join(name).join("_data")
    }

    /// Returns the folder of the locks of volumes.
    pub fn volume_locks(&self) -> PathBuf {
        self.run.join("volumes")
    }

    /// Returns where half-made things live until they are renamed into place.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Returns the folder of all containers' folders.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// Returns the folder of one container.
    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// Returns the log of one container.
    pub fn log(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join(format!("{id}-json.log"))
    }

    /// Returns what is recorded of one container's past.
    pub fn record(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("record")
    }

    /// Returns what is recorded of the host's past.
    pub fn host_record(&self) -> PathBuf {
        self.root.join("host-record")
    }

    /// Returns the file whose existence says that nothing is to be recorded.
    pub fn recorder(&self) -> PathBuf {
        self.root.join("recorder-off")
    }

    /// Returns the folder of one container's sockets, gone after a reboot.
    pub fn container_run(&self, id: &ContainerId) -> PathBuf {
        self.run.join("containers").join(id.as_str())
    }
}
