//! Volumes: each row with its folder, each folder with its row, and nothing mounted that nobody uses.

use std::os::unix::fs::DirBuilderExt;

use super::{Area, Check, beyond_repair, finding};
use crate::{Error, Result, volume};

impl Check<'_> {
    /// Judged under the database's write lock, which orders every change of the volumes' folder.
    pub(super) fn volumes(&mut self) -> Result<()> {
        volume::sweep(&self.paths().clone(), self.store)?;
        let paths = self.paths().clone();
        let (missing, strays) = self.store.transaction(|transaction| {
            let list = |sql: &str| -> Result<Vec<String>> {
                let mut statement = transaction.prepare(sql)?;
                let rows = statement.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            };
            let rows = list("SELECT name FROM volume")?;
            let noted = list("SELECT key FROM journal WHERE kind = 'volume'")?;
            let folders: Vec<String> = std::fs::read_dir(paths.volumes())
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            let missing: Vec<String> =
                rows.iter().filter(|name| !paths.volume_data(name).is_dir()).cloned().collect();
            let known = |name: &String| rows.contains(name) || noted.contains(name);
            Ok((missing, folders.into_iter().filter(|name| !known(name)).collect::<Vec<_>>()))
        })?;
        for name in missing {
            let data = paths.volume_data(&name);
            let mending =
                self.repair.then(|| {
                    let mut builder = std::fs::DirBuilder::new();
                    builder.recursive(true).mode(0o755).create(&data).map_err(|cause| {
                        Error::failed(format_args!("make {}", data.display()), cause)
                    })
                });
            let problem = format!("volume {name} has no folder: what it held is lost");
            self.add(finding(Area::Files, data.display().to_string(), problem, mending));
        }
        for name in strays {
            let folder = paths.volumes().join(&name);
            let object = folder.display().to_string();
            if volume::is_bare(&folder) {
                let mending = self.repair.then(|| {
                    std::fs::remove_dir_all(&folder)
                        .map_err(|cause| Error::failed(format_args!("remove {object}"), cause))
                });
                self.add(finding(Area::Files, object, "no volume has this empty folder", mending));
            } else if volume::check_name(&name).is_err() || !folder.is_dir() {
                let way_out = "look whether it is wanted, and move it away";
                self.add(beyond_repair(Area::Files, object, "it is no volume's", way_out));
            } else {
                // Lost rows, not lost data.
                let mending = self.repair.then(|| volume::adopt(&paths, self.store, &name));
                let problem = "it holds data, and no volume is known for it: a repair makes it one";
                self.add(finding(Area::Files, object, problem, mending));
            }
        }
        self.volume_mounts()
    }

    /// What is mounted on volumes that no container runs with.
    fn volume_mounts(&mut self) -> Result<()> {
        for one in self.store.volumes()? {
            let data = self.paths().volume_data(&one.name);
            let is_left = |check: &Self| -> Result<bool> {
                let mounted = volume::is_mounted(&data)
                    .map_err(|c| Error::failed(format_args!("look at {}", data.display()), c))?;
                Ok(mounted && one.is_mount() && check.store.volume_runners(&one.name)?.is_empty())
            };
            if !is_left(self)? {
                continue;
            }
            let _lock = volume::lock(self.paths(), &one.name)?;
            // Whoever mounts it notes that first, under this lock.
            if !is_left(self)? {
                continue;
            }
            let mending = self.repair.then(|| volume::unmount(&data));
            let problem = "is mounted, though no container runs with the volume";
            self.add(finding(Area::Kernel, data.display().to_string(), problem, mending));
        }
        Ok(())
    }
}
