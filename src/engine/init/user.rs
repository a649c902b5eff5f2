//! `user[:group]` to numbers, by the container's own `/etc/passwd` and `/etc/group`.

use std::path::Path;

use wharf_model::ErrorKind;

use super::rootfs::Root;
use crate::{Error, Result};

/// Who a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Whom a program is to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// As the image's files have it.
    Named {
        /// `user[:group]`, names or numbers; empty for root.
        user: String,
        /// Further groups: names or numbers.
        groups: Vec<String>,
    },
    /// These numbers, whatever the files say.
    Numbers {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// All supplementary groups.
        groups: Vec<u32>,
    },
}

impl Identity {
    /// Returns who that is in the container whose root this is.
    ///
    /// # Errors
    /// When a name isn't known, or a number out of range.
    pub(crate) fn resolve(&self, root: &Root) -> Result<User> {
        match self {
            Self::Named { user, groups } => resolve(root, user, groups),
            Self::Numbers { uid, gid, groups } => {
                let passwd = root.read_small(Path::new("/etc/passwd")).unwrap_or_default();
                let home = from_files(&passwd, "", &uid.to_string());
                let home = home.map_or_else(|_| "/".to_owned(), |user| user.home);
                Ok(User { uid: *uid, gid: *gid, groups: groups.clone(), home })
            }
        }
    }
}

/// Looks up `wanted`, which is empty for root, and `further` groups of its.
fn resolve(root: &Root, wanted: &str, further: &[String]) -> Result<User> {
    let passwd = root.read_small(Path::new("/etc/passwd")).unwrap_or_default();
    let group = root.read_small(Path::new("/etc/group")).unwrap_or_default();
    let mut user = from_files(&passwd, &group, wanted)?;
    for name in further {
        let number = find_group(&group, name).or_else(|| name.parse().ok()).ok_or_else(|| {
            let out_of_range = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
            Error::new(
                ErrorKind::Invalid,
                match out_of_range {
                    true => "uids and gids must be in range 0-2147483647".to_owned(),
                    false => {
                        format!("Unable to find group {name}: no matching entries in group file")
                    }
                },
            )
        })?;
        check("group", number)?;
        user.groups.push(number);
    }
    // Docker's order, and each once.
    user.groups.sort_unstable();
    user.groups.dedup();
    Ok(user)
}

/// Returns the number of the group of this name.
fn find_group(group: &str, name: &str) -> Option<u32> {
    // name:password:gid:members
    let mut groups = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    groups.find(|fields| fields[0] == name).and_then(|fields| fields.get(2)?.parse().ok())
}

/// Refuses numbers out of docker's range; the greatest of all would mean "unchanged" to the kernel,
/// and root would stay root.
fn check(what: &str, number: u32) -> Result<()> {
    if i32::try_from(number).is_ok() {
        return Ok(());
    }
    let text = format!("{what} number {number} is out of range: 0 to {} are allowed", i32::MAX);
    Err(Error::new(ErrorKind::Invalid, text))
}

fn from_files(passwd: &str, group: &str, wanted: &str) -> Result<User> {
    let (user, wanted_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    // name:password:uid:gid:gecos:home:shell
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        fields.len() >= 6
            && (fields[0] == user || number.is_some_and(|n| fields[2].parse() == Ok(n)))
    });
    let entry_numbers = entry.as_ref().and_then(|f| Some((f[2].parse().ok()?, f[3].parse().ok()?)));
    let (uid, gid) = match (entry_numbers, number) {
        (Some(found), _) => found,
        (None, Some(uid)) => (uid, 0),
        (None, None) => {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("unable to find user {user}: no matching entries in passwd file"),
            ));
        }
    };
    check("user", uid)?;
    check("group", gid)?;
    let home = entry.as_ref().map_or("/", |fields| fields[5]);
    let home = if home.is_empty() { "/" } else { home }.to_owned();
    if let Some(wanted) = wanted_group {
        let gid = find_group(group, wanted).or_else(|| wanted.parse().ok()).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!("unable to find group {wanted}: no matching entries in group file"),
            )
        })?;
        check("group", gid)?;
        return Ok(User { uid, gid, groups: vec![gid], home });
    }
    let name = entry.as_ref().map(|fields| fields[0]);
    let member = |fields: &Vec<&str>| {
        fields.len() >= 4 && name.is_some_and(|n| fields[3].split(',').any(|m| m == n))
    };
    let entries = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    // Its own group is among them, so that a file that the group may not read stays closed even
    // where all others may.
    let groups = std::iter::once(gid)
        .chain(entries.filter(member).filter_map(|fields| fields[2].parse().ok()))
        .collect();
    Ok(User { uid, gid, groups, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:101:102::/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,web\nlogs:x:104:web\nweb:x:102:\n";

    fn look_up(wanted: &str) -> User {
        from_files(PASSWD, GROUP, wanted).unwrap()
    }

    #[test]
    fn numbers_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("etc/passwd"), PASSWD).unwrap();
        let root = Root::open(folder.path()).unwrap();
        let of = |uid, groups: &[u32]| {
            Identity::Numbers { uid, gid: 7, groups: groups.to_vec() }.resolve(&root).unwrap()
        };
        let web = User { uid: 101, gid: 7, groups: vec![9, 8], home: "/srv".into() };
        assert_eq!(of(101, &[9, 8]), web);
        assert_eq!(of(3_000_000_000, &[]).home, "/");
    }

    #[test]
    fn names_and_numbers_are_found_as_docker_does() {
        let root = look_up("");
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
        let web = User { uid: 101, gid: 102, groups: vec![102, 10, 104], home: "/srv".into() };
        assert_eq!(look_up("web"), web);
        assert_eq!(look_up("101"), web);
        assert_eq!(look_up("web:logs"), User { gid: 104, groups: vec![104], ..web.clone() });
        assert_eq!(look_up("web:7"), User { gid: 7, groups: vec![7], ..web });
        assert_eq!(look_up("4242"), User { uid: 4242, gid: 0, groups: vec![0], home: "/".into() });
        for (wanted, named) in [
            ("nobody", "nobody"),
            ("web:nogroup", "nogroup"),
            ("4294967295", "4294967295"),
            ("web:2147483648", "2147483648"),
        ] {
            let error = from_files(PASSWD, GROUP, wanted).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
