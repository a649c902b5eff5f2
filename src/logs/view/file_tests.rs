//! Tests of the view of files, with counters of what was read rather than clocks.

use proptest::prelude::*;

use super::*;
use crate::test_support::{Scene, records, second};
use crate::{Case, Change, StreamView};

fn text(line: &Line) -> String {
    String::from_utf8(line.message.clone()).unwrap()
}

fn numbers(lines: &[Line]) -> Vec<u64> {
    lines.iter().map(|l| text(l).strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

#[test]
fn a_large_log_opens_and_shows_its_end_at_once() {
    let scene = Scene::new();
    // 64 MiB that take no disk, and records at the end.
    let file = std::fs::File::create(scene.path()).unwrap();
    file.set_len(64 << 20).unwrap();
    drop(file);
    scene.append_raw(b"\n");
    scene.append(0..1000);
    let mut view = FileView::open(&scene.path()).unwrap();
    assert!(view.bytes_read() < 8192, "opening: {}", view.bytes_read());
    assert_eq!(numbers(&view.last(50).unwrap()), (950..1000).collect::<Vec<_>>());
    assert!(view.bytes_read() < 200_000, "the last page: {}", view.bytes_read());
    // The one line of 64 MiB is cut, and what comes after it is found.
    let first = view.forward(0, 1).unwrap();
    assert!(first[0].cut && first[0].time.is_none());
    assert_eq!(numbers(&view.forward(first[0].next, 2).unwrap()), [0, 1]);
}

#[test]
fn the_index_comes_in_steps_and_each_byte_is_read_once() {
    let scene = Scene::new();
    scene.append(0..60_000);
    let mut view = FileView::open(&scene.path()).unwrap();
    let total = view.progress().total;
    assert!(total > 4 << 20);
    let mut steps = 0;
    while !view.advance(512 * 1024).unwrap() {
        steps += 1;
        let progress = view.progress();
        assert!(progress.lines > 0 && !progress.is_complete());
    }
    assert!(steps >= 7, "{steps}");
    assert!(view.bytes_read() <= total + 8192, "{} of {total}", view.bytes_read());
    assert_eq!(view.progress().lines, 60_000);
    assert!(view.progress().is_complete());
    for number in [0, 1, 2999, 12_345, 59_999] {
        let before = view.bytes_read();
        let at = view.at_number(number).unwrap().unwrap();
        assert_eq!(numbers(&view.forward(at, 1).unwrap()), [number]);
        assert_eq!(view.number(at).unwrap(), Some(number));
        assert!(view.bytes_read() - before <= 3 * BLOCK, "{}", view.bytes_read() - before);
    }
    assert_eq!(view.at_number(60_000).unwrap(), None);
    let end = view.end();
    assert_eq!(view.number(end).unwrap(), Some(60_000));
}

#[test]
fn instants_are_found_by_halving() {
    let scene = Scene::new();
    scene.append(0..30_000);
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(30_000..60_000);
    let mut view = FileView::open(&scene.path()).unwrap();
    for number in [0, 1, 12_345, 29_999, 30_000, 59_999] {
        let at = view.at_time(second(number)).unwrap();
        assert_eq!(numbers(&view.forward(at, 1).unwrap()), [number]);
    }
    assert_eq!(view.at_time(second(60_000)).unwrap(), view.end());
    assert!(view.bytes_read() < 16 << 20, "{}", view.bytes_read());
}

#[test]
fn growth_and_rotation_keep_numbers_right() {
    let scene = Scene::new();
    scene.append(0..5000);
    let mut view = FileView::open(&scene.path()).unwrap();
    while !view.advance(u64::MAX).unwrap() {}
    assert_eq!(view.refresh().unwrap(), Change::Same);
    let mut next = 5000;
    for round in 0..6 {
        scene.append(next..next + 3000);
        next += 3000;
        assert_eq!(view.refresh().unwrap(), Change::Grown);
        if round % 2 == 0 {
            let _ = std::fs::rename(scene.rotated(1), scene.rotated(2));
            std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
            scene.append(next..next + 1);
            next += 1;
            assert_eq!(view.refresh().unwrap(), Change::Rotated);
        }
        while !view.advance(100_000).unwrap() {}
        let oldest = numbers(&view.forward(view.start(), 1).unwrap())[0];
        assert_eq!(view.progress().lines, next - oldest);
        for number in (oldest..next).step_by(701) {
            let at = view.at_number(number - oldest).unwrap().unwrap();
            assert_eq!(numbers(&view.forward(at, 1).unwrap()), [number]);
            assert_eq!(view.number(at).unwrap(), Some(number - oldest));
        }
        assert_eq!(numbers(&view.last(3).unwrap()), (next - 3..next).collect::<Vec<_>>());
    }
    assert!(view.start() > 0, "the oldest file was deleted");
}

#[test]
fn lines_are_decoded_and_rubbish_is_shown() {
    let scene = Scene::new();
    let long = "y".repeat(90_000);
    let mut bytes = records(0..1);
    codec::encode(&mut bytes, LogStream::Stderr, second(1), format!("{long}\n").as_bytes());
    codec::encode(&mut bytes, LogStream::Stdout, second(2), b"no newline");
    bytes.extend_from_slice(b"{\"log\":\"torn\n");
    scene.append_raw(&bytes);
    let mut view = FileView::open(&scene.path()).unwrap();
    let lines = view.forward(0, 10).unwrap();
    assert_eq!(lines.len(), 4);
    assert_eq!((text(&lines[1]), lines[1].stream), (long, LogStream::Stderr));
    assert!(lines[1].complete && !lines[1].cut);
    assert_eq!((text(&lines[2]).as_str(), lines[2].complete), ("no newline", false));
    assert_eq!((text(&lines[3]).as_str(), lines[3].time), ("{\"log\":\"torn", None));
    let back = view.backward(view.end(), 10).unwrap();
    assert_eq!(back, lines);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Files and streams answer alike, and as a plain list would.
    #[test]
    fn both_views_agree(
        lengths in proptest::collection::vec(0_usize..900, 1..120),
        rows in 1_usize..40,
        cut in 0_usize..120,
    ) {
        let scene = Scene::new();
        let mut stream = StreamView::new(usize::MAX);
        let mut bytes = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let mut message = format!("{number} {}", "z\u{1b}".repeat(*length));
            message.push('\n');
            codec::encode(&mut bytes, LogStream::Stdout, second(number as u64), message.as_bytes());
            stream.push(codec::decode(bytes.rsplit(|b| *b == b'\n').nth(1).unwrap()).unwrap());
            if number == cut {
                scene.append_raw(&std::mem::take(&mut bytes));
                std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
            }
        }
        scene.append_raw(&bytes);
        let mut file = FileView::open(&scene.path()).unwrap();
        while !file.advance(100_000).unwrap() {}
        let total = lengths.len() as u64;
        prop_assert_eq!(file.progress().lines, total);
        let plain = |lines: Vec<Line>| -> Vec<_> {
            lines.into_iter().map(|l| (l.time, l.message, l.complete)).collect()
        };
        for number in (0..total).step_by(7) {
            let here = file.at_number(number).unwrap().unwrap();
            let there = stream.at_number(number).unwrap().unwrap();
            prop_assert_eq!(file.number(here).unwrap(), Some(number));
            prop_assert_eq!(
                plain(file.forward(here, rows).unwrap()),
                plain(stream.forward(there, rows).unwrap())
            );
            prop_assert_eq!(
                plain(file.backward(here, rows).unwrap()),
                plain(stream.backward(there, rows).unwrap())
            );
        }
        let matcher = crate::Matcher::new("^1\\d* z", Case::Smart).unwrap();
        let mut hits = crate::Search::new(matcher.clone());
        let file_hits = hits.advance(&mut file, u64::MAX).unwrap();
        let stream_hits = crate::Search::new(matcher).advance(&mut stream, u64::MAX).unwrap();
        prop_assert!(file_hits.complete && stream_hits.complete);
        prop_assert_eq!(file_hits.matches, stream_hits.matches);
    }
}
