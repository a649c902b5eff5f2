//! Everything that a container or an image controls is full of escape sequences, control characters and
//! letters that reorder text; none of them reaches the terminal, on any screen.

#[expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "part of the tests, though not a test itself"
)]
mod engine;
#[expect(clippy::unwrap_used, reason = "part of the tests, though not a test itself")]
mod everywhere;

pub(crate) use engine::Hostile;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_backend::Error;
use wharf_backend::fake::{Fake, container, network, time, volume};
use wharf_model::{
    ErrorKind, Event, EventKind, FileEntry, FileHead, FileKind, FolderList, LogRecord, LogStream,
    MountInfo, MountKind, Status, TopTable,
};
use wharf_ui::app::files::FilesOf;
use wharf_ui::{App, Msg, view};

use crate::plain;
use crate::support::Desk;

/// Numbers that look random; a seed always gives the same.
pub(crate) struct Dice(u64);

/// What is put into texts. The numbers in the sequences are used by nothing else.
const PIECES: [&str; 24] = [
    "\x1b[666m",
    "\x1b[2J",
    "\x1b[66;66H",
    "\x1b]0;owned\x07",
    "\x1b]52;c;b3duZWQ=\x07",
    "\u{9b}666m",
    "\u{9d}0;owned\u{9c}",
    "\x1bPowned\x1b\\",
    "\x1b",
    "\x1b[",
    "\x1bc",
    "\r",
    "\n",
    "\t",
    "\x08",
    "\x7f",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{2028}",
    "\u{feff}",
    "\u{e0041}",
    "name",
    "日本",
];

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap_or(1)).unwrap_or(0)
    }

    fn text(&mut self) -> String {
        let count = 1 + self.below(6);
        let mut text = String::from("x");
        for _ in 0..count {
            text.push_str(PIECES[self.below(PIECES.len())]);
        }
        text
    }

    /// Bytes that needn't be UTF-8.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = self.text().into_bytes();
        for _ in 0..self.below(8) {
            let at = self.below(bytes.len());
            bytes.insert(at, u8::try_from(self.below(256)).unwrap_or(0));
        }
        bytes
    }
}

/// What a terminal shows, and the check of what it is sent.
struct Wire {
    shown: Buffer,
}

#[expect(clippy::unwrap_used, reason = "part of the tests, though not a test itself")]
impl Wire {
    fn new(columns: u16, rows: u16) -> Self {
        Self { shown: Buffer::empty(Rect::new(0, 0, columns, rows)) }
    }

    /// Draws a frame and checks what is new.
    fn draw(&mut self, app: &App, what: &str) {
        let size = self.shown.area;
        let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
        let next = terminal.draw(|frame| view(app, frame)).unwrap().buffer.clone();
        let updates = self.shown.diff(&next);
        for (_, _, cell) in &updates {
            assert!(!cell.symbol().contains(is_hidden), "{what}: {:?}", cell.symbol());
        }
        let mut new = Vec::new();
        wharf_ui::Encoder::default().encode(&updates, size.width, usize::MAX, &mut new);
        check(std::str::from_utf8(&new).unwrap(), what);
        self.shown = next;
    }
}

/// Returns whether a letter does something instead of being seen.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Checks that a stream has only letters that can be seen, and the sequences that the dashboard itself
/// writes: colours, the cursor's place, and the erasing of letters.
fn check(stream: &str, what: &str) {
    let mut letters = stream.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            assert_eq!(letters.next(), Some('['), "{what}: {stream:?}");
            let mut numbers = String::new();
            let end = letters.by_ref().find(|c| {
                let part = matches!(c, '0'..='9' | ';' | ':' | '?');
                if part {
                    numbers.push(*c);
                }
                !part
            });
            let ours = matches!(end, Some('m' | 'H' | 'A'..='D' | 'X'));
            assert!(ours && numbers != "666" && numbers != "66;66", "{what}: {stream:?}");
            continue;
        }
        let moves = matches!(letter, '\r' | '\n' | '\x08');
        assert!(moves || !is_hidden(letter), "{what}: {letter:?} in {stream:?}");
    }
}

/// Returns an engine whose every object bears hostile texts.
fn engine(dice: &mut Dice) -> Fake {
    let fake = Fake::demo();
    for number in 1..4 {
        let mut one = container(number, &dice.text(), &dice.text(), Status::Running);
        one.command = dice.text();
        one.status_text = dice.text();
        one.labels.insert(dice.text(), dice.text());
        one.labels.insert("com.docker.compose.project".to_owned(), dice.text());
        one.networks = vec![dice.text()];
        for endpoint in &mut one.endpoints {
            endpoint.network = dice.text();
        }
        one.mounts.push(MountInfo {
            kind: MountKind::Volume,
            name: Some(dice.text()),
            source: dice.text(),
            destination: "/etc".to_owned(),
            ..MountInfo::default()
        });
        let records = (0..40).map(|n| LogRecord {
            time: time(n),
            stream: if n % 2 == 0 { LogStream::Stdout } else { LogStream::Stderr },
            message: match n % 4 {
                0 => serde_json::json!({"level": dice.text(), "msg": dice.text(), dice.text(): 1})
                    .to_string()
                    .into_bytes(),
                _ => dice.bytes(),
            },
            attributes: std::collections::BTreeMap::new(),
        });
        let records: Vec<_> = records.collect();
        fake.set_log(&one.id, records);
        fake.put(one);
    }
    let mut net = network(7, &dice.text(), false);
    net.labels.insert(dice.text(), dice.text());
    fake.put_network(net);
    let mut vol = volume(&dice.text(), 9);
    vol.labels.insert(dice.text(), dice.text());
    vol.mountpoint = dice.text();
    fake.put_volume(vol);
    fake
}

fn entry(dice: &mut Dice, kind: FileKind) -> FileEntry {
    FileEntry {
        name: OsString::from_vec(dice.bytes().into_iter().filter(|b| *b != 0).collect()),
        kind,
        size: 7,
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: None,
        target: (kind == FileKind::Link).then(|| OsString::from_vec(dice.bytes())),
        change: None,
        layer: Some(0),
    }
}

/// Ways through the dashboard, after each key of which the screen is checked.
const WAYS: [&str; 12] = [
    "jljjk\ntzz/x\nnFy",
    "ijjzjjDz",
    "fj\n\x1b",
    "tjj",
    "Hvc",
    " jjm",
    "2jluif\x1b",
    "3jfui",
    "4jjjthi",
    "5jj",
    "6",
    ":re\x1b\n\x1b?\x1bd\x1bE",
];

#[test]
fn nothing_hostile_reaches_the_terminal() {
    for seed in 1..=12_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let size = [(80, 24), (120, 40), (200, 60)][dice.below(3)];
        let fake = engine(&mut dice);
        let mut desk = Desk::with(fake, plain(), size);
        let mut wire = Wire::new(size.0, size.1);
        wire.draw(&desk.app, "the start");
        for way in WAYS {
            for key in way.chars() {
                desk.keys(key.encode_utf8(&mut [0; 4]));
                wire.draw(&desk.app, &format!("seed {seed}, {key:?} of {way:?}"));
            }
            answers(&mut desk, &mut dice);
            wire.draw(&desk.app, &format!("seed {seed}, after {way:?}"));
            desk.keys("\x1b\x1b\x1b\x1b1");
        }
    }
}

/// Sends answers and news that an engine would send, full of hostile texts.
fn answers(desk: &mut Desk, dice: &mut Dice) {
    let of = desk.app.container_files.of.clone();
    if let Some(of @ FilesOf::Container(_)) = of {
        let kinds = [FileKind::Folder, FileKind::File, FileKind::Link, FileKind::Other];
        let entries = kinds.map(|kind| entry(dice, kind)).to_vec();
        let path = desk.app.container_files.path.clone();
        let list =
            FolderList { path: path.clone(), entries, unknown: Some(dice.text()), layers: Some(2) };
        desk.raw(Msg::Folder { of: of.clone(), path: path.clone(), result: Ok(list) });
        let file = PathBuf::from(OsString::from_vec(b"a\x1b[666m\xff".to_vec()));
        let head = FileHead { bytes: dice.bytes().repeat(9), size: 900 };
        desk.raw(Msg::File { of, path: path.join(file), result: Ok(head) });
    }
    if let Some(id) = desk.app.top.id.clone() {
        let processes = vec![vec![dice.text(), dice.text()]];
        let table = TopTable { titles: vec![dice.text(), dice.text()], processes };
        desk.raw(Msg::Top { id, result: Ok(table) });
    }
    desk.raw(Msg::Event(Event {
        time: time(1),
        kind: EventKind::Container,
        action: dice.text(),
        id: dice.text(),
        attributes: [(dice.text(), dice.text()), ("name".to_owned(), dice.text())].into(),
    }));
    desk.raw(Msg::Lost(Error::new(ErrorKind::Unavailable, dice.text())));
    desk.raw(Msg::Connected);
}
