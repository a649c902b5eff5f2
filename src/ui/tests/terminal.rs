//! The terminal is given back however the dashboard ends: the dashboard runs in a process of its
//! own on a pseudo-terminal and is ended from outside, or panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(20);

/// Ends every frame.
const FRAME: &str = "\x1b[?2026l";

/// Returns the dashboard over the fake engine, which cargo builds beside the tests.
fn dashboard() -> std::path::PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples/fake")
}

struct Terminal {
    child: Child,
    master: File,
    slave: OwnedFd,
    written: String,
}

impl Terminal {
    fn start() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let child = Command::new(dashboard())
            .arg("panicking")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let master = File::from(master);
        Self { child, master, slave, written: String::new() }
    }

    /// Reads until something holds.
    fn read_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "still waiting after\n{:?}", self.written);
            let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            if poll(&mut fds, Some(&wait)).unwrap() > 0 {
                let mut chunk = [0; 4096];
                let length = self.master.read(&mut chunk).unwrap();
                self.written.push_str(&String::from_utf8_lossy(&chunk[..length]));
            }
        }
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        !modes.contains(LocalModes::ICANON) || !modes.contains(LocalModes::ECHO)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a dashboard with a signal and returns what it wrote after that.
fn end_with(signal: Signal) -> String {
    let mut terminal = Terminal::start();
    terminal.read_until(|t| t.written.contains(FRAME));
    assert!(terminal.is_raw());
    terminal.written.clear();
    kill_process(Pid::from_child(&terminal.child), signal).unwrap();
    terminal.read_until(|t| t.child.try_wait().unwrap().is_some());
    // What is still on its way.
    let mut quiet = false;
    terminal.read_until(|t| {
        let before = std::mem::replace(&mut quiet, true);
        let mut fds = [PollFd::new(&t.master, PollFlags::IN)];
        before && poll(&mut fds, Some(&Timespec::default())).unwrap() == 0
    });
    assert!(!terminal.is_raw(), "after {signal:?}");
    let written = std::mem::take(&mut terminal.written);
    for given_back in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", "\x1b[?1000l"] {
        assert!(written.contains(given_back), "{given_back:?} after {signal:?}: {written:?}");
    }
    written
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP] {
        let written = end_with(signal);
        assert!(written.contains("ended: Ok(Terminated)"), "{signal:?}: {written:?}");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told_and_ends_the_dashboard() {
    let written = end_with(Signal::USR1);
    let (_, after) = written.rsplit_once("\x1b[?1049l").unwrap();
    assert!(after.contains("as the test wants"), "{written:?}");
    assert!(after.contains("ended: Err"), "{written:?}");
    assert!(!after.contains(FRAME), "nothing is drawn any more: {written:?}");
}
