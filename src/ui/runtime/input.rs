//! What the terminal says: keys, the mouse, what is pasted, and its answers to the screen's
//! questions.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crossterm::event as own;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use termina::escape::csi::{Csi, Device};
use termina::event as heard;
use termina::{Event, Parser};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::message::Msg;

/// Events that may wait before the terminal has to.
const QUEUE: usize = 256;

/// How long the rest of what may be a longer key is waited for, once its escape character is there: a
/// slow line may deliver them apart.
const REST: Duration = Duration::from_millis(50);

/// The escape character.
const ESCAPE: u8 = 0x1b;

/// What comes from the terminal.
#[derive(Debug)]
pub(super) enum Heard {
    /// The user did something.
    User(Box<Msg>),
    /// The terminal has received all that was before a question.
    Answer,
}

/// The terminal's input, read by a task of its own.
pub(super) struct Input {
    events: mpsc::Receiver<Heard>,
    task: tokio::task::JoinHandle<()>,
}

impl Input {
    /// Reads standard input from now on.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub(super) fn new() -> io::Result<Self> {
        Self::of(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?)
    }

    fn of(file: OwnedFd) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "unsound for others only: an owned descriptor stays what it is"
        )]
        let file = AsyncFd::with_interest(file, Interest::READABLE)?;
        let (sender, events) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            // However it ends, the terminal is gone, and so is the sender.
            let _ = read(&file, &sender).await;
        });
        Ok(Self { events, task })
    }

    /// Waits for what comes next; none once the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.events.recv().await
    }

    /// Returns what is there already.
    pub(super) fn ready(&mut self) -> Result<Heard, mpsc::error::TryRecvError> {
        self.events.try_recv()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(file: &AsyncFd<OwnedFd>, sender: &mpsc::Sender<Heard>) -> io::Result<()> {
    let mut parser = Parser::default();
    let mut chunk = [0; 1024];
    let mut events = Vec::new();
    // Whether an escape character came last: alone, it is a key of its own.
    let mut escaped = false;
    // Whether a second one followed it, which is the same key, or begins something.
    let mut twice = false;
    loop {
        let count = if escaped || twice {
            tokio::time::timeout(REST, some(file, &mut chunk)).await.ok().transpose()?
        } else {
            Some(some(file, &mut chunk).await?)
        };
        match count.map(|count| chunk.get(..count).unwrap_or_default()) {
            Some([]) => return Ok(()),
            Some(bytes) => {
                for byte in bytes {
                    if escaped && *byte == ESCAPE && ends(&mut parser, &mut events) {
                        (escaped, twice) = (false, true);
                        continue;
                    }
                    // A terminal's answer may follow the key at once.
                    if std::mem::take(&mut twice) && *byte == b'[' {
                        parser.parse(&[ESCAPE], true);
                    }
                    parser.parse(&[*byte], true);
                    escaped = *byte == ESCAPE;
                }
            }
            None => {
                parser.parse(&[], false);
                (escaped, twice) = (false, false);
            }
        }
        events.extend(std::iter::from_fn(|| parser.pop()));
        for event in events.drain(..) {
            if let Some(heard) = translate(event)
                && sender.send(heard).await.is_err()
            {
                return Ok(());
            }
        }
    }
}

/// Takes an escape character, which came last, for a key. Returns whether it was one: in what is pasted
/// it is none.
fn ends(parser: &mut Parser, events: &mut Vec<Event>) -> bool {
    events.extend(std::iter::from_fn(|| parser.pop()));
    let before = events.len();
    parser.parse(&[], false);
    events.extend(std::iter::from_fn(|| parser.pop()));
    events.len() > before
}

/// Waits for input and reads some. The file is shared with whoever started us, and so it waits when
/// it has nothing: it is only read when it has.
async fn some(file: &AsyncFd<OwnedFd>, into: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut guard = file.readable().await?;
        let result = guard.try_io(|file| {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let mut wanted = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
            match poll(&mut wanted, Some(&now)) {
                Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
                Ok(_) => rustix::io::read(file, &mut *into).map_err(Into::into),
                Err(error) => Err(error.into()),
            }
        });
        match result {
            Ok(Err(error)) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
            Ok(result) => return result,
            Err(_not_yet) => {}
        }
    }
}

fn translate(event: Event) -> Option<Heard> {
    let msg = match event {
        Event::Key(key) => Msg::Key(translate_key(key)?),
        Event::Mouse(mouse) => Msg::Mouse(own::MouseEvent {
            kind: translate_mouse(mouse.kind),
            column: mouse.column,
            row: mouse.row,
            modifiers: translate_modifiers(mouse.modifiers),
        }),
        Event::Paste(text) => Msg::Paste(text),
        Event::Csi(Csi::Device(Device::DeviceAttributes(()))) => return Some(Heard::Answer),
        _ => return None,
    };
    Some(Heard::User(Box::new(msg)))
}

fn translate_key(key: heard::KeyEvent) -> Option<own::KeyEvent> {
    use heard::KeyCode as From;
    use own::KeyCode as To;
    let code = match key.code {
        From::Char(letter) => To::Char(letter),
        From::Enter => To::Enter,
        From::Backspace => To::Backspace,
        From::Tab => To::Tab,
        From::Escape => To::Esc,
        From::Left => To::Left,
        From::Right => To::Right,
        From::Up => To::Up,
        From::Down => To::Down,
        From::Home => To::Home,
        From::End => To::End,
        From::BackTab => To::BackTab,
        From::PageUp => To::PageUp,
        From::PageDown => To::PageDown,
        From::Insert => To::Insert,
        From::Delete => To::Delete,
        From::KeypadBegin => To::KeypadBegin,
        From::Null => To::Null,
        From::Menu => To::Menu,
        From::Pause => To::Pause,
        From::PrintScreen => To::PrintScreen,
        From::Function(number) => To::F(number),
        // Nothing is bound to these, nor passed on to a program.
        From::CapsLock | From::ScrollLock | From::NumLock | From::Modifier(_) | From::Media(_) => {
            return None;
        }
    };
    let kind = match key.kind {
        heard::KeyEventKind::Press => own::KeyEventKind::Press,
        heard::KeyEventKind::Release => own::KeyEventKind::Release,
        heard::KeyEventKind::Repeat => own::KeyEventKind::Repeat,
    };
    Some(own::KeyEvent::new_with_kind(code, translate_modifiers(key.modifiers), kind))
}

fn translate_modifiers(modifiers: heard::Modifiers) -> own::KeyModifiers {
    use heard::Modifiers as From;
    use own::KeyModifiers as To;
    [
        (From::SHIFT, To::SHIFT),
        (From::CONTROL, To::CONTROL),
        (From::ALT, To::ALT),
        (From::SUPER, To::SUPER),
        (From::HYPER, To::HYPER),
        (From::META, To::META),
    ]
    .into_iter()
    .filter(|(from, _)| modifiers.contains(*from))
    .fold(To::NONE, |all, (_, to)| all | to)
}

fn translate_mouse(kind: heard::MouseEventKind) -> own::MouseEventKind {
    use heard::MouseEventKind as From;
    use own::MouseEventKind as To;
    let button = |button| match button {
        heard::MouseButton::Left => own::MouseButton::Left,
        heard::MouseButton::Right => own::MouseButton::Right,
        heard::MouseButton::Middle => own::MouseButton::Middle,
    };
    match kind {
        From::Down(which) => To::Down(button(which)),
        From::Up(which) => To::Up(button(which)),
        From::Drag(which) => To::Drag(button(which)),
        From::Moved => To::Moved,
        From::ScrollDown => To::ScrollDown,
        From::ScrollUp => To::ScrollUp,
        From::ScrollLeft => To::ScrollLeft,
        From::ScrollRight => To::ScrollRight,
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Writes pieces to a terminal, with a pause after each, and returns what is heard of them.
    async fn heard(pieces: &[(&[u8], u64)]) -> Vec<String> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
        let mut modes = rustix::termios::tcgetattr(&slave).unwrap();
        modes.make_raw();
        let now = rustix::termios::OptionalActions::Now;
        rustix::termios::tcsetattr(&slave, now, &modes).unwrap();
        let mut input = Input::of(slave).unwrap();
        for (piece, pause) in pieces {
            rustix::io::write(&master, piece).unwrap();
            tokio::time::sleep(Duration::from_millis(*pause)).await;
        }
        // The end of the terminal ends the input, after all that was in it.
        rustix::io::write(&master, b"!").unwrap();
        let mut heard = Vec::new();
        while let Some(next) = input.next().await {
            match next {
                Heard::Answer => heard.push("answer".to_owned()),
                Heard::User(msg) => match *msg {
                    Msg::Key(key) if key.code == own::KeyCode::Char('!') => break,
                    Msg::Key(key) => heard.push(format!("{:?} {:?}", key.code, key.modifiers)),
                    Msg::Mouse(mouse) => {
                        heard.push(format!("{:?} {} {}", mouse.kind, mouse.column, mouse.row));
                    }
                    other => heard.push(format!("{other:?}")),
                },
            }
        }
        drop(master);
        assert!(input.next().await.is_none(), "the terminal is gone");
        heard
    }

    #[tokio::test]
    async fn hears_keys_the_mouse_and_answers() {
        let none = "KeyModifiers(0x0)";
        let cases: &[(&[u8], &[&str])] = &[
            (b"j", &["Char('j') KeyModifiers(0x0)"]),
            (b"K", &["Char('K') KeyModifiers(SHIFT)"]),
            ("ü".as_bytes(), &["Char('ü') KeyModifiers(0x0)"]),
            (b"\x03", &["Char('c') KeyModifiers(CONTROL)"]),
            (b"\r\t\x7f", &["Enter", "Tab", "Backspace"]),
            (b"\x1b[A\x1bOB\x1b[5~\x1b[Z", &["Up", "Down", "PageUp", "BackTab"]),
            (b"\x1bx", &["Char('x') KeyModifiers(ALT)"]),
            (b"\x1b[1;5C", &["Right KeyModifiers(CONTROL)"]),
            (b"\x1bOP\x1b[15~\x1b[3~", &["F(1)", "F(5)", "Delete"]),
            (
                b"\x1b[<0;3;4M\x1b[<0;3;4m\x1b[<64;1;1M",
                &["Down(Left) 2 3", "Up(Left) 2 3", "ScrollUp 0 0"],
            ),
            (b"\x1b[200~a\x1b[Ab\x1b[201~", &["Paste(\"a\\u{1b}[Ab\")"]),
            (b"\x1b[?62;22cj\x1b[?6c", &["answer", "Char('j') KeyModifiers(0x0)", "answer"]),
            (b"\x1b[0nj", &["Char('j') KeyModifiers(0x0)"]),
        ];
        for (bytes, wanted) in cases {
            let wanted: Vec<String> = wanted
                .iter()
                .map(|it| match it.contains(' ') || it.contains("Paste") || *it == "answer" {
                    true => (*it).to_owned(),
                    false if *it == "BackTab" => format!("{it} KeyModifiers(SHIFT)"),
                    false => format!("{it} {none}"),
                })
                .collect();
            assert_eq!(heard(&[(bytes, 0)]).await, wanted, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn an_escape_character_alone_is_a_key_and_one_whose_rest_comes_late_is_not() {
        let escape = "Esc KeyModifiers(0x0)";
        assert_eq!(heard(&[(b"\x1b", 200)]).await, [escape]);
        assert_eq!(heard(&[(b"j\x1b", 200), (b"k", 0)]).await[1], escape);
        assert_eq!(heard(&[(b"\x1b[", 100), (b"B", 0)]).await, ["Down KeyModifiers(0x0)"]);
    }

    #[tokio::test]
    async fn an_answer_after_an_escape_character_takes_nothing_from_it() {
        let (escape, answer) = ("Esc KeyModifiers(0x0)", "answer");
        assert_eq!(heard(&[(b"\x1b\x1b[?62;22c", 0)]).await, [escape, answer]);
        assert_eq!(heard(&[(b"j\x1b\x1b[A", 0)]).await[1..], [escape, "Up KeyModifiers(0x0)"]);
        // Two are one key, after which another one is no part of it.
        assert_eq!(heard(&[(b"\x1b\x1b", 200)]).await, [escape]);
        assert_eq!(heard(&[(b"\x1b\x1bk", 0)]).await, [escape, "Char('k') KeyModifiers(0x0)"]);
        assert_eq!(heard(&[(b"\x1b\x1b\x1b\x1b", 0)]).await, [escape, escape]);
        let pasted = "Paste(\"a\\u{1b}\\u{1b}b\")";
        assert_eq!(heard(&[(b"\x1b[200~a\x1b\x1bb\x1b[201~", 0)]).await, [pasted]);
    }
}
