//! The terminal: taken and given back, and told what has changed on the screen.
//!
//! Each frame is compared with what the terminal shows, and goes to it in one piece. Where the line
//! doesn't carry all of it at once, what the user looks at goes first, and the rest after it, from what
//! is true by then: frames are skipped, never queued.
//!
//! However the dashboard ends, the terminal is given back: by [`Screen`]'s drop, by the panic hook,
//! and by the signals that the runtime listens to.

mod encode;
mod link;
mod out;

use std::io;
use std::sync::Once;
use std::time::Duration;

use base64::Engine;
use crossterm::cursor::{Hide, MoveTo, SetCursorStyle, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use rustix::process::{Signal, getpgrp, getsid, kill_process_group};
use tokio::time::Instant;

#[cfg(test)]
pub(crate) use encode::named;

use vt100::CursorStyle;

use crate::app::App;
pub use encode::Encoder;
pub(crate) use link::For;
use link::Link;
use out::{Out, taken};

static HOOK: Once = Once::new();

/// How long a terminal that takes nothing keeps us from ending.
const PATIENCE: Duration = Duration::from_millis(300);

/// The terminal while it is ours.
pub(crate) struct Screen {
    out: Out,
    link: Link,
    encoder: Encoder,
    /// What the terminal shows once all that is written has arrived.
    shown: Buffer,
    /// The next frame, kept for its memory.
    next: Buffer,
    /// Where the terminal's cursor is, if it is seen.
    cursor: Option<Position>,
    /// The shape of the cursor that a program in a shell has asked for.
    shape: CursorStyle,
    /// What the rest of the last frame is for, if it had no room.
    behind: Option<For>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        let mut screen = Self {
            out: Out::new()?,
            link: Link::new(),
            encoder: Encoder::default(),
            shown: Buffer::default(),
            next: Buffer::default(),
            cursor: None,
            shape: CursorStyle::default(),
            behind: None,
            mouse,
        };
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        *taken() = true;
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            queue!(bytes, EnableMouseCapture)?;
        }
        // Whatever it shows, the next frame is compared with nothing.
        self.repaint();
        self.cursor = None;
        // The answer to this one tells how long the way is, before anything is in it.
        self.send(bytes)
    }

    /// Returns columns and rows.
    pub(crate) fn size(&self) -> (u16, u16) {
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| (size.ws_col, size.ws_row))
            .filter(|(columns, rows)| *columns > 0 && *rows > 0)
            .unwrap_or((80, 24))
    }

    /// Draws what the line has room for and returns how many bytes went to the terminal.
    pub(crate) fn draw(&mut self, app: &App, what: For) -> io::Result<u64> {
        let (columns, rows) = self.size();
        let area = Rect::new(0, 0, columns, rows);
        let mut bytes = Vec::new();
        queue!(bytes, BeginSynchronizedUpdate)?;
        let begin = bytes.len();
        if self.shown.area != area {
            // It would be cleared in the colours of the last letter.
            queue!(bytes, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
            self.encoder = Encoder::default();
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
        }
        self.next.reset();
        let cursor = crate::view::draw(app, &mut self.next, area);
        let mut updates = self.shown.diff(&self.next);
        let room = self.link.room(what);
        let all = updates.len();
        // Whatever the line, what the user looks at comes first.
        let first = crate::view::attention(app);
        updates.sort_by_key(|(x, y, _)| {
            let at = Position::new(*x, *y);
            (first.iter().position(|part| part.contains(at)).unwrap_or(first.len()), *y, *x)
        });
        let count = self.encoder.encode(&updates, columns, room.saturating_sub(AROUND), &mut bytes);
        updates.truncate(count);
        self.behind = (count < all).then_some(what);
        let wanted = app.typed_to().map(|it| it.emulator.screen().cursor_style());
        let wanted = wanted.unwrap_or_default();
        if bytes.len() == begin && cursor == self.cursor && wanted == self.shape {
            return Ok(0);
        }
        if wanted != self.shape {
            queue!(bytes, shape(wanted))?;
            self.shape = wanted;
        }
        match cursor {
            // Drawing has moved it.
            Some(at) => queue!(bytes, MoveTo(at.x, at.y), Show)?,
            None if self.cursor.is_some() => queue!(bytes, Hide)?,
            None => {}
        }
        self.cursor = cursor;
        if bytes.len() - begin <= AT_ONCE {
            bytes.drain(..begin);
        } else {
            queue!(bytes, EndSynchronizedUpdate)?;
        }
        if count == all {
            std::mem::swap(&mut self.shown, &mut self.next);
        } else {
            for (x, y, cell) in updates {
                self.shown[(x, y)] = cell.clone();
            }
        }
        let count = bytes.len() as u64;
        self.send(bytes)?;
        Ok(count)
    }

    /// Returns whether the terminal has not taken yet what was written: nothing is drawn until
    /// [`Screen::drained`].
    pub(crate) fn is_blocked(&self) -> bool {
        self.out.is_blocked()
    }

    /// Waits until the terminal has taken what was written.
    pub(crate) async fn drained(&mut self) -> io::Result<()> {
        self.out.drained().await
    }

    /// Returns what the part of the last frame is for that had no room, if some had none.
    pub(crate) fn behind(&self) -> Option<For> {
        self.behind
    }

    /// Returns whether the line has room for something.
    pub(crate) fn has_room(&mut self, what: For) -> bool {
        self.link.room(what) > 0
    }

    /// Returns when the line is taken for free although the terminal doesn't say so.
    pub(crate) fn free_at(&self) -> Option<Instant> {
        self.link.lost_at()
    }

    /// Takes in that the terminal has answered.
    pub(crate) fn answered(&mut self) {
        self.link.answer();
    }

    /// Returns how long the terminal may take for what it is still going to answer, if it is: whoever
    /// has it next would find that in its input.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.link.patience()
    }

    /// Forgets what is on the screen, so that the next frame draws all of it.
    pub(crate) fn repaint(&mut self) {
        self.shown = Buffer::default();
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub(crate) fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        let mut bytes = Vec::new();
        if mouse {
            queue!(bytes, EnableMouseCapture)?;
        } else {
            queue!(bytes, DisableMouseCapture)?;
        }
        self.send(bytes)
    }

    /// Puts a text on the user's clipboard, by way of the terminal (OSC 52).
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        self.send(format!("\x1b]52;c;{text}\x07").into_bytes())
    }

    /// Gives the terminal back, stops until somebody lets us go on, and takes it again. Where
    /// nobody could let us go on, nothing happens and false is returned.
    pub(crate) fn suspend(&mut self) -> io::Result<bool> {
        if is_orphaned() {
            return Ok(false);
        }
        self.give_up();
        give_back();
        // All of the group, as the terminal's own suspend character does it: a wrapper that
        // started us stops too.
        kill_process_group(getpgrp(), Signal::STOP)?;
        self.resume()?;
        Ok(true)
    }

    /// Takes the terminal again after somebody stopped us and let us go on.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.shape = CursorStyle::default();
        self.link.reset();
        self.enter()
    }

    /// Sends something to the terminal, with the question that tells when it has arrived.
    fn send(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        if self.link.asks() {
            bytes.extend_from_slice(link::QUESTION);
        }
        self.link.wrote(bytes.len() as u64);
        self.out.write(&bytes)
    }

    /// Gives up what the terminal hasn't taken yet.
    fn give_up(&mut self) {
        if self.out.give_up() {
            // Ends whatever sequence it is in the middle of (CAN).
            let _ = out::write_patiently(b"\x18", PATIENCE);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if *taken() {
            self.give_up();
        }
        give_back();
    }
}

/// Bytes around a frame: its beginning, its end and the question.
const AROUND: usize = 20;

/// A frame of so many bytes reaches a terminal in one piece anyhow, and needs no marks around it.
const AT_ONCE: usize = 256;

/// Returns how the user's terminal is told of a cursor's shape.
fn shape(style: CursorStyle) -> SetCursorStyle {
    match style {
        CursorStyle::Default => SetCursorStyle::DefaultUserShape,
        CursorStyle::BlinkBlock => SetCursorStyle::BlinkingBlock,
        CursorStyle::SteadyBlock => SetCursorStyle::SteadyBlock,
        CursorStyle::BlinkUnderline => SetCursorStyle::BlinkingUnderScore,
        CursorStyle::SteadyUnderline => SetCursorStyle::SteadyUnderScore,
        CursorStyle::BlinkVerticalBar => SetCursorStyle::BlinkingBar,
        CursorStyle::SteadyVerticalBar => SetCursorStyle::SteadyBar,
    }
}

/// Gives the terminal back, if it is ours. Whatever fails, the rest is tried too.
fn give_back() {
    // Who is drawing ends that first; nothing is drawn after it.
    if !std::mem::take(&mut *taken()) {
        return;
    }
    let mut bytes = Vec::new();
    let _ = queue!(
        bytes,
        EndSynchronizedUpdate,
        SetAttribute(Attribute::Reset),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        SetCursorStyle::DefaultUserShape,
        Show
    );
    let _ = out::write_patiently(&bytes, PATIENCE);
    // What the terminal has answered meanwhile is nobody's.
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    let _ = disable_raw_mode();
}

/// Returns whether no shell watches over our process group: the kernel then has nobody to tell
/// that we stopped, and nobody would let us go on (`ssh host wharf`).
fn is_orphaned() -> bool {
    let group = getpgrp();
    // The parent of the group's leader, the fourth field of its stat file; the second is in
    // brackets and may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", group.as_raw_nonzero()));
    let parent = stat.ok().and_then(|stat| {
        let rest = stat.rsplit_once(')')?.1;
        let parent: i32 = rest.split_whitespace().nth(1)?.parse().ok()?;
        rustix::process::Pid::from_raw(parent)
    });
    match parent {
        None => true,
        Some(parent) => {
            let ours = getsid(None).ok();
            let same_session = getsid(Some(parent)).ok() == ours;
            let other_group = rustix::process::getpgid(Some(parent)).is_ok_and(|g| g != group);
            !(same_session && other_group)
        }
    }
}
