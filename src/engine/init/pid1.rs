//! The small init of `--init`: the container's first process, which starts the user's program,
//! passes signals on to it, and reaps whatever ends.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use wharf_sys::clone::fork;

/// Runs as init: `arguments` are the program's file, then its argument list. Returns the exit code.
pub(crate) fn main(arguments: Vec<OsString>) -> i32 {
    // Blocked, signals wait for `wait` below instead of ending this process.
    let signals = SigSet::all();
    if signals.thread_set_mask().is_err() {
        return 125;
    }
    // The name that docker's init has in lists.
    let _ = rustix::thread::set_name(c"docker-init");
    let mut arguments = arguments.into_iter().filter_map(|a| CString::new(a.into_vec()).ok());
    let Some(path) = arguments.next() else { return 125 };
    let arguments: Vec<CString> = arguments.collect();
    let child = fork(|| {
        let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
        // With a terminal, the program's group is the one in front. While signals are blocked: a
        // group that isn't in front yet is stopped for this otherwise.
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
        let _ = SigSet::empty().thread_set_mask();
        let error = nix::unistd::execv(&path, &arguments);
        eprintln!(
            "exec {}: {}",
            path.to_string_lossy(),
            error.map_or_else(|e| e, |never| match never {})
        );
        127
    });
    match child {
        Ok(child) => look_after(Pid::from_raw(child), &signals),
        Err(error) => {
            eprintln!("init: can't start a process: {error}");
            125
        }
    }
}

/// Passes signals to `child` and reaps, until `child` has ended; returns its exit code.
fn look_after(child: Pid, signals: &SigSet) -> i32 {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    match status {
                        WaitStatus::Exited(pid, code) if pid == child => return code,
                        WaitStatus::Signaled(pid, signal, _) if pid == child => {
                            return 128 + signal as i32;
                        }
                        WaitStatus::StillAlive => break,
                        _ => {}
                    }
                }
            }
            // Those that the terminal sends to the group in front are the program's already.
            Ok(Signal::SIGTTIN | Signal::SIGTTOU | Signal::SIGTSTP) => {}
            Ok(signal) => {
                // It may have ended just now; then SIGCHLD follows.
                let _ = kill(child, signal);
            }
            Err(_) => {}
        }
    }
}
