//! Signals while a program in a container has the foreground: passed on to it, or, where it has a
//! terminal whose keys it reads itself, heeded here.

use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that are passed on. Those that only concern this process (children, broken pipes, job
/// control, its own faults) are not.
const PASSED_ON: [(&str, i32); 8] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGUSR1", 10),
    ("SIGUSR2", 12),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGCONT", 18),
];

/// Signals that end this program once the terminal is as it was.
const ENDING: [i32; 4] = [1, 2, 3, 15];

const WINCH: i32 = 28;

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    /// The terminal has a new size.
    Resized,
    /// The program shall have it.
    PassOn(&'static str),
    /// This program shall end.
    Ending(i32),
}

/// The signals that are caught, from the moment this is made.
pub(crate) struct Signals(Vec<(Caught, Signal)>);

impl Signals {
    /// Catches what a session needs: sizes if the program has a terminal (`tty`); if this program's
    /// own terminal is `raw`, so that its keys reach the program as they are, the signals that end
    /// this one; and otherwise, if `proxy`, the signals to pass on.
    ///
    /// # Errors
    /// When a handler can't be installed.
    pub(crate) fn catch(tty: bool, raw: bool, proxy: bool) -> io::Result<Self> {
        let mut caught = Vec::new();
        let mut add = |what: Caught, number: i32| -> io::Result<()> {
            caught.push((what, signal(SignalKind::from_raw(number))?));
            Ok(())
        };
        if tty {
            add(Caught::Resized, WINCH)?;
        }
        if raw {
            for number in ENDING {
                add(Caught::Ending(number), number)?;
            }
        } else if proxy {
            for (name, number) in PASSED_ON {
                add(Caught::PassOn(name), number)?;
            }
        }
        Ok(Self(caught))
    }

    /// Returns the next signal.
    pub(crate) async fn next(&mut self) -> Caught {
        std::future::poll_fn(|context| {
            for (what, signal) in &mut self.0 {
                if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                    return Poll::Ready(*what);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::signals;

    #[test]
    fn names_and_numbers_agree() {
        for (name, number) in PASSED_ON {
            assert_eq!(signals::signal(name), Ok(number));
        }
        assert_eq!(signals::signal("SIGWINCH"), Ok(WINCH));
    }
}
