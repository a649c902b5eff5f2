//! How much disk all records of an engine may take.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::SIZE;

/// What all records may take: whole ones of 682 containers.
pub const BUDGET: u64 = 100 << 20;

/// A record that nobody has written to for so long is that of a container that doesn't run.
const RESTING: Duration = Duration::from_secs(300);

/// Makes room for one more record where the `records` are, if they are: those that nobody has written to for
/// longest go. Returns whether there is room.
///
/// # Errors
/// When a record that has to go can't be removed.
pub fn make_room(
    records: impl Iterator<Item = PathBuf>,
    budget: u64,
    now: SystemTime,
) -> io::Result<bool> {
    let places: Vec<PathBuf> = records.collect();
    // Who is looked at costs a system call each, and each of many containers asks this.
    if (places.len() as u64) < budget / SIZE {
        return Ok(true);
    }
    let mut all: Vec<(SystemTime, PathBuf)> = places
        .into_iter()
        .filter_map(|path| {
            let about = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
            let written = u64::try_from(about.mtime()).unwrap_or(0);
            Some((SystemTime::UNIX_EPOCH + Duration::from_secs(written), path))
        })
        .collect();
    // Each counts whole: it will be.
    let mut excess = (all.len() as u64 + 1).saturating_sub(budget / SIZE);
    if excess == 0 {
        return Ok(true);
    }
    all.sort();
    for (_, path) in all.iter().take_while(|(written, _)| *written + RESTING < now) {
        remove(path)?;
        excess -= 1;
        if excess == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        // It went with its container.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_what_ended_longest_ago_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let path = |n: u64| folder.path().join(n.to_string());
        for n in 0..4 {
            let file = std::fs::File::create(path(n)).unwrap();
            file.set_modified(now - Duration::from_secs(n * 1000)).unwrap();
        }
        let make_room = |whole| {
            let records = std::fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().path());
            super::make_room(records, whole * SIZE, now).unwrap()
        };
        assert!(make_room(5));
        assert!(make_room(4));
        assert!(path(2).exists() && !path(3).exists());
        // What is being written stays.
        assert!(!make_room(1));
        assert!(path(0).exists() && !path(1).exists() && !path(2).exists());
    }
}
