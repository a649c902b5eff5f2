//! What each key costs over many containers, state and drawing alone, without a terminal:
//! `cargo run --release -p wharf-ui --example crowd [-- CONTAINERS]`. The worst of some tries, in
//! milliseconds; a frame is 16.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use wharf_backend::SampleBatch;
use wharf_backend::fake::{Fake, container, sample, time};
use wharf_model::{ContainerId, ContainerSummary, Status};
use wharf_ui::{App, Msg, Options, update, view};

/// What is typed, in this order.
const KEYS: [(&str, &str); 27] = [
    ("down", "j"),
    ("last", "G"),
    ("first", "g"),
    ("mark", " "),
    ("sort", "o"),
    ("sort by network", "oo"),
    ("reverse", "O"),
    ("filter", "/"),
    ("a letter", "w"),
    ("a second", "o"),
    ("a digit", "7"),
    ("enter", "\n"),
    ("clear", "\x1b"),
    ("fold all", "Z"),
    ("unfold all", "Z"),
    ("ungroup", "B"),
    ("group", "B"),
    ("running only", "a"),
    ("all", "a"),
    ("palette", ":"),
    ("palette letter", "w"),
    ("palette digit", "7"),
    ("leave palette", "\x1b"),
    ("help", "?"),
    ("leave help", "\x1b"),
    ("networks", "4"),
    ("containers", "1"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    let many = crowd(count)?;
    let mut app = App::new(Options::default(), (120, 40), time(0));
    let mut terminal = Terminal::new(TestBackend::new(120, 40))?;
    let mut report: Vec<(&str, Duration)> = Vec::new();
    let mut step = |app: &mut App, name: &'static str, msgs: Vec<Msg>| {
        let begun = Instant::now();
        for msg in msgs {
            let _ = update(app, msg);
        }
        let drawn = terminal.draw(|frame| view(app, frame));
        let took = begun.elapsed();
        match report.iter_mut().find(|(known, _)| *known == name) {
            Some((_, worst)) => *worst = took.max(*worst),
            None => report.push((name, took)),
        }
        drawn.map(|_| ())
    };
    step(&mut app, "connect", vec![Msg::Connected])?;
    for second in 1..6 {
        step(&mut app, "list", vec![Msg::Containers(Ok(many.clone()))])?;
        step(&mut app, "sample", vec![Msg::Samples(batch(&many, second))])?;
        step(&mut app, "tick", vec![Msg::Tick(time(second))])?;
    }
    for _ in 0..3 {
        for (name, keys) in KEYS {
            step(&mut app, name, keys.chars().map(key).collect())?;
        }
    }
    // Everything marked, and the list comes anew.
    let marks = (0..count).map(|_| key(' ')).chain([key('g')]);
    step(&mut app, "mark all, one by one", marks.collect())?;
    step(&mut app, "list, all marked", vec![Msg::Containers(Ok(many.clone()))])?;
    step(&mut app, "bulk menu", vec![key('b')])?;
    step(&mut app, "bulk restart", vec![key('j'), key('j'), key('\n')])?;
    step(&mut app, "its dialog", vec![key('\n')])?;
    step(&mut app, "down, all busy", vec![key('j')])?;
    step(&mut app, "last, all busy", vec![key('G')])?;
    step(&mut app, "bulk menu, all busy", vec![key('b')])?;
    for (name, worst) in report {
        println!("{name:<24}{:8.2} ms", worst.as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// Returns containers, each third of a compose project.
fn crowd(count: usize) -> Result<Vec<ContainerSummary>, Box<dyn std::error::Error>> {
    let mut many = Vec::new();
    for n in 0..count {
        let name = format!("worker-{n:04}");
        let mut one =
            container(u8::try_from(n % 200)?, &name, "registry.example/worker:2", Status::Running);
        one.id = format!("{n:064x}").parse::<ContainerId>()?;
        if n % 3 == 0 {
            let project = format!("project-{}", n % 40);
            one.labels.insert("com.docker.compose.project".to_owned(), project);
        }
        many.push(one);
    }
    Ok(many)
}

fn batch(many: &[ContainerSummary], second: i64) -> SampleBatch {
    let whole = Fake::demo().batch(u64::try_from(second).unwrap_or(0));
    let since = u64::try_from(second).unwrap_or(0);
    let containers = many.iter().zip(0..).map(|(one, n)| (one.id.clone(), sample(n, one, since)));
    SampleBatch { containers: containers.collect(), ..whole }
}

fn key(letter: char) -> Msg {
    let code = match letter {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        letter => KeyCode::Char(letter),
    };
    Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))
}
