//! The folders: private, and each with a row.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use wharf_model::ContainerId;

use super::{Area, Check, Finding, beyond_repair, finding};
use crate::image::{self, Images};
use crate::{Error, Paths, Result};

/// Checks that nobody else can reach what the engine's folders hold.
pub(super) fn modes(paths: &Paths, repair: bool, findings: &mut Vec<Finding>) {
    let root = paths.root();
    let mut wanted = vec![(root.to_path_buf(), 0o711)];
    // Set-user-id programs of images must not be within reach of the host's users.
    let private =
        ["containers", "layers", "blobs/sha256", "tmp", "volumes"].map(|name| root.join(name));
    wanted.extend(private.into_iter().map(|path| (path, 0o700)));
    wanted.push((paths.run().to_path_buf(), 0o700));
    for (path, mode) in wanted {
        let failed = |cause| Error::failed(format_args!("mend {}", path.display()), cause);
        let (problem, mending) = match std::fs::metadata(&path) {
            Err(cause) => {
                let make = || {
                    let mut builder = std::fs::DirBuilder::new();
                    builder.recursive(true).mode(mode).create(&path).map_err(failed)
                };
                (format!("can't be used: {cause}"), repair.then(make))
            }
            Ok(found) if found.uid() != 0 => {
                let own = || std::os::unix::fs::chown(&path, Some(0), Some(0)).map_err(failed);
                (format!("belongs to user {}, not to root", found.uid()), repair.then(own))
            }
            Ok(found) => {
                let bits = found.permissions().mode() & 0o7777;
                // The root may be read by others, who see three names there, but not written.
                let allowed = if path == root { 0o755 } else { 0o700 };
                if bits & !allowed == 0 && bits & 0o700 == 0o700 {
                    continue;
                }
                let close = || {
                    let permissions = std::fs::Permissions::from_mode(mode);
                    std::fs::set_permissions(&path, permissions).map_err(failed)
                };
                (format!("has mode {bits:04o} instead of {mode:04o}"), repair.then(close))
            }
        };
        findings.push(finding(Area::Files, path.display().to_string(), problem, mending));
    }
}

/// Returns the ids that a folder's entries are named by.
fn named(folder: &Path) -> Vec<ContainerId> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

impl Check<'_> {
    /// Folders of containers that aren't there.
    pub(super) fn folders(&mut self) -> Result<()> {
        for parent in
            [self.paths().root().join("containers"), self.paths().run().join("containers")]
        {
            let known: BTreeSet<ContainerId> = self.records()?.into_keys().collect();
            for id in named(&parent) {
                if known.contains(&id) {
                    continue;
                }
                let folder = parent.join(id.as_str());
                self.idle(&id, |check, record| {
                    // The locks themselves stand in the folder of sockets and locks.
                    let locks = ["verbs.lock", "life.lock"];
                    let held = std::fs::read_dir(&folder).is_ok_and(|entries| {
                        entries.flatten().any(|e| !locks.iter().any(|lock| e.file_name() == *lock))
                    });
                    let lasting = parent.starts_with(check.paths().root().join("containers"));
                    // Its last owner may have removed it since it was listed.
                    let lasts = lasting && folder.exists();
                    if record.is_some() || check.is_known(&id)? || !(lasts || held) {
                        return Ok(());
                    }
                    let object = folder.display().to_string();
                    let problem = "no container has this folder";
                    if check.keep_unknown && lasting {
                        let way_out = "look whether it is wanted; a further 'wharf system check \
                                       --repair' removes it";
                        check.add(beyond_repair(Area::Files, object, problem, way_out));
                        return Ok(());
                    }
                    let mending = check.repair.then(|| {
                        std::fs::remove_dir_all(&folder)
                            .map_err(|cause| Error::failed(format_args!("remove {object}"), cause))
                    });
                    check.add(finding(Area::Files, object, problem, mending));
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Layers without a row, and rows without a layer: judged under the database's write lock, which
    /// orders every change of the layers' folder.
    pub(super) fn layers(&mut self) -> Result<()> {
        let paths = self.paths().clone();
        let (orphans, missing) = self.store.transaction(|transaction| {
            let mut statement = transaction.prepare("SELECT chain_id FROM layer")?;
            let rows: BTreeSet<String> = statement
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<_>>()?;
            let there = crate::image::unpacked(&paths);
            // A frame alone is no layer, but somebody has to remove it.
            let folders: BTreeSet<String> = there
                .into_iter()
                .filter(|id| !rows.contains(id.as_str()) || paths.layer(id).exists())
                .map(String::from)
                .collect();
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                a.difference(b).cloned().collect::<Vec<_>>()
            };
            Ok((only(&folders, &rows), only(&rows, &folders)))
        })?;
        for layer in missing {
            let images = self.images_with(&layer)?;
            self.add(beyond_repair(
                Area::Files,
                format!("layer {layer}"),
                format!("its folder is gone; image {} needs it", images.join(", ")),
                "remove the image with 'wharf rmi -f' and load it again",
            ));
        }
        if orphans.is_empty() {
            return Ok(());
        }
        if self.keep_unknown {
            for layer in orphans {
                let way_out = "load its image again, or let a further 'wharf system check --repair' \
                               remove it";
                let object = format!("layer {layer}");
                self.add(beyond_repair(Area::Files, object, "no image has it", way_out));
            }
            return Ok(());
        }
        let mending = self.repair.then(|| {
            let swept = Images::new(self.store, &paths).sweep();
            swept.map_err(|error| error.to_string())
        });
        for layer in orphans {
            let mending =
                mending.clone().map(|done| done.map_err(|text| Error::failed("sweep", text)));
            self.add(finding(Area::Files, format!("layer {layer}"), "no image has it", mending));
        }
        Ok(())
    }

    /// Blobs without a row, and rows without their blob, judged as layers are.
    pub(super) fn blobs(&mut self) -> Result<()> {
        let paths = self.paths().clone();
        let (orphans, missing) = self.store.transaction(|tx| image::disagreeing(tx, &paths))?;
        for digest in missing {
            let mending = self.repair.then(|| {
                self.store.transaction(|tx| image::forget(tx, &digest))?;
                Ok(())
            });
            // Its layer is unpacked: containers don't need the blob.
            let mut found =
                finding(Area::Files, format!("blob {digest}"), "it is gone or cut short", mending);
            if found.way_out.is_empty() {
                found.way_out =
                    "pull or load its image again before you push or save it".to_owned();
            }
            self.add(found);
        }
        if orphans.is_empty() {
            return Ok(());
        }
        let mending = self.repair.then(|| {
            let swept = Images::new(self.store, &paths).sweep();
            swept.map_err(|error| error.to_string())
        });
        for digest in orphans {
            let mending =
                mending.clone().map(|done| done.map_err(|text| Error::failed("sweep", text)));
            self.add(finding(Area::Files, format!("blob {digest}"), "no image has it", mending));
        }
        Ok(())
    }

    fn images_with(&self, layer: &str) -> Result<Vec<String>> {
        let mut statement = self.store.connection().prepare(
            "SELECT coalesce((SELECT min(name) FROM tag WHERE tag.image = image_layer.image), image)
             FROM image_layer WHERE layer = ?1",
        )?;
        let rows = statement.query_map([layer], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Half-made things whose maker is gone.
    pub(super) fn leftovers(&mut self) -> Result<()> {
        for path in crate::image::leftovers(self.paths())? {
            let mending = self.repair.then(|| match std::fs::remove_dir_all(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::failed(format_args!("remove {}", path.display()), cause))
                }
                _ => Ok(()),
            });
            let object = path.display().to_string();
            self.add(finding(Area::Files, object, "whoever made it is gone", mending));
        }
        Ok(())
    }
}
