//! Raw mode of the caller's terminal, undone however this program ends.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
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

/// Returns whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    isatty(io::stdout().as_fd())
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

/// Asks for a line that isn't shown, from standard input, a terminal; none when the user has had enough
/// (ctrl-c, or ctrl-d at the beginning). The terminal is raw meanwhile, since a signal would leave it
/// without an echo.
///
/// # Errors
/// When the terminal refuses.
pub(crate) fn read_secret(prompt: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    let raw = Raw::enter(stdin.as_fd())?;
    // Not before: what is typed at its sight isn't to be seen.
    let mut out = io::stderr().lock();
    out.write_all(prompt.as_bytes())?;
    out.flush()?;
    drop(out);
    let mut secret = Vec::new();
    let given = loop {
        let mut byte = [0];
        if stdin.lock().read(&mut byte)? == 0 {
            break true;
        }
        match byte[0] {
            b'\r' | b'\n' => break true,
            0x03 => break false,
            0x04 if secret.is_empty() => break false,
            0x15 => secret.clear(),
            0x08 | 0x7f => {
                // A letter may be several bytes.
                while secret.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte => secret.push(byte),
        }
    };
    drop(raw);
    let failed = |_| io::Error::new(io::ErrorKind::InvalidData, "the password is not UTF-8");
    given.then(|| String::from_utf8(secret).map_err(failed)).transpose()
}

/// Puts the terminal back, if it is raw.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
