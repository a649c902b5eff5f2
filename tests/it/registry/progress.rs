//! The lines of a pull and a push on a terminal: drawn again in place, whatever the terminal's size
//! becomes meanwhile.

use super::layer;
use super::proxy::{Action, Gate, Proxy};
use super::server::{Desk, Registry, digest};
use crate::harness::Test;
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![each_layer_has_a_line_that_is_redrawn, an_interrupted_pull_leaves_the_terminal_in_order]
}

/// What a layer of the tests has.
const SIZE: usize = 300_000;

/// Returns the lines of a screen that are about a layer.
fn about(screen: &vt100::Screen, layer: &[u8]) -> Vec<String> {
    let short = digest(layer).short().to_owned();
    let text = screen.contents();
    text.lines().filter(|line| line.starts_with(&short)).map(str::to_owned).collect()
}

fn each_layer_has_a_line_that_is_redrawn() {
    let registry = Registry::plain();
    let proxy = Proxy::before(&registry.address);
    let layers = ["a", "bc", "def"].map(|name| layer(name, SIZE));
    registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", proxy.address);
    for (columns, then) in [(80, 80), (80, 40), (40, 120)] {
        let desk = Desk::new();
        proxy.behave();
        let gate = Gate::default();
        let blob = format!("/blobs/{}", digest(&layers[1]));
        proxy.first(1, "GET", &blob, Action::Hold(SIZE / 2, gate.clone()));
        let mut terminal = Terminal::start(&desk.command(&["pull", &name]), columns, 24);
        // Two are there, one stands still in the middle; each has one line.
        terminal.until("two layers and a half", |screen| {
            let lines = layers.each_ref().map(|layer| about(screen, layer));
            let whole = |n: usize| lines[n].len() == 1 && lines[n][0].ends_with(": Pull complete");
            whole(0) && whole(2) && lines[1].len() == 1 && lines[1][0].contains("Downloading ")
        });
        terminal.resize(then, 24);
        gate.open();
        terminal.wait_for("Status: Downloaded newer");
        assert_eq!(terminal.wait(), 0);
        let mut shown = Vec::new();
        terminal.until("the last layer", |screen| {
            let lines = about(screen, &layers[1]);
            lines.last().is_some_and(|line| line.ends_with(": Pull complete"))
        });
        for layer in &layers {
            shown.extend(about(terminal.screen(), layer));
        }
        // A terminal that became narrower has wrapped what was there: it goes on below.
        let most = if then < columns { 6 } else { 3 };
        assert!(shown.len() <= most, "{columns} to {then}: {}", terminal.text());
        let done = shown.iter().filter(|line| line.ends_with(": Pull complete")).count();
        assert_eq!(done, 3, "{columns} to {then}: {}", terminal.text());
    }
    // What isn't a terminal gets plain lines, none twice, and nothing that a terminal would obey.
    let desk = Desk::new();
    proxy.behave();
    let out = desk.ok(&["pull", &name]);
    assert!(!out.contains(['\u{1b}', '\r']), "{out:?}");
    assert!(!out.contains("Downloading"), "{out}");
    // A push, too.
    let there = format!("{}/y:1", proxy.address);
    desk.ok(&["tag", &name, &there]);
    let mut terminal = Terminal::start(&desk.command(&["push", &there]), 40, 12);
    terminal.wait_for("1: digest: sha256:");
    assert_eq!(terminal.wait(), 0);
    for layer in &layers {
        let lines = about(terminal.screen(), layer);
        assert_eq!(lines.len(), 1, "{}", terminal.text());
    }
}

fn an_interrupted_pull_leaves_the_terminal_in_order() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let layers = [layer("a", SIZE), layer("bc", SIZE)];
    registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", proxy.address);
    let gate = Gate::default();
    let blob = format!("/blobs/{}", digest(&layers[1]));
    proxy.first(1, "GET", &blob, Action::Hold(SIZE / 2, gate.clone()));
    let mut terminal = Terminal::start(&desk.command(&["pull", &name]), 40, 12);
    terminal.until("a layer and a half", |screen| {
        about(screen, &layers[0]).iter().any(|line| line.ends_with(": Pull complete"))
            && about(screen, &layers[1]).iter().any(|line| line.contains("Downloading "))
    });
    assert!(!terminal.is_raw());
    terminal.send("\u{3}");
    assert_eq!(terminal.wait(), 130);
    gate.open();
    // What comes next has a line of its own.
    let (row, column) = terminal.screen().cursor_position();
    assert!(row >= 2 && column <= 2, "the cursor is at {row}, {column}: {}", terminal.text());
    assert!(!desk.has(&name));
    assert_eq!(desk.ok(&["images", "-aq"]), "");
    desk.ok(&["pull", &name]);
    assert_eq!(desk.ok(&["system", "check"]), "");
}
