//! What a tired hand does: keys of other dashboards, keys of menus, keys that would interrupt much, and
//! sentences that must not stand in the way.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_model::{Command, Status};
use wharf_ui::app::{Overlay, Screen, Tab};
use wharf_ui::config::{Config, read};
use wharf_ui::keymap::{Action, KEYMAP, Key, Keymap};
use wharf_ui::{Effect, Msg, Options};

use super::support::{Desk, key};
use super::{SITUATIONS, event, plain, situation};

fn executed(effects: &[Effect]) -> Vec<Command> {
    let command = |effect: &Effect| match effect {
        Effect::Execute { command, .. } => Some(command.clone()),
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}

fn with(config: &str, size: (u16, u16)) -> Desk {
    let (config, problems) = read(config);
    assert_eq!(problems, []);
    Desk::new(plain().with(config), size)
}

fn footer(desk: &Desk) -> String {
    desk.screen().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_key_that_interrupts_a_whole_group_asks_first() {
    let screens = [
        ("s", "Stop 3 containers of shop?", "stop"),
        ("r", "Restart 3 containers of shop?", "restart"),
        ("p", "Pause 3 containers of shop?", "pause"),
    ];
    for (pressed, question, verb) in screens {
        let mut desk = Desk::new(plain(), (100, 30));
        assert!(executed(&desk.keys(&format!("g{pressed}"))).is_empty(), "{pressed}");
        let screen = desk.screen();
        assert!(screen.contains(question), "{screen}");
        assert!(screen.contains("  api-1, running"), "{screen}");
        assert!(screen.contains(&format!("$ wharf {verb} api-1 db-1 web-1")), "{screen}");
        assert!(desk.keys("\n").is_empty(), "the default is to cancel");
        desk.keys(pressed);
        assert_eq!(executed(&desk.keys("y")).len(), 3, "{pressed}");
    }
    // A single container answers at once, and what only helps isn't asked about.
    let mut desk = Desk::new(plain(), (100, 30));
    assert_eq!(executed(&desk.keys("gjs")).len(), 1);
    let mut list = desk.list();
    for one in &mut list {
        one.status = Status::Exited;
    }
    desk.send(Msg::Containers(Ok(list)));
    let mut desk_of_stopped = desk;
    desk_of_stopped.app.pending.clear();
    assert!(!executed(&desk_of_stopped.keys("gS")).is_empty());
}

#[test]
fn a_stop_that_removes_says_so_first() {
    let mut desk = Desk::new(plain(), (80, 30));
    let mut list = desk.list();
    let name = desk.app.selected().unwrap().summary.name.clone();
    for one in &mut list {
        one.auto_remove = one.name == name || one.name == "db-1";
    }
    desk.send(Msg::Containers(Ok(list)));
    assert!(executed(&desk.keys("s")).is_empty());
    let screen = desk.screen();
    assert!(
        screen.contains("Stop api-1?") && screen.contains("the end of api-1 removes"),
        "{screen}"
    );
    assert!(screen.contains("Lost for good: every file"), "{screen}");
    assert!(desk.keys("\n").is_empty(), "the default is to cancel");
    desk.keys("s");
    assert_eq!(executed(&desk.keys("y")).len(), 1);
    // Of several, those that go are named.
    desk.app.pending.clear();
    desk.keys("gs");
    assert!(desk.screen().contains("the end of api-1, db-1 removes it"), "{}", desk.screen());
}

#[test]
fn a_menu_takes_the_keys_that_it_shows() {
    let mut desk = Desk::new(plain(), (100, 40));
    desk.keys("\n");
    assert!(desk.screen().contains("s  stop the container"), "{}", desk.screen());
    let commands = executed(&desk.keys("s"));
    assert!(matches!(&commands[..], [Command::Stop { .. }]), "{commands:?}");
    assert!(desk.app.overlays.is_empty());
    // What it doesn't show, it doesn't take; its own keys go before.
    desk.app.pending.clear();
    desk.keys("\n");
    assert!(executed(&desk.keys("S")).is_empty() && desk.app.overlays.len() == 1);
    desk.keys("q");
    assert!(desk.app.overlays.is_empty());
    desk.keys("2\nt");
    assert!(matches!(desk.app.overlays.last(), Some(Overlay::Prompt(_))), "{}", desk.screen());
}

#[test]
fn what_was_told_before_leaves_when_a_question_opens() {
    for (open, hint) in [("R", "Enter ok"), ("\n", "Enter do it"), ("C", "ok"), ("d", "choose")] {
        let mut desk = Desk::new(plain(), (80, 30));
        desk.keys("\x1b");
        assert!(footer(&desk).contains("q quits"), "{}", footer(&desk));
        desk.keys(open);
        assert!(footer(&desk).contains(hint), "{open:?}: {}", footer(&desk));
    }
    // A question that the engine's answer opens, too; and a failure stays until a key is pressed.
    let mut desk = Desk::new(plain(), (80, 24));
    desk.app.fail("this", "went wrong");
    desk.send(Msg::Tick(wharf_backend::fake::time(60)));
    assert!(footer(&desk).contains("went wrong"));
}

#[test]
fn the_palette_says_why_what_is_named_cannot_be_done() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("j:start the");
    let screen = desk.screen();
    assert!(screen.contains("start the container  (db-1 is running)"), "{screen}");
    assert!(executed(&desk.keys("\n")).is_empty());
    assert!(desk.screen().contains("db-1 is running"), "{}", desk.screen());
    // With nothing typed, only what can be done is offered.
    desk.keys(":");
    let found = |desk: &Desk| match desk.app.overlays.last() {
        Some(Overlay::Palette(palette)) => palette.found.clone(),
        _ => Vec::new(),
    };
    assert!(!found(&desk).is_empty());
    assert!(found(&desk).iter().all(|item| !item.text.contains("db-1 is running")));
    desk.keys("sto");
    assert_eq!(found(&desk)[0].text, "stop the container");
}

/// What hands of other dashboards expect of their keys, or that nothing is changed by them.
#[test]
fn presets_do_what_their_hands_expect() {
    let lookup = |preset: &str, pressed: &str| {
        let desk = with(&format!("preset = \"{preset}\""), (80, 24));
        desk.app.keymap.lookup(desk.app.main_contexts(), pressed.parse().unwrap())
    };
    use Action as A;
    type Hand = (&'static str, Option<Action>);
    let hands: &[(&str, &[Hand])] = &[
        (
            "lazydocker",
            &[
                ("d", Some(A::Remove)),
                ("e", Some(A::ShowAll)),
                ("p", Some(A::PauseResume)),
                ("s", Some(A::Stop)),
                ("r", Some(A::Restart)),
                ("a", Some(A::Attach)),
                ("m", Some(A::ShowLogs)),
                ("E", Some(A::OpenShell)),
                ("b", Some(A::Bulk)),
                ("x", Some(A::Menu)),
                ("[", Some(A::PreviousTab)),
                ("]", Some(A::NextTab)),
                ("+", Some(A::ZoomIn)),
                ("_", Some(A::ZoomOut)),
                ("/", Some(A::Filter)),
                ("q", Some(A::Quit)),
            ],
        ),
        (
            "k9s",
            &[
                ("s", Some(A::OpenShell)),
                ("a", Some(A::Attach)),
                ("l", Some(A::ShowLogs)),
                ("d", Some(A::ShowInspect)),
                ("y", Some(A::ShowInspect)),
                ("e", Some(A::Limits)),
                ("c", Some(A::CopyName)),
                ("Ctrl-d", Some(A::Remove)),
                ("Ctrl-k", Some(A::Kill)),
                ("0", Some(A::ShowAll)),
                (":", Some(A::Palette)),
                // The logs of the run before, and orders: nothing like them may happen.
                ("p", None),
                ("S", None),
                ("r", None),
            ],
        ),
        (
            "ctop",
            &[
                ("a", Some(A::ShowAll)),
                ("f", Some(A::Filter)),
                ("h", Some(A::Help)),
                ("s", Some(A::Sort)),
                ("r", Some(A::ReverseSort)),
                ("o", Some(A::ShowStats)),
                ("l", Some(A::ShowLogs)),
                ("e", Some(A::OpenShell)),
                ("c", Some(A::ChooseColumns)),
                ("S", None),
                ("Enter", Some(A::Menu)),
                ("q", Some(A::Quit)),
            ],
        ),
    ];
    for (preset, keys) in hands {
        for (pressed, wanted) in *keys {
            assert_eq!(lookup(preset, pressed), *wanted, "{preset}: {pressed}");
        }
    }
    // On the other screens of lazydocker, `x` is the menu as well.
    for screen in ["4jj", "5"] {
        let mut desk = with("preset = \"lazydocker\"", (80, 24));
        desk.raw(event("start"));
        desk.keys(screen);
        let x = desk.app.keymap.lookup(desk.app.main_contexts(), "x".parse().unwrap());
        assert_eq!(x, Some(Action::Menu), "{screen}");
    }
    // What has lost its key can still be chosen.
    let mut desk = with("preset = \"k9s\"", (100, 40));
    desk.keys("\n");
    assert!(desk.screen().contains("stop the container"), "{}", desk.screen());
}

#[test]
fn a_text_that_is_asked_for_shows_the_command_line_it_makes() {
    for (keys, line) in [
        ("Rx", "$ wharf rename api-1 api-1x"),
        ("2tmine:1", "$ wharf tag "),
        ("2palpine", "$ wharf pull alpine"),
        ("3nnew", "$ wharf volume create new"),
        (
            "4nback subnet=10.9.0.0/24 internal",
            "$ wharf network create --internal --subnet 10.9.0.0/24",
        ),
    ] {
        let mut desk = Desk::new(plain(), (80, 24));
        desk.keys(keys);
        assert!(desk.screen().contains(line), "{keys}\n{}", desk.screen());
    }
    // Its title has all the room that there is.
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("4n");
    assert!(desk.screen().contains("internal"), "{}", desk.screen());
}

#[test]
fn events_keep_their_titles_apart_and_say_what_probes_found() {
    let mut desk = Desk::new(plain(), (80, 24));
    for action in ["create", "start", "health_status: unhealthy", "exec_start: /bin/sh"] {
        desk.raw(event(action));
    }
    desk.keys("5p");
    for _ in 0..5 {
        desk.raw(event("restart"));
    }
    let screen = desk.screen();
    let head = screen.lines().nth(2).unwrap();
    assert!(!head.contains("MOREheld") && head.contains("held, "), "{head}");
    assert!(screen.lines().any(|line| line.contains(" unhealthy ")), "{screen}");
}

#[test]
fn rows_keep_their_places_while_nothing_changes_that_is_shown() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.app.containers.sort = wharf_ui::app::Column::Cpu;
    let order = |desk: &Desk| -> Vec<String> {
        desk.app
            .containers
            .shown
            .iter()
            .map(|n| desk.app.containers.rows[*n].summary.name.clone())
            .collect()
    };
    desk.send(Msg::Samples(desk.fake.batch(41)));
    let shown = |desk: &Desk| {
        let cpu = |name: &String| {
            let row = desk.app.containers.rows.iter().find(|r| r.summary.name == *name).unwrap();
            let usage = desk.app.metrics.now(&row.summary.id);
            usage.and_then(|u| u.cpu_percent).map(|cpu| (cpu * 10.0).round())
        };
        order(desk).iter().map(cpu).collect::<Vec<_>>()
    };
    let values = shown(&desk);
    let names = order(&desk);
    for n in 1..values.len() {
        assert!(values[n - 1] >= values[n], "{values:?}");
        if values[n - 1] == values[n] {
            assert!(names[n - 1] < names[n], "{names:?} {values:?}");
        }
    }
}

/// Whatever the keymap lets through, and whatever is asked and answered on the way: with `--read-only`
/// nothing that changes anything leaves the state.
#[test]
fn reading_only_no_action_of_any_key_changes_anything() {
    let config =
        "[[command]]\nname = \"own\"\nkey = \"Ctrl-n\"\nrun = \"touch x\"\nconfirm = false\n";
    let (config, _) = read(config);
    let mut tried = std::collections::BTreeSet::new();
    for (name, way) in SITUATIONS {
        // The whole keymap is in force, as if nobody had taken anything out of it.
        let there = || {
            let mut desk = situation(name, way);
            desk.app.options.config = config.clone();
            desk.app.keymap = Keymap::new(false, &config);
            desk.app.options.read_only = true;
            desk
        };
        let one = there();
        let leads = |action: Action| matches!(action, Action::Menu | Action::Accept);
        for (binding, keys) in one.app.keymap.effective(one.app.contexts()) {
            if !binding.action.changes() && !leads(binding.action) {
                continue;
            }
            for pressed in keys {
                let mut desk = there();
                tried.insert(binding.action);
                let mut effects = desk.press(pressed);
                for answer in ["x", "\n", "y", "\n"] {
                    effects.extend(desk.press(key(answer)));
                }
                let bad: Vec<&Effect> = effects.iter().filter(|e| e.changes()).collect();
                assert!(
                    bad.is_empty(),
                    "{name}: {} ({:?}): {bad:?}",
                    pressed.name(),
                    binding.action
                );
                assert!(desk.fake.commands().is_empty(), "{name}: {}", pressed.name());
            }
        }
    }
    for binding in KEYMAP.iter().filter(|binding| binding.action.changes()) {
        assert!(tried.contains(&binding.action), "{:?} was never tried", binding.action);
    }
    assert!(tried.contains(&Action::Custom(0)));
}

#[test]
fn reading_only_the_menus_of_every_screen_have_nothing_that_changes_anything() {
    for screen in Screen::ALL {
        let options = Options { read_only: true, ..plain() };
        let mut desk = Desk::new(options, (100, 50));
        desk.raw(event("start"));
        desk.keys(&format!("{}j\n", screen as usize + 1));
        let items = match desk.app.overlays.last() {
            Some(Overlay::Menu(menu)) => menu.items.clone(),
            _ => Vec::new(),
        };
        for item in items {
            if let wharf_ui::app::Choice::Action(action) = item.choice {
                assert!(!action.changes(), "{screen:?}: {}", item.text);
            }
        }
    }
    let keymap = Keymap::new(true, &Config::default());
    assert!(keymap.bindings().all(|bound| !bound.action.changes()));
}

#[test]
fn a_page_of_a_dialog_is_what_is_in_sight() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("?");
    let first_rows = |desk: &Desk| desk.screen().lines().last().unwrap_or_default().to_owned();
    assert!(first_rows(&desk).contains(" 1-22 of "), "{}", desk.screen());
    desk.keys(" ");
    assert!(first_rows(&desk).contains(" 23-44 of "), "{}", desk.screen());
    // A menu of many, such as of all containers, is left for its other end with one key.
    desk.keys("q\n");
    let at = |desk: &Desk| match desk.app.overlays.last() {
        Some(Overlay::Menu(menu)) => (menu.at, menu.items.len()),
        other => panic!("{other:?}"),
    };
    let press = |desk: &mut Desk, code| {
        desk.press(Key { code, modifiers: KeyModifiers::NONE });
    };
    press(&mut desk, KeyCode::End);
    let (last, count) = at(&desk);
    assert_eq!(last + 1, count);
    press(&mut desk, KeyCode::PageUp);
    assert!(at(&desk).0 + 10 < last, "{}", desk.screen());
    press(&mut desk, KeyCode::Home);
    assert_eq!(at(&desk).0, 0);
}

#[test]
fn no_dialog_stands_in_the_way_of_the_terminal_s_own_keys() {
    let ctrl = |letter| Key { code: KeyCode::Char(letter), modifiers: KeyModifiers::CONTROL };
    for keys in ["", "?", "\n", "d", "/x", "R", ":x", "C", "2t"] {
        let mut desk = Desk::new(plain(), (80, 24));
        desk.keys(keys);
        let before = desk.screen();
        assert!(matches!(desk.press(ctrl('z'))[..], [Effect::Suspend]), "{keys}: {before}");
        assert!(matches!(desk.press(ctrl('l'))[..], [Effect::Repaint]), "{keys}: {before}");
        assert_eq!(desk.screen(), before, "{keys}");
    }
}

#[test]
fn an_address_with_nothing_beside_it_is_not_cut() {
    let mut desk = Desk::new(plain(), (120, 40));
    let mut list = desk.list();
    list[0].networks = vec!["host".to_owned()];
    list[0].endpoints.clear();
    list[0].ports.clear();
    desk.send(Msg::Containers(Ok(list)));
    desk.keys("4");
    let is_lines =
        |desk: &Desk| desk.screen().lines().nth(2).unwrap_or_default().contains(" lines");
    for _ in 0..3 {
        if !is_lines(&desk) {
            desk.keys("z");
        }
    }
    assert!(
        is_lines(&desk) && desk.screen().contains("on the host's network"),
        "{}",
        desk.screen()
    );
}

#[test]
fn a_click_on_the_sign_for_folding_folds_at_once() {
    let sign_of = |desk: &Desk, word: &str| {
        let screen = desk.screen();
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(word)).unwrap();
        let sign = line.split(word).next().unwrap().chars().count() - 2;
        (u16::try_from(sign).unwrap(), u16::try_from(row).unwrap())
    };
    let click = |desk: &mut Desk, (column, row)| {
        let (kind, modifiers) = (MouseEventKind::Down(MouseButton::Left), KeyModifiers::NONE);
        desk.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers }));
    };
    let mut desk = Desk::new(plain(), (100, 40));
    desk.keys("G");
    let place = sign_of(&desk, "shop ");
    assert!(desk.screen().contains("▾ shop "), "{}", desk.screen());
    click(&mut desk, place);
    assert!(desk.screen().contains("▸ shop "), "{}", desk.screen());
    // Beside it, a click selects.
    desk.keys("G");
    click(&mut desk, (place.0 + 3, place.1));
    assert!(desk.screen().contains("▸ shop "), "{}", desk.screen());
    desk.keys("Gi");
    let place = sign_of(&desk, "State");
    assert!(desk.screen().contains("▾ State"), "{}", desk.screen());
    click(&mut desk, place);
    assert!(desk.screen().contains("▸ State"), "{}", desk.screen());
}

/// Terminals send a carriage return for the end of a line.
#[test]
fn of_what_is_pasted_into_a_line_the_first_line_is_taken() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("/");
    desk.send(Msg::Paste("shop\rq\rd\r".into()));
    assert!(footer(&desk).trim_end().ends_with("filter: shop"), "{}", footer(&desk));
    desk.keys("\n");
    assert_eq!(desk.app.containers.filter, "shop");
}

/// Hands know the keys of what is done to one.
#[test]
fn the_menu_of_the_marked_takes_the_keys_of_one() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("gj  b");
    assert!(desk.screen().contains("│ s  stop all 2"), "{}", desk.screen());
    assert_eq!(executed(&desk.keys("s")).len(), 2);
    let mut desk = with("preset = \"k9s\"\n", (100, 30));
    desk.keys("gj  b");
    assert!(desk.screen().contains("│ Ctrl-d  remove all 2"), "{}", desk.screen());
}

/// A group's menu says what is done to all of it, and leaves out what only one container has.
#[test]
fn the_menu_of_a_group_speaks_of_its_containers() {
    let mut desk = Desk::new(plain(), (100, 40));
    desk.keys("g\n");
    let screen = desk.screen();
    assert!(screen.contains("│ s  stop its containers"), "{screen}");
    assert!(screen.contains("│ m  the logs of its containers as one"), "{screen}");
    assert!(!screen.contains("inspect it") && !screen.contains("the container "), "{screen}");
}

/// Objects whose screens nobody has looked at yet are found too, and tabs by their names.
#[test]
fn the_palette_finds_what_has_not_been_looked_at_yet() {
    let mut desk = Desk::new(plain(), (100, 30));
    assert!(!desk.app.volumes.loaded && !desk.app.networks.loaded);
    desk.keys(":pgdata");
    assert!(desk.screen().contains("shop_pgdata  volume"), "{}", desk.screen());
    desk.keys("\n");
    assert_eq!(desk.app.screen, Screen::Volumes);
    desk.keys("1:shop_def");
    assert!(desk.screen().contains("shop_default  network"), "{}", desk.screen());
    desk.keys("\x1b");
    for (name, tab) in [("logs", Tab::Logs), ("files", Tab::Files), ("health", Tab::Health)] {
        desk.keys(&format!("1:{name}"));
        let Some(Overlay::Palette(palette)) = desk.app.overlays.last() else { panic!() };
        let others =
            |text: &str| !text.contains(name) && !text.contains("show") && !text.contains("look");
        assert!(!palette.found.iter().any(|item| others(&item.text)), "{:?}", palette.found);
        desk.keys("\n");
        assert_eq!((desk.app.screen, desk.app.tab()), (Screen::Containers, tab), "{name}");
        desk.keys("\x1b");
    }
    desk.keys("1:events\n");
    assert_eq!(desk.app.screen, Screen::Events, "the screen comes before the tab of its name");
}

/// Another screen begins with its list, which has the keys, however much room the last one's tab had.
#[test]
fn a_screen_is_never_entered_without_its_list() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        for way in ["2", "\t", ":images\n"] {
            let mut desk = Desk::new(plain(), size);
            desk.keys("i+");
            assert!(!desk.screen().contains("STATE"), "{}", desk.screen());
            desk.keys(way);
            assert!(desk.screen().contains("USED"), "{}", desk.screen());
        }
        let mut desk = Desk::new(plain(), size);
        desk.keys("i+1");
        assert!(desk.screen().contains("STATE"), "{}", desk.screen());
    }
}

/// What happened to a group isn't hidden by its probes, which run every few seconds.
#[test]
fn what_happened_to_a_group_is_not_its_probes() {
    let mut desk = Desk::new(plain(), (100, 30));
    let id = desk.list().iter().find(|one| one.name == "api-1").unwrap().id.clone();
    for action in ["oom", "exec_start: /bin/probe", "top"] {
        let Msg::Event(mut told) = event(action) else { panic!() };
        told.id = id.as_str().to_owned();
        desk.send(Msg::Event(told));
    }
    desk.keys("gv");
    let screen = desk.screen();
    assert!(screen.contains(" oom ") && !screen.contains("exec_start"), "{screen}");
    assert!(!screen.contains("container top"), "{screen}");
    desk.keys("5x1");
    assert!(desk.screen().contains("exec_start"), "{}", desk.screen());
}
