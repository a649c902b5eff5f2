//! What the last line says: the command line of what is done, and why a key does nothing.

use wharf_backend::fake::{Fake, container};
use wharf_model::{Outcome, Status};
use wharf_ui::app::Overlay;
use wharf_ui::config::read;
use wharf_ui::{Colors, Effect, Msg};

use super::support::Desk;
use super::{options, plain};

/// Returns what the last line says.
fn told(desk: &Desk) -> String {
    desk.app.notice.as_ref().map(|notice| notice.text.clone()).unwrap_or_default()
}

fn answer(desk: &mut Desk, effects: &[Effect], outcome: &Outcome) {
    for effect in effects {
        if let Effect::Execute { operation, .. } = effect {
            desk.send(Msg::Done { operation: *operation, result: Ok(outcome.clone()) });
        }
    }
}

#[test]
fn what_is_done_is_told_with_its_command_line_at_once_and_at_its_end() {
    let pruned =
        Outcome::VolumesPruned { deleted: vec!["a".to_owned()], reclaimed: 0, failed: Vec::new() };
    let rows: [(&str, Outcome, &str); 6] = [
        ("s", Outcome::Done, "wharf stop api-1"),
        ("dy", Outcome::Done, "wharf rm -f api-1"),
        ("Rx\n", Outcome::Done, "wharf rename api-1 api-1x"),
        ("3nnew\n", Outcome::Done, "wharf volume create new"),
        ("3Pjj\ny", pruned, "wharf volume prune -f"),
        ("4nback\n", Outcome::Done, "wharf network create back"),
    ];
    for (keys, outcome, line) in rows {
        let mut desk = Desk::new(plain(), (120, 40));
        let effects = desk.keys(keys);
        assert!(told(&desk).starts_with(&format!("$ {line}")), "{keys}: {:?}", told(&desk));
        answer(&mut desk, &effects, &outcome);
        assert!(told(&desk).contains(&format!("   {line}")), "{keys}: {:?}", told(&desk));
    }
    // Of what an undo could follow, too.
    let mut desk = Desk::new(plain(), (120, 40));
    let info = wharf_model::EngineInfo { undo_seconds: Some(600), ..Default::default() };
    desk.send(Msg::Info(Ok(Box::new(info))));
    let effects = desk.keys("dy");
    answer(&mut desk, &effects, &Outcome::Done);
    assert_eq!(told(&desk), "remove api-1: done, u takes it back   wharf rm -f api-1");
}

#[test]
fn what_takes_its_time_is_told_with_its_command_line() {
    let mut desk = Desk::new(plain(), (120, 40));
    let effects = desk.keys("3jsx\n");
    let operation = effects.iter().find_map(|effect| match effect {
        Effect::SaveVolume { operation, .. } => Some(*operation),
        _ => None,
    });
    let line = desk.app.last_line.clone().unwrap();
    assert!(line.starts_with("wharf volume export -o "), "{line}");
    assert!(told(&desk).starts_with("saving to ") && told(&desk).ends_with(&line));
    desk.send(Msg::Saved { operation: operation.unwrap(), result: Ok(7) });
    assert!(told(&desk).starts_with("saved ") && told(&desk).ends_with(&line), "{}", told(&desk));
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("e");
    assert_eq!(told(&desk), "$ wharf exec -it api-1 sh");
    let config = "[[command]]\nname = \"own\"\nkey = \"Ctrl-n\"\nrun = \"echo {name}\"\nconfirm = \
                  false\n";
    let mut desk = Desk::new(plain().with(read(config).0), (120, 40));
    desk.press("Ctrl-n".parse().unwrap());
    assert_eq!(told(&desk), "$ echo api-1");
}

#[test]
fn several_commands_are_one_line() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("gj j bj");
    let effects = desk.keys("\n");
    let stopped = effects.iter().filter(|e| matches!(e, Effect::Execute { .. })).count();
    assert!(stopped > 1, "{effects:?}");
    let line = desk.app.last_line.clone().unwrap();
    assert_eq!(line.matches("wharf ").count(), 1, "{line}");
    assert_eq!(line.split(' ').count(), stopped + 2, "{line}");
    assert_eq!(told(&desk), format!("$ {line}"));
}

#[test]
fn menus_have_the_command_line_of_whatever_has_one() {
    for (keys, line) in [
        ("jj\n", "wharf logs web-1"),
        ("3P", "wharf volume prune -f"),
        ("2P", "wharf image prune -f"),
        ("4gjc", "wharf network connect "),
        ("3j\n", "wharf volume inspect "),
    ] {
        let mut desk = Desk::new(plain(), (120, 40));
        desk.keys(keys);
        let Some(Overlay::Menu(menu)) = desk.app.overlays.last() else {
            unreachable!("{keys}: no menu\n{}", desk.screen())
        };
        let found = menu.lines.iter().any(|shown| shown.starts_with(line));
        assert!(found, "{keys}: {:?}", menu.lines);
    }
}

/// Where there is nothing, or nothing further, a key says so.
#[test]
fn a_key_that_can_do_nothing_says_why() {
    let empty: [(&str, &[&str]); 5] = [
        ("", &[" ", "m", "b", "y", "s", "e", "R", "L", "u", "Z", "$"]),
        ("2", &[" ", "b", "r", "d", "t", "s", "U", "w", "y", "P"]),
        ("3", &["f", "u", "s", "d", "y", "P"]),
        ("5", &["\n", "y"]),
        ("l", &["f", "w", "t", "z", "y", "Y", " ", "T", "0", "3", "s", "F", "n", "<"]),
    ];
    for (way, keys) in empty {
        for pressed in keys {
            let mut desk = Desk::with(Fake::new(), plain(), (80, 24));
            desk.keys(way);
            desk.app.notice = None;
            desk.keys(pressed);
            assert!(!told(&desk).is_empty(), "{way}{pressed}\n{}", desk.screen());
        }
    }
    for (way, pressed) in [
        ("", "1"),
        ("++", "+"),
        ("__", "_"),
        ("l\x1b[D\x1b[D\x1b[D", "\x1b[D"),
        ("ig", "\x1b[D"),
        ("lc\x1b[C", "\x1b[C"),
        ("\n", "$"),
        ("d", "d"),
        ("?", "x"),
        ("C", "x"),
    ] {
        let mut desk = Desk::new(plain(), (80, 24));
        desk.keys(way);
        desk.app.notice = None;
        desk.keys(pressed);
        assert!(!told(&desk).is_empty(), "{way:?} {pressed:?}\n{}", desk.screen());
    }
    let mut desk = Desk::new(plain(), (80, 24));
    desk.send(Msg::Paste("what was copied".to_owned()));
    assert!(told(&desk).contains("nothing here takes a text"));
    // What is called like nothing isn't taken for an answer.
    desk.keys(":xyzzyxyzzy\n");
    assert!(matches!(desk.app.overlays.last(), Some(Overlay::Palette(_))));
}

#[test]
fn a_terminal_without_unicode_is_sent_nothing_but_ascii() {
    let fake = Fake::demo();
    fake.put(container(99, "gr\u{fc}n-\u{65e5}\u{672c}", "bild:\u{e4}", Status::Running));
    let mut desk = Desk::with(fake, options(Colors::None, false), (80, 24));
    for keys in ["", "l", "i", "H", "t", "f", "v", "\n", "?", "2", "3", "4", "5", "6", ":gr"] {
        desk.keys(keys);
        assert!(desk.screen().is_ascii(), "{keys}\n{}", desk.screen());
        desk.keys("\x1b\x1b");
    }
}

#[test]
fn two_containers_on_a_chart_are_told_apart_without_colours() {
    let names = |colors| {
        let mut desk = Desk::new(options(colors, true), (80, 24));
        desk.keys("gj c");
        desk.screen()
    };
    let plain = names(Colors::None);
    assert!(plain.contains("* db-1 against o api-1"), "{plain}");
    assert!(plain.lines().any(|line| line.contains("CPU * ") && line.contains(" o ")), "{plain}");
    assert!(!names(Colors::True).contains("* db-1"), "colours tell them");
}

#[test]
fn keys_that_a_preset_has_taken_are_no_hints() {
    let (config, _) = read("preset = \"k9s\"\n");
    let mut desk = Desk::new(plain().with(config), (80, 24));
    let screen = desk.screen();
    let last = screen.lines().last().unwrap();
    assert!(!last.contains("stop") && last.contains("s shell"), "{last}");
    desk.keys("?");
    assert!(desk.screen().contains(":stop "), "{}", desk.screen());
}

#[test]
fn all_of_a_long_value_can_be_read() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("i/Image\nw");
    assert!(matches!(desk.app.overlays.last(), Some(Overlay::Page(_))), "{}", desk.screen());
    desk.keys("\x1bDw");
    let Some(Overlay::Page(page)) = desk.app.overlays.last() else {
        unreachable!("{}", desk.screen())
    };
    assert!(page.body.iter().any(|line| line.starts_with("image ")), "{:?}", page.body);
}

#[test]
fn failures_name_containers_as_people_do() {
    let mut desk = Desk::new(plain(), (80, 24));
    let id = desk.app.selected().unwrap().summary.id.clone();
    desk.app.fail("limit api-1", format!("Cannot update container {id}: no memory"));
    let wanted = "limit api-1: Cannot update container api-1: no memory";
    assert!(desk.screen().contains(wanted), "{}", desk.screen());
}

/// What a key was told isn't about the next one; what comes of something begun before is told its time.
#[test]
fn an_answer_to_a_key_ends_with_the_next_one() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("u");
    assert_eq!(told(&desk), "there is nothing to take back");
    desk.keys("2");
    assert_eq!(told(&desk), "");
    desk.keys("1");
    let effects = desk.keys("s");
    answer(&mut desk, &effects, &Outcome::Done);
    let done = told(&desk);
    assert!(done.starts_with("stop api-1: done"), "{done}");
    desk.keys("j");
    assert_eq!(told(&desk), done);
}
