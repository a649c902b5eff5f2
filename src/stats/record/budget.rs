//! How much disk all records of an engine may take.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{REACH, Shape};

/// What all records may take.
pub const BUDGET: u64 = 100 << 20;

/// A record that nobody has written to for so long is that of a container that doesn't run.
const RESTING: Duration = Duration::from_secs(300);

/// One of the records there are.
struct Known {
    path: PathBuf,
    written: SystemTime,
    size: u64,
}

/// Returns how large one more record beside those where the `records` are, if they are, may be. Half of
/// the budget is for whole ones; of the other half, a third each is for those divided once, twice and
/// thrice ([`Shape::divided`]). Those that rest, and have nothing of the last day in them, go before a new
/// one is divided; others that rest go when there is no room at all, the oldest first. None when nothing
/// rests either.
///
/// What rests counts by what it takes on the disk: who goes on with such a record asks here first. Who
/// calls this holds a lock until the record is there, or the next one counts on the same room.
///
/// # Errors
/// When a record that has to go can't be removed.
pub fn make_room(
    records: impl Iterator<Item = PathBuf>,
    wanted: Shape,
    budget: u64,
    now: SystemTime,
) -> io::Result<Option<Shape>> {
    let places: Vec<PathBuf> = records.collect();
    // Who is looked at costs a system call each, and each of many containers asks this.
    if (places.len() as u64 + 1) * wanted.size() <= budget / 2 {
        return Ok(Some(wanted));
    }
    let mut all: Vec<Known> = places
        .into_iter()
        .filter_map(|path| {
            let about = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
            let written = u64::try_from(about.mtime()).unwrap_or(0);
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
            // What is written to will take its length; of what rests, most was never written.
            let blocks = about.blocks() * 512;
            let rests = written + RESTING < now;
            Some(Known {
                path,
                written,
                size: if rests { blocks } else { blocks.max(about.len()) },
            })
        })
        .collect();
    all.sort_by_key(|known| known.written);
    let mut taken: u64 = all.iter().map(|known| known.size).sum();
    let mut resting = all.iter();
    loop {
        let left = budget.saturating_sub(taken);
        // What is kept for the smaller ones that may come yet.
        let kept = |halvings: u64| budget / 6 * 3u64.saturating_sub(halvings);
        let fits = |(n, shape): &(u64, Shape)| shape.size() + kept(*n) <= left;
        let found = (0..).zip(wanted.divided()).find(fits).map(|(_, shape)| shape);
        if found == Some(wanted) {
            return Ok(found);
        }
        let next = resting.next().filter(|one| one.written + RESTING < now);
        // A small record is better than none, and worse than what nobody looks back to.
        let next = next.filter(|one| found.is_none() || one.written + REACH < now);
        let Some(one) = next else { return Ok(found) };
        remove(&one.path)?;
        taken -= one.size;
    }
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

    const DAY: u64 = 24 * 3600;

    /// Records of which each was written to some seconds before the one before it.
    struct Records {
        folder: tempfile::TempDir,
        now: SystemTime,
    }

    impl Records {
        fn new(count: u64, apart: u64) -> Self {
            let records = Self { folder: tempfile::tempdir().unwrap(), now: SystemTime::now() };
            for n in 0..count {
                let size = usize::try_from(Shape::new(2).size()).unwrap();
                std::fs::write(records.path(n), vec![7; size]).unwrap();
                let file = std::fs::File::options().write(true).open(records.path(n)).unwrap();
                file.set_modified(records.now - Duration::from_secs(n * apart)).unwrap();
            }
            records
        }

        fn path(&self, n: u64) -> PathBuf {
            self.folder.path().join(n.to_string())
        }

        fn left(&self) -> usize {
            std::fs::read_dir(self.folder.path()).unwrap().count()
        }

        /// Asks for room within so many whole records.
        fn make_room(&self, whole: u64) -> Option<Shape> {
            let records = std::fs::read_dir(self.folder.path()).unwrap();
            let records = records.map(|one| one.unwrap().path());
            let shape = Shape::new(2);
            // What rests counts by its blocks, which are a little more.
            let budget = whole * shape.size() + shape.size() / 16;
            super::make_room(records, shape, budget, self.now).unwrap()
        }
    }

    #[test]
    fn what_nobody_looks_back_to_goes_before_a_new_record_is_divided() {
        let records = Records::new(4, DAY);
        assert_eq!(records.make_room(10), Some(Shape::new(2)));
        assert_eq!(records.left(), 4);
        // Two are older than a day.
        assert_eq!(records.make_room(6), Some(Shape::new(2)));
        assert!(records.path(1).exists() && !records.path(2).exists());
    }

    #[test]
    fn records_become_smaller_where_there_is_little_room_and_still_reach_back_a_day() {
        let records = Records::new(4, 0);
        let shapes: Vec<Shape> = Shape::new(2).divided().collect();
        for (whole, shape) in [10, 8, 6, 5].into_iter().zip(&shapes) {
            assert_eq!(records.make_room(whole), Some(*shape), "{whole}");
        }
        for shape in &shapes {
            assert!(shape.step() * shape.count(super::super::COARSE) >= REACH);
        }
        assert!(shapes.windows(2).all(|pair| pair[1].size() <= pair[0].size() / 2 + 64));
        // What is written to stays, whatever it costs the newest.
        assert_eq!(records.make_room(4), None);
        assert_eq!(records.left(), 4);
    }

    #[test]
    fn the_records_of_what_ended_longest_ago_go_where_there_is_no_room_at_all() {
        let records = Records::new(4, 1000);
        assert_eq!(records.make_room(4), Some(Shape::new(2).divided().nth(2).unwrap()));
        assert!(records.path(2).exists() && !records.path(3).exists());
        assert_eq!(records.make_room(0), None);
        assert!(records.path(0).exists() && records.left() == 1, "what is written to stays");
    }
}
