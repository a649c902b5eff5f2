//! Tests of searching, over files and streams.

use std::fmt::Write as _;

use chrono::Utc;
use wharf_model::{LogRecord, LogStream};

use super::*;
use crate::test_support::{Scene, records, second};
use crate::{Case, FileView, StreamView, codec};

fn search(pattern: &str) -> Search {
    Search::new(Matcher::new(pattern, Case::Smart).unwrap())
}

fn number(view: &mut dyn LogView, at: u64) -> String {
    String::from_utf8(view.forward(at, 1).unwrap().remove(0).message).unwrap()
}

/// Goes from match to match with a small budget each time.
fn walk(search: &mut Search, view: &mut dyn LogView, direction: Direction) -> Vec<String> {
    let mut at = match direction {
        Direction::Forward => view.start(),
        Direction::Backward => view.end(),
    };
    let mut found = Vec::new();
    loop {
        match search.step(view, at, direction, 300_000).unwrap() {
            Step::Found(position) => {
                found.push(number(view, position));
                at = position;
            }
            Step::Pending => {}
            Step::None => return found,
        }
    }
}

#[test]
fn matches_are_counted_and_walked_both_ways() {
    let scene = Scene::new();
    scene.append(0..20_000);
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(20_000..40_000);
    let mut view = FileView::open(&scene.path()).unwrap();
    // With and without a literal to look for in the raw file.
    for pattern in ["line 1234.$", r"\D.?1234\d$"] {
        let mut search = search(pattern);
        let mut steps = 0;
        while !search.advance(&mut view, 300_000).unwrap().complete {
            steps += 1;
        }
        assert!(steps > 3, "{steps}");
        let mut expected: Vec<_> = (12_340..12_350).map(|n| format!("line {n}")).collect();
        assert_eq!(search.progress(&view).matches, expected.len() as u64, "{pattern}");
        assert_eq!(walk(&mut search, &mut view, Direction::Forward), expected);
        expected.reverse();
        assert_eq!(walk(&mut search, &mut view, Direction::Backward), expected);
    }
}

#[test]
fn counted_blocks_without_matches_are_not_read_again() {
    let scene = Scene::new();
    scene.append(0..40_000);
    let mut view = FileView::open(&scene.path()).unwrap();
    let mut search = search("line 39999");
    search.advance(&mut view, u64::MAX).unwrap();
    let before = view.bytes_read();
    let start = view.start();
    assert!(matches!(
        search.step(&mut view, start, Direction::Forward, u64::MAX).unwrap(),
        Step::Found(_)
    ));
    assert!(view.bytes_read() - before < 400_000, "{}", view.bytes_read() - before);
}

#[test]
fn counting_goes_on_as_the_log_grows() {
    let scene = Scene::new();
    scene.append(0..100);
    let mut view = FileView::open(&scene.path()).unwrap();
    let mut search = search("9$");
    assert_eq!(search.advance(&mut view, u64::MAX).unwrap().matches, 10);
    let before = view.bytes_read();
    for round in 1..20 {
        scene.append(100 * round..100 * (round + 1));
        view.refresh().unwrap();
        assert!(!search.progress(&view).complete);
        let progress = search.advance(&mut view, u64::MAX).unwrap();
        assert_eq!(progress, SearchProgress { matches: 10 * (round + 1), complete: true });
    }
    let grown = std::fs::metadata(scene.path()).unwrap().len();
    assert!(view.bytes_read() - before < grown * 3, "what was searched isn't searched again");
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(2000..2010);
    view.refresh().unwrap();
    assert_eq!(search.advance(&mut view, u64::MAX).unwrap().matches, 201);
    // The old file goes, and its matches with it.
    std::fs::remove_file(scene.rotated(1)).unwrap();
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(2010..2020);
    view.refresh().unwrap();
    assert_eq!(search.advance(&mut view, u64::MAX).unwrap().matches, 2);
}

#[test]
fn only_matching_records_make_pages() {
    let scene = Scene::new();
    scene.append(0..5000);
    let mut view = FileView::open(&scene.path()).unwrap();
    let mut search = search("00$");
    let (start, end) = (view.start(), view.end());
    let mut page = |from, direction| {
        let page = search.page(&mut view, from, direction, 3, u64::MAX).unwrap();
        assert!(!page.pending);
        let texts: Vec<_> = page.positions.iter().map(|at| number(&mut view, *at)).collect();
        (page.positions, texts)
    };
    let (last, texts) = page(end, Direction::Backward);
    assert_eq!(texts, ["line 4700", "line 4800", "line 4900"]);
    let (_, texts) = page(last[0], Direction::Backward);
    assert_eq!(texts, ["line 4400", "line 4500", "line 4600"]);
    let (_, texts) = page(last[1], Direction::Forward);
    assert_eq!(texts, ["line 4800", "line 4900"]);
    let (_, texts) = page(start, Direction::Forward);
    assert_eq!(texts, ["line 100", "line 200", "line 300"]);
}

#[test]
fn escaped_and_coloured_text_is_found() {
    let scene = Scene::new();
    let mut bytes = records(0..3);
    for message in [
        "user=\"bob\" <b>&amp; caf\u{e9}\n",
        "\u{1b}[31mERR\u{1b}[0mOR: disk\n",
        "path C:\\new\\table\n",
        "half\u{fffd} \u{2028}line\n",
    ] {
        codec::encode(&mut bytes, LogStream::Stdout, second(9), message.as_bytes());
    }
    // As another writer might have it: HTML letters as they are.
    bytes.extend_from_slice(
        br#"{"log":"raw <tag> & co\n","stream":"stdout","time":"2026-01-02T00:00:00Z"}"#,
    );
    bytes.extend_from_slice(b"\n{\"log\":\"a torn needle\n");
    scene.append_raw(&bytes);
    let mut view = FileView::open(&scene.path()).unwrap();
    for (pattern, count) in [
        ("user=\"bob\"", 1),
        ("<b>&amp;", 1),
        ("caf\u{e9}$", 1),
        ("ERROR: disk", 1),
        ("error: disk", 1),
        (r"C:\\new\\table$", 1),
        ("raw <tag> &", 1),
        ("<", 2),
        ("torn needle", 1),
        ("stdout", 0),
        (r"^line \d$", 3),
        ("", 9),
    ] {
        let found = search(pattern).advance(&mut view, u64::MAX).unwrap();
        assert_eq!(found, SearchProgress { matches: count, complete: true }, "{pattern}");
    }
}

#[test]
fn streams_are_searched_and_bounded() {
    let mut view = StreamView::new(100_000);
    let mut text = String::new();
    for number in 0..5000_u64 {
        text.clear();
        writeln!(text, "line {number}").unwrap();
        view.push(LogRecord {
            time: Utc::now(),
            stream: LogStream::Stdout,
            message: text.clone().into_bytes(),
            attributes: std::collections::BTreeMap::new(),
        });
    }
    assert!(view.dropped() > 2000 && view.dropped() < 5000, "{}", view.dropped());
    assert_eq!(view.progress().dropped, view.dropped());
    let mut search = search("99$");
    let expected = (view.dropped()..5000).filter(|n| n % 100 == 99).count() as u64;
    assert_eq!(search.advance(&mut view, u64::MAX).unwrap().matches, expected);
    let found = walk(&mut search, &mut view, Direction::Backward);
    assert_eq!(found.len() as u64, expected);
    assert_eq!(found[0], "line 4999");
}
