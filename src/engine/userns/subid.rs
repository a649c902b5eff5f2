//! `/etc/subuid` and `/etc/subgid` (`subuid(5)`): which further numbers a user may map.

use std::path::Path;

use crate::{Error, Result};

/// The numbers of users.
pub(crate) const SUBUID: &str = "/etc/subuid";
/// The numbers of groups.
pub(crate) const SUBGID: &str = "/etc/subgid";

/// Returns the ranges (first, length) that a file gives to a user, who is named there or numbered.
///
/// # Errors
/// When the file is there and can't be read.
pub(crate) fn ranges(
    file: &str,
    name: Option<&str>,
    number: Option<u32>,
) -> Result<Vec<(u32, u32)>> {
    match std::fs::read_to_string(Path::new(file)) {
        Ok(text) => Ok(parse(&text, name, number)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(Error::failed(format_args!("read {file}"), cause)),
    }
}

/// `owner:first:count`, one a line.
fn parse(text: &str, name: Option<&str>, number: Option<u32>) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
            let is = Some(owner) == name || number.is_some() && owner.parse().ok() == number;
            let range = (first.parse().ok()?, count.parse().ok()?);
            (is && range.1 > 0).then_some(range)
        })
        .collect()
}

/// A user of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
}

/// Returns the user of that name, or of that number, in the host's `/etc/passwd`.
pub(crate) fn host_user(wanted: &str) -> Option<HostUser> {
    find_user(&std::fs::read_to_string("/etc/passwd").unwrap_or_default(), wanted)
}

fn find_user(passwd: &str, wanted: &str) -> Option<HostUser> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (name == wanted || number == wanted)
            .then(|| Some(HostUser { name: name.to_owned(), uid: number.parse().ok()? }))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_what_stands_under_the_name_or_the_number() {
        let text = "# no comment is a line\nann:100000:65536\nbob:165536:65536\n1000:300000:10\n\
                    ann:1:0\nann:broken\n";
        assert_eq!(parse(text, Some("ann"), Some(1000)), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(parse(text, Some("bob"), None), [(165_536, 65_536)]);
        assert_eq!(parse(text, None, Some(1001)), []);
        assert_eq!(ranges("/etc/no-such-file", Some("ann"), None).unwrap(), []);
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let ann = HostUser { name: "ann".to_owned(), uid: 1000 };
        assert_eq!(find_user(passwd, "ann"), Some(ann.clone()));
        assert_eq!(find_user(passwd, "1000"), Some(ann));
        assert_eq!(find_user(passwd, "10"), None);
    }
}
