//! Containers whose root is nobody outside: which numbers they get, and what they can't be.
//!
//! On the disk everything keeps the numbers it has in the image: layers, the container's own folder
//! and what `cp`, `commit` and `export` read show owners as the container sees them. The mounts make
//! the difference ([`super::trees`]); files of one that runs are seen through its own, and renumbered
//! ([`super::Owners`]). So nothing has to be changed when a container gets other
//! numbers at its next start, and a range is taken only while the container runs.

use std::fs::File;
use std::path::Path;

use rusqlite::params;
use wharf_model::{ContainerId, ErrorKind, HostConfig, NamespaceMode, NetworkMode, UsernsMode};
use wharf_sys::clone::Child;

use super::map::IdMap;
use super::subid::{self, SUBGID, SUBUID};
use crate::state::Store;
use crate::{Error, Result};

/// The kind of a range's note in the journal, which is its lease: `OFFSET:LENGTH`.
pub(crate) const KIND: &str = "ids";

/// How many users and groups a container gets with `auto`.
const AUTO_SIZE: u32 = 65_536;

/// The owners, in `/etc/subuid` and `/etc/subgid`, of the numbers that are used when no user is
/// named: wharf's own, else docker's.
const DEFAULT_OWNERS: [&str; 2] = ["wharf", "dockremap"];
/// Those of `auto`: wharf's own, else podman's.
const AUTO_OWNERS: [&str; 2] = ["wharf", "containers"];

/// The users and groups of a remapped container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maps {
    users: IdMap,
    groups: IdMap,
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

/// Checks that a container's other settings go with a user namespace of its own.
///
/// # Errors
/// With docker's words.
pub(crate) fn check(host: &HostConfig) -> Result<()> {
    if matches!(host.userns_mode, UsernsMode::Default | UsernsMode::Host) {
        return Ok(());
    }
    if super::is_nested() {
        return Err(invalid(
            "--userns: containers of this engine are in a user namespace already: only root's engine \
             gives them others",
        ));
    }
    if host.privileged {
        return Err(invalid(
            "privileged mode is incompatible with user namespaces.  You must run the container in \
             the host namespace when running privileged mode",
        ));
    }
    let shared = [
        ("host's network", host.network_mode == NetworkMode::Host),
        ("host PID", matches!(host.pid_mode, NamespaceMode::Host)),
        ("other container's PID", matches!(host.pid_mode, NamespaceMode::Container(_))),
        ("host IPC", matches!(host.ipc_mode, NamespaceMode::Host)),
        ("other container's IPC", matches!(host.ipc_mode, NamespaceMode::Container(_))),
        ("host UTS", matches!(host.uts_mode, NamespaceMode::Host)),
        ("host cgroup", matches!(host.cgroupns_mode, NamespaceMode::Host)),
    ];
    if let Some((what, _)) = shared.iter().find(|(_, shared)| *shared) {
        return Err(invalid(format!(
            "cannot share the {what} namespace when user namespaces are enabled"
        )));
    }
    match &host.userns_mode {
        UsernsMode::Remap(user) => named(user).map(drop),
        UsernsMode::Auto { size } => automatic().and_then(|all| all.slice(0, *size)).map(drop),
        UsernsMode::Default | UsernsMode::Host => Ok(()),
    }
}

/// Returns the numbers of a container that is being started; none when it isn't remapped. A range of
/// its own is leased.
pub(crate) fn prepare(
    store: &mut Store,
    mode: &UsernsMode,
    container: &ContainerId,
) -> Result<Option<Maps>> {
    match mode {
        UsernsMode::Default | UsernsMode::Host => Ok(None),
        UsernsMode::Remap(user) => named(user).map(Some),
        UsernsMode::Auto { size } => {
            let all = automatic()?;
            let length = size.unwrap_or(AUTO_SIZE);
            all.slice(0, Some(length))?;
            lease(store, &all, length, container).map(Some)
        }
    }
}

/// Gives a container's range back.
pub(crate) fn give_back(store: &Store, container: &ContainerId) -> Result<()> {
    store.connection().execute(
        "DELETE FROM journal WHERE kind = ?1 AND owner = ?2",
        [KIND, container.as_str()],
    )?;
    Ok(())
}

fn lease(store: &mut Store, all: &Maps, length: u32, container: &ContainerId) -> Result<Maps> {
    store.transaction(|transaction| {
        let mut taken: Vec<(u32, u32)> = transaction
            .prepare_cached("SELECT key FROM journal WHERE kind = ?1 AND owner != ?2")?
            .query_map([KIND, container.as_str()], |row| row.get::<_, String>(0))?
            .filter_map(|key| {
                let key = key.ok()?;
                let (offset, length) = key.split_once(':')?;
                Some((offset.parse().ok()?, length.parse().ok()?))
            })
            .collect();
        taken.sort_unstable();
        let offset = first_gap(&taken, length);
        let maps = all.slice(offset, Some(length)).map_err(|_| {
            Error::new(
                ErrorKind::Conflict,
                format!(
                    "--userns=auto: no {length} numbers are left: running containers have the \
                     others; add to {SUBUID} and {SUBGID}, or stop containers"
                ),
            )
        })?;
        transaction.execute(
            "INSERT OR REPLACE INTO journal (kind, key, owner) VALUES (?1, ?2, ?3)",
            params![KIND, format!("{offset}:{length}"), container.as_str()],
        )?;
        Ok(maps)
    })
}

/// Returns where `length` numbers are free; `taken` is sorted.
fn first_gap(taken: &[(u32, u32)], length: u32) -> u32 {
    taken.iter().fold(0, |free, &(offset, taken)| {
        if offset.saturating_sub(free) >= length { free } else { free.max(offset + taken) }
    })
}

/// Returns the numbers of a user: `default`, or `USER[:GROUP]`, each a name or a number.
fn named(spec: &str) -> Result<Maps> {
    if spec == "default" {
        return of_owners(&DEFAULT_OWNERS);
    }
    let (user, group) = spec.split_once(':').unwrap_or((spec, spec));
    let ranges = |file, owner: &str| {
        let known = subid::host_user(owner);
        let name = known.as_ref().map_or(owner, |user| user.name.as_str());
        let number = known.as_ref().map(|user| user.uid).or_else(|| owner.parse().ok());
        let ranges = subid::ranges(file, Some(name), number)?;
        if ranges.is_empty() {
            return Err(missing(&format!("no subordinate numbers for {owner:?} in {file}"), owner));
        }
        Ok(IdMap::stacked(ranges))
    };
    Ok(Maps { users: ranges(SUBUID, user)?, groups: ranges(SUBGID, group)? })
}

fn automatic() -> Result<Maps> {
    of_owners(&AUTO_OWNERS)
}

fn of_owners(owners: &[&str]) -> Result<Maps> {
    for owner in owners {
        let users = subid::ranges(SUBUID, Some(owner), None)?;
        let groups = subid::ranges(SUBGID, Some(owner), None)?;
        if !users.is_empty() && !groups.is_empty() {
            return Ok(Maps { users: IdMap::stacked(users), groups: IdMap::stacked(groups) });
        }
    }
    let text = format!(
        "neither {} has subordinate numbers in {SUBUID} and {SUBGID}",
        owners.join(" nor ")
    );
    Err(missing(&text, owners[0]))
}

fn missing(text: &str, owner: &str) -> Error {
    invalid(format!(
        "{text}: add a range that nobody else has: echo {owner}:300000:65536 | tee -a {SUBUID} {SUBGID}"
    ))
}

impl Maps {
    /// Returns so many of the numbers, from this one on.
    fn slice(&self, offset: u32, length: Option<u32>) -> Result<Self> {
        let length = length.unwrap_or(AUTO_SIZE);
        let slice = |map: &IdMap| {
            let end = offset.checked_add(length)?;
            let ranges = map.0.iter().filter_map(|range| {
                let first = range.inside.max(offset);
                let last = range.inside.saturating_add(range.length).min(end);
                let outside = range.outside + first.checked_sub(range.inside)?;
                (first < last).then(|| (outside, last - first))
            });
            (map.contiguous() >= end).then(|| IdMap::stacked(ranges))
        };
        match (slice(&self.users), slice(&self.groups)) {
            (Some(users), Some(groups)) => Ok(Self { users, groups }),
            _ => Err(invalid(format!(
                "--userns=auto: {length} users and groups were asked for, and {SUBUID} and {SUBGID} \
                 have {}",
                self.users.contiguous().min(self.groups.contiguous())
            ))),
        }
    }

    /// Returns the user and the group outside that are root inside.
    pub(crate) fn root(&self) -> Result<(u32, u32)> {
        match (self.users.outside(0), self.groups.outside(0)) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(invalid("--userns: no number is left for root")),
        }
    }

    /// Returns the users and groups that somebody else has chosen.
    pub(crate) fn of(users: IdMap, groups: IdMap) -> Self {
        Self { users, groups }
    }

    /// Writes the maps of a new namespace and returns it.
    pub(crate) fn apply(&self, child: &Child) -> Result<File> {
        let write = |file: &str, map: &IdMap| {
            std::fs::write(format!("/proc/{}/{file}", child.pid), map.text())
                .map_err(|cause| Error::failed(format_args!("write the container's {file}"), cause))
        };
        write("uid_map", &self.users)?;
        write("gid_map", &self.groups)?;
        File::open(format!("/proc/{}/ns/user", child.pid))
            .map_err(|cause| Error::failed("open the container's user namespace", cause))
    }
}

/// Returns the user and group outside that are root in the user namespace of a process, when it is
/// another one than this process's.
pub(crate) fn root_outside(pid: i32) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let inode = |pid: &str| Some(Path::new(&format!("/proc/{pid}/ns/user")).metadata().ok()?.ino());
    let pid = pid.to_string();
    if inode("self")? == inode(&pid)? {
        return None;
    }
    let outside = |file: &str| {
        IdMap::parse(&std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?).outside(0)
    };
    Some((outside("uid_map")?, outside("gid_map")?))
}

/// Gives pipes that a remapped program gets as its standard streams to its root, so that it can open
/// them again by `/dev/stdout`. What else it may get belongs to others.
pub(crate) fn give_pipes<'a>(
    pipes: impl IntoIterator<Item = std::os::fd::BorrowedFd<'a>>,
    (uid, gid): (u32, u32),
) {
    use rustix::fs::{FileType, Gid, Uid};
    for pipe in pipes {
        let is_pipe = rustix::fs::fstat(pipe)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
        if is_pipe {
            // Without it, the program has them open all the same.
            let _ = rustix::fs::fchown(pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
}

/// Makes this process root of the container's user namespace that it is in. Afterwards it is tied to
/// nobody: the kernel forgets that with a change of user.
pub(crate) fn become_root() -> Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let failed = |cause| Error::failed("become the container's root", cause);
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    // Where an ordinary user's own group alone is mapped, nobody may change them.
    if super::may_set_groups() {
        setgroups(&[]).map_err(failed)?;
    }
    setresgid(gid, gid, gid).map_err(failed)?;
    setresuid(uid, uid, uid).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(ranges: &[(u32, u32)]) -> Maps {
        let map = IdMap::stacked(ranges.iter().copied());
        Maps { users: map.clone(), groups: map }
    }

    #[test]
    fn a_slice_may_span_ranges_and_begins_with_root() {
        let all = maps(&[(1000, 10), (5000, 100)]);
        let part = all.slice(5, Some(10)).unwrap();
        assert_eq!(part.users.text(), "0 1005 5\n5 5000 5\n");
        assert!(all.slice(101, Some(10)).is_err());
        assert!(all.slice(100, Some(10)).is_ok());
    }

    #[test]
    fn ranges_are_leased_to_one_container_at_a_time() {
        let base = tempfile::tempdir().unwrap();
        let mut store = Store::open(&base.path().join("state.db")).unwrap();
        let all = maps(&[(100_000, 30)]);
        let id = |n| ContainerId::from_bytes([n; 32]);
        let first = |maps: &Maps| maps.users.outside(0).unwrap();
        let mut take = |n, length| lease(&mut store, &all, length, &id(n));
        assert_eq!(first(&take(1, 10).unwrap()), 100_000);
        assert_eq!(first(&take(2, 10).unwrap()), 100_010);
        assert_eq!(first(&take(3, 10).unwrap()), 100_020);
        let error = take(4, 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        give_back(&store, &id(2)).unwrap();
        let mut take = |n, length| lease(&mut store, &all, length, &id(n));
        assert!(take(4, 11).is_err());
        assert_eq!(first(&take(4, 10).unwrap()), 100_010);
    }

    #[test]
    fn gaps_are_found() {
        assert_eq!(first_gap(&[], 5), 0);
        assert_eq!(first_gap(&[(0, 5)], 5), 5);
        assert_eq!(first_gap(&[(5, 5)], 5), 0);
        assert_eq!(first_gap(&[(0, 5), (9, 5)], 5), 14);
    }
}
