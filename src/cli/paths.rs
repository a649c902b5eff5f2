//! Paths as docker's `cp` reads them: by their text, where a slash or `/.` at the end says what is
//! wanted.
//!
//! Paths are bytes: a link may lead to a name that is no text. The functions named after those of
//! Go's `path/filepath` do what these do, since docker's rules are made of them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path's bytes.
pub(crate) type Bytes = Vec<u8>;

/// What is known of one end of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyInfo {
    /// Where it is.
    pub(crate) path: Bytes,
    /// Whether something is there.
    pub(crate) exists: bool,
    /// Whether that is a folder.
    pub(crate) is_dir: bool,
    /// The name that was asked for, when following links has led to another one.
    pub(crate) rebase: Option<Bytes>,
}

/// How an archive gets from its source to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The folder to unpack in.
    pub(crate) folder: Bytes,
    /// The name that what is copied gets there; none keeps its own.
    pub(crate) name: Option<Bytes>,
}

/// Returns the path as the system takes it.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Returns the path as people see it.
pub(crate) fn shown(path: &[u8]) -> String {
    crate::format::text::clean(&String::from_utf8_lossy(path))
}

pub(crate) fn clean(path: &[u8]) -> Bytes {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&b"..") => parts.push(part),
                None if !rooted => parts.push(part),
                _ => {
                    parts.pop();
                }
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

pub(crate) fn base(path: &[u8]) -> Bytes {
    let end = path.iter().rposition(|byte| *byte != b'/').map(|last| last + 1);
    match (end, path.is_empty()) {
        (_, true) => b".".to_vec(),
        (None, _) => b"/".to_vec(),
        (Some(end), _) => {
            let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            path[start..end].to_vec()
        }
    }
}

pub(crate) fn dir(path: &[u8]) -> Bytes {
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    clean(&path[..end])
}

pub(crate) fn join(folder: &[u8], name: &[u8]) -> Bytes {
    clean(&[folder, b"/", name].concat())
}

fn ends_in_slash(path: &[u8]) -> bool {
    path.ends_with(b"/")
}

/// Returns whether a path ends in `.`: what is in a folder, not the folder.
pub(crate) fn means_content(path: &[u8]) -> bool {
    base(path) == b"."
}

/// Returns the folder and the name that a path consists of; the name is `.` if the path says so.
pub(crate) fn split(path: &[u8]) -> (Bytes, Bytes) {
    let mut cleaned = clean(path);
    if means_content(path) {
        cleaned.extend_from_slice(b"/.");
    }
    (dir(&cleaned), base(&cleaned))
}

/// Returns the cleaned path with what the end of `original` says.
fn with_end(mut cleaned: Bytes, original: &[u8]) -> Bytes {
    if means_content(original) && !means_content(&cleaned) {
        if !ends_in_slash(&cleaned) {
            cleaned.push(b'/');
        }
        cleaned.push(b'.');
    }
    if ends_in_slash(original) && !ends_in_slash(&cleaned) {
        cleaned.push(b'/');
    }
    cleaned
}

/// Returns a path of this host from its root, its end kept.
pub(crate) fn absolute(path: &str) -> io::Result<Bytes> {
    let whole = match path.starts_with('/') {
        true => path.as_bytes().to_vec(),
        false => {
            let here = std::env::current_dir()?.into_os_string().into_vec();
            [here.as_slice(), b"/", path.as_bytes()].concat()
        }
    };
    Ok(with_end(clean(&whole), path.as_bytes()))
}

/// Returns where a link has led with the end of the path that was asked for, and that path's name if
/// it is another one.
pub(crate) fn rebased(asked: &[u8], led_to: Bytes) -> (Bytes, Option<Bytes>) {
    let led_to = with_end(led_to, asked);
    let name = (base(asked) != base(&led_to)).then(|| base(asked));
    (led_to, name)
}

/// Returns where a path that is a symbolic link leads.
pub(crate) fn link_target(path: &[u8], link: &[u8]) -> Bytes {
    if link.starts_with(b"/") { link.to_vec() } else { join(&split(path).0, link) }
}

/// Looks up the source of a copy on this host. Links before the last name are followed, and that one
/// only with `follow`.
pub(crate) fn source(path: &[u8], follow: bool) -> io::Result<CopyInfo> {
    let named = |error: io::Error| io::Error::new(error.kind(), describe("lstat", path, &error));
    let resolved = |path: &[u8]| -> io::Result<Bytes> {
        Ok(std::fs::canonicalize(as_path(path))?.into_os_string().into_vec())
    };
    let (path, rebase) = if follow {
        rebased(path, resolved(path).map_err(named)?)
    } else {
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (folder, name) = path.split_at(at);
        let whole = [resolved(folder).map_err(named)?.as_slice(), b"/", name].concat();
        let other = ends_in_slash(path) && base(path) != base(&whole);
        (whole, other.then(|| base(path)))
    };
    let found = std::fs::symlink_metadata(as_path(&path)).map_err(named)?;
    Ok(CopyInfo { path, exists: true, is_dir: found.is_dir(), rebase })
}

/// Looks up the target of a copy on this host. A link there is followed, wherever it leads; what
/// isn't there must have a folder to be in.
pub(crate) fn target(path: &[u8]) -> io::Result<CopyInfo> {
    const MOST_LINKS: usize = 10;
    let mut path = path.to_vec();
    for _ in 0..=MOST_LINKS {
        let found = match std::fs::symlink_metadata(as_path(&path)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = split(&path).0;
                let above = std::fs::metadata(as_path(&folder)).map_err(|error| {
                    io::Error::new(error.kind(), describe("lstat", &folder, &error))
                })?;
                return match above.is_dir() {
                    true => Ok(CopyInfo { path, ..CopyInfo::default() }),
                    false => Err(io::Error::other("not a directory")),
                };
            }
            Err(error) => {
                return Err(io::Error::new(error.kind(), describe("lstat", &path, &error)));
            }
        };
        if !found.is_symlink() {
            return Ok(CopyInfo { path, exists: true, is_dir: found.is_dir(), rebase: None });
        }
        let link: PathBuf = std::fs::read_link(as_path(&path))?;
        path = link_target(&path, link.as_os_str().as_bytes());
    }
    Err(io::Error::other(format!("too many symlinks in {}", shown(&path))))
}

/// Returns an error as docker says it: the call, the path, the reason.
fn describe(call: &str, path: &[u8], error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("{call} {}: {reason}", shown(path))
}

/// Returns an error if nothing can be written to a path of this host: its folder isn't there, or it
/// is a device.
pub(crate) fn check_output(path: &[u8]) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    let folder = dir(&clean(path));
    if folder != b"."
        && let Err(error) = std::fs::metadata(as_path(&folder))
        && error.kind() == io::ErrorKind::NotFound
    {
        return Err(format!("invalid output path: directory {:?} does not exist", shown(&folder)));
    }
    match std::fs::metadata(as_path(path)) {
        Ok(found) if found.file_type().is_block_device() || found.file_type().is_char_device() => {
            Err(format!(
                "invalid output path: {:?} must be a directory or a regular file: got a device",
                shown(path)
            ))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(describe("stat", path, &error)),
    }
}

/// Decides where the source's archive goes.
///
/// # Errors
/// In docker's words, when a folder would become a file or the other way round.
pub(crate) fn plan(source: &CopyInfo, target: &CopyInfo) -> Result<Plan, &'static str> {
    if target.exists && target.is_dir {
        // In it, under the source's own name.
        return Ok(Plan { folder: target.path.clone(), name: None });
    }
    if target.exists && source.is_dir {
        return Err("cannot copy directory");
    }
    let is_folder = ends_in_slash(&target.path) || means_content(&target.path);
    if !target.exists && !source.is_dir && is_folder {
        return Err("no such directory");
    }
    let (folder, name) = split(&target.path);
    Ok(Plan { folder, name: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_path() {
        for (path, cleaned, name, folder) in [
            ("/a/b", "/a/b", "b", "/a"),
            ("/a/b/", "/a/b", "b", "/a/b"),
            ("/a//./b/../c", "/a/c", "c", "/a"),
            ("/..", "/", "..", "/"),
            ("", ".", ".", "."),
            ("../x", "../x", "x", ".."),
            ("/", "/", "/", "/"),
            ("a/.", "a", ".", "a"),
        ] {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
            assert_eq!(base(path.as_bytes()), name.as_bytes(), "{path}");
            assert_eq!(dir(path.as_bytes()), folder.as_bytes(), "{path}");
        }
        let (folder, name) = split(b"/a/b/.");
        assert_eq!((folder.as_slice(), name.as_slice()), (&b"/a/b"[..], &b"."[..]));
        let (folder, name) = split(b"/a/b/");
        assert_eq!((folder.as_slice(), name.as_slice()), (&b"/a"[..], &b"b"[..]));
        assert_eq!(absolute("/x/../y/").unwrap(), b"/y/");
        assert_eq!(absolute("/y/.").unwrap(), b"/y/.");
        assert!(absolute("z/.").unwrap().ends_with(b"/z/."));
    }

    #[test]
    fn followed_links_keep_the_name_that_was_asked_for() {
        let (path, name) = rebased(b"/a/link/", b"/b/real".to_vec());
        assert_eq!((path.as_slice(), name.as_deref()), (&b"/b/real/"[..], Some(&b"link"[..])));
        let (path, name) = rebased(b"/a/link/.", b"/b/real".to_vec());
        assert_eq!((path.as_slice(), name), (&b"/b/real/."[..], None));
        assert_eq!(link_target(b"/a/link", b"../b"), b"/b");
        assert_eq!(link_target(b"/a/link", b"/b/"), b"/b/");
    }

    #[test]
    fn plans_are_those_of_docker() {
        let info = |path: &str, exists: bool, is_dir: bool| CopyInfo {
            path: path.as_bytes().to_vec(),
            exists,
            is_dir,
            rebase: None,
        };
        let (file, folder) = (info("/s/x", true, false), info("/s/x", true, true));
        let planned = |source: &CopyInfo, target: CopyInfo| {
            plan(source, &target).map(|plan| {
                let name = plan.name.map(|name| String::from_utf8(name).unwrap());
                (String::from_utf8(plan.folder).unwrap(), name)
            })
        };
        let into = |folder: &str| Ok((folder.to_owned(), None));
        let as_ = |folder: &str, name: &str| Ok((folder.to_owned(), Some(name.to_owned())));
        assert_eq!(planned(&file, info("/d", true, true)), into("/d"));
        assert_eq!(planned(&folder, info("/d", true, true)), into("/d"));
        assert_eq!(planned(&file, info("/d/f", true, false)), as_("/d", "f"));
        assert_eq!(planned(&folder, info("/d/f", true, false)), Err("cannot copy directory"));
        assert_eq!(planned(&file, info("/d/new", false, false)), as_("/d", "new"));
        assert_eq!(planned(&file, info("/d/new/", false, false)), Err("no such directory"));
        assert_eq!(planned(&folder, info("/d/new/", false, false)), as_("/d", "new"));
    }
}
