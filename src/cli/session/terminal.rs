//! Raw mode of the caller's terminal, undone however this program ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use wharf_model::TermSize;

/// How the terminal was, while it is raw. A panic aborts without running destructors, so its hook
/// needs to find this.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Returns a terminal's size in cells.
pub(crate) fn size(terminal: BorrowedFd<'_>) -> Option<TermSize> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0)
        .then_some(TermSize { columns: size.ws_col, rows: size.ws_row })
}

/// Returns whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    isatty(io::stdin().as_fd())
}

/// Standard input's terminal in raw mode; dropping this restores it.
pub(crate) struct Raw(());

impl Raw {
    /// Makes the terminal raw; nothing when standard input isn't one.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn enter(stdin: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        if !isatty(stdin) {
            return Ok(None);
        }
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Standard input's terminal without an echo, for a secret; dropping this restores it.
pub(crate) struct Hidden(());

impl Hidden {
    /// Turns the echo off.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn enter(stdin: BorrowedFd<'_>) -> io::Result<Self> {
        let before = tcgetattr(stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stdin, OptionalActions::Flush, &hidden)?;
        Ok(Self(()))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back, if it is raw.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
