//! `state.db-shm`: the index of the write-ahead log, kept at its size.
//!
//! SQLite cuts the index to nothing when nobody has it open, and makes it anew. On a disk that is full
//! of what a container wrote, somebody else may take the room in between, and from then on no command
//! could so much as look. So each process says that the index is in use before SQLite looks, by the lock
//! by which SQLite's connections say so to each other. Who finds that nobody does blanks the header,
//! which has SQLite make the index anew in the room that it has.
//!
//! Closing a descriptor gives up all POSIX locks that a process has on the file, SQLite's too. So all
//! connections of a process to a database share one, which the last of them closes.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET, flock};

/// The byte whose lock says that somebody uses the index (`UNIX_SHM_DMS` of SQLite's os_unix.c).
const IN_USE: i64 = 128;

/// The two copies of the header and what follows them, up to that byte: a header of zeros doesn't match
/// its sum (<https://www.sqlite.org/walformat.html>, "The WAL-Index File Format").
const HEADER: usize = 120;

/// The size of an index for some four thousand pages, more than the log has before it begins anew.
const SIZE: u64 = 32 << 10;

/// The indexes that this process has open, and how many connections use each.
static OPEN: Mutex<Vec<(File, usize)>> = Mutex::new(Vec::new());

/// An index that is in use. To be dropped after the connection.
#[derive(Debug)]
pub(super) struct Kept {
    id: (u64, u64),
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.iter_mut().find(|(file, _)| is(file, self.id)) {
            entry.1 -= 1;
        }
        open.retain(|(_, users)| *users > 0);
    }
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn is(file: &File, wanted: (u64, u64)) -> bool {
    file.metadata().is_ok_and(|found| id(&found) == wanted)
}

/// Says that the index of the database at `path` is in use, until what is returned is dropped.
///
/// # Errors
/// When it can't be opened: SQLite then says what is wrong.
pub(super) fn keep(path: &Path) -> io::Result<Kept> {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    let name = Path::new(&name);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(there) = std::fs::metadata(name).map(|found| id(&found))
        && let Some(entry) = open.iter_mut().find(|(file, _)| is(file, there))
    {
        entry.1 += 1;
        return Ok(Kept { id: there });
    }
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(name)?;
    let kept = Kept { id: id(&file.metadata()?) };
    // Without the lock SQLite manages alone, unless the disk is full.
    let _ = hold(&file);
    open.push((file, 1));
    Ok(kept)
}

/// Takes the lock that all users of the index share, blanking the index when there was no other.
fn hold(file: &File) -> io::Result<()> {
    loop {
        let mut found = lock(F_WRLCK);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut found))?;
        let (wanted, first) = match i32::from(found.l_type) {
            F_UNLCK => (F_WRLCK, true),
            F_RDLCK => (F_RDLCK, false),
            // Somebody is at it, which takes no time.
            _ => {
                std::thread::yield_now();
                continue;
            }
        };
        match fcntl(file, FcntlArg::F_OFD_SETLK(&lock(wanted))) {
            Ok(_) if !first => return Ok(()),
            Ok(_) => {}
            // Things have changed since the question.
            Err(Errno::EAGAIN | Errno::EACCES) => continue,
            Err(error) => return Err(error.into()),
        }
        let blanked = blank(file);
        fcntl(file, FcntlArg::F_OFD_SETLK(&lock(F_RDLCK)))?;
        return blanked;
    }
}

fn blank(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    if size < SIZE {
        // A filesystem that can't reserve, or has no room now, does without.
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        let _ = rustix::fs::fallocate(file, flags, 0, SIZE);
    }
    if size > 0 { file.write_all_at(&[0; HEADER], 0) } else { Ok(()) }
}

fn lock(kind: i32) -> flock {
    // The kinds are 0, 1 and 2.
    let l_type = i16::try_from(kind).unwrap_or_default();
    let l_whence = i16::try_from(SEEK_SET).unwrap_or_default();
    flock { l_type, l_whence, l_start: IN_USE, l_len: 1, l_pid: 0 }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::state::Store;

    /// What another process would find: whether its lock that excludes all others is refused.
    fn is_in_use(index: &Path) -> bool {
        let file = File::open(index).unwrap();
        let mut found = lock(F_WRLCK);
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found)).unwrap();
        // Closing it would give up SQLite's locks.
        std::mem::forget(file);
        i32::from(found.l_type) == F_RDLCK
    }

    #[test]
    fn the_index_is_in_use_before_sqlite_looks_and_is_made_anew_in_its_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let index = folder.path().join("state.db-shm");
        let count = |store: &Store| -> i64 {
            let rows = "SELECT count(*) FROM journal";
            store.connection().query_row(rows, [], |row| row.get(0)).unwrap()
        };
        let store = Store::open(&path).unwrap();
        drop(Store::open(&path).unwrap());
        assert!(is_in_use(&index));
        drop(store);
        assert!(!is_in_use(&index));
        // Another process's last words, and an index that a crash of the host has spoilt.
        let other = folder.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let copied = other.join("state.db");
        let store = Store::open(&path).unwrap();
        assert!(is_in_use(&index));
        store.connection().execute("INSERT INTO journal VALUES ('link', 'a', 'b')", []).unwrap();
        for ending in ["", "-wal", "-shm"] {
            let name = |folder: &Path| folder.join(format!("state.db{ending}"));
            std::fs::copy(name(folder.path()), name(&other)).unwrap();
        }
        let spoilt = other.join("state.db-shm");
        let before = std::fs::metadata(&spoilt).unwrap();
        let file = File::options().write(true).open(&spoilt).unwrap();
        // The two copies of the header still agree; what the index says doesn't.
        file.write_all_at(&[0x55; 4096], 4096).unwrap();
        drop(file);
        let store = Store::open(&copied).unwrap();
        assert_eq!(count(&store), 1);
        let after = std::fs::metadata(&spoilt).unwrap();
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "not cut");
        let whole = "PRAGMA integrity_check";
        let said: String = store.connection().query_row(whole, [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok");
    }

    #[test]
    fn closing_one_connection_leaves_the_locks_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut kept = Store::open(&path).unwrap();
        drop(Store::open(&path).unwrap());
        let writing = kept.transaction(|_| {
            // POSIX locks are seen by others only.
            let query = "import sqlite3,sys\n\
                c = sqlite3.connect(sys.argv[1], timeout=0)\n\
                c.execute(\"BEGIN IMMEDIATE\")";
            let out = Command::new("python3").args(["-c", query]).arg(&path).output();
            Ok(out.map(|out| String::from_utf8_lossy(&out.stderr).into_owned()))
        });
        // Not every machine has python.
        if let Ok(said) = writing.unwrap() {
            assert!(said.contains("database is locked"), "{said}");
        }
    }
}
