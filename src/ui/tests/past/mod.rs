//! What was: recorded charts beside live ones, the way back on every screen, and the mouse in the charts.

use std::time::Duration;

use chrono::TimeDelta;
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_backend::fake::{Fake, container, time};
use wharf_model::{
    ContainerId, DetailSample, Happening, HealthStatus, Probes, Recording, Sample, Status, What,
    since_epoch,
};
use wharf_stats::record::{Recorder, Shape, read};
use wharf_ui::app::{Chart, Past};
use wharf_ui::{Colors, Msg, Replay};

use crate::support::Desk;
use crate::{options, plain};

/// How long these charts have been fed, in seconds: by ten of them at a time, as a recorder does.
const FED: i64 = 2400;

/// What the container had used of each of two cores.
fn cores(tick: u64) -> Vec<u64> {
    vec![tick * 90_000_000 + tick % 50 * 10_000_000 * (tick / 50 % 2), tick * 30_000_000]
}

/// The dashboard on one chart alone, over a container that is looked at.
fn alone(chart: usize, wider: usize) -> (Desk, ContainerId) {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("/api-1\n");
    desk.keys("c+z");
    desk.keys(&"n".repeat(chart));
    desk.keys(&">".repeat(wider));
    let Some(row) = desk.app.selected() else { unreachable!("{}", desk.screen()) };
    let id = row.summary.id.clone();
    (desk, id)
}

/// The rows of the charts.
fn charts(desk: &Desk) -> Vec<String> {
    let screen = desk.screen();
    // What is told in numbers alone of an instant is known of what is recorded only.
    let lines = screen.lines().skip(3).take(36).filter(|line| !line.contains("charged"));
    lines.map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn screen_line(desk: &Desk, wanted: &str) -> String {
    let screen = desk.screen();
    screen.lines().find(|line| line.contains(wanted)).unwrap_or_default().to_owned()
}

/// Every chart, drawn of what was seen live, and drawn of what the recorder kept of the same: the same
/// screen to the last dot, numbers included.
#[test]
fn every_recorded_chart_is_the_live_one() {
    let folder = tempfile::tempdir().unwrap();
    for (chart, wider) in (0..Chart::ALL.len()).flat_map(|chart| [(chart, 2), (chart, 3)]) {
        let (mut live, id) = alone(chart, wider);
        live.app.metrics = wharf_ui::app::Metrics::new();
        let mut samples: Vec<(Sample, Vec<u64>)> = Vec::new();
        for second in (10..=FED).step_by(10) {
            let tick = u64::try_from(second).unwrap();
            let batch = live.fake.batch(tick);
            let (_, sample) = batch.containers.iter().find(|(known, _)| *known == id).unwrap();
            samples.push((sample.clone(), cores(tick)));
            live.raw(Msg::Tick(time(second)));
            live.raw(Msg::Samples(batch));
            let at = Duration::from_secs(tick);
            let details = DetailSample { at, cores: Some(cores(tick)), ..DetailSample::default() };
            live.raw(Msg::Details { id: id.clone(), result: Ok(details) });
        }
        let path = folder.path().join(format!("{chart}-{wider}"));
        let mut recorder = Recorder::open(&path, Some(Shape::new(2))).unwrap();
        for (mut sample, cores) in samples {
            let up = sample.at;
            sample.at += since_epoch(time(0));
            recorder.sample(sample, &cores, up).unwrap();
        }
        let host_memory = live.app.metrics.host_memory(0);
        let (mut recorded, _) = alone(chart, wider);
        recorded.app.metrics = wharf_ui::app::Metrics::new();
        let past = Past::new(read(&path).unwrap(), host_memory);
        recorded.raw(Msg::Recorded { id: id.clone(), result: Ok(Box::new(past)) });
        recorded.raw(Msg::Tick(time(FED)));
        // At the newest instant, and far back.
        for keys in ["\x1b[D", "{", "{"] {
            live.keys(keys);
            recorded.keys(keys);
            assert_eq!(live.app.charts.instant, recorded.app.charts.instant);
            let (seen, kept) = (charts(&live), charts(&recorded));
            assert_eq!(
                seen,
                kept,
                "{:?}\n{}\n{}",
                Chart::ALL[chart],
                seen.join("\n"),
                kept.join("\n")
            );
        }
        let dots = charts(&live)
            .concat()
            .chars()
            .filter(|c| ('\u{2801}'..='\u{28ff}').contains(c))
            .count();
        assert!(dots > 100, "{:?} shows nothing\n{}", Chart::ALL[chart], live.screen());
        if chart == 0 {
            let cores = screen_line(&live, "core 1");
            assert!(cores.contains('%') && !cores.contains('–'), "{cores}");
        }
    }
}

/// The dashboard in the past: ten minutes before it was opened.
fn back(desk: Desk) -> Desk {
    let mut desk = desk;
    desk.keys("/api-1\nc");
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    desk.keys("tT10m\n");
    desk.send(Msg::Tick(time(43)));
    desk.keys("\x1b[D\x1b[C");
    desk
}

#[test]
fn the_past_in_every_size_and_look() {
    for size in [(80, 24), (200, 60)] {
        let mut desk = back(Desk::new(plain(), size));
        insta::assert_snapshot!(format!("past-{}x{}", size.0, size.1), desk.screen());
        desk.keys("+z");
        insta::assert_snapshot!(format!("past-cores-{}x{}", size.0, size.1), desk.screen());
        desk.keys("n");
        assert!(desk.screen().contains("kernel 3.0M"), "{}", desk.screen());
    }
    let mut desk = back(Desk::new(options(Colors::None, false), (120, 40)));
    desk.keys("+");
    assert!(desk.screen().is_ascii(), "{}", desk.screen());
    insta::assert_snapshot!("past-ascii", desk.screen());
    let desk = back(Desk::new(options(Colors::True, true), (120, 40)));
    insta::assert_snapshot!("past-colours", desk.styled());
}

/// Returns the line of the run of probes that began at this second of the record.
fn probes_since(desk: &Desk, second: i64) -> String {
    let begun = (time(0) - TimeDelta::seconds(3600 - second)).format("%H:%M:%S");
    screen_line(desk, &format!(" {begun} "))
}

/// Health tells of the probes until the instant that is looked at, not of those that came later.
#[test]
fn probes_are_counted_until_the_instant() {
    let mut desk = back(Desk::new(plain(), (120, 40)));
    let go = |desk: &mut Desk, ago: &str| {
        desk.keys(&format!("cT{ago}\n"));
        desk.send(Msg::Tick(time(44)));
        desk.keys("H");
    };
    desk.keys("+");
    go(&mut desk, "9m");
    // The second run is over by then, of the third half is yet to come.
    let (second, third) = (probes_since(&desk, 1805), probes_since(&desk, 3005));
    assert!(second.contains(" 239 ") && second.contains(" 230ms "), "{}", desk.screen());
    assert!(third.contains(" failed 1 ") && third.contains("refused"), "{}", desk.screen());
    let count: u32 = third.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((18..=22).contains(&count), "{third}\n{}", desk.screen());
    assert!(!third.contains("ms"), "how long those took isn't known: {third}");
    go(&mut desk, "17m");
    let second = probes_since(&desk, 1805);
    assert!(second.contains(" passed "), "{}", desk.screen());
    let count: u32 = second.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((160..=166).contains(&count), "{count}: {}", desk.screen());
    assert_eq!(probes_since(&desk, 3005), "", "{}", desk.screen());
    assert!(!desk.screen().contains("in a row,"), "{}", desk.screen());
    // Of what isn't recorded nothing is claimed.
    desk.keys("1/");
    desk.press("Ctrl-u".parse().unwrap());
    desk.keys("cache\nH");
    assert!(
        desk.screen().contains("no probes of cache are recorded until then"),
        "{}",
        desk.screen()
    );
}

/// A check that has flapped all day, and failed otherwise for a while long ago: that is there to be looked
/// at, with what it said then.
#[test]
fn a_failure_long_ago_is_shown_though_the_check_flaps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path, Some(Shape::new(2))).unwrap();
    let begin = time(0) - TimeDelta::hours(24);
    for n in 0..24 * 30 {
        let at = begin + TimeDelta::minutes(n * 2);
        let (status, exit_code, output) = match n {
            // Four hours after the beginning, for ten minutes.
            120..125 => (HealthStatus::Unhealthy, 9, "no route to the database"),
            _ if n % 2 == 0 => (HealthStatus::Healthy, 0, "ok"),
            _ => (HealthStatus::Healthy, 1, "timed out"),
        };
        let took = Duration::from_millis(30);
        let what = What::Probes(Probes {
            until: at + took,
            count: 1,
            exit_code,
            status,
            streak: u32::from(exit_code != 0),
            last: took,
            longest: took,
            output: output.to_owned(),
        });
        recorder.happened(Happening { at, what }).unwrap();
    }
    let fake = Fake::demo();
    let mut old = container(77, "old", "box", Status::Running);
    old.created = time(0) - TimeDelta::days(2);
    fake.put(old);
    let mut desk = Desk::with(fake, plain(), (120, 40));
    desk.keys("/old\nc");
    let id = desk.app.selected().unwrap().summary.id.clone();
    desk.send(Msg::Tick(time(41)));
    desk.keys("tT19h56m\n");
    desk.send(Msg::Tick(time(43)));
    desk.keys("+H");
    let past = Past::new(read(&path).unwrap(), desk.app.metrics.host_memory(0));
    desk.raw(Msg::Recorded { id, result: Ok(Box::new(past)) });
    let screen = desk.screen();
    assert!(screen.contains("no route to the database"), "{screen}");
    assert!(screen.contains('█') && screen.contains('▅'), "{screen}");
}

/// A probe during which the clock was set back ended before it began; it is drawn all the same.
#[test]
fn a_probe_that_ended_before_it_began_is_drawn() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("/api-1\nH+");
    let id = desk.app.selected().unwrap().summary.id.clone();
    let probe = |minute: i64| Happening {
        at: time(0) - TimeDelta::minutes(60 - minute),
        what: What::Probes(Probes {
            until: time(0) - TimeDelta::minutes(60 - minute) - TimeDelta::minutes(20),
            count: 1,
            exit_code: 1,
            status: HealthStatus::Unhealthy,
            streak: 1,
            last: Duration::ZERO,
            longest: Duration::ZERO,
            output: "before its time".to_owned(),
        }),
    };
    let recording = Recording { happenings: vec![probe(0), probe(40)], ..Recording::default() };
    let past = Past::new(recording, desk.app.metrics.host_memory(0));
    desk.raw(Msg::Recorded { id, result: Ok(Box::new(past)) });
    assert!(desk.screen().contains("before its time"), "{}", desk.screen());
}

/// Of what isn't recorded the dashboard says that it is the present, and no state where none is known.
#[test]
fn what_is_not_recorded_is_told() {
    let mut desk = back(Desk::new(plain(), (120, 40)));
    assert!(!desk.screen().contains("as it is now"), "{}", desk.screen());
    for keys in ["i", "t", "f"] {
        desk.keys(keys);
        assert!(screen_line(&desk, " Logs ").contains("as it is now"), "{}", desk.screen());
    }
    for keys in ["1c2", "6"] {
        desk.keys(keys);
        assert!(desk.screen().contains("as it is now"), "{}", desk.screen());
    }
}

#[test]
fn where_nothing_was_recorded_no_state_is_made_up() {
    let fake = Fake::demo();
    let mut old = container(77, "old", "box", Status::Running);
    old.created = time(0) - TimeDelta::days(1);
    fake.put(old);
    let mut desk = Desk::with(fake, plain(), (120, 40));
    desk.keys("/old\nc");
    desk.send(Msg::Tick(time(42)));
    assert!(screen_line(&desk, " old ").contains("● running"), "{}", desk.screen());
    desk.keys("tT5h\n");
    desk.send(Msg::Tick(time(43)));
    assert!(screen_line(&desk, " old ").contains("? unknown"), "{}", desk.screen());
    let top = screen_line(&desk, "Containers");
    assert!(top.contains("? 1 unknown") && !top.contains("stopped"), "{top}");
    // Before it was made.
    desk.keys("T49h\n");
    desk.send(Msg::Tick(time(44)));
    assert_eq!(screen_line(&desk, "? unknown"), "", "{}", desk.screen());
    desk.keys("\x1b");
    desk.keys("/");
    desk.press("Ctrl-u".parse().unwrap());
    desk.keys("\nc");
    assert!(screen_line(&desk, " old ").contains("● running"), "{}", desk.screen());
}

#[test]
fn the_host_line_is_that_of_the_instant() {
    let mut desk = back(Desk::new(plain(), (150, 40)));
    let line = |desk: &Desk| desk.screen().lines().nth(1).unwrap().to_owned();
    let first = line(&desk);
    assert!(first.contains("THE PAST: ") && first.contains("10m ago"), "{first}");
    for value in ["cpu ", "load ", "mem ", "pressure ", "disk "] {
        assert!(first.contains(value), "{value}: {first}");
    }
    desk.keys("{");
    assert_ne!(line(&desk), first);
    // Before anything was recorded.
    desk.keys("T5h\n");
    assert!(line(&desk).contains("host not recorded"), "{}", line(&desk));
    assert!(desk.screen().contains("not recorded"), "{}", desk.screen());
    desk.keys("\x1b");
    assert!(!line(&desk).contains("PAST"), "{}", line(&desk));
}

#[test]
fn a_replay_begins_with_a_container_and_a_time() {
    let at = time(40) - TimeDelta::minutes(10);
    let replay =
        Replay { at, length: Some(TimeDelta::minutes(20)), container: Some("cache".to_owned()) };
    let options = wharf_ui::Options { replay: Some(replay), ..plain() };
    let mut desk = Desk::new(options, (120, 40));
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    assert_eq!(desk.app.selected().unwrap().summary.name, "cache");
    assert_eq!(desk.app.travel.as_ref().unwrap().at, at);
    desk.keys("+");
    let screen = desk.screen();
    assert!(screen.contains("THE PAST") && screen.contains("-20m"), "{screen}");
    assert!(screen.contains("20m at 23:50:40 UTC"), "{screen}");
    // A length of the usual ones is next.
    desk.keys("<");
    assert!(desk.screen().contains("-15m"), "{}", desk.screen());
}

fn mouse(desk: &mut Desk, kind: MouseEventKind, column: u16, row: u16) {
    desk.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

#[test]
fn the_mouse_reads_zooms_and_scrubs_the_charts() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("c");
    desk.send(Msg::Tick(time(41)));
    desk.send(Msg::Tick(time(42)));
    desk.keys("+");
    let (left, drag, up) = (
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Drag(MouseButton::Left),
        MouseEventKind::Up(MouseButton::Left),
    );
    // A click on a chart's head chooses it, and reads nothing.
    mouse(&mut desk, left, 45, 4);
    assert_eq!((desk.app.charts.chosen, desk.app.charts.instant), (Chart::Memory, None));
    // In a chart it reads an instant, the further to the right the later.
    mouse(&mut desk, left, 70, 10);
    mouse(&mut desk, up, 70, 10);
    let first = desk.app.charts.instant.unwrap();
    assert_eq!(desk.app.charts.drawn, None);
    assert!(desk.screen().contains("UTC, "), "{}", desk.screen());
    mouse(&mut desk, left, 60, 10);
    mouse(&mut desk, up, 60, 10);
    let second = desk.app.charts.instant.unwrap();
    assert_eq!((first - second).num_seconds(), 20, "ten cells of two seconds");
    // Drawing over a time shows that time; meanwhile it is marked.
    mouse(&mut desk, left, 50, 10);
    let from = desk.app.charts.instant.unwrap();
    for column in 51..=65 {
        mouse(&mut desk, drag, column, 12);
    }
    insta::assert_snapshot!("stats-drawn", desk.styled());
    let to = desk.app.charts.instant.unwrap();
    assert_eq!((to - from).num_seconds(), 30);
    mouse(&mut desk, up, 65, 12);
    assert_eq!((desk.app.charts.span, desk.app.charts.drawn), (Some(30), None));
    assert!(desk.screen().contains("held at"), "{}", desk.screen());
    // The wheel shows more and less, and Esc lets all go on as before.
    mouse(&mut desk, MouseEventKind::ScrollDown, 60, 10);
    assert!(desk.screen().contains("-66s"), "{}", desk.screen());
    mouse(&mut desk, MouseEventKind::ScrollDown, 60, 10);
    assert!(desk.screen().contains("-5m"), "{}", desk.screen());
    mouse(&mut desk, MouseEventKind::ScrollUp, 60, 10);
    desk.keys("\x1b");
    assert_eq!((desk.app.charts.end, desk.app.charts.span), (None, None));
    // In the past a click moves everything.
    desk.keys("t");
    mouse(&mut desk, left, 60, 10);
    mouse(&mut desk, up, 60, 10);
    let travel = desk.app.travel.as_ref().unwrap();
    assert_eq!(
        (Some(travel.at), travel.trips[0].shown),
        (desk.app.charts.instant, Some(travel.at))
    );
    // What lies outside of the charts moves nothing.
    let at = travel.at;
    mouse(&mut desk, left, 1, 10);
    mouse(&mut desk, drag, 30, 10);
    assert_eq!(desk.app.travel.as_ref().unwrap().at, at);
}
