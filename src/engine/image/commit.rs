//! `commit`: an image of a container's image and what the container changed.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::Utc;
use wharf_model::{ChangeKind, Digest, ImageConfig, ImageName};

use super::archive::explain;
use super::document::{ConfigDocument, HistoryDocument};
use super::frame::{Frame, Framed};
use super::hash::{self, HashReader};
use super::instructions;
use super::pack::Packer;
use super::pipe;
use super::publish::{NewImage, Parts, Published, Unpacked, chain, publish};
use super::staging::Staging;
use super::tree::Node;
use super::unpack::{Contents, Options, unpack_into};
use super::{Images, oci};
use crate::container::diff::{self, Depth, Visitor};
use crate::init::mounts::Layers;
use crate::state::Store;
use crate::{Error, Result};

/// What becomes an image.
pub(crate) struct Commit<'a> {
    /// The image that the container was made from.
    pub(crate) image: &'a Digest,
    pub(crate) layers: &'a Layers,
    /// The container's settings.
    pub(crate) config: ImageConfig,
    pub(crate) author: String,
    pub(crate) comment: String,
    /// Instructions that change the settings.
    pub(crate) changes: &'a [String],
    pub(crate) name: Option<ImageName>,
}

/// The diff ID of a layer that holds nothing: an archive's end alone.
const EMPTY: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl Images<'_> {
    /// Makes an image of a container and returns its id. `copied` is called as soon as the container
    /// may go on; its error is the commit's.
    ///
    /// # Errors
    /// When an instruction is wrong, or the disk is full; then nothing of it stays.
    pub(crate) fn commit(
        &mut self,
        commit: Commit<'_>,
        copied: impl FnOnce(&Store) -> Result<()>,
    ) -> Result<Digest> {
        let created_by = commit.config.cmd.join(" ");
        let mut config = commit.config;
        instructions::apply(&mut config, commit.changes)?;
        let _ = self.sweep();
        let base = self.document(commit.image)?;
        let staging = Staging::new(self.paths)?;
        let path = staging.folder("layer")?;
        let frame = staging.join("frame");
        let (diff_id, contents) = copy(commit.layers, &path, &frame)?;
        copied(self.store)?;
        let is_empty = diff_id.as_str() == EMPTY;
        let mut diff_ids = base.diff_ids().to_vec();
        let mut parts = Parts::default();
        if !is_empty {
            diff_ids.push(diff_id);
            if let Some(id) = chain(&diff_ids).pop() {
                parts.unpacked.insert(id, Unpacked { path, contents, frame: Some(frame) });
            }
        }
        let created = Utc::now();
        let mut history = base.history.clone().unwrap_or_default();
        history.push(HistoryDocument {
            created: Some(created),
            created_by,
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            empty_layer: is_empty,
        });
        let architecture = match base.architecture.as_str() {
            "" => oci::architecture().to_owned(),
            other => other.to_owned(),
        };
        let mut rootfs = base.rootfs.clone();
        "layers".clone_into(&mut rootfs.kind);
        rootfs.diff_ids = Some(diff_ids.clone());
        let document = ConfigDocument {
            created: Some(created),
            author: commit.author,
            architecture,
            os: "linux".to_owned(),
            comment: commit.comment,
            config: Some(config),
            rootfs,
            history: Some(history),
        };
        let config = serde_json::to_vec(&document)
            .map_err(|e| Error::failed("write the image's configuration", e))?;
        let image = NewImage {
            id: hash::digest(&config),
            config,
            created: Some(created.timestamp_millis()),
            manifest: None,
            diff_ids,
            tags: commit.name.into_iter().collect(),
            repo_digests: Vec::new(),
            action: Some("create"),
        };
        let id = image.id.clone();
        match publish(self.store, self.paths, &staging, &[image], &parts)? {
            Published::Done(_) => Ok(id),
            Published::Missing => Err(Error::failed("commit", "a layer of the image is missing")),
        }
    }
}

/// Copies what a container changed into a layer's folder, by way of the layer's archive, so that the
/// folder is what anybody gets who unpacks that archive. Returns the diff ID and what is in it.
fn copy(layers: &Layers, to: &Path, frame: &Path) -> Result<(Digest, Contents)> {
    let what = "copy the container's changes";
    let failed = |e: io::Error| Error::failed(what, explain(e));
    let root = std::fs::File::open(to).map_err(failed)?;
    let pack = |writer| {
        let mut layer = Layer(Packer::new(BufWriter::with_capacity(1 << 16, writer)));
        diff::walk(layers, Depth::Exact, &mut layer)?;
        layer.0.finish().map_err(|e| Error::failed(what, e)).map(drop)
    };
    pipe::through(what, pack, |reader| {
        let frame = RefCell::new(Frame::create(frame)?);
        let mut tar = HashReader::new(Framed { inner: reader, frame: &frame });
        let options = Options {
            frame: Some(&frame),
            is_layer: true,
            makes_holes: true,
            ..Options::default()
        };
        let contents = unpack_into(&mut tar, root.into(), options)?;
        let (diff_id, _) = tar.finish()?;
        frame.into_inner().finish()?;
        Ok((diff_id, contents))
    })
}

/// Packs differences as a layer.
struct Layer<W>(Packer<W>);

impl<W: Write> Visitor for Layer<W> {
    fn visit(
        &mut self,
        kind: Option<ChangeKind>,
        path: &[u8],
        node: Option<&Node>,
    ) -> io::Result<()> {
        const WHITEOUT: &[u8] = b".wh.";
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at(at);
        match (kind, node) {
            (Some(ChangeKind::Deleted), _) => self.0.empty_file(&[folder, WHITEOUT, name].concat()),
            (_, Some(_)) if name.starts_with(WHITEOUT) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} can't be in an image: layers say by such names that a file is gone; \
                     rename or remove it",
                    super::tar_stream::show(path)
                ),
            )),
            (_, Some(node)) => self.0.node(node, path),
            (_, None) => Ok(()),
        }
    }
}
