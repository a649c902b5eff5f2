//! `import`: an image of one layer out of a root filesystem's tar.

use std::collections::BTreeMap;
use std::io::Read;

use chrono::{DateTime, Utc};
use wharf_model::{Digest, ImageConfig, ImageName, ImportOptions};

use super::archive::invalid;
use super::document::{ConfigDocument, HistoryDocument, RootFs};
use super::hash;
use super::intake::{Intake, Taken};
use super::publish::{NewImage, Parts, Published, Unpacked, publish};
use super::staging::Staging;
use super::{Images, instructions, oci};
use crate::container::create::check_platform;
use crate::{Error, Result};

/// What is said of an image of one layer.
pub(super) struct About {
    pub(super) config: ImageConfig,
    pub(super) created: Option<DateTime<Utc>>,
    pub(super) created_by: String,
    pub(super) comment: String,
}

impl Images<'_> {
    /// Makes an image of a root filesystem's tar, plain, gzip or zstd, and returns its id.
    ///
    /// # Errors
    /// When the tar is damaged or empty, an instruction means nothing, the image is for another machine,
    /// or the disk is full; then nothing of it stays.
    pub fn import(
        &mut self,
        archive: impl Read,
        options: impl Into<ImportOptions>,
    ) -> Result<Digest> {
        let options = options.into();
        let mut config = ImageConfig::default();
        instructions::apply(&mut config, &options.changes)?;
        if let Some(platform) = &options.platform {
            let name = options.name.as_ref().map(ToString::to_string).unwrap_or_default();
            check_platform(&name, platform, "linux", oci::architecture())?;
        }
        let about = About {
            config,
            created: Some(Utc::now()),
            created_by: String::new(),
            comment: match options.message.is_empty() {
                true => "Imported from -".to_owned(),
                false => options.message,
            },
        };
        self.make(archive, about, options.name.into_iter().collect(), "import")
    }

    /// Makes an image of a tar.
    pub(super) fn make(
        &mut self,
        mut tar: impl Read,
        about: About,
        tags: Vec<ImageName>,
        action: &'static str,
    ) -> Result<Digest> {
        // Not this work's business if it fails: what is in the way is in the way of others too.
        let _ = self.sweep();
        let staging = Staging::new(self.paths)?;
        let (path, frame) = (staging.join("layer"), staging.join("frame"));
        let intake = Intake { frame: Some(&frame), ..Intake::default() };
        let taken = intake.run("read the root filesystem", &mut tar, &path, None, &|_| {})?;
        let Taken { diff_id, length, contents, .. } = taken;
        if length == 0 {
            return Err(invalid("read the root filesystem: it is empty"));
        }
        let document = ConfigDocument {
            created: about.created,
            architecture: oci::architecture().to_owned(),
            os: "linux".to_owned(),
            config: Some(about.config),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Some(vec![diff_id.clone()]) },
            history: Some(vec![HistoryDocument {
                created: about.created,
                created_by: about.created_by,
                comment: about.comment,
                ..HistoryDocument::default()
            }]),
            ..ConfigDocument::default()
        };
        let config = serde_json::to_vec(&document)
            .map_err(|e| Error::failed("write the image's configuration", e))?;
        let image = NewImage {
            id: hash::digest(&config),
            config,
            created: about.created.map(|at| at.timestamp_millis()),
            manifest: None,
            diff_ids: vec![diff_id.clone()],
            tags,
            repo_digests: Vec::new(),
            action: Some(action),
        };
        let id = image.id.clone();
        // The lowest layer's chain ID is its diff ID.
        let layer = Unpacked { path, contents, frame: Some(frame) };
        let parts = Parts { unpacked: BTreeMap::from([(diff_id, layer)]), ..Parts::default() };
        match publish(self.store, self.paths, &staging, &[image], &parts)? {
            Published::Done(_) => Ok(id),
            Published::Missing => Err(Error::failed("import", "the layer is missing")),
        }
    }
}
