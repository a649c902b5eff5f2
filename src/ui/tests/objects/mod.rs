//! The screens of networks and volumes.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_backend::fake::{Fake, container, network, time, volume};
use wharf_backend::{Error, SampleBatch};
use wharf_model::{Command, ErrorKind, Event, EventKind, Status};
use wharf_ui::app::files::FilesOf;
use wharf_ui::app::topology::{Node, Scale};
use wharf_ui::app::{Focus, Overlay, Screen, Tab};
use wharf_ui::{Colors, Effect, Msg, Options};

use crate::support::{Desk, key};
use crate::{options, plain};

fn networks(options: Options, size: (u16, u16)) -> Desk {
    let mut desk = Desk::new(options, size);
    desk.keys("4");
    tick(&mut desk, 40);
    tick(&mut desk, 41);
    desk
}

/// Lets a second pass.
#[expect(clippy::unwrap_used, reason = "part of the tests, though not a test itself")]
fn tick(desk: &mut Desk, second: u64) {
    desk.send(Msg::Samples(desk.fake.batch(second)));
    desk.send(Msg::Tick(time(i64::try_from(second).unwrap())));
}

#[test]
fn networks_are_drawn_at_every_size() {
    let mut desk = networks(plain(), (80, 24));
    insta::assert_snapshot!("networks-80x24", desk.screen());
    desk.keys("G");
    insta::assert_snapshot!("networks-end-80x24", desk.screen());
    desk.keys("_z");
    insta::assert_snapshot!("networks-counts-80x24", desk.screen());
    desk.keys("z");
    insta::assert_snapshot!("networks-boxes-80x24", desk.screen());
    let mut desk = networks(plain(), (120, 40));
    desk.keys("jjjjjj");
    insta::assert_snapshot!("networks-120x40", desk.screen());
    let mut desk = networks(plain(), (40, 12));
    insta::assert_snapshot!("networks-40x12", desk.screen());
    desk.keys("z");
    insta::assert_snapshot!("networks-counts-40x12", desk.screen());
}

#[test]
fn networks_without_letters_beyond_ascii_and_with_colours() {
    let desk = networks(options(Colors::None, false), (80, 40));
    let screen = desk.screen();
    assert!(screen.replace("日本語-ロガー", "").is_ascii(), "{screen}");
    insta::assert_snapshot!("networks-ascii-80x40", screen);
    let mut desk = networks(options(Colors::Ansi256, true), (80, 24));
    desk.keys("jjl");
    insta::assert_snapshot!("networks-colours-256-80x24", desk.styled());
}

#[test]
fn volumes_are_listed_with_users_and_files() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("3j");
    insta::assert_snapshot!("volumes-80x24", desk.screen());
    desk.keys("f");
    insta::assert_snapshot!("volume-files-80x24", desk.screen());
    desk.keys("Gk\n");
    insta::assert_snapshot!("volume-file-80x24", desk.screen());
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("3");
    insta::assert_snapshot!("volumes-120x40", desk.screen());
    let mut desk = Desk::new(options(Colors::None, false), (40, 12));
    desk.keys("3j");
    let screen = desk.screen();
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("volumes-ascii-40x12", screen);
    desk.keys("f");
    insta::assert_snapshot!("volume-files-ascii-40x12", desk.screen());
}

#[test]
fn what_is_not_shown_is_not_asked_for() {
    let mut desk = Desk::new(plain(), (80, 24));
    let asks = |effects: &[Effect]| {
        let wanted = |effect: &&Effect| {
            matches!(
                effect,
                Effect::FetchNetworks
                    | Effect::FetchVolumes { .. }
                    | Effect::FetchLinks
                    | Effect::FetchFiles { .. }
            )
        };
        effects.iter().filter(wanted).count()
    };
    let event = |kind, action: &str| {
        Msg::Event(Event {
            time: time(0),
            kind,
            action: action.to_owned(),
            id: "x".to_owned(),
            attributes: std::collections::BTreeMap::new(),
        })
    };
    for kind in [EventKind::Network, EventKind::Volume, EventKind::Container] {
        assert_eq!(asks(&desk.send(event(kind, "create"))), 0);
    }
    let batch = desk.fake.batch(50);
    assert_eq!(asks(&desk.send(Msg::Samples(batch))), 0);
    // Shown, it is asked once; again when something has happened.
    assert!(desk.keys("3").contains(&Effect::FetchVolumes { sizes: false }));
    assert_eq!(asks(&desk.send(Msg::Tick(time(51)))), 0);
    assert_eq!(
        desk.send(event(EventKind::Volume, "create")),
        [Effect::FetchVolumes { sizes: false }]
    );
    assert_eq!(asks(&desk.send(event(EventKind::Network, "create"))), 0);
    // Sizes grow old, slowly.
    assert_eq!(asks(&desk.send(Msg::Tick(time(80)))), 0);
    assert_eq!(desk.send(Msg::Tick(time(140))), [Effect::FetchVolumes { sizes: true }]);
    desk.keys("1");
    assert_eq!(asks(&desk.send(Msg::Tick(time(300)))), 0);
    assert_eq!(desk.keys("4"), [Effect::FetchNetworks]);
    let batch = desk.fake.batch(51);
    assert_eq!(asks(&desk.send(Msg::Samples(batch))), 1, "a container is on two networks");
}

#[test]
fn an_attachment_is_found_by_keys_and_its_rate_is_its_own() {
    let mut desk = networks(plain(), (120, 40));
    desk.keys("/api-1\nG");
    let Some(Node::Station(id)) = desk.app.networks.selected.clone() else { panic!() };
    desk.keys("h");
    let Some(Node::Edge(of, back)) = desk.app.networks.selected.clone() else { panic!() };
    assert_eq!(of, id);
    desk.keys("j");
    let Some(Node::Edge(_, other)) = desk.app.networks.selected.clone() else { panic!() };
    assert_ne!(back, other);
    assert!(desk.screen().contains("api-1 on shop_default"), "{}", desk.screen());
    // Two readings of the links, and each attachment has its own rate.
    let rates: Vec<_> =
        desk.app.networks.topology.stations[0].edges.iter().map(|e| e.rate).collect();
    assert!(rates[0].is_some() && rates[1].is_some() && rates[0] != rates[1], "{rates:?}");
    desk.keys("h");
    assert_eq!(desk.app.networks.selected, Some(Node::Bus(other)));
    desk.keys("hi");
    assert!(desk.screen().contains("\"shop_default\"") || desk.screen().contains("shop_default"));
    assert_eq!((desk.app.tab(), desk.app.focus), (Tab::Inspect, Focus::Detail));
}

#[test]
fn connecting_and_disconnecting() {
    let mut desk = networks(plain(), (100, 40));
    desk.keys("/web-1\nG");
    desk.keys("c");
    let screen = desk.screen();
    assert!(screen.contains("Connect web-1 to") && screen.contains("internal"), "{screen}");
    desk.keys("jj");
    let effects = desk.press(key("\n"));
    let [Effect::Execute { command: Command::Connect { container, endpoint }, .. }] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    let web = desk.list().iter().find(|c| c.name == "web-1").unwrap().id.to_string();
    assert_eq!(*container, web);
    assert!(!endpoint.network.is_empty());
    desk.keys("hjx");
    let screen = desk.screen();
    assert!(screen.contains("Disconnect web-1 from shop_default?"), "{screen}");
    assert!(screen.contains("Lost: its address 172.18.0.3"), "{screen}");
    assert!(screen.contains("reach nobody"), "{screen}");
    assert!(desk.press(key("\n")).is_empty(), "the default is to cancel");
    desk.keys("x");
    let effects = desk.press(key("y"));
    assert!(
        matches!(&effects[..], [Effect::Execute { command: Command::Disconnect { .. }, .. }]),
        "{effects:?}"
    );
}

#[test]
fn networks_are_made_and_removed() {
    let mut desk = networks(plain(), (100, 40));
    desk.keys("nback2 subnet=10.9.0.0/33\n");
    assert!(desk.screen().contains("is no subnet"), "{}", desk.screen());
    desk.keys("\x1bn");
    let effects = desk.keys("lab subnet=10.9.0.0/24 internal\n");
    assert!(
        matches!(&effects[..], [Effect::Execute { command: Command::CreateNetwork(options), .. }]
            if options.internal && options.pools.len() == 1),
        "{effects:?}"
    );
    // The engine's own stays.
    desk.keys("gj");
    assert!(desk.keys("d").is_empty() && desk.app.overlays.is_empty());
    assert!(desk.screen().contains("bridge is the engine's own network"));
    desk.keys("jd");
    let screen = desk.screen();
    assert!(screen.contains("Remove network shop_back?"), "{screen}");
    assert!(screen.contains("On it: api-1, db-1."), "{screen}");
    assert!(desk.press(key("\n")).is_empty());
    desk.keys("P");
    let screen = desk.screen();
    assert!(screen.contains("no running container is on") && screen.contains("spare"), "{screen}");
    let Some(Overlay::Confirm(confirm)) = desk.app.overlays.last() else { panic!() };
    assert_eq!(confirm.body[1..], ["  spare"]);
    let effects = desk.press(key("y"));
    assert!(matches!(
        &effects[..],
        [Effect::Execute { command: Command::PruneNetworks { .. }, .. }]
    ));
}

#[test]
fn whether_one_reaches_another_is_told_in_a_dialog() {
    let mut desk = networks(plain(), (100, 40));
    desk.keys("/shop_\nG");
    let from = desk.app.networks.container().unwrap().clone();
    desk.keys("r");
    assert!(desk.screen().contains("Can web-1 reach"), "{}", desk.screen());
    desk.keys("\n");
    assert!(desk.screen().contains("on which TCP port?"), "{}", desk.screen());
    desk.press(wharf_ui::keymap::Key {
        code: crossterm::event::KeyCode::Char('u'),
        modifiers: KeyModifiers::CONTROL,
    });
    desk.keys("70000\n");
    assert!(desk.screen().contains("is no port"), "{}", desk.screen());
    desk.keys("\x1br\n");
    let effects = desk.keys("\n");
    let [Effect::TryReach(question)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((question.from.as_str(), question.port), (from.as_str(), 9000));
    insta::assert_snapshot!("reached-100x40", desk.screen());
    desk.keys("q");
    desk.keys("rj\n\n");
    assert!(desk.screen().contains("No."), "{}", desk.screen());
    assert!(desk.screen().contains("on no common network"), "{}", desk.screen());
    desk.keys("\x1brk\nno port\n");
    assert!(desk.screen().contains("after a colon"), "{}", desk.screen());
    desk.keys("\x1b");
    // What doesn't run can't try.
    desk.keys("\x1b/migrate\nGr");
    assert!(desk.screen().contains("migrate is exited"), "{}", desk.screen());
}

#[test]
fn volumes_are_made_removed_and_saved() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("3j");
    assert!(desk.keys("d").is_empty() && desk.app.overlays.is_empty());
    let reason = "api-1 and 2 more have it: remove them first";
    assert!(desk.screen().contains(reason), "{}", desk.screen());
    desk.keys("kd");
    let screen = desk.screen();
    assert!(screen.contains("Remove volume shop_cache?") && screen.contains("12M"), "{screen}");
    assert!(desk.press(key("\n")).is_empty());
    desk.keys("d");
    let effects = desk.press(key("y"));
    assert!(
        matches!(
            &effects[..],
            [Effect::Execute { command: Command::RemoveVolume { volume, .. }, .. }]
                if volume == "shop_cache"
        ),
        "{effects:?}"
    );
    let [Effect::Execute { operation, .. }] = effects[..] else { panic!() };
    let error = Error::new(ErrorKind::Conflict, "remove shop_cache: volume is in use");
    desk.send(Msg::Done { operation, result: Err(error) });
    assert!(desk.screen().contains("volume is in use"));
    desk.keys("P");
    assert!(desk.screen().contains("those without a name: 1"), "{}", desk.screen());
    desk.keys("j\n");
    assert!(desk.screen().contains("Remove 2 volumes?"), "{}", desk.screen());
    desk.keys("\x1bs");
    let effects = desk.keys("\n");
    let [Effect::SaveVolume { operation, volume, path }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((volume.as_str(), path.to_str()), ("shop_cache", Some("shop_cache.tar")));
    let operation = *operation;
    desk.send(Msg::Saving { operation, bytes: 5 << 20 });
    assert!(desk.screen().contains("saved 5.0M of shop_cache"), "{}", desk.screen());
    assert!(desk.keys("d").is_empty() && desk.app.overlays.is_empty(), "not while it is read");
    desk.send(Msg::Saved { operation, result: Ok(12 << 20) });
    assert!(desk.screen().contains("saved shop_cache: 12M"), "{}", desk.screen());
    let effects = desk.keys("nlogs\n");
    assert!(
        matches!(&effects[..], [Effect::Execute { command: Command::CreateVolume(options), .. }]
            if options.name.as_deref() == Some("logs")),
        "{effects:?}"
    );
}

#[test]
fn volumes_are_sorted_and_filtered() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("3o");
    let first = desk.app.volumes.rows[desk.app.volumes.shown[0]].info.name.clone();
    assert_eq!(first, "shop_pgdata", "the largest first");
    desk.keys("O");
    assert_ne!(desk.app.volumes.rows[desk.app.volumes.shown[0]].info.name, first);
    desk.keys("/unused shop\n");
    assert_eq!(desk.app.volumes.shown.len(), 1);
    assert!(desk.screen().contains("/unused shop 1 of 3"));
    desk.keys("\x1b");
    assert_eq!(desk.app.volumes.shown.len(), 3);
}

#[test]
fn files_are_walked_and_nothing_in_them_reaches_the_terminal() {
    let mut desk = Desk::new(plain(), (100, 30));
    desk.keys("3jf");
    assert!(desk.keys("l").contains(&Effect::FetchFiles {
        of: FilesOf::Volume("shop_pgdata".to_owned()),
        path: "base".into()
    }));
    desk.keys("l");
    assert!(desk.screen().contains("/base/1"), "{}", desk.screen());
    desk.keys("hh");
    assert_eq!(desk.app.volumes.files.cursor.at, 0);
    let effects = desk.keys("jjY");
    let path = "/var/lib/fake/volumes/shop_pgdata/_data/PG_VERSION";
    assert!(effects.contains(&Effect::Copy(path.to_owned())), "{effects:?}");
    for keys in ["l", "hjl", "hGkl"] {
        desk.keys(keys);
        let screen = desk.screen();
        assert!(!screen.contains(|c: char| c.is_control() && c != '\n'), "{screen:?}");
    }
    assert!(desk.screen().contains("port = 5432"), "{}", desk.screen());
    // Back, and out of the files.
    desk.keys("hh");
    assert_eq!(desk.app.focus, Focus::List);
}

#[test]
fn reading_only_leaves_networks_and_volumes_alone() {
    let mut desk = Desk::new(Options { read_only: true, ..plain() }, (100, 60));
    for open in ["3", "3\n", "3?", "4", "4jjj\n", "4?", "4:"] {
        desk.keys("1");
        desk.keys(open);
        let screen = desk.screen();
        for word in ["remove the", "make a", "connect a", "take a container"] {
            assert!(!screen.contains(word), "{open:?} shows {word:?}\n{screen}");
        }
        desk.keys("\x1b");
    }
    for (screen, keys) in [("3", "ndP"), ("4", "jjjndPcx")] {
        desk.keys(screen);
        for pressed in keys.chars() {
            desk.keys(&pressed.to_string());
            assert!(desk.app.overlays.is_empty(), "{pressed}");
        }
    }
    assert!(desk.fake.commands().is_empty());
}

#[test]
fn the_mouse_selects_in_the_drawing() {
    let mut desk = networks(plain(), (100, 60));
    let click = |desk: &mut Desk, kind, column: usize, row: usize| {
        let modifiers = KeyModifiers::NONE;
        let (column, row) = (u16::try_from(column).unwrap(), u16::try_from(row).unwrap());
        desk.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers }));
    };
    let left = MouseEventKind::Down(MouseButton::Left);
    let place = |desk: &Desk, word: &str| {
        let screen = desk.screen();
        let row = screen.lines().position(|line| line.contains(word)).unwrap();
        let line = screen.lines().nth(row).unwrap();
        (line.chars().position(|c| c == word.chars().next().unwrap()).unwrap(), row)
    };
    let (column, row) = place(&desk, "shop_back  bridge");
    click(&mut desk, left, column, row);
    assert!(matches!(&desk.app.networks.selected, Some(Node::Bus(id)) if id.starts_with("03")));
    let (_, row) = place(&desk, "● web-1");
    click(&mut desk, left, 30, row);
    let Some(Node::Station(web)) = desk.app.networks.selected.clone() else { panic!() };
    // Its first line is the published ports.
    click(&mut desk, left, 2, row + 1);
    assert_eq!(desk.app.networks.selected, Some(Node::Edge(web, String::new())));
    click(&mut desk, MouseEventKind::Down(MouseButton::Right), 30, row);
    assert!(matches!(desk.app.overlays.last(), Some(Overlay::Menu(_))));
}

#[test]
fn a_hundred_containers_on_thirty_networks_stay_in_sight() {
    let fake = Fake::many(100);
    for n in 0..30 {
        fake.put_network(network(n + 1, &format!("net-{n:02}"), n % 3 == 0));
    }
    for (n, mut c) in (0_u8..).zip(futures_list(&fake)) {
        c.networks = vec![format!("net-{:02}", n % 30), format!("net-{:02}", (n / 3) % 30)];
        fake.put(c);
    }
    let mut desk = Desk::with(fake, plain(), (80, 24));
    desk.keys("4");
    assert_eq!(desk.app.networks.scale(10), Scale::Lines);
    for keys in ["G", "h", "j", "h", "z", "z", "g", "k", "l", "+", "_", "_"] {
        desk.keys(keys);
        let screen = desk.screen();
        assert!(screen.lines().count() == 24, "{screen}");
        let scale = desk.app.networks.scale(10);
        let node = desk.app.networks.selected.clone().unwrap();
        assert!(desk.app.networks.topology.place(&node, scale).is_some(), "{keys}: {node:?}");
    }
    for size in [(40, 8), (200, 50), (41, 13), (300, 100)] {
        desk.send(Msg::Resize(size.0, size.1));
        for keys in ["z", "G", "h", "h", "gg", "t", "i", "\x1b"] {
            desk.keys(keys);
            desk.screen();
        }
    }
}

fn futures_list(fake: &Fake) -> Vec<wharf_model::ContainerSummary> {
    let desk = Desk::with(fake.clone(), plain(), (80, 24));
    desk.list()
}

#[test]
fn names_of_networks_and_volumes_are_made_safe() {
    let fake = Fake::new();
    let mut evil = network(7, "net\x1b[2J\u{202e}", false);
    evil.labels.insert("label\x1b]0;x\x07".to_owned(), "\u{202e}".to_owned());
    evil.options.insert("option".to_owned(), "\r\n\x1b[1m".to_owned());
    let mut box_ = container(1, "con\x1b[2J", "img", Status::Running);
    box_.networks = vec![evil.name.clone()];
    fake.put_network(evil);
    fake.put(box_);
    let mut store = volume("vol\x1b[2J", 1);
    store.driver = "dri\x07ver".to_owned();
    store.mountpoint = "/mnt\x1b[3J".to_owned();
    fake.put_volume(store);
    let mut desk = Desk::with(fake, plain(), (120, 40));
    let keys = [
        "4", "j", "t", "\x1bi", "\x1bd", "\x1bG", "\x1bc", "\x1bx", "\x1br", "\x1b3", "i", "\x1bd",
    ];
    for keys in keys {
        desk.keys(keys);
        let screen = desk.screen();
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!screen.contains(bad), "{keys:?}\n{screen:?}");
    }
}

#[test]
fn an_engine_without_networks_says_so_once() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.raw(Msg::Samples(SampleBatch::default()));
    let effects =
        desk.raw(Msg::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char('4'))));
    assert_eq!(effects, [Effect::FetchNetworks]);
    assert!(desk.screen().contains("asking the engine"));
    let error = Error::new(ErrorKind::Unsupported, "wharf: networks are not there yet");
    assert!(desk.raw(Msg::Networks(Err(error))).is_empty());
    assert!(desk.screen().contains("networks are not there yet"), "{}", desk.screen());
    assert_eq!(desk.app.screen, Screen::Networks);
}
