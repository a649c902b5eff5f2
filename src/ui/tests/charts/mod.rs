//! The charts, the way back in time, health and events by keys, and as pictures.

use wharf_backend::Error;
use wharf_backend::fake::{Fake, container, time};
use wharf_model::{ErrorKind, Status};
use wharf_ui::{Colors, Effect, Msg};

use crate::support::Desk;
use crate::{options, plain};

/// The dashboard with the charts alone in sight, a second after the selection came to rest.
fn charts(size: (u16, u16)) -> Desk {
    let mut desk = settled(Desk::new(plain(), size));
    desk.keys("+");
    desk
}

fn settled(mut desk: Desk) -> Desk {
    desk.keys("c");
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    desk
}

#[test]
fn charts_of_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut desk = settled(Desk::new(plain(), (columns, rows)));
        insta::assert_snapshot!(format!("stats-{columns}x{rows}"), desk.screen());
        desk.keys(">>\x1b[D{z");
        insta::assert_snapshot!(format!("stats-alone-{columns}x{rows}"), desk.screen());
    }
    let mut desk = settled(Desk::new(options(Colors::None, false), (120, 40)));
    desk.keys("+\x1b[D");
    insta::assert_snapshot!("stats-ascii", desk.screen());
    assert!(desk.screen().is_ascii(), "{}", desk.screen());
    let mut desk = settled(Desk::new(options(Colors::True, true), (120, 40)));
    desk.keys("+\x1b[Dz");
    insta::assert_snapshot!("stats-colours", desk.styled());
}

/// Charts beside each other show the same time, whatever the width leaves over.
#[test]
fn charts_of_one_pane_share_their_time() {
    for columns in 72..=110 {
        let screen = charts((columns, 30)).screen();
        let axes: Vec<&str> = screen
            .split_whitespace()
            .filter(|word| {
                let digits = word.strip_prefix('-').and_then(|word| word.strip_suffix('s'));
                digits.is_some_and(|digits| digits.parse::<u32>().is_ok())
            })
            .collect();
        assert_eq!(axes.len(), 6, "{screen}");
        assert!(axes.iter().all(|axis| *axis == axes[0]), "{columns}: {axes:?}\n{screen}");
    }
}

/// What happened just before the dashboard was opened is recorded a little later: it is asked for again.
#[test]
fn the_record_is_joined_to_what_is_seen() {
    // Who begins with the past, as a replay does, sees it joined, too.
    for keys in ["c", "ct"] {
        let mut desk = Desk::new(plain(), (120, 40));
        desk.app.began = time(41);
        desk.keys(keys);
        assert_eq!(desk.app.travel.is_some(), keys == "ct");
        let mut asked = Vec::new();
        for second in 41..120 {
            let effects = desk.send(Msg::Tick(time(second)));
            if effects.iter().any(|effect| matches!(effect, Effect::FetchRecording { .. })) {
                asked.push(second);
            }
        }
        assert_eq!(asked.len(), 2, "{keys}: {asked:?}");
        assert_eq!(asked[1], 41 + 35);
    }
}

#[test]
fn an_instant_can_be_read() {
    let mut desk = charts((120, 40));
    let before = desk.screen();
    assert!(!before.contains('│'), "{before}");
    desk.keys("\x1b[D");
    let screen = desk.screen();
    assert!(screen.contains("at ") && screen.contains("UTC, 5s ago"), "{screen}");
    assert!(screen.contains('│'), "{screen}");
    // Time goes on, the charts don't.
    desk.send(Msg::Samples(desk.fake.batch(43)));
    desk.send(Msg::Tick(time(43)));
    assert!(desk.screen().contains("UTC, 6s ago"), "{}", desk.screen());
    // Far back is before this dashboard was opened: what was recorded is there.
    desk.keys("{{{{");
    let screen = desk.screen();
    assert!(screen.contains("UTC, 1m ago"), "{screen}");
    let title = screen.lines().find(|line| line.contains("Memory ")).unwrap();
    assert!(!title.contains('–'), "{screen}");
    // Esc lets the charts go on, the next one leaves them.
    desk.keys("\x1b");
    assert!(!desk.screen().contains("UTC, "), "{}", desk.screen());
    assert_eq!(desk.app.focus, wharf_ui::app::Focus::Detail);
    desk.keys("\x1b");
    assert_eq!(desk.app.focus, wharf_ui::app::Focus::List);
}

#[test]
fn charts_can_be_held() {
    let mut desk = charts((120, 40));
    desk.keys("f");
    let held = desk.screen();
    assert!(held.contains("held at"), "{held}");
    let plots = |screen: &str| {
        let lines = screen.lines().filter(|line| line.contains('⣿')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    for tick in 43..60 {
        desk.send(Msg::Samples(desk.fake.batch(tick)));
        desk.send(Msg::Tick(time(i64::try_from(tick).unwrap())));
    }
    assert_eq!(plots(&held), plots(&desk.screen()));
    desk.keys("f");
    assert_ne!(plots(&held), plots(&desk.screen()));
}

#[test]
fn the_window_goes_from_a_minute_to_a_day() {
    let mut desk = charts((120, 40));
    let mut seen = Vec::new();
    for _ in 0..8 {
        let screen = desk.screen();
        let axis = screen.lines().find(|line| line.contains("now")).unwrap().trim();
        seen.push(axis.split_whitespace().next().unwrap().to_owned());
        desk.keys(">");
    }
    assert_eq!(seen, ["-66s", "-5m", "-15m", "-60m", "-3h", "-6h", "-12h", "-24h"]);
    assert!(desk.screen().contains("a day is the longest"), "{}", desk.screen());
}

#[test]
fn one_chart_alone_has_what_belongs_to_it() {
    let mut desk = charts((120, 40));
    desk.keys("z");
    // Of the cores only what passed between two answers is known.
    for second in 43..46 {
        desk.send(Msg::Samples(desk.fake.batch(u64::try_from(second).unwrap())));
        desk.send(Msg::Tick(time(second)));
    }
    let screen = desk.screen();
    assert!(screen.contains("core 0") && screen.contains("core 7"), "{screen}");
    assert!(!screen.contains("PIDs "), "{screen}");
    desk.keys("n");
    let screen = desk.screen();
    assert!(screen.contains("Memory") && screen.contains("charged"), "{screen}");
    assert!(screen.contains("kernel 3.0M"), "{screen}");
    desk.keys("N\x1b");
    assert!(desk.screen().contains("PIDs "), "{}", desk.screen());
    assert_eq!(desk.app.focus, wharf_ui::app::Focus::Detail);
}

#[test]
fn details_are_asked_for_only_while_they_are_seen() {
    let mut desk = charts((120, 40));
    let asks = |desk: &mut Desk, second: i64| {
        let effects = desk.send(Msg::Tick(time(second)));
        effects.iter().filter(|one| matches!(one, Effect::FetchDetails(_))).count()
    };
    assert_eq!(asks(&mut desk, 43), 0);
    desk.keys("z");
    assert_eq!(asks(&mut desk, 44), 1);
    assert_eq!(asks(&mut desk, 45), 1);
    desk.keys("nn");
    assert_eq!(asks(&mut desk, 46), 0);
}

#[test]
fn two_containers_share_a_chart() {
    let mut desk = Desk::new(plain(), (120, 40));
    let name = |desk: &Desk| desk.app.selected().unwrap().summary.name.clone();
    let first = name(&desk);
    desk.keys(" ");
    let second = name(&desk);
    let desk = settled(desk);
    let screen = desk.screen();
    assert!(screen.contains(&format!("* {second} against o {first}")), "{screen}");
    let title = screen.lines().find(|line| line.contains("Memory ")).unwrap();
    let title = title.split("Memory ").nth(1).unwrap();
    // After the letter that each line is drawn with.
    let values: Vec<&str> = title.split_whitespace().skip(1).step_by(2).take(2).collect();
    assert!(values.iter().all(|value| value.ends_with('M')), "{values:?}\n{screen}");
    insta::assert_snapshot!("stats-compared", screen);
}

#[test]
fn the_dashboard_goes_back_in_time_as_a_whole() {
    let mut desk = Desk::new(plain(), (120, 40));
    let gone = container(1, "web-1", "nginx:1.27", Status::Exited);
    desk = settled(desk);
    desk.keys("t");
    let screen = desk.screen();
    assert!(screen.contains("THE PAST") && screen.contains("ago"), "{screen}");
    assert!(desk.app.travel.is_some());
    // What happens meanwhile is for later.
    desk.fake.put(gone.clone());
    desk.send(Msg::Containers(Ok(desk.list())));
    let row = |desk: &Desk| desk.app.containers.row(&gone.id).unwrap().summary.status;
    assert_eq!(row(&desk), Status::Running);
    // Nothing can be changed there, from wherever.
    desk.keys("s");
    assert!(desk.screen().contains("this is the past"), "{}", desk.screen());
    desk.keys("\x1b[C");
    let at = desk.app.travel.as_ref().unwrap().at;
    desk.keys("T");
    desk.keys("30m\n");
    assert!(desk.app.travel.as_ref().unwrap().at < at - chrono::TimeDelta::minutes(20));
    desk.keys("T");
    desk.keys("nonsense\n");
    assert!(desk.screen().contains("a time is 14:05"), "{}", desk.screen());
    desk.keys("\x1b");
    insta::assert_snapshot!("past-120x40", desk.screen());
    desk.keys("\x1b");
    assert!(desk.app.travel.is_none() && !desk.screen().contains("THE PAST"));
    assert_eq!(row(&desk), Status::Exited);
}

#[test]
fn an_engine_without_a_past_says_so() {
    let fake = Fake::demo();
    let why = Error::new(ErrorKind::Unsupported, "fake: this engine doesn't record the past");
    fake.forget_past(why);
    let mut desk = settled(Desk::with(fake, plain(), (120, 40)));
    desk.keys("t");
    assert!(desk.screen().contains("doesn't record the past"), "{}", desk.screen());
    assert!(desk.app.travel.is_none());
}

#[test]
fn what_is_slow_is_told_in_a_line() {
    let mut desk = Desk::new(plain(), (120, 40));
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..8 {
        desk = settled(desk);
        let screen = desk.screen();
        if screen.contains("throttled 25 % of periods: raise --cpus") {
            told.insert("throttled");
        }
        if screen.contains("nothing holds it back") {
            told.insert("nothing");
        }
        desk.keys("\x1bj");
    }
    assert!(told.contains("throttled"), "{told:?}\n{}", desk.screen());
}

/// Selects a container by name and opens a tab of it alone.
fn at(mut desk: Desk, name: &str, tab: &str) -> Desk {
    desk.keys(&format!("/{name}\n"));
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    desk.keys(tab);
    desk.keys("+");
    desk.send(Msg::Tick(time(43)));
    desk
}

#[test]
fn health_is_a_timeline() {
    for (size, unicode) in [((80, 24), true), ((120, 40), true), ((120, 40), false)] {
        let desk = at(Desk::new(options(Colors::None, unicode), size), "api-1", "H");
        let screen = desk.screen();
        assert!(screen.contains("unhealthy"), "{screen}");
        assert!(screen.contains("connection refused: 127.0.0.1:80"), "{screen}");
        assert!(screen.contains("PROBES") && screen.contains("-1h"), "{screen}");
        let (well, ill) = if unicode { ('▂', '█') } else { ('.', 'X') };
        let line = screen.lines().find(|line| line.matches(ill).count() > 5).unwrap();
        assert!(line.trim().starts_with(well) && line.trim().ends_with(ill), "{screen}");
        insta::assert_snapshot!(format!("health-{}-{unicode}", size.0), screen);
    }
    let desk = at(Desk::new(plain(), (80, 24)), "cache", "H");
    assert!(desk.screen().contains("has no health check"), "{}", desk.screen());
}

#[test]
fn what_has_ended_is_told_on_one_screen() {
    let fake = Fake::demo();
    let change = |path: &str, kind| wharf_model::Change { path: path.to_owned(), kind };
    fake.set_changes(vec![
        change("/tmp", wharf_model::ChangeKind::Modified),
        change("/tmp/core", wharf_model::ChangeKind::Added),
        change("/etc/motd", wharf_model::ChangeKind::Deleted),
    ]);
    let desk = at(Desk::with(fake, plain(), (120, 40)), "migrate", "H");
    let screen = desk.screen();
    for wanted in
        ["137", "last lines of the log", "A /tmp/core", "D /etc/motd", "1 added, 1 changed"]
    {
        assert!(screen.contains(wanted), "{wanted}\n{screen}");
    }
    assert!(!screen.contains("C /tmp"), "a folder that says no more than its file\n{screen}");
    assert!(!screen.contains('\u{1b}') && !screen.contains("[31m"), "{screen}");
    insta::assert_snapshot!("post-mortem-120x40", screen);
}

#[test]
fn events_are_heard_held_filtered_and_lead_to_their_objects() {
    let mut desk = Desk::new(plain(), (120, 40));
    let web = desk.list().into_iter().find(|c| c.name == "web-1").unwrap();
    let event = |seconds, kind, action: &str, id: &str, name: &str| wharf_model::Event {
        time: time(seconds),
        kind,
        action: action.to_owned(),
        id: id.to_owned(),
        attributes: [("name".to_owned(), name.to_owned())].into(),
    };
    let container = wharf_model::EventKind::Container;
    desk.send(Msg::Event(event(41, container, "start", web.id.as_str(), "web-1")));
    desk.send(Msg::Event(event(42, container, "exec_start: true", web.id.as_str(), "web-1")));
    desk.keys("5");
    let screen = desk.screen();
    assert!(screen.contains("start") && screen.contains("1 program left out"), "{screen}");
    desk.keys("x");
    assert!(desk.screen().contains("exec_start"), "{}", desk.screen());
    desk.keys("xp");
    desk.send(Msg::Tick(time(44)));
    desk.send(Msg::Event(event(45, container, "die", web.id.as_str(), "web-1")));
    assert!(desk.screen().contains("held, 1 more"), "{}", desk.screen());
    desk.keys("p");
    assert!(desk.screen().contains("die"), "{}", desk.screen());
    insta::assert_snapshot!("events-120x40", desk.screen());
    desk.keys("/start\n");
    assert!(!desk.screen().contains("die"), "{}", desk.screen());
    desk.keys("\n");
    assert_eq!(desk.app.screen, wharf_ui::app::Screen::Containers);
    assert_eq!(desk.app.selected().unwrap().summary.name, "web-1");
    // Its own, and what was recorded of it before.
    desk.send(Msg::Tick(time(46)));
    desk.send(Msg::Tick(time(47)));
    desk.keys("v+");
    let screen = desk.screen();
    assert!(screen.contains("health_status: healthy") && screen.contains("die"), "{screen}");
    // What isn't there any more can't be gone to.
    let gone = "f".repeat(64);
    desk.send(Msg::Event(event(50, container, "destroy", &gone, "gone")));
    desk.keys("5\u{1b}G\n");
    assert!(desk.screen().contains("isn't there any more"), "{}", desk.screen());
}
