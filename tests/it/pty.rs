//! A program on a terminal of its own, and what its screen shows.
//!
//! Whoever waits for something reads the terminal meanwhile; nothing runs in the background, so
//! closing the terminal really closes it.

use std::fs::File;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{PATIENCE, busybox, code_of};

/// A running program and its terminal. Dropping it closes the terminal and kills the program.
pub(crate) struct Terminal {
    child: Child,
    pidfd: OwnedFd,
    master: Option<OwnedFd>,
    /// Kept open so that the terminal's settings can be seen after the program has left it.
    slave: Option<OwnedFd>,
    parser: vt100::Parser,
    /// Everything the program wrote.
    written: Vec<u8>,
    /// When it had written how much.
    times: Vec<(Instant, usize)>,
    /// Where it keeps settings and layouts, unless the command says where; removed at the end.
    home: PathBuf,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has a size")
}

impl Terminal {
    /// Starts a program on a new terminal of this size.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, size(columns, rows)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let stream = || File::from(slave.try_clone().unwrap());
        // It makes a session with this terminal and becomes the program.
        let home = crate::harness::folder();
        let mut starter = Command::new(busybox());
        starter.env("XDG_CONFIG_HOME", &home).env("XDG_STATE_HOME", &home);
        starter.args(["setsid", "-c"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => starter.env(name, value),
                None => starter.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            starter.current_dir(folder);
        }
        starter.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env("LANG", "C.UTF-8");
        starter.env_remove("NO_COLOR");
        let child = starter.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        Self {
            child,
            pidfd,
            master: Some(master),
            slave: Some(slave),
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            written: Vec::new(),
            times: Vec::new(),
            home,
        }
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("the terminal is open")
    }

    /// Presses keys.
    pub(crate) fn send(&self, keys: &str) {
        let mut bytes = keys.as_bytes();
        while !bytes.is_empty() {
            let length = rustix::io::write(self.master(), bytes).unwrap();
            bytes = &bytes[length..];
        }
    }

    /// Changes the terminal's size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.parser.screen_mut().set_size(cells(rows), cells(columns));
        tcsetwinsize(self.master(), size(columns, rows)).unwrap();
    }

    /// Reads what is there, waiting for something until the deadline. Returns whether the program
    /// still runs.
    fn pump(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap();
        let Some(master) = &self.master else {
            let mut wait = [PollFd::new(&self.pidfd, PollFlags::IN)];
            return poll(&mut wait, Some(&timeout)).unwrap_or(0) == 0;
        };
        let mut wait =
            [PollFd::new(master, PollFlags::IN), PollFd::new(&self.pidfd, PollFlags::IN)];
        if poll(&mut wait, Some(&timeout)).is_err() {
            return true;
        }
        let (output, ended) = (!wait[0].revents().is_empty(), !wait[1].revents().is_empty());
        if output {
            let mut chunk = [0; 8192];
            // The kernel answers EIO once nobody has the other side open.
            let length = rustix::io::read(master, &mut chunk).unwrap_or(0);
            if length > 0 {
                self.parser.process(&chunk[..length]);
                self.written.extend_from_slice(&chunk[..length]);
                self.times.push((Instant::now(), self.written.len()));
                return true;
            }
        }
        !ended
    }

    /// Returns what the screen shows.
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Returns what is on the screen as text.
    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Returns everything the program wrote, escapes and all.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    /// Returns all of it as a recording in the form of asciicast, version 2, in which nothing happens
    /// for longer than a pause:
    /// <https://docs.asciinema.org/manual/asciicast/v2/>.
    pub(crate) fn cast(&self, title: &str, pause: Duration) -> String {
        let (rows, columns) = self.parser.screen().size();
        let header = serde_json::json!({
            "version": 2,
            "width": columns.get(),
            "height": rows.get(),
            "title": title,
            "env": {"TERM": "xterm-256color"},
        });
        let mut text = format!("{header}\n");
        let (mut from, mut clock, mut last) = (0, Duration::ZERO, None);
        for (at, to) in &self.times {
            clock += last.map_or(Duration::ZERO, |last| at.duration_since(last).min(pause));
            last = Some(*at);
            // A letter may be cut in two; its beginning waits for its end.
            let piece = &self.written[from..*to];
            let whole = match std::str::from_utf8(piece) {
                Ok(piece) => piece,
                Err(cut) => std::str::from_utf8(&piece[..cut.valid_up_to()]).unwrap(),
            };
            from += whole.len();
            let seconds = (clock.as_secs_f64() * 1000.0).round() / 1000.0;
            text += &format!("{}\n", serde_json::json!([seconds, "o", whole]));
        }
        text
    }

    /// Waits until the screen satisfies a condition.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + *PATIENCE;
        while !holds(self.parser.screen()) {
            let runs = self.pump(deadline);
            if !runs && holds(self.parser.screen()) {
                return;
            }
            let ended = if runs { "" } else { " (the program has ended)" };
            assert!(
                runs && Instant::now() < deadline,
                "the screen never shows {what}{ended}:\n{}",
                self.text()
            );
        }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits until the screen no longer shows a text.
    #[track_caller]
    pub(crate) fn wait_until_gone(&mut self, text: &str) {
        self.until(&format!("no {text:?}"), |screen| !screen.contents().contains(text));
    }

    /// Returns the program's process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns whether the terminal passes every key on as it is.
    pub(crate) fn is_raw(&self) -> bool {
        let modes = tcgetattr(self.master()).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Closes the terminal, as a window that is closed.
    pub(crate) fn hang_up(&mut self) {
        self.slave = None;
        self.master = None;
    }

    /// Waits until the program ends; returns its exit code.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + *PATIENCE;
        while self.pump(deadline) {
            assert!(Instant::now() < deadline, "the program doesn't end:\n{}", self.text());
        }
        // What it wrote last.
        let now = Instant::now() + Duration::from_millis(1);
        while self.master.is_some() && Instant::now() < now {
            self.pump(now);
        }
        code_of(self.child.wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
