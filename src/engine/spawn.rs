//! Starting a supervisor from any process that links the engine, the dashboard included.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use wharf_model::ContainerId;

use crate::channel::Channel;
use crate::error::way_to_a_kernel;
use crate::init::rootfs::by_descriptor;
use crate::supervisor::MODE;
use crate::{Error, Result};

const OWN_FILE: &str = "/proc/self/exe";

/// Starts a supervisor and returns the connection to it. The container's id is among its arguments
/// only for people who look at the host's processes.
pub(crate) fn supervisor(id: &ContainerId) -> Result<Channel> {
    let failed = |cause: io::Error| Error::failed("start a supervisor", cause);
    let (ours, theirs) = Channel::pair().map_err(failed)?;
    let file = sealed(Path::new(OWN_FILE)).map_err(failed)?;
    let mut child = Command::new(by_descriptor(&file))
        .arg0("wharf")
        .arg(MODE)
        .arg(id.as_str())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // It ends at once: a copy of it goes on.
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(ours)
    } else {
        let why = format!("it ended with {status}{}", way_to_a_kernel());
        Err(Error::failed("start a supervisor", why))
    }
}

/// Executes this program once more, with these arguments, from its file in a form that nobody can write
/// through. What it has open without "close on exec" stays open. Returns only on failure.
///
/// # Errors
/// When it can't be executed.
pub(crate) fn execute_sealed(arguments: &[std::ffi::CString]) -> Result<std::convert::Infallible> {
    let failed = |cause: io::Error| Error::failed("execute this program again", cause);
    let file = sealed(Path::new(OWN_FILE)).map_err(failed)?;
    let environment: Vec<std::ffi::CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            std::ffi::CString::new(std::os::unix::ffi::OsStringExt::into_vec(name)).ok()
        })
        .collect();
    nix::unistd::fexecve(&file, arguments, &environment).map_err(|cause| failed(cause.into()))
}

/// Returns a program's file in a form that nobody can write through: a container's first process
/// is a copy of the supervisor until it executes its program, and `/proc/PID/exe` in the container
/// leads to this file (CVE-2019-5736).
///
/// A read-only mount of the file that belongs to no namespace costs nothing. Before Linux 5.12, and by an
/// ordinary user outside a user namespace of his own, it can't be had, and a sealed copy in memory serves.
fn sealed(program: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = match open_tree(CWD, program, flags) {
        // An ordinary user may not make mounts.
        Err(Errno::PERM) => return copy(program),
        // The file was executed in another mount namespace, which an ordinary user's process leaves;
        // in this one it has the same name, if nobody has replaced it since.
        Err(Errno::INVAL) => {
            let found = std::fs::read_link(program).map(|path| open_tree(CWD, path, flags));
            match found {
                Ok(Ok(mount)) if is_same(&mount, program)? => mount,
                _ => return copy(program),
            }
        }
        other => other?,
    };
    match wharf_sys::mount::set_attributes(mount.as_fd(), wharf_sys::mount::READ_ONLY, false) {
        Ok(()) => Ok(mount),
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => copy(program),
        Err(error) => Err(error),
    }
}

fn is_same(mount: &OwnedFd, program: &Path) -> io::Result<bool> {
    let (ours, theirs) = (rustix::fs::fstat(mount)?, rustix::fs::stat(program)?);
    Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino))
}

fn copy(program: &Path) -> io::Result<OwnedFd> {
    let memory =
        rustix::fs::memfd_create("wharf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let own = rustix::fs::open(program, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Read and written, not spliced: sendfile between two memory filesystems was seen to spin in
    // Linux 5.10.
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&own, &mut *buffer))?;
        if length == 0 {
            break;
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            rest = &rest[rustix::io::retry_on_intr(|| rustix::io::write(&memory, rest))?..];
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_file_cannot_be_written_through() {
        // A file that isn't running: one that is refuses every writer anyway.
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(program.path(), "program").unwrap();
        let write = |path: &Path| {
            let file = std::fs::OpenOptions::new().write(true).open(path);
            file.and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
        };
        let refusal = |file: OwnedFd| {
            let path = by_descriptor(&file);
            assert_eq!(std::fs::read(&path).unwrap(), b"program");
            write(&path).unwrap_err().raw_os_error()
        };
        let mount = sealed(program.path()).unwrap();
        assert_eq!(refusal(mount), Some(Errno::ROFS.raw_os_error()));
        let copied = copy(program.path()).unwrap();
        assert_eq!(refusal(copied), Some(Errno::PERM.raw_os_error()));
        write(program.path()).unwrap();
    }
}
