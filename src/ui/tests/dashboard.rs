//! The dashboard by messages in and effects out, and its screens as pictures.

#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "part of the tests, though not a test itself"
)]
mod support;

mod charts;
mod frame;
mod hostile;
mod hosts;
mod images;
mod objects;
mod operator;
mod past;
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "part of the tests, though not all are tests"
)]
mod shells;
mod shots;
mod told;
mod viewer;

use std::time::Duration;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use support::{Desk, key};
use wharf_backend::fake::{Fake, time};
use wharf_backend::{Error, LogSource};
use wharf_model::{Command, ErrorKind, RemoveOptions, Status};
use wharf_ui::app::{Focus, Overlay, Screen, Tab, Zoom};
use wharf_ui::keymap::{Action, Context, KEYMAP};
use wharf_ui::{Colors, Effect, Look, Msg, Options};

fn options(colors: Colors, unicode: bool) -> Options {
    Options { look: Look { colors, unicode, light: false }, ..Options::default() }
}

fn plain() -> Options {
    options(Colors::None, true)
}

#[test]
fn screens_at_80_by_24() {
    let mut desk = Desk::new(plain(), (80, 24));
    insta::assert_snapshot!("containers-80x24", desk.screen());
    desk.keys("jjl");
    insta::assert_snapshot!("logs-80x24", desk.screen());
    desk.keys("/slow\nF");
    insta::assert_snapshot!("logs-search-80x24", desk.screen());
    desk.keys("\x1b\x1bi");
    insta::assert_snapshot!("inspect-80x24", desk.screen());
    desk.keys("\x1bt");
    insta::assert_snapshot!("top-80x24", desk.screen());
    desk.keys("2");
    insta::assert_snapshot!("images-80x24", desk.screen());
}

#[test]
fn screens_at_120_by_40() {
    let mut desk = Desk::new(plain(), (120, 40));
    insta::assert_snapshot!("containers-120x40", desk.screen());
    desk.keys("?");
    insta::assert_snapshot!("help-120x40", desk.screen());
}

#[test]
fn screens_at_40_by_12() {
    let mut desk = Desk::new(plain(), (40, 12));
    insta::assert_snapshot!("containers-40x12", desk.screen());
    desk.keys("l");
    insta::assert_snapshot!("logs-40x12", desk.screen());
    desk.keys("h");
    insta::assert_snapshot!("stats-40x12", desk.screen());
    desk.keys("\x1bd");
    insta::assert_snapshot!("remove-40x12", desk.screen());
}

#[test]
fn screens_without_letters_beyond_ascii() {
    let mut desk = Desk::new(options(Colors::None, false), (80, 24));
    let screen = desk.screen();
    // Names are the containers' own.
    let drawn = screen.replace("日本語-ロガー", "");
    assert!(drawn.is_ascii(), "{drawn}");
    desk.keys(" b");
    insta::assert_snapshot!("bulk-ascii-80x24", desk.screen());
}

#[test]
fn screens_with_their_colours() {
    for (name, colors) in
        [("truecolor", Colors::True), ("256", Colors::Ansi256), ("16", Colors::Ansi16)]
    {
        let mut desk = Desk::new(options(colors, true), (80, 24));
        desk.keys("d");
        insta::assert_snapshot!(format!("colours-{name}-80x24"), desk.styled());
    }
}

#[test]
fn a_terminal_too_small_says_so_and_nothing_panics_at_any_size() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.send(Msg::Resize(30, 6));
    assert!(desk.screen().contains("too small"), "{}", desk.screen());
    for (columns, rows) in
        [(1, 1), (2, 30), (200, 2), (40, 8), (41, 15), (79, 16), (180, 50), (300, 100)]
    {
        desk.send(Msg::Resize(columns, rows));
        for keys in ["", "l", "w", "i", "t", "c", "+", "__", "?", "\x1b:", "\x1b\n", "\x1bd"] {
            desk.keys(keys);
            desk.screen();
        }
        desk.keys("\x1b\x1b\x1b12");
        desk.screen();
        desk.keys("li?\x1bt\x1b1");
        desk.app.zoom = Zoom::Split;
    }
}

#[test]
fn what_is_drawn_first_needs_no_answer() {
    let desk = Desk::empty(plain(), (80, 24));
    assert!(desk.screen().contains("asking the engine"), "{}", desk.screen());
}

/// Keys that lead to every state of the dashboard in which some context is the first, from a list
/// with a mark and the selection in its middle; in a small terminal where pages shall scroll.
const SITUATIONS: [(&str, &str); 34] = [
    ("list", ""),
    ("stats", "l["),
    ("logs", "l/slow\n\x1b[C"),
    ("inspect", "ijjjjjj/path\njjj"),
    ("top", "tjj"),
    ("health", "H"),
    ("container files", "fj"),
    ("container events", "v"),
    ("panes wide", "\\"),
    ("events", "5k"),
    ("shell", "e"),
    ("shell keys", "e\x1d"),
    ("columns", "Cjj"),
    ("group", "Okkkkz"),
    ("system", "6j"),
    ("images", "2j"),
    ("layers", "2ljj"),
    ("image inspect", "2ij/id\nk"),
    ("layer list", "2fj"),
    ("layer files", "2fj\nj"),
    ("run form", "2rx y"),
    ("transfer small", "2palpine\n"),
    ("volumes", "3j"),
    ("users", "3juj"),
    ("files", "3jfjj"),
    ("networks", "4jjj"),
    ("network details", "4tj"),
    ("network edge", "4Gh"),
    ("filter", "/a b"),
    ("palette", ":re"),
    ("menu", "\nj"),
    ("prompt", "2t x"),
    ("confirm small", "   bk\njj"),
    ("help small", "?jj"),
];

/// Returns an event of a container.
fn event(action: &str) -> Msg {
    Msg::Event(wharf_model::Event {
        time: wharf_backend::fake::epoch(),
        kind: wharf_model::EventKind::Container,
        action: action.to_owned(),
        id: "x".to_owned(),
        attributes: std::collections::BTreeMap::new(),
    })
}

fn situation(name: &str, keys: &str) -> Desk {
    let size = match name.rsplit(' ').next() {
        Some("small") => (40, 12),
        Some("wide") => (120, 40),
        _ => (80, 24),
    };
    let run = Some((|_| Ok(wharf_model::CreateOptions::default())) as wharf_ui::RunParser);
    let mut desk = Desk::new(Options { run, ..plain() }, size);
    for action in ["create", "start", "die"] {
        desk.raw(event(action));
    }
    desk.keys(" jj");
    desk.keys(keys);
    if let Some(Overlay::Transfer { operation, .. }) = desk.app.overlays.last() {
        let operation = *operation;
        for n in 0..14 {
            let (layer, state) = (format!("layer{n:07}"), wharf_model::LayerState::Waiting);
            let event = wharf_model::TransferEvent::Layer { layer, state };
            desk.send(Msg::Transfer { operation, event });
        }
        desk.keys("jj");
    }
    desk
}

#[test]
fn no_key_is_dead() {
    let mut seen: Vec<(Context, Action)> = Vec::new();
    for (name, way) in SITUATIONS {
        let there = situation(name, way);
        let before = there.styled();
        let on = match there.app.screen {
            Screen::Containers => Action::ScreenContainers,
            Screen::Images => Action::ScreenImages,
            Screen::Volumes => Action::ScreenVolumes,
            Screen::Networks => Action::ScreenNetworks,
            Screen::Events => Action::ScreenEvents,
            Screen::System => Action::ScreenSystem,
        };
        for (binding, keys) in there.app.keymap.effective(there.app.contexts()) {
            seen.push((binding.context, binding.action));
            if binding.action == on {
                continue;
            }
            for pressed in keys {
                let mut desk = situation(name, way);
                let effects = desk.press(pressed);
                let dead = effects.is_empty() && desk.styled() == before;
                assert!(!dead, "{name}: {} does nothing\n{before}", pressed.name());
            }
        }
    }
    for binding in KEYMAP {
        let known = seen.contains(&(binding.context, binding.action));
        assert!(known, "never in force: {binding:?}");
    }
}

#[test]
fn the_help_lists_every_key_that_is_in_force_and_no_other() {
    for (name, way) in SITUATIONS {
        let mut desk = situation(name, way);
        if !desk.app.overlays.is_empty() || desk.app.line.is_some() {
            continue;
        }
        if desk.app.contexts() == [Context::Shell] {
            desk.keys("\x1d");
        }
        desk.send(Msg::Resize(100, 100));
        let keymap = desk.app.keymap.clone();
        let bindings = keymap.effective(desk.app.main_contexts());
        desk.keys("?");
        let screen = desk.screen();
        let entries: Vec<&str> = screen.lines().filter(|l| l.contains('│')).collect();
        for (binding, keys) in &bindings {
            let names: Vec<String> = keys.iter().map(|k| k.name()).collect();
            let names = format!(" {} ", names.join(" "));
            let listed = entries.iter().any(|l| l.contains(&names) && l.contains(&binding.text));
            assert!(listed, "{name}: {names} {}\n{screen}", binding.text);
        }
        let headings = entries.iter().filter(|l| {
            let text = l.split('│').nth(1).unwrap_or_default().trim();
            text.is_empty() || KEYMAP.iter().any(|b| b.context.title() == text)
        });
        let others = entries.len() - headings.count();
        assert_eq!(others, bindings.len(), "{name}\n{screen}");
    }
}

#[test]
fn reading_only_leaves_no_way_to_change_anything() {
    let mut desk = Desk::new(Options { read_only: true, ..plain() }, (100, 60));
    assert!(desk.screen().contains("READ-ONLY"));
    for open in ["", "?", "\n", ":", "2", "2\n", "2?"] {
        desk.keys("1");
        desk.keys(open);
        let screen = desk.screen();
        for word in ["stop the", "start the", "remove", "kill", "pause or", "signal", "one more"] {
            assert!(!screen.contains(word), "{open:?} shows {word:?}\n{screen}");
        }
        desk.keys("\x1b");
    }
    desk.keys("1 ");
    for pressed in "sSrpKdb".chars() {
        let effects = desk.keys(&pressed.to_string());
        assert!(!effects.iter().any(|e| matches!(e, Effect::Execute { .. })), "{pressed}");
        assert!(desk.app.overlays.is_empty(), "{pressed}");
    }
    assert!(desk.fake.commands().is_empty());
}

#[test]
fn a_lifecycle_key_gives_a_command_shows_progress_and_the_result() {
    let mut desk = Desk::new(plain(), (80, 24));
    let id = desk.app.selected().unwrap().summary.id.clone();
    let effects = desk.press(key("s"));
    let [Effect::Execute { operation, command }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(
        *command,
        Command::Stop { container: id.as_str().to_owned(), timeout: None, signal: None }
    );
    let operation = *operation;
    assert!(desk.screen().contains("stopping"));
    // While it stops, nothing else can be asked of it.
    assert!(desk.press(key("r")).is_empty());
    assert!(desk.screen().contains("api-1 is stopping already"));
    let text = "cannot stop container: permission denied";
    let result = Err(Error::new(ErrorKind::Denied, text));
    desk.send(Msg::Done { operation, result });
    assert!(!desk.screen().contains("stopping "));
    assert!(desk.screen().contains("stop api-1: cannot stop container"), "{}", desk.screen());
    // The message goes with the next key, the failure can still be read.
    desk.keys("j");
    assert!(!desk.screen().contains(text));
    desk.keys("E");
    assert!(desk.screen().contains(text));
}

#[test]
fn removing_asks_first_and_cancel_is_the_default() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("d");
    let screen = desk.screen();
    assert!(screen.contains("Remove container api-1?"));
    assert!(screen.contains("its processes are killed first"));
    assert!(screen.contains("Lost for good"));
    assert!(desk.press(key("\n")).is_empty());
    assert!(desk.app.overlays.is_empty());
    desk.keys("d\t");
    let effects = desk.press(key("\n"));
    let wanted = RemoveOptions { force: true, volumes: false };
    assert!(
        matches!(&effects[..], [Effect::Execute { command: Command::Remove { options, .. }, .. }]
            if *options == wanted),
        "{effects:?}"
    );
}

#[test]
fn consent_is_for_what_was_shown() {
    let mut desk = Desk::new(plain(), (80, 24));
    let id = desk.app.selected().unwrap().summary.id.clone();
    desk.keys("d");
    // The list changes under the dialog.
    let mut list = desk.list();
    list.retain(|c| c.id != id);
    desk.send(Msg::Containers(Ok(list)));
    let effects = desk.press(key("y"));
    assert!(
        matches!(&effects[..], [Effect::Execute { command: Command::Remove { container, .. }, .. }]
            if container == id.as_str()),
        "{effects:?}"
    );
}

#[test]
fn bulk_acts_on_the_marked_and_names_them() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("   b");
    assert!(desk.screen().contains("Marked: api-1, db-1, web-1"), "{}", desk.screen());
    desk.keys("k\n");
    let screen = desk.screen();
    assert!(screen.contains("Remove 3 containers?") && screen.contains("volume shop_pgdata"));
    let effects = desk.press(key("y"));
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Execute { .. })).count(), 3);
}

#[test]
fn bulk_leaves_out_what_makes_no_sense() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("G k");
    desk.keys("gj b");
    let screen = desk.screen();
    assert!(screen.contains("start zombie") && screen.contains("stop api-1"), "{screen}");
}

#[test]
fn a_selection_stays_on_its_container_when_the_list_changes() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("jj");
    let id = desk.app.selected().unwrap().summary.id.clone();
    let mut list = desk.list();
    list.retain(|c| c.name != "api-1");
    desk.send(Msg::Containers(Ok(list)));
    assert_eq!(desk.app.selected().unwrap().summary.id, id);
    let mut list = desk.list();
    list.retain(|c| c.id != id);
    desk.send(Msg::Containers(Ok(list)));
    assert!(desk.app.selected().is_some());
}

#[test]
fn a_filter_shows_what_is_left_while_it_is_typed() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("/redis");
    assert_eq!(desk.app.containers.shown.len(), 1);
    desk.keys("\x1b");
    assert_eq!(desk.app.containers.shown.len(), 9);
    desk.keys("/shop run\n");
    assert_eq!(desk.app.containers.shown.len(), 3);
    desk.keys("q");
    assert!(desk.screen().contains("/shop run 3 of 9"));
    desk.keys("\x1b");
    assert_eq!(desk.app.containers.shown.len(), 9);
}

#[test]
fn the_palette_runs_what_it_shows() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys(":images\n");
    assert_eq!(desk.app.screen, Screen::Images);
    desk.keys("1");
    assert_eq!(desk.keys(":q\n"), [Effect::Quit]);
    let effects = desk.keys(":restart\n");
    assert!(
        matches!(effects.last(), Some(Effect::Execute { command: Command::Restart { .. }, .. })),
        "{effects:?}"
    );
}

#[test]
fn a_lost_engine_is_told_and_the_list_stays() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.send(Msg::Lost(Error::new(ErrorKind::Unavailable, "connect: no such\x1b[2J file")));
    let screen = desk.screen();
    assert!(
        screen.contains("not connected") && screen.contains("connect: no such\u{fffd}[2J file")
    );
    assert!(screen.contains("api-1"));
    let effects = desk.send(Msg::Connected);
    assert!(effects.contains(&Effect::FetchContainers));
    assert!(!desk.screen().contains("not connected"));
}

#[test]
fn events_ask_once_however_many_come() {
    let mut desk = Desk::new(plain(), (80, 24));
    assert_eq!(desk.raw(event("start")), [Effect::FetchContainers]);
    assert!(desk.raw(event("die")).is_empty());
    assert!(desk.raw(event("exec_create: sh")).is_empty());
    // The answer was on its way when things changed: it is asked for again, once.
    let list = desk.list();
    assert_eq!(desk.raw(Msg::Containers(Ok(list.clone()))), [Effect::FetchContainers]);
    assert!(desk.raw(Msg::Containers(Ok(list))).is_empty());
}

#[test]
fn hostile_text_never_reaches_the_screen() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.fake.set_log_source(LogSource::Stream);
    let mut evil = wharf_backend::fake::container(
        20,
        "evil\x1b]0;owned\x07\u{202e}",
        "img\x1b[31m",
        wharf_model::Status::Running,
    );
    evil.status_text = "Up\r\n\x1b[2J".to_owned();
    desk.send(Msg::Containers(Ok(vec![evil])));
    for keys in ["", "l", "\x1bi", "\x1bt", "\x1bd"] {
        desk.keys(keys);
        let screen = desk.screen();
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!screen.contains(bad), "{screen:?}");
    }
}

#[test]
fn copying_goes_out_as_an_effect() {
    let mut desk = Desk::new(plain(), (80, 24));
    assert_eq!(desk.keys("y"), [Effect::Copy("api-1".to_owned())]);
    desk.keys("i");
    let effects = desk.keys("/Hostname\nY");
    assert!(effects.contains(&Effect::Copy("Config.Hostname".to_owned())), "{effects:?}");
}

#[test]
fn secrets_are_shown_on_demand_only() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("i+/TOKEN\n");
    let screen = desk.screen();
    assert!(screen.contains("API_TOKEN") && !screen.contains("tok-"), "{screen}");
    assert!(screen.contains("secrets hidden"));
    desk.keys("v");
    assert!(desk.screen().contains("API_TOKEN=tok-"), "{}", desk.screen());
}

#[test]
fn the_mouse_selects_switches_and_scrolls() {
    let mut desk = Desk::new(plain(), (80, 24));
    let click = |desk: &mut Desk, kind, column, row| {
        let modifiers = crossterm::event::KeyModifiers::NONE;
        desk.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers }));
    };
    let left = MouseEventKind::Down(MouseButton::Left);
    click(&mut desk, left, 20, 6);
    assert_eq!(desk.app.selected().unwrap().summary.name, "web-1");
    let screen = desk.screen();
    let bar = screen.lines().position(|l| l.contains("[Stats]")).unwrap();
    click(&mut desk, left, 12, u16::try_from(bar).unwrap());
    assert_eq!((desk.app.tab(), desk.app.focus), (Tab::Logs, Focus::Detail));
    click(&mut desk, MouseEventKind::ScrollUp, 12, u16::try_from(bar + 4).unwrap());
    assert!(!desk.app.logs.follow);
    click(&mut desk, left, 15, 0);
    assert_eq!(desk.app.screen, Screen::Images);
    click(&mut desk, left, 3, 0);
    click(&mut desk, MouseEventKind::Down(MouseButton::Right), 20, 4);
    assert!(matches!(desk.app.overlays.last(), Some(Overlay::Menu(_))));
    click(&mut desk, left, 0, 23);
    assert!(desk.app.overlays.is_empty());
}

#[test]
fn only_numbers_changing_costs_little() {
    let mut desk = Desk::with(Fake::many(100), plain(), (80, 24));
    let mut bytes = 0;
    let (from, to) = (40, 104);
    for tick in from..to {
        bytes += desk.cost(|desk| {
            desk.send(Msg::Samples(desk.fake.batch(tick)));
            desk.send(Msg::Tick(wharf_backend::fake::time(i64::try_from(tick).unwrap())));
        });
    }
    let each = bytes / (to - from);
    assert!(each < 2000, "{each} bytes a second");
}

#[test]
fn a_hundred_containers_take_little_memory_and_time() {
    let fake = Fake::many(100);
    let mut desk = Desk::with(fake, plain(), (120, 40));
    let begin = std::time::Instant::now();
    for tick in 40..140 {
        desk.send(Msg::Samples(desk.fake.batch(tick)));
        desk.screen();
    }
    // Without optimisation; a hundredth of this with it.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn names_that_differ_at_their_ends_can_be_told_apart_at_80_columns() {
    let fake = Fake::new();
    let names = ["wharf-demo-checkout-blue", "wharf-demo-checkout-lime", "wharf-demo-load"];
    for (n, name) in (0..).zip(names) {
        fake.put(wharf_backend::fake::container(n, name, "wharf/demo:latest", Status::Running));
    }
    let desk = Desk::with(fake, plain(), (80, 24));
    let screen = desk.screen();
    for wanted in names.iter().chain(&["CPU", "MEM/LIMIT", "UP", "NET/s"]) {
        assert!(screen.contains(wanted), "{wanted}\n{screen}");
    }
}

#[test]
fn what_a_lost_engine_said_is_marked_as_old_and_time_stands_still_in_it() {
    let mut desk = Desk::new(plain(), (80, 24));
    let before = desk.screen();
    let row = |screen: &str| screen.lines().find(|l| l.contains("db-1")).unwrap().to_owned();
    let gone = Error::new(ErrorKind::Unavailable, "no engine at /run/x.sock");
    desk.send(Msg::Lost(gone));
    desk.send(Msg::Tick(time(40 + 300)));
    let screen = desk.screen();
    assert!(
        screen.contains("last seen 5m ago, trying again: no engine at /run/x.sock"),
        "{screen}"
    );
    assert_eq!(row(&screen), row(&before));
    assert!(!screen.contains("now"), "{screen}");
    let styled = desk.styled();
    desk.send(Msg::Connected);
    assert!(!desk.screen().contains("not connected"));
    assert_ne!(row(&desk.screen()), row(&before), "time goes on");
    assert_ne!(desk.styled(), styled);
}

#[test]
fn a_key_that_does_nothing_says_so() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("ix");
    let text = "x does nothing here: ? shows what does, Esc goes to the list";
    assert!(desk.screen().contains(text), "{}", desk.screen());
}

#[test]
fn sorting_by_a_column_that_is_not_shown_says_so() {
    let mut desk = Desk::new(plain(), (80, 24));
    while !desk.screen().contains("sorted by restarts") {
        desk.keys("o");
    }
    desk.keys("O");
    assert!(desk.screen().contains("sorted by restarts, reversed"), "{}", desk.screen());
}

#[test]
fn charts_show_longer_times() {
    let mut desk = Desk::new(plain(), (80, 24));
    for (keys, wanted) in [("", "-80s"), (">", "-5m"), (">", "-15m"), (">", "-60m"), ("<", "-15m")]
    {
        desk.keys(keys);
        assert!(desk.screen().contains(wanted), "{wanted}\n{}", desk.screen());
    }
}

#[test]
fn the_selected_step_of_an_image_can_be_read_in_full() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("2");
    let cut = "RUN apt-get update && apt-get install -y ca-certificates && rm -r…";
    assert!(desk.screen().contains(cut), "{}", desk.screen());
    desk.keys("ljjj");
    let screen = desk.screen();
    assert!(!screen.contains('…') && screen.contains("/var/lib/apt/lists"), "{screen}");
    assert!(screen.contains("ADD rootfs.tar.xz"), "the others are still there\n{screen}");
    // It stays in sight where there is little room.
    desk.send(Msg::Resize(80, 9));
    assert!(desk.screen().contains("/var/lib/apt/lists"), "{}", desk.screen());
}

#[test]
fn charts_that_cannot_be_say_why() {
    let mut desk = Desk::empty(plain(), (80, 24));
    desk.send(Msg::Connected);
    assert!(desk.screen().contains("waiting for the first samples"));
    let info = wharf_model::EngineInfo {
        no_statistics: Some("no statistics: nobody counts; ask the administrator".to_owned()),
        ..wharf_model::EngineInfo::default()
    };
    desk.raw(Msg::Info(Ok(Box::new(info))));
    let screen = desk.screen();
    assert!(screen.contains("nobody counts; ask the administrator"), "{screen}");
    assert!(!screen.contains("waiting for"), "{screen}");
}
