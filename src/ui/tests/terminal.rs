//! The terminal is given back however the dashboard ends: the dashboard runs in a process of its
//! own on a pseudo-terminal and is ended from outside, or panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(20);

/// Ends every frame of more than a few bytes.
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

/// What a terminal answers to the question that ends each frame.
const QUESTION: &str = "\x1b[c";
const ANSWER: &[u8] = b"\x1b[?62;22c";

/// Reads what has come, at most so much of it, as a terminal that answers; returns how much it was.
fn take(terminal: &mut Terminal, most: usize) -> usize {
    let wait = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    if poll(&mut [PollFd::new(&terminal.master, PollFlags::IN)], Some(&wait)).unwrap() == 0 {
        return 0;
    }
    let mut chunk = vec![0; most];
    let length = terminal.master.read(&mut chunk).unwrap();
    let before = terminal.written.matches(QUESTION).count();
    terminal.written.push_str(&String::from_utf8_lossy(&chunk[..length]));
    for _ in before..terminal.written.matches(QUESTION).count() {
        terminal.master.write_all(ANSWER).unwrap();
    }
    length
}

#[test]
fn on_a_slow_line_frames_are_skipped_and_never_queued() {
    let mut terminal = Terminal::start();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) || !terminal.written.contains(FRAME) {
        take(&mut terminal, 4096);
    }
    // From now on it is slow, some bytes at a time, and keys come that each change most of the screen.
    // So many bytes a millisecond it carries on a busy machine, too.
    let mut round = 0;
    let mut carried = Instant::now();
    let mut slowly = |terminal: &mut Terminal| {
        if round % 8 == 0 {
            terminal.master.write_all(if round % 16 == 0 { b"2" } else { b"1" }).unwrap();
        }
        round += 1;
        let passed = usize::try_from(carried.elapsed().as_millis()).unwrap();
        carried = Instant::now();
        take(terminal, (passed * 8).clamp(20, 400));
        std::thread::sleep(Duration::from_millis(2));
        rustix::io::ioctl_fionread(&terminal.master).unwrap()
    };
    // What was on its way when it became slow has to arrive first.
    let begun = Instant::now();
    while slowly(&mut terminal) > 1000 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let before = terminal.written.matches(QUESTION).count();
    let most = (0..400).map(|_| slowly(&mut terminal)).max().unwrap();
    let drawn = terminal.written.matches(QUESTION).count() - before;
    // A whole screen of these has some 3000 bytes.
    assert!(most < 2000, "{most} bytes wait");
    assert!(drawn > 3, "{drawn} frames: {:?}", terminal.written);
}

#[test]
fn what_the_terminal_answers_is_not_left_to_the_shell() {
    let mut terminal = Terminal::start();
    while !terminal.written.contains(FRAME) {
        take(&mut terminal, 4096);
    }
    kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap();
    let begun = Instant::now();
    while terminal.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE);
        take(&mut terminal, 4096);
    }
    assert!(!terminal.is_raw());
    // A shell would find it on its line.
    assert_eq!(rustix::io::ioctl_fionread(&terminal.slave).unwrap(), 0);
}

#[test]
fn a_terminal_that_takes_nothing_keeps_nobody_from_ending() {
    let mut terminal = Terminal::start();
    while !terminal.written.contains(FRAME) {
        take(&mut terminal, 4096);
    }
    // Nobody reads, and each key changes most of the screen: the pseudo-terminal is full at the end.
    for _ in 0..100 {
        let _ = terminal.master.write(b"21");
        std::thread::sleep(Duration::from_millis(2));
    }
    kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap();
    let begun = Instant::now();
    while terminal.is_raw() {
        assert!(begun.elapsed() < PATIENCE, "it waits for a reader");
        std::thread::sleep(Duration::from_millis(5));
    }
}
