//! Several engines on one dashboard.

use std::time::Duration;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_backend::Error;
use wharf_backend::fake::{Fake, container, time};
use wharf_model::{Command, ErrorKind, Event, EventKind, Status};
use wharf_ui::app::{Link, Overlay, Screen};
use wharf_ui::{Effect, HostOptions, Msg, Options};

use crate::plain;
use crate::support::{Desk, key};

fn host(name: &str, address: &str, flags: &[&str]) -> HostOptions {
    let flags = flags.iter().map(|flag| (*flag).to_owned());
    HostOptions {
        name: name.to_owned(),
        address: address.to_owned(),
        program: std::iter::once("wharf".to_owned()).chain(flags).collect(),
        warning: None,
    }
}

/// Three engines: one with a project, a second with the same names, and a third that nobody reaches.
fn three() -> (Vec<Fake>, Options) {
    let engine = |first: u8| {
        let fake = Fake::many(0);
        for (n, name, status) in
            [(0, "web", Status::Running), (1, "db", Status::Running), (2, "old", Status::Exited)]
        {
            let mut one = container(first + n, name, "nginx", status);
            if n < 2 {
                let label = ("com.docker.compose.project".to_owned(), "shop".to_owned());
                one.labels.extend([label]);
            }
            fake.put(one);
        }
        fake
    };
    let hosts = vec![
        host("local", "wharf://", &[]),
        host("far", "ssh://admin@far.example", &["--host", "ssh://admin@far.example"]),
        host("dead", "tcp://10.0.0.9:2375", &["--host", "tcp://10.0.0.9:2375"]),
    ];
    (vec![engine(0), engine(100), engine(200)], Options { hosts, ..plain() })
}

fn gone() -> Error {
    let text = "cannot connect to the Docker engine at tcp://10.0.0.9:2375: is it running?";
    Error::new(ErrorKind::Unavailable, text)
}

/// Returns the dashboard, forty seconds on.
fn desk(size: (u16, u16)) -> Desk {
    let (fakes, options) = three();
    fakes[2].set_unreachable(Some(gone()));
    let mut desk = Desk::over(fakes, options, size);
    desk.of(0, Msg::Connected);
    desk.of(1, Msg::Connected);
    desk.of(1, Msg::Latency(Duration::from_millis(23)));
    desk.of(2, Msg::Lost(gone()));
    for tick in 1..40 {
        desk.of(0, Msg::Samples(desk.fake.batch(tick)));
        let mut batch = desk.others[0].batch(tick);
        // Of a Docker engine's host nothing is measured.
        batch.host = None;
        desk.of(1, Msg::Samples(batch));
    }
    desk.send(Msg::Tick(time(40)));
    desk
}

/// Selects the container of this name on this host.
fn select(desk: &mut Desk, name: &str, host: usize) {
    desk.keys("g");
    for _ in 0..20 {
        let found = desk.app.selected();
        if found.is_some_and(|row| row.summary.name == name && row.host == host) {
            return;
        }
        desk.keys("j");
    }
    unreachable!("{name} isn't in the list:\n{}", desk.screen());
}

#[test]
fn containers_of_all_hosts_are_in_one_list_with_theirs() {
    let mut desk = desk((80, 24));
    insta::assert_snapshot!("hosts-containers-80x24", desk.screen());
    desk.keys("6");
    insta::assert_snapshot!("hosts-system-80x24", desk.screen());
    let mut desk = self::desk((120, 40));
    insta::assert_snapshot!("hosts-containers-120x40", desk.screen());
    desk.keys("6jj");
    insta::assert_snapshot!("hosts-system-dead-120x40", desk.screen());
}

#[test]
fn what_is_done_goes_to_the_host_of_its_container() {
    let mut desk = desk((100, 30));
    for (host, line) in
        [(1, "wharf --host ssh://admin@far.example stop web"), (0, "wharf stop web")]
    {
        select(&mut desk, "web", host);
        let effects = desk.keys("s");
        let stopped = effects.iter().find_map(|effect| match effect {
            Effect::At { host, effect } => match &**effect {
                Effect::Execute { command: Command::Stop { container, .. }, .. } => {
                    Some((*host, container.clone()))
                }
                _ => None,
            },
            _ => None,
        });
        let number = if host == 0 { 0 } else { 100 };
        let id = container(number, "web", "nginx", Status::Running).id;
        assert_eq!(stopped, Some((host, id.to_string())));
        assert_eq!(desk.app.last_line.as_deref(), Some(line));
    }
}

#[test]
fn marked_ones_of_several_hosts_are_removed_at_their_own() {
    let mut desk = desk((100, 30));
    for host in [0, 1] {
        select(&mut desk, "old", host);
        desk.keys(" ");
    }
    desk.keys("b");
    // Start and remove are what can be done with both.
    let Some(Overlay::Menu(menu)) = desk.app.overlays.last() else {
        unreachable!("{}", desk.screen())
    };
    let remove = menu.items.iter().position(|item| item.text.contains("emove")).unwrap();
    for _ in 0..remove {
        desk.keys("j");
    }
    desk.keys("\n");
    let screen = desk.screen();
    assert!(screen.contains("old on local") && screen.contains("old on far"), "{screen}");
    assert!(screen.contains("wharf --host ssh://admin@far.example rm"), "{screen}");
    let effects = desk.keys("y");
    let mut hosts: Vec<usize> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::At { host, effect } if matches!(**effect, Effect::Execute { .. }) => {
                Some(*host)
            }
            _ => None,
        })
        .collect();
    hosts.sort_unstable();
    assert_eq!(hosts, [0, 1]);
}

#[test]
fn a_host_that_goes_away_keeps_its_containers_and_the_others_go_on() {
    let mut desk = desk((100, 30));
    desk.of(1, Msg::Lost(Error::new(ErrorKind::Unavailable, "it hung up")));
    assert_eq!(desk.app.containers.rows.len(), 6);
    select(&mut desk, "web", 1);
    let screen = desk.screen();
    assert!(screen.contains("last seen 0s ago, trying again: it hung up"), "{screen}");
    assert!(screen.contains("lost: far, dead"), "{screen}");
    assert!(!desk.keys("s").iter().any(Effect::changes), "nothing can be done there");
    assert!(desk.screen().contains("far isn't connected"), "{}", desk.screen());
    select(&mut desk, "web", 0);
    assert!(desk.keys("s").iter().any(Effect::changes));
    // What changed meanwhile is in the fresh list.
    let web = container(100, "web", "nginx", Status::Running).id;
    desk.others[0].put(container(100, "web", "nginx", Status::Exited));
    let effects = desk.of(1, Msg::Connected);
    let list = Effect::At { host: 1, effect: Box::new(Effect::FetchContainers) };
    assert!(effects.contains(&list), "{effects:?}");
    assert_eq!(desk.app.containers.row(&web).unwrap().summary.status, Status::Exited);
    assert!(!desk.screen().contains("lost: far"), "{}", desk.screen());
}

#[test]
fn an_engine_that_is_reached_twice_is_shown_once() {
    let (mut fakes, options) = three();
    fakes[1] = fakes[0].clone();
    let mut desk = Desk::over(fakes, options, (100, 30));
    // Whoever answers first.
    desk.of(1, Msg::Connected);
    assert!(desk.app.containers.rows.iter().all(|row| row.host == 1));
    desk.of(0, Msg::Connected);
    assert_eq!(desk.app.containers.rows.len(), 3);
    assert!(desk.app.containers.rows.iter().all(|row| row.host == 0));
    let event = Event {
        time: time(41),
        kind: EventKind::Container,
        action: "start".to_owned(),
        id: container(0, "web", "nginx", Status::Running).id.to_string(),
        attributes: Default::default(),
    };
    desk.of(1, Msg::Event(event));
    assert_eq!(desk.app.containers.rows.len(), 3);
    desk.keys("6j");
    assert!(desk.screen().contains("3 containers are another host's"), "{}", desk.screen());
}

#[test]
fn the_other_screens_are_about_one_host_at_a_time() {
    let mut desk = desk((100, 30));
    select(&mut desk, "web", 1);
    desk.keys("2");
    assert_eq!(desk.app.hosts.current, 1, "that of what was selected");
    assert!(desk.app.images.loaded);
    // An answer of the other host comes too late.
    desk.of(0, Msg::Images(Ok(Vec::new())));
    let images = desk.app.images.rows.len();
    desk.of(0, Msg::Volumes { sizes: false, result: Ok(Vec::new()) });
    assert_eq!(desk.app.images.rows.len(), images);
    desk.keys("@");
    assert!(desk.screen().contains("Show which host?"), "{}", desk.screen());
    desk.keys("k\n");
    assert_eq!(desk.app.hosts.current, 0);
    desk.keys("1");
    assert_eq!(desk.app.selected().map(|row| row.host), Some(0), "the selection came along");
    // On the list the same key shows the containers of one host alone.
    desk.keys("@jj\n");
    assert_eq!(desk.app.containers.only, Some(1));
    assert_eq!(desk.app.containers.shown.len(), 3);
    assert!(desk.screen().contains("only far"), "{}", desk.screen());
    desk.keys("\x1b");
    assert_eq!(desk.app.containers.only, None);
}

#[test]
fn a_host_is_disconnected_and_connected_by_hand() {
    let mut desk = desk((100, 30));
    desk.keys("6j");
    let effects = desk.keys("c");
    let watch = |on| Effect::At { host: 1, effect: Box::new(Effect::Watch(on)) };
    assert!(effects.contains(&watch(false)), "{effects:?}");
    assert_eq!(desk.app.hosts.list[1].link, Link::Off);
    assert_eq!(desk.app.containers.rows.len(), 3);
    // What was under way says nothing.
    desk.of(1, Msg::Containers(Ok(vec![container(100, "web", "nginx", Status::Running)])));
    desk.of(1, Msg::Lost(gone()));
    assert_eq!(desk.app.containers.rows.len(), 3);
    assert!(desk.keys("c").contains(&watch(true)));
    desk.of(1, Msg::Connected);
    assert_eq!(desk.app.containers.rows.len(), 6);
    assert_eq!(desk.app.screen, Screen::System);
}

#[test]
fn projects_of_the_same_name_are_each_host_s_own() {
    let mut desk = desk((100, 30));
    let names: Vec<&str> =
        desk.app.containers.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["shop@local", "shop@far"]);
    desk.keys("g");
    desk.keys("s");
    let stop = desk.keys("y");
    let hosts: Vec<usize> = stop
        .iter()
        .filter_map(|effect| match effect {
            Effect::At { host, effect } if effect.changes() => Some(*host),
            _ => None,
        })
        .collect();
    assert_eq!(hosts, [0, 0], "{}", desk.screen());
}

#[test]
fn with_one_host_nothing_is_said_of_hosts() {
    let mut desk = Desk::new(plain(), (120, 40));
    assert!(!desk.screen().contains("HOST"));
    let effects = desk.press(key("r"));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::At { .. })), "{effects:?}");
    desk.keys("@");
    assert!(desk.app.overlays.is_empty());
    assert!(desk.screen().contains("there is one host"), "{}", desk.screen());
}

#[test]
fn the_past_of_all_hosts_is_looked_at_together() {
    let mut desk = desk((120, 40));
    select(&mut desk, "web", 0);
    desk.keys("c");
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    let effects = desk.keys("t");
    let asked = |effects: &[Effect]| {
        let then = |effect: &&Effect| matches!(effect, Effect::At { effect, .. } if matches!(**effect, Effect::FetchThen(_)));
        effects.iter().filter(then).count()
    };
    // Nobody asks the one that isn't reached.
    assert_eq!(asked(&effects), 2);
    let travel = desk.app.travel.as_ref().unwrap();
    assert_eq!([travel.trips[0].shown, travel.trips[1].shown], [Some(travel.at); 2]);
    assert!(travel.none(2).is_some());
    let hosts = |desk: &Desk| {
        let mut hosts: Vec<usize> = desk.app.containers.rows.iter().map(|row| row.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    };
    assert_eq!(hosts(&desk), [0, 1]);
    assert_eq!(asked(&desk.keys("{")), 2, "both move");
    insta::assert_snapshot!("hosts-past", desk.screen());
    // And both come back.
    desk.keys("\x1b");
    assert_eq!(hosts(&desk), [0, 1]);
    assert!(!desk.screen().contains("PAST"), "{}", desk.screen());
    // One without a past says so, and doesn't keep the other from its own.
    let why = Error::new(ErrorKind::Unsupported, "docker: this engine doesn't record the past");
    desk.others[0].forget_past(why);
    let effects = desk.keys("t");
    assert_eq!(asked(&effects), 2);
    let line = |desk: &Desk| desk.screen().lines().nth(1).unwrap().to_owned();
    assert!(line(&desk).contains("THE PAST") && line(&desk).contains("load"), "{}", line(&desk));
    assert_eq!(asked(&desk.keys("{")), 1, "it isn't asked again");
    let told = |desk: &Desk, host| {
        let row = desk.app.containers.rows.iter().find(|row| row.host == host).unwrap();
        row.summary.status_text.clone()
    };
    assert_eq!(told(&desk, 1), "not recorded");
    assert_ne!(told(&desk, 0), "not recorded");
    desk.keys("g");
    select(&mut desk, "web", 1);
    assert!(line(&desk).contains("not of this host: docker"), "{}", line(&desk));
    desk.keys("\x1b");
    assert!(desk.app.travel.is_none());
}

#[test]
fn a_click_on_the_system_screen_selects_what_is_under_it() {
    let mut desk = desk((80, 24));
    desk.keys("6");
    let row = |desk: &Desk, text: &str| {
        let screen = desk.screen();
        let found = screen.lines().position(|line| line.trim_start().starts_with(text));
        u16::try_from(found.unwrap()).unwrap()
    };
    let click = |desk: &mut Desk, row: u16| {
        desk.send(Msg::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 3,
            row,
            modifiers: KeyModifiers::NONE,
        }));
        desk.app.system.cursor.at
    };
    let (volumes, heading) = (row(&desk, "volumes"), row(&desk, "KIND"));
    assert_eq!(click(&mut desk, volumes), 3 + 2, "{}", desk.screen());
    assert_eq!(click(&mut desk, heading), 3 + 2, "a heading is nothing");
    assert_eq!(click(&mut desk, heading - 1), 2, "{}", desk.screen());
}

#[test]
fn the_first_of_all_is_selected_whichever_engine_answers_first() {
    for order in [[0, 1], [1, 0]] {
        let (fakes, options) = three();
        fakes[0].put(container(50, "apple", "nginx", Status::Running));
        let mut desk = Desk::over(fakes, options, (80, 24));
        for host in order {
            desk.of(host, Msg::Connected);
        }
        assert_eq!(desk.app.selected().unwrap().summary.name, "apple", "{order:?}");
        assert_eq!(desk.app.containers.cursor.top, 0);
    }
    // Once a key was pressed, or some time has gone by, the selection is the user's.
    for wait in [false, true] {
        let (fakes, options) = three();
        fakes[0].put(container(50, "apple", "nginx", Status::Running));
        let mut desk = Desk::over(fakes, options, (80, 24));
        desk.of(1, Msg::Connected);
        let before = desk.app.containers.selected.clone();
        match wait {
            true => drop(desk.send(Msg::Tick(time(6)))),
            false => drop(desk.keys("?\x1b")),
        }
        desk.of(0, Msg::Connected);
        assert_eq!(desk.app.containers.selected, before);
    }
}

#[test]
fn what_an_engine_could_not_tell_is_asked_for_again_when_it_is_back() {
    let mut desk = desk((80, 24));
    select(&mut desk, "web", 1);
    desk.others[0].set_unreachable(Some(gone()));
    desk.of(1, Msg::Lost(gone()));
    let why = "cannot connect to the Docker engine";
    for tab in ["i", "f", "l"] {
        desk.keys(tab);
        if tab == "l" {
            let generation = desk.app.logs.generation;
            let reply = wharf_ui::LogReply::Failed(gone().message);
            desk.send(Msg::Log { generation, reply });
        }
        assert!(desk.screen().contains(why), "{tab}\n{}", desk.screen());
        desk.keys("\x1b");
    }
    assert!(desk.keys("e").is_empty(), "nothing is opened at an engine that isn't there");
    assert!(desk.screen().contains("far isn't connected"), "{}", desk.screen());
    desk.others[0].set_unreachable(None);
    desk.of(1, Msg::Connected);
    for tab in ["i", "f", "l"] {
        desk.keys(tab);
        assert!(!desk.screen().contains(why), "{tab}\n{}", desk.screen());
        desk.keys("\x1b");
    }
}

#[test]
fn the_key_of_a_host_says_which_way_it_goes() {
    let mut desk = desk((80, 24));
    desk.keys("6j");
    assert!(desk.screen().contains("c disconnect"), "{}", desk.screen());
    desk.keys("c");
    desk.app.notice = None;
    assert!(desk.screen().contains("c connect"), "{}", desk.screen());
}
