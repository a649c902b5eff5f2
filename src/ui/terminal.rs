//! The terminal: taken and given back, and written to in one piece per frame.
//!
//! However the dashboard ends, the terminal is given back: by [`Screen`]'s drop, by the panic hook,
//! and by the signals that the runtime listens to.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use crossterm::cursor::SetCursorStyle;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpgrp, getsid, kill_process_group};

use vt100::CursorStyle;

use crate::app::App;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

static HOOK: Once = Once::new();

/// Collects a frame and writes it to standard output in one piece, wrapped so that the terminal
/// shows it at once.
struct Output {
    frame: Vec<u8>,
    written: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frame.is_empty() {
            queue!(self.frame, BeginSynchronizedUpdate)?;
        }
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn commit(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        queue!(self.frame, EndSynchronizedUpdate)?;
        let mut out = io::stdout().lock();
        let result = out.write_all(&self.frame).and_then(|()| out.flush());
        self.written += self.frame.len() as u64;
        self.frame.clear();
        // A log line of a megabyte must not stay in memory for ever.
        self.frame.shrink_to(64 << 10);
        result
    }
}

/// The terminal while it is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Shared>>,
    output: Shared,
    mouse: bool,
    /// The shape of the cursor that a program in a shell has asked for.
    cursor: CursorStyle,
}

/// The output, shared between the terminal library and us.
#[derive(Clone)]
struct Shared(std::sync::Arc<std::sync::Mutex<Output>>);

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
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
        let output = Output { frame: Vec::with_capacity(16 << 10), written: 0 };
        let output = Shared(std::sync::Arc::new(std::sync::Mutex::new(output)));
        let terminal = Terminal::new(CrosstermBackend::new(output.clone()))?;
        let mut screen = Self { terminal, output, mouse, cursor: CursorStyle::default() };
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let mut out = io::stdout().lock();
        execute!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        if self.mouse {
            execute!(out, EnableMouseCapture)?;
        }
        Ok(())
    }

    /// Returns columns and rows.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |s| (s.width, s.height))
    }

    /// Draws a frame and returns how many bytes went to the terminal.
    pub(crate) fn draw(&mut self, app: &App) -> io::Result<u64> {
        if !TAKEN.load(Ordering::SeqCst) {
            return Err(io::Error::other("given back after a panic"));
        }
        self.terminal.draw(|frame| crate::view::view(app, frame))?;
        let mut output = self.output.lock();
        let wanted = app.typed_to().map(|it| it.emulator.screen().cursor_style());
        let wanted = wanted.unwrap_or_default();
        if wanted != self.cursor {
            queue!(*output, shape(wanted))?;
            self.cursor = wanted;
        }
        let before = output.written;
        output.commit()?;
        Ok(output.written - before)
    }

    /// Forgets what is on the screen, so that the next frame draws all of it.
    pub(crate) fn repaint(&mut self) -> io::Result<()> {
        // The library's own way asks the terminal where its cursor is, and the answer would go to
        // whoever reads the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub(crate) fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        let mut out = io::stdout().lock();
        if mouse { execute!(out, EnableMouseCapture) } else { execute!(out, DisableMouseCapture) }
    }

    /// Puts a text on the user's clipboard, by way of the terminal (OSC 52).
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        let mut out = io::stdout().lock();
        write!(out, "\x1b]52;c;{text}\x07")?;
        out.flush()
    }

    /// Gives the terminal back, stops until somebody lets us go on, and takes it again. Where
    /// nobody could let us go on, nothing happens and false is returned.
    pub(crate) fn suspend(&mut self) -> io::Result<bool> {
        if is_orphaned() {
            return Ok(false);
        }
        give_back();
        // All of the group, as the terminal's own suspend character does it: a wrapper that
        // started us stops too.
        kill_process_group(getpgrp(), Signal::STOP)?;
        self.resume()?;
        Ok(true)
    }

    /// Takes the terminal again after somebody stopped us and let us go on.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.cursor = CursorStyle::default();
        self.enter()?;
        self.repaint()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

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
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        SetCursorStyle::DefaultUserShape,
        cursor::Show
    );
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
