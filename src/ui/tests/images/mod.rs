//! The screen of images.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use futures_util::{FutureExt, StreamExt};
use wharf_backend::{Backend, Error};
use wharf_model::{Command, CreateOptions, ErrorKind, Event, EventKind, LayerState, TransferEvent};
use wharf_ui::app::{Focus, Overlay, Tab};
use wharf_ui::keymap::Key;
use wharf_ui::{Colors, Effect, Msg, Options};

use crate::support::{Desk, key};
use crate::{options, plain};

/// The screen, where containers can be made.
fn images(options: Options, size: (u16, u16)) -> Desk {
    let run = Some((|_| Ok(CreateOptions::default())) as wharf_ui::RunParser);
    let mut desk = Desk::new(Options { run, ..options }, size);
    desk.keys("2");
    desk
}

fn press(desk: &mut Desk, code: KeyCode) -> Vec<Effect> {
    desk.press(Key { code, modifiers: KeyModifiers::NONE })
}

#[test]
fn images_are_drawn_at_every_size() {
    for (name, size) in [("80x24", (80, 24)), ("120x40", (120, 40)), ("40x12", (40, 12))] {
        let mut desk = images(plain(), size);
        desk.keys("j j");
        insta::assert_snapshot!(format!("images-{name}"), desk.screen());
        desk.keys("l");
        insta::assert_snapshot!(format!("layers-{name}"), desk.screen());
        desk.keys("f");
        insta::assert_snapshot!(format!("files-{name}"), desk.screen());
        desk.keys("j\n");
        insta::assert_snapshot!(format!("layer-{name}"), desk.screen());
        desk.keys("\n");
        insta::assert_snapshot!(format!("folder-{name}"), desk.screen());
        desk.keys("hhhu");
        insta::assert_snapshot!(format!("users-{name}"), desk.screen());
        desk.keys("i");
        insta::assert_snapshot!(format!("inspect-{name}"), desk.screen());
        desk.keys("\x1bd");
        insta::assert_snapshot!(format!("remove-{name}"), desk.screen());
        desk.keys("\x1bPj\n");
        insta::assert_snapshot!(format!("prune-{name}"), desk.screen());
        desk.keys("\x1br");
        insta::assert_snapshot!(format!("run-{name}"), desk.screen());
        desk.keys("shop\t\t8080:80 9090:90\t data:/var/lib/data '/srv/a b:/b:ro'");
        insta::assert_snapshot!(format!("run-filled-{name}"), desk.screen());
    }
}

#[test]
fn images_without_letters_beyond_ascii_and_with_colours() {
    let mut desk = images(options(Colors::None, false), (80, 24));
    for keys in ["j ", "l", "f", "\n", "\x1b\x1br", "\x1bp"] {
        desk.keys(keys);
        // Names are shown as they are, and what can't be shown as every terminal shows that.
        let screen = desk.screen().replace("日本語-ロガー", "").replace('\u{fffd}', "");
        assert!(screen.is_ascii(), "{screen}");
    }
    desk.keys("alpine\n");
    let Some(Overlay::Transfer { operation, .. }) = desk.app.overlays.last() else { panic!() };
    let operation = *operation;
    moving(&mut desk, operation);
    let screen = desk.screen();
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("pull-ascii-80x24", screen);
    let mut desk = images(options(Colors::Ansi256, true), (80, 24));
    desk.keys("G f");
    insta::assert_snapshot!("files-colours-256-80x24", desk.styled());
}

fn moving(desk: &mut Desk, operation: u64) {
    const MIB: u64 = 1 << 20;
    for (layer, state) in [
        ("a3ed95caeb02", LayerState::Exists),
        ("b1c2d3e4f5a6", LayerState::Downloading { done: 3 * MIB, total: Some(12 * MIB) }),
        ("c0ffee42c0ff", LayerState::Extracting { done: MIB, total: Some(2 * MIB) }),
        ("d00df00dd00d", LayerState::Retrying { seconds: 4 }),
        ("e5e5e5e5e5e5", LayerState::Waiting),
    ] {
        let event = TransferEvent::Layer { layer: layer.to_owned(), state };
        desk.send(Msg::Transfer { operation, event });
    }
}

#[test]
fn what_is_not_shown_is_not_asked_for() {
    let mut desk = Desk::new(plain(), (80, 24));
    let event = || {
        Msg::Event(Event {
            time: wharf_backend::fake::time(0),
            kind: EventKind::Image,
            action: "tag".to_owned(),
            id: "x".to_owned(),
            attributes: std::collections::BTreeMap::new(),
        })
    };
    let asks = |effects: &[Effect]| effects.contains(&Effect::FetchImageLayers);
    assert!(!asks(&desk.send(event())));
    assert!(asks(&desk.keys("2")));
    // Nothing new is nothing to ask about.
    assert!(!asks(&desk.send(event())));
    let counts = |effects: &[Effect]| {
        effects.iter().filter(|e| matches!(e, Effect::FetchLayerChanges { .. })).count()
    };
    assert_eq!(counts(&desk.keys("j")), 0, "only where they are seen");
    desk.keys("f");
    // All three layers, one after the other, and never again.
    assert_eq!(desk.app.images.counts.len(), 3);
    assert_eq!(counts(&desk.keys("ff")), 0);
}

#[test]
fn the_list_is_sorted_filtered_and_marked() {
    let mut desk = images(plain(), (100, 30));
    let first = |desk: &Desk| desk.app.images.rows[desk.app.images.shown[0]].label();
    desk.keys("o");
    assert_eq!(first(&desk), "postgres:17", "the largest first");
    desk.keys("o");
    assert!(desk.screen().contains("sorted by shared size"), "{}", desk.screen());
    desk.keys("ooo/dangling\n");
    assert_eq!(desk.app.images.shown.len(), 1);
    assert!(desk.screen().contains("<none> dangling"), "{}", desk.screen());
    desk.keys("\x1b/shop\n");
    assert_eq!(desk.app.images.shown.len(), 2);
    desk.keys("g  ");
    assert!(desk.screen().contains("2 marked"), "{}", desk.screen());
    desk.keys("\x1bb");
    let screen = desk.screen();
    // One of them has a container that runs.
    assert!(screen.contains("remove all 2"), "{screen}");
    assert!(screen.contains("save to one file: all 2"), "{screen}");
    desk.keys("j\n");
    assert!(desk.screen().contains("Save 2 images to which file?"), "{}", desk.screen());
    let effects = desk.keys("\n");
    let Some(Effect::SaveImages { images, path, .. }) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(images.len(), 2);
    assert_eq!(path.to_str(), Some("images.tar"));
    desk.keys("\x1b\x1b");
    assert!(desk.app.images.marked.is_empty(), "Esc takes the marks away");
}

#[test]
fn a_removal_says_what_is_lost() {
    let mut desk = images(plain(), (100, 30));
    desk.keys("/nginx\n");
    assert!(desk.keys("d").is_empty() && desk.app.overlays.is_empty());
    assert!(desk.screen().contains("web-1 runs from it"), "{}", desk.screen());
    desk.keys("\x1b/shop/api:latest\nd");
    let screen = desk.screen();
    assert!(screen.contains("The image stays as shop/api:2.3.1."), "{screen}");
    assert!(desk.press(key("\n")).is_empty(), "the default is to cancel");
    desk.keys("\x1b/alpine\nd");
    let screen = desk.screen();
    assert!(screen.contains("Made from it, and not running: draft, zombie."), "{screen}");
    let effects = desk.press(key("y"));
    assert!(
        matches!(
            &effects[..],
            [Effect::Execute { command: Command::RemoveImage { force: true, .. }, .. }]
        ),
        "{effects:?}"
    );
    desk.keys("\x1b/dangling\nd");
    let screen = desk.screen();
    assert!(screen.contains("3 layers that nothing else"), "{screen}");
    assert!(screen.contains("Freed: 96M."), "{screen}");
    let effects = desk.press(key("y"));
    let [Effect::Execute { operation, .. }] = effects[..] else { panic!("{effects:?}") };
    let error = Error::new(ErrorKind::Conflict, "conflict: unable to delete 070707070707");
    desk.send(Msg::Done { operation, result: Err(error) });
    assert!(desk.screen().contains("unable to delete"), "{}", desk.screen());
}

#[test]
fn a_prune_says_which_images_and_how_much() {
    let mut desk = images(plain(), (100, 30));
    desk.keys("P");
    let screen = desk.screen();
    assert!(screen.contains("those without a name: 1, frees 96M"), "{screen}");
    assert!(!screen.contains("all that no container uses"), "there are no others: {screen}");
    desk.keys("\n");
    let screen = desk.screen();
    assert!(screen.contains("Remove 1 image?") && screen.contains("Freed: 96M."), "{screen}");
    assert!(desk.press(key("\n")).is_empty());
    desk.keys("P\n");
    let effects = desk.press(key("y"));
    let [Effect::Execute { operation, command }] = &effects[..] else { panic!("{effects:?}") };
    assert!(matches!(command, Command::PruneImages { all: false, .. }));
    let result = desk.fake.execute(command.clone()).now_or_never().unwrap();
    desk.send(Msg::Done { operation: *operation, result });
    let screen = desk.screen();
    assert!(screen.contains("96M are free again"), "{screen}");
    assert!(!screen.contains("dangling"), "{screen}");
    assert!(desk.keys("P").is_empty());
    assert!(desk.screen().contains("containers use all images"), "{}", desk.screen());
}

#[test]
fn a_pull_is_followed_left_and_given_up() {
    let mut desk = images(plain(), (80, 24));
    desk.keys("pUpper\n");
    assert!(desk.screen().contains("lowercase"), "{}", desk.screen());
    desk.keys("\x1b");
    let effects = desk.keys("palpine:3.23\n");
    let Some(Effect::Pull { operation, options }) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(options.reference.to_string(), "alpine:3.23");
    let operation = *operation;
    moving(&mut desk, operation);
    insta::assert_snapshot!("pull-80x24", desk.screen());
    // Left, it goes on: the header says how far it is.
    desk.keys("\x1b");
    assert!(desk.app.overlays.is_empty());
    let screen = desk.screen();
    assert!(screen.lines().next().unwrap().contains("pulling alpine:3.23 35%"), "{screen}");
    assert!(screen.contains("goes on: w shows it"), "{screen}");
    // The same once more is refused.
    desk.keys("palpine:3.23\n");
    assert!(desk.screen().contains("is being pulled already"), "{}", desk.screen());
    desk.keys("\x1bw");
    assert_eq!(desk.press(key("x")), [Effect::Abort(operation)]);
    assert!(desk.app.transfers.is_empty());
    // What comes late is nobody's.
    desk.send(Msg::TransferEnded { operation, result: Ok(()) });
    assert!(desk.app.transfers.is_empty());
}

#[test]
fn a_pull_to_its_end_and_one_that_fails() {
    let mut desk = images(plain(), (100, 30));
    for broken in [false, true] {
        if broken {
            desk.fake.fail_next(Error::new(ErrorKind::NotFound, "manifest unknown"));
        }
        let effects = desk.keys(if broken { "pmissing:1\n" } else { "pbusybox\n" });
        let Some(Effect::Pull { operation, options }) = effects.last() else { panic!() };
        let operation = *operation;
        let stream = desk.fake.pull(options.clone()).now_or_never().unwrap().unwrap();
        let mut end = Ok(());
        for step in stream.collect::<Vec<_>>().now_or_never().unwrap() {
            match step {
                Ok(event) => {
                    desk.send(Msg::Transfer { operation, event });
                }
                Err(error) => end = Err(error),
            }
        }
        desk.send(Msg::TransferEnded { operation, result: end });
        let screen = desk.screen();
        let title = if broken { "Failed to pull missing:1" } else { "Pulled busybox:latest" };
        assert!(screen.contains(title), "{screen}");
        let said = if broken { "manifest unknown" } else { "complete" };
        assert!(screen.contains(said), "{screen}");
        desk.keys("\x1b\x1b");
        assert!(desk.app.transfers.is_empty(), "looked at, it is forgotten");
    }
    assert!(desk.app.images.rows.iter().any(|r| r.label() == "busybox:latest"));
}

#[test]
fn the_form_shows_the_line_that_it_runs() {
    let mut desk = images(plain(), (80, 24));
    desk.keys("/nginx\nr");
    assert!(desk.screen().contains("wharf run -d nginx:1.27"), "{}", desk.screen());
    desk.keys("web\t\t8080:80");
    press(&mut desk, KeyCode::Down);
    press(&mut desk, KeyCode::Down);
    desk.keys("A='1 2");
    assert!(desk.screen().contains("a quote isn't closed"), "{}", desk.screen());
    assert!(desk.keys("\n").is_empty(), "it isn't started");
    desk.keys("'\t256m\t0.5\t\x1b[C\t\x1b[C\x1b[C");
    let screen = desk.screen();
    assert!(screen.contains("< unless-stopped >"), "{screen}");
    assert!(screen.contains("--network host"), "{screen}");
    let effects = desk.keys("\n");
    let [Effect::Run { operation, words }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(
        words.join("|"),
        "-d|--name|web|-p|8080:80|-e|A=1 2|-m|256m|--cpus|0.5|--network|host|--restart|\
         unless-stopped|nginx:1.27"
    );
    assert!(desk.keys("\n").is_empty(), "it is on its way already");
    // An error stays in the form, with all that was typed.
    let error = Error::new(ErrorKind::Conflict, "the name \"/web\" is already in use");
    desk.send(Msg::Ran { operation: *operation, result: Err(error) });
    let screen = desk.screen();
    assert!(screen.contains("is already in use") && screen.contains("8080:80"), "{screen}");
    let effects = desk.keys("\n");
    let [Effect::Run { operation, .. }] = &effects[..] else { panic!("{effects:?}") };
    let copied = desk.press(Key { code: KeyCode::Char('y'), modifiers: KeyModifiers::CONTROL });
    assert!(matches!(&copied[..], [Effect::Copy(text)] if text.contains("-e 'A=1 2'")));
    desk.send(Msg::Ran { operation: *operation, result: Ok(("web".to_owned(), Vec::new())) });
    assert!(desk.app.overlays.is_empty());
    assert!(desk.screen().contains("web runs: 1 shows it"), "{}", desk.screen());
}

#[test]
fn a_layer_is_looked_through() {
    let mut desk = images(plain(), (100, 30));
    desk.keys("/nginx\nfj\n");
    let screen = desk.screen();
    assert!(screen.contains("layer 2  /") && screen.contains("A "), "{screen}");
    assert!(!screen.contains('\u{1b}'), "names are made safe");
    desk.keys("\n");
    let screen = desk.screen();
    assert!(screen.contains("was 1.1K") && screen.contains("removed"), "{screen}");
    desk.keys("j\n");
    assert!(desk.screen().contains("root:x:0:0:"), "{}", desk.screen());
    // Back, step by step: the file, the folder, the layer, the list.
    desk.keys("h");
    assert!(desk.app.images.files.open.is_none());
    desk.keys("Y");
    assert!(desk.screen().contains("copied /etc/passwd"), "{}", desk.screen());
    desk.keys("hh");
    assert_eq!(desk.app.images.open_layer(), None);
    desk.keys("h");
    assert_eq!(desk.app.focus, Focus::List);
    // Another image, another layer.
    desk.keys("\x1bjf");
    assert_eq!((desk.app.tab(), desk.app.images.open_layer()), (Tab::Files, None));
}

#[test]
fn reading_only_leaves_what_changes_nothing() {
    let mut desk = images(Options { read_only: true, ..plain() }, (120, 40));
    for letter in ["r", "p", "U", "t", "d", "P", "b"] {
        assert!(desk.keys(letter).is_empty(), "{letter}");
        assert!(desk.app.overlays.is_empty(), "{letter}");
    }
    desk.keys("?");
    let screen = desk.screen();
    assert!(
        !screen.contains("pull an image") && screen.contains("look into its layers"),
        "{screen}"
    );
}

#[test]
fn the_mouse_reaches_all_of_it() {
    let mut desk = images(plain(), (80, 24));
    let click = |desk: &mut Desk, text: &str| {
        let screen = desk.screen();
        let at = screen.lines().enumerate().find_map(|(y, line)| {
            let x = line.find(text)?;
            Some((line[..x].chars().count(), y))
        });
        let (x, y) = at.unwrap_or_else(|| panic!("{text} isn't in\n{screen}"));
        let kind = MouseEventKind::Down(MouseButton::Left);
        let (column, row) = (u16::try_from(x).unwrap(), u16::try_from(y).unwrap());
        desk.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
    };
    click(&mut desk, "postgres:17");
    assert_eq!(desk.app.images.selected().unwrap().label(), "postgres:17");
    click(&mut desk, " Files ");
    assert_eq!(desk.app.tab(), Tab::Files);
    click(&mut desk, "RUN apt-get");
    click(&mut desk, "RUN apt-get");
    assert_eq!(desk.app.images.open_layer(), Some(1));
    desk.keys("\x1b\x1br");
    click(&mut desk, "Restart");
    click(&mut desk, "Restart");
    assert!(desk.screen().contains("--restart on-failure"), "{}", desk.screen());
}
