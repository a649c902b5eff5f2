//! Stopping all processes of a group at once, and letting them go on.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::io;
use crate::layout::Controller;

/// How long freezing may take: a task in an uninterruptible wait holds it up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the version 1 state is asked for before the processor is left to others.
const EAGER_READS: u32 = 64;

impl Group {
    /// Freezes all processes and returns when all have stopped. They are thawed again when that
    /// takes longer than five seconds.
    ///
    /// # Errors
    /// [`Error::Timeout`] then, [`Error::Unsupported`] without a freezer.
    pub fn freeze(&self) -> Result<()> {
        let frozen = match self.freezer("pause")? {
            Freezer::Unified(member) => {
                set(member, "cgroup.freeze", b"1")?;
                match self.events()? {
                    Some(events) => {
                        events.wait(Instant::now() + PATIENCE, crate::Events::frozen)?
                    }
                    None => true,
                }
            }
            Freezer::Legacy(member) => freeze_legacy(member)?,
        };
        if frozen {
            return Ok(());
        }
        self.thaw()?;
        Err(Error::Timeout {
            operation: "freeze",
            name: self.name().to_owned(),
            millis: PATIENCE.as_millis(),
        })
    }

    /// Lets frozen processes go on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a freezer.
    pub fn thaw(&self) -> Result<()> {
        match self.freezer("unpause")? {
            Freezer::Unified(member) => set(member, "cgroup.freeze", b"0"),
            Freezer::Legacy(member) => set(member, "freezer.state", b"THAWED"),
        }
    }

    /// Returns whether its processes are frozen.
    ///
    /// # Errors
    /// When that can't be read. Without a freezer they aren't.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer("state") {
            Ok(Freezer::Unified(_)) => match self.events()? {
                Some(events) => events.frozen(),
                None => Ok(false),
            },
            Ok(Freezer::Legacy(member)) => {
                let path = member.path.join("freezer.state");
                let state = io::read(&path).map_err(|cause| Error::io("read", path, cause))?;
                Ok(state.trim_ascii() == b"FROZEN")
            }
            Err(_) => Ok(false),
        }
    }

    /// Returns the freezer, that of version 2 first: it lets SIGKILL through and tells when it is
    /// done.
    fn freezer(&self, verb: &'static str) -> Result<Freezer<'_>> {
        if let Some(member) = self.unified() {
            return Ok(Freezer::Unified(member));
        }
        self.member(Controller::Freezer).map(Freezer::Legacy).ok_or(Error::Unsupported {
            flag: verb,
            controller: "freezer",
            why: match self.members.is_empty() {
                true => {
                    "was not handed down to this user; with systemd and cgroup v2 start the \
                     container by: systemd-run --user --scope -p Delegate=yes wharf …"
                }
                false => "this kernel doesn't offer, or has not mounted",
            },
        })
    }
}

enum Freezer<'g> {
    Unified(&'g Member),
    Legacy(&'g Member),
}

fn set(member: &Member, file: &str, value: &[u8]) -> Result<()> {
    let path = member.path.join(file);
    io::write(&path, value).map_err(|cause| Error::io("write", path, cause))
}

/// The version 1 freezer moves from FREEZING to FROZEN only when its state is read, and tells
/// nobody.
fn freeze_legacy(member: &Member) -> Result<bool> {
    set(member, "freezer.state", b"FROZEN")?;
    let path = member.path.join("freezer.state");
    let deadline = Instant::now() + PATIENCE;
    let mut reads = 0;
    loop {
        let state = io::read(&path).map_err(|cause| Error::io("read", &path, cause))?;
        if state.trim_ascii() == b"FROZEN" {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        reads += 1;
        if reads < EAGER_READS {
            rustix::thread::sched_yield();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A process that was forked meanwhile is missed by the first order.
        set(member, "freezer.state", b"FROZEN")?;
    }
}
