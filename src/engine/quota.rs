//! `--storage-opt size=`: how much a container may write, where the filesystem can keep it to that.
//!
//! The folders of a container's own files get a project of their own; its number stands in them, and
//! nowhere else. The limit is the filesystem's, and goes with the container.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use wharf_model::{ContainerId, ErrorKind, HostConfig};
use wharf_sys::quota;

use crate::{Error, Paths, Result, userns};

/// What the container's own files are in.
const FOLDERS: [&str; 2] = ["upper", "work"];

/// The first number of a project of ours: people and others count from below.
const FIRST: u32 = 1 << 30;

/// Returns how many bytes a container may write, where that is limited.
///
/// # Errors
/// In docker's words.
fn size(host: &HostConfig) -> Result<Option<u64>> {
    let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
    let mut size = None;
    for (key, value) in &host.storage_opt {
        if !key.eq_ignore_ascii_case("size") {
            return Err(invalid(format!("unknown option {key}")));
        }
        size = Some(bytes(value).ok_or_else(|| invalid(format!("invalid size: '{value}'")))?);
    }
    Ok(size.filter(|size| *size > 0))
}

/// Returns the bytes of `10G`, `1.5 GiB`: units are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.trim_end_matches('b').trim_end_matches('i');
    let exponent = match unit {
        "" => 0,
        unit => 1 + "kmgtp".find(unit).filter(|_| unit.len() == 1)?,
    };
    let size = number.parse::<f64>().ok()? * 1024_f64.powi(i32::try_from(exponent).ok()?);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: not negative, and below 2^63"
    )]
    (0.0..9.0e18).contains(&size).then_some(size as u64)
}

/// Says what keeps a container from being limited that is about to be made, if anything does.
///
/// # Errors
/// In docker's words.
pub(crate) fn check(paths: &Paths, host: &HostConfig) -> Result<()> {
    if size(host)?.is_none() {
        return Ok(());
    }
    let folder = paths.root();
    let unsupported = |text: String| Err(Error::new(ErrorKind::Unsupported, text));
    if userns::is_nested() {
        return unsupported(
            "--storage-opt size can't be had by an ordinary user: quotas are the host's root's"
                .to_owned(),
        );
    }
    let open = File::open(folder);
    if open.is_ok_and(|open| quota::is_enforced(open.as_fd())) {
        return Ok(());
    }
    unsupported(
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
            .to_owned(),
    )
}

/// Limits what a container may write, if it is to be limited. Its folders are there.
///
/// # Errors
/// When the filesystem refuses.
pub(crate) fn apply(paths: &Paths, id: &ContainerId, host: &HostConfig) -> Result<()> {
    let Some(size) = size(host)? else { return Ok(()) };
    check(paths, host)?;
    limit(&paths.container(id), id, size)
        .map_err(|cause| Error::failed(format_args!("limit what container {id} may write"), cause))
}

fn limit(folder: &Path, id: &ContainerId, size: u64) -> io::Result<()> {
    let [upper, work] = FOLDERS.map(|name| File::open(folder.join(name)));
    let (upper, work) = (upper?, work?);
    let project = match quota::project(upper.as_fd())? {
        0 => free(&upper, id)?,
        project => project,
    };
    // The limit comes first: a crash in between leaves no files without one.
    quota::set_limit(upper.as_fd(), project, size)?;
    quota::set_project(upper.as_fd(), project)?;
    quota::set_project(work.as_fd(), project)
}

/// Returns a project that nobody has.
fn free(folder: &File, id: &ContainerId) -> io::Result<u32> {
    let digits = id.as_str().get(..7).unwrap_or_default();
    let begin = u32::from_str_radix(digits, 16).unwrap_or_default();
    for number in 0..1000 {
        let project = FIRST | (begin + number);
        if !quota::is_taken(folder.as_fd(), project)? {
            return Ok(project);
        }
    }
    Err(io::Error::other("all projects are taken"))
}

/// Gives up the limit of a container whose folder is about to be removed.
pub(crate) fn release(folder: &Path) {
    let Ok(upper) = File::open(folder.join(FOLDERS[0])) else { return };
    // Where there are no projects there is none to give up.
    if let Ok(project) = quota::project(upper.as_fd())
        && project & FIRST != 0
    {
        let _ = quota::set_limit(upper.as_fd(), project, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, size) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("10k", Some(10 << 10)),
            ("1.5M", Some(3 << 19)),
            ("2 GiB", Some(2 << 30)),
            ("3gb", Some(3 << 30)),
            ("7b", Some(7)),
            ("", None),
            ("x", None),
            ("1x", None),
            ("-1", None),
            ("1kk", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
