//! The network of an ordinary user's containers: a helper that speaks for them with sockets of the
//! user's own, pasta (of passt) or slirp4netns.
//!
//! The helper lives in a PID namespace whose first process, the guard, waits for the container's end
//! (or its supervisor's) and takes the helper along, whatever that one does with itself. The guard's
//! mount namespace has the container's network namespace as a file, since the helpers may not look
//! into the container's processes.

use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::mount::MountFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_model::ErrorKind;
use wharf_sys::clone::{Child, Flags, clone};

use crate::{Error, Result};

/// The container's address, of a network that nobody else sees; the gateway leads to the host's
/// addresses but not to its loopback.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
const NETMASK: &str = "255.255.255.0";
const GATEWAY: &str = "10.0.2.2";

/// Where helper programs are looked for: a supervisor has no environment.
const FOLDERS: [&str; 6] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Finds a helper program.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file())
            && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
    })
}

enum Helper {
    Pasta(PathBuf),
    Slirp(PathBuf),
}

fn choose() -> Result<Helper> {
    let pasta = find_program("pasta").map(Helper::Pasta);
    pasta.or_else(|| find_program("slirp4netns").map(Helper::Slirp)).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "an ordinary user's containers reach the network by pasta or slirp4netns, and neither is \
             installed: install passt, or run with --network none or --network host",
        )
    })
}

/// Connects the network namespace of a container's first process, and returns when it is connected.
/// `folder` is the container's run folder.
pub(crate) fn connect(init: &Child, folder: &Path) -> Result<()> {
    let helper = choose()?;
    let failed = |cause: io::Error| Error::failed("connect the network", cause);
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|cause| failed(cause.into()))?;
    let file = folder.join("netns");
    File::create(&file).map_err(failed)?;
    let source = PathBuf::from(format!("/proc/{}/ns/net", init.pid));
    let guard = clone(Flags::PID.and(Flags::MOUNT), None, || {
        guard(&helper, init, &source, &file, &tell);
        0
    })
    .map_err(failed)?;
    drop(tell);
    let mut said = String::new();
    File::from(told).read_to_string(&mut said).map_err(failed)?;
    // The mount point is the guard's alone.
    let _ = std::fs::remove_file(&file);
    match said.strip_prefix("ok") {
        Some(_) => Ok(()),
        None => {
            let _ = rustix::process::pidfd_send_signal(&guard.pidfd, rustix::process::Signal::KILL);
            let said = said.trim();
            let text = if said.is_empty() { "the helper ended without a word" } else { said };
            Err(Error::failed("connect the network", text.to_owned()))
        }
    }
}

/// The first process of the helper's PID namespace.
fn guard(helper: &Helper, init: &Child, source: &Path, file: &Path, tell: &OwnedFd) {
    let start = || -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        let _ = rustix::thread::set_name(c"wharf-net");
        wharf_sys::descriptors::close_all_but(&[tell.as_fd(), init.pidfd.as_fd()])?;
        rustix::mount::mount_bind(source, file)?;
        // The helper looks itself up in /proc by its number, which is another one in this namespace.
        rustix::mount::mount("proc", "/proc", "proc", MountFlags::empty(), c"")?;
        helper.start(file)
    };
    let said = match start() {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    let sent = rustix::io::write(tell, said.as_bytes());
    // A copy of what is dropped here is the starter's: it sees the end of the pipe.
    let closed = nix::unistd::close(std::os::fd::AsRawFd::as_raw_fd(tell));
    if said == "ok" && sent.is_ok() && closed.is_ok() {
        // Readable once the container has ended. What else could wake it ends it too.
        let _ = poll(&mut [PollFd::new(&init.pidfd, PollFlags::IN)], None);
    }
}

impl Helper {
    /// Starts the helper and returns when the network is there.
    fn start(&self, namespace: &Path) -> io::Result<()> {
        match self {
            Self::Pasta(program) => pasta(program, namespace),
            Self::Slirp(program) => slirp(program, namespace),
        }
    }
}

fn pasta(program: &Path, namespace: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(["--config-net", "--address", &ADDRESS.to_string()])
        .args(["--netmask", NETMASK, "--gateway", GATEWAY])
        // Neither may the host's ports appear inside, nor the container's on the host.
        .args(["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--no-map-gw", "--quiet"])
        // Its end is the guard's matter.
        .arg("--no-netns-quit")
        .arg("--netns")
        .arg(namespace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // It goes into the background when it is done.
    let mut child = command.spawn()?;
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("pasta: {}", reason(child.stderr))))
}

fn slirp(program: &Path, namespace: &Path) -> io::Result<()> {
    let (ready, told) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut command = Command::new(program);
    command
        .args(["--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=0"])
        .args(["--netns-type=path"])
        .arg(namespace)
        .arg("tap0")
        // Its word that it is ready comes out of standard input, the one number that is free.
        .stdin(Stdio::from(told))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    drop(command);
    if File::from(ready).read(&mut [0])? == 1 {
        // It goes on writing there, and would end without a reader.
        std::mem::forget(child.stderr.take());
        return Ok(());
    }
    child.wait()?;
    Err(io::Error::other(format!("slirp4netns: {}", reason(child.stderr))))
}

/// Returns the last line of what a helper that has ended said.
fn reason(stderr: Option<std::process::ChildStderr>) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = stderr {
        // A reason that can't be read is none.
        let _ = stderr.read_to_string(&mut text);
    }
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it failed without a reason").to_owned()
}
