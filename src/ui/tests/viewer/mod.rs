//! The log, inspect and files tabs: their screens, and what their keys do.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_backend::fake::{Fake, container, time};
use wharf_model::{LogRecord, LogStream, Status};
use wharf_ui::{Colors, Effect, LogAsk, LogReply, Msg};

use crate::support::Desk;
use crate::{options, plain};

fn record(at: i64, stream: LogStream, text: &str) -> LogRecord {
    let message = format!("{text}\n").into_bytes();
    LogRecord { time: time(at), stream, message, attributes: std::collections::BTreeMap::new() }
}

/// Two containers: one that writes JSON and a stack trace, and one that writes plain lines.
fn desk(size: (u16, u16)) -> Desk {
    let fake = Fake::new();
    let shop = container(1, "shop", "shop:1", Status::Running);
    let store = container(2, "store", "store:1", Status::Running);
    let out = LogStream::Stdout;
    let mut lines: Vec<_> = (-60..0).map(|n| record(n, out, &format!("tick {n}"))).collect();
    lines.push(record(1, out, r#"{"level":"warn","msg":"slow query","ms":812,"q":{"id":7}}"#));
    for line in ["boom", "java.lang.Error: no order", "\tat Shop.store(Shop.java:7)"] {
        lines.push(record(2, LogStream::Stderr, line));
    }
    lines.push(record(30, out, "calm again"));
    fake.set_log(&shop.id, lines);
    fake.set_log(&store.id, vec![record(2, out, "stored 1"), record(31, out, "stored 2")]);
    fake.put(shop);
    fake.put(store);
    Desk::with(fake, plain(), size)
}

#[test]
fn logs_at_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut desk = desk((columns, rows));
        desk.keys("l");
        insta::assert_snapshot!(format!("log-{columns}x{rows}"), desk.screen());
        desk.keys("/boom|slow\n");
        insta::assert_snapshot!(format!("log-search-{columns}x{rows}"), desk.screen());
    }
    let mut desk = Desk::new(options(Colors::None, false), (80, 24));
    desk.keys("l");
    insta::assert_snapshot!("log-ascii-80x24", desk.screen());
}

#[test]
fn what_rotation_has_removed_is_told() {
    let mut desk = desk((80, 24));
    desk.keys("l");
    assert!(!desk.screen().contains("rotation"));
    let generation = desk.app.logs.generation;
    desk.send(Msg::Log { generation, reply: LogReply::Removed(12 << 20) });
    assert!(desk.screen().contains("12M of older lines removed by rotation"), "{}", desk.screen());
    desk.send(Msg::Log { generation, reply: LogReply::Removed(0) });
    desk.send(Msg::Log { generation, reply: LogReply::Kept("2 files of 10k".to_owned()) });
    desk.send(Msg::Log { generation, reply: LogReply::Lost(2) });
    let screen = desk.screen();
    assert!(screen.contains("engine keeps 2 files of 10k"), "{screen}");
    assert!(screen.contains("2 gaps: rotated before it was read"), "{screen}");
}

#[test]
fn marks_leave_the_histogram_s_axis_readable() {
    for options in [plain(), options(Colors::None, false)] {
        let unicode = options.look.unicode;
        let mut desk = desk((80, 24));
        desk.app.theme = wharf_ui::Theme::new(options.look);
        desk.keys("l");
        let axis = |desk: &Desk| {
            let screen = desk.screen();
            screen
                .lines()
                .find(|line| line.contains(" a bar, most "))
                .unwrap_or_default()
                .to_owned()
        };
        let words = |axis: &str| {
            let mark = |c: char| c == '▴' || c == '^';
            axis.replace(mark, " ").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        desk.send(Msg::Resize(82, 24));
        let before = axis(&desk);
        // Every line of it; another width asks for the histogram anew.
        desk.keys("/.\n");
        desk.send(Msg::Resize(80, 24));
        desk.send(Msg::Resize(82, 24));
        let after = axis(&desk);
        assert_eq!(words(&after), words(&before), "{after}");
        assert!(after.contains(if unicode { '▴' } else { '^' }), "{after}");
    }
}

#[test]
fn json_is_folded_and_unfolded() {
    let mut desk = desk((80, 24));
    desk.keys("l/slow\n");
    assert!(desk.screen().contains("WARN  slow query ms=812"), "{}", desk.screen());
    desk.keys("\n");
    let screen = desk.screen();
    assert!(screen.contains("ms: 812") && screen.contains("  id: 7"), "{screen}");
    insta::assert_snapshot!("log-unfolded-80x24", screen);
    desk.keys("\n");
    assert!(!desk.screen().contains("ms: 812"));
    desk.keys("z");
    assert!(desk.screen().contains(r#"{"level":"warn""#), "{}", desk.screen());
}

#[test]
fn a_record_is_copied_whole_and_lines_by_selection() {
    let mut desk = desk((80, 24));
    desk.keys("l/boom\n");
    let effects = desk.keys("y");
    let copied =
        |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Log(LogAsk::Copy(_))));
    assert!(copied(&effects));
    assert!(desk.screen().contains("copied 3 lines"), "{}", desk.screen());
    desk.keys(" jjj");
    desk.keys("y");
    assert!(desk.screen().contains("copied 4 lines"), "{}", desk.screen());
}

#[test]
fn several_logs_are_one_by_time() {
    let mut desk = desk((80, 24));
    assert!(desk.keys("m").is_empty());
    assert!(desk.screen().contains("have to be marked"), "{}", desk.screen());
    desk.keys("  m");
    let screen = desk.screen();
    insta::assert_snapshot!("log-merged-80x24", screen);
    let rows = |text: &str| screen.lines().position(|line| line.contains(text)).unwrap_or(99);
    assert_eq!([rows("no order"), rows("Shop.store")], [rows("boom") + 1, rows("boom") + 2]);
    assert!(rows("slow query") < rows("stored 1") && rows("stored 1") < rows("calm again"));
    assert!(rows("calm again") < rows("stored 2"), "{screen}");
    desk.keys("\x1b");
    assert!(!desk.screen().contains("logs by time"));
}

#[test]
fn times_are_jumped_to_by_key_mouse_and_message() {
    let mut desk = desk((80, 24));
    desk.keys("l2");
    let from = (desk.app.now - chrono::TimeDelta::minutes(1)).format("since %H:%M:%S").to_string();
    assert!(desk.screen().contains(&from), "{}", desk.screen());
    assert!(!desk.screen().contains("tick -60"));
    desk.keys("0T");
    desk.press(wharf_ui::keymap::Key {
        code: crossterm::event::KeyCode::Char('u'),
        modifiers: KeyModifiers::CONTROL,
    });
    desk.keys("nonsense\n");
    assert!(desk.screen().contains("a time is 14:05"), "{}", desk.screen());
    desk.keys("\x1b");
    desk.send(Msg::LogsAt(time(-40)));
    let screen = desk.screen();
    assert!(screen.contains("held") && screen.contains("tick -40"), "{screen}");
    desk.keys("<");
    assert!(desk.screen().contains("tick -41"), "{}", desk.screen());
    // The histogram's last bar.
    let bars = desk.screen().lines().position(|line| line.contains(" a bar,")).unwrap_or(1) - 1;
    let click = MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 78,
        row: u16::try_from(bars).unwrap_or(0),
        modifiers: KeyModifiers::NONE,
    };
    let effects = desk.send(Msg::Mouse(click));
    let went = effects.iter().any(|e| matches!(e, Effect::Log(LogAsk::At { .. })));
    assert!(went && desk.screen().contains("calm again"), "{}", desk.screen());
}

#[test]
fn a_container_s_files_are_looked_through() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut desk = Desk::new(plain(), (columns, rows));
        desk.keys("f");
        insta::assert_snapshot!(format!("files-root-{columns}x{rows}"), desk.screen());
        desk.keys("j\n");
        insta::assert_snapshot!(format!("files-etc-{columns}x{rows}"), desk.screen());
    }
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("fz");
    assert!(desk.screen().contains("3.0M"), "{}", desk.screen());
    desk.keys("\n\n");
    let screen = desk.screen();
    assert!(screen.contains("7f 45 4c 46") && screen.contains("binary"), "{screen}");
}

#[test]
fn documents_are_compared() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("iD");
    insta::assert_snapshot!("diff-image-120x40", desk.screen());
    desk.keys("\x1b\x1b\x1b jj iD");
    insta::assert_snapshot!("diff-containers-120x40", desk.screen());
    desk.keys("D");
    assert!(!desk.screen().contains("differences"));
}
