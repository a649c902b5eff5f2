//! Ending all processes of a group.

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::io;

impl Group {
    /// Sends SIGKILL to every process of the group and below it, frozen or not, so that none can
    /// slip away by forking. Returns before they are gone: see [`Group::wait_empty`].
    ///
    /// # Errors
    /// When the kernel refuses; a group that is gone is no error.
    pub fn kill(&self) -> Result<()> {
        if let Some(member) = self.unified() {
            let path = member.path.join("cgroup.kill");
            match io::write(&path, b"1") {
                Ok(()) | Err(Errno::NODEV) => return Ok(()),
                // Before Linux 5.14, or in a threaded group, or gone.
                Err(Errno::NOENT | Errno::OPNOTSUPP) => {}
                Err(cause) => return Err(Error::io("write", path, cause)),
            }
        }
        self.kill_each()
    }

    /// Kills one by one while all stand still.
    pub(crate) fn kill_each(&self) -> Result<()> {
        let mut pids = self.processes()?;
        if pids.is_empty() {
            return Ok(());
        }
        // Without a freezer, or with one that is held up, the rounds below still end: each kills
        // all that were forked during the one before.
        let frozen = self.freeze().is_ok();
        let mut rounds = 0;
        while !pids.is_empty() && rounds < 100 {
            for pid in pids.drain(..).filter_map(Pid::from_raw) {
                match rustix::process::kill_process(pid, Signal::KILL) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(cause) => return Err(Error::io("kill process of", self.name(), cause)),
                }
            }
            if frozen {
                break;
            }
            rounds += 1;
            pids = self.processes()?;
        }
        if frozen { self.thaw() } else { Ok(()) }
    }
}
