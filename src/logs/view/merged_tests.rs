//! Tests of merged logs, against a plain merge of all their records.

use proptest::prelude::*;
use wharf_model::{LogRecord, LogStream};

use super::*;
use crate::test_support::{Scene, second};
use crate::{Case, Direction, FileView, Histogram, Looked, Search, Step, StreamView};

fn stream(records: &[(u64, &str)]) -> Box<dyn LogView> {
    let mut view = StreamView::new(1 << 20);
    for (time, text) in records {
        view.push(LogRecord {
            time: second(*time),
            stream: LogStream::Stdout,
            message: format!("{text}\n").into_bytes(),
            attributes: std::collections::BTreeMap::new(),
        });
    }
    Box::new(view)
}

fn texts(lines: &[Line]) -> Vec<String> {
    let text = |line: &Line| String::from_utf8_lossy(&line.message).into_owned();
    lines.iter().map(|line| format!("{}{}", line.source, text(line))).collect()
}

#[test]
fn the_earlier_record_comes_first_and_traces_stay_whole() {
    let a = stream(&[(1, "a1"), (3, "boom"), (3, "  at x"), (4, "  at y"), (5, "a5")]);
    let b = stream(&[(1, "b1"), (2, "b2"), (3, "b3"), (6, "b6")]);
    let mut merged = Merged::new(vec![a, b]);
    let start = merged.start();
    let all = merged.forward(start, 100).unwrap();
    let wanted = ["0a1", "1b1", "1b2", "0boom", "0  at x", "0  at y", "1b3", "0a5", "1b6"];
    assert_eq!(texts(&all), wanted);
    assert_eq!(texts(&merged.last(100).unwrap()), wanted);
    for (at, line) in all.iter().enumerate() {
        assert_eq!(texts(&merged.forward(line.position, 3).unwrap())[0], wanted[at]);
        let before = merged.backward(line.position, 100).unwrap();
        assert_eq!(texts(&before), wanted[..at], "before {at}");
    }
    assert_eq!(merged.at_time(second(2)).unwrap(), all[2].position);
    // In the middle of the trace: what comes after it.
    assert_eq!(merged.at_time(second(4)).unwrap(), all[7].position);
}

#[test]
fn large_logs_are_entered_anywhere_by_small_reads() {
    let (one, two) = (Scene::new(), Scene::new());
    one.append(0..60_000);
    two.append(20_000..50_000);
    let open =
        |scene: &Scene| -> Box<dyn LogView> { Box::new(FileView::open(&scene.path()).unwrap()) };
    let mut merged = Merged::new(vec![open(&one), open(&two)]);
    let end = merged.end();
    for part in [3_u64, 7, 11, 17, 19] {
        let position = end / 20 * part;
        let line = merged.forward(position, 2).unwrap();
        assert!(line[0].position >= position && line[0].position < position + 400);
        // Whoever comes there by time finds the same records.
        let time = line[1].time.unwrap();
        let at = merged.at_time(time).unwrap();
        let found = merged.forward(at, 1).unwrap();
        assert_eq!(found[0].time, Some(time));
    }
    assert!(merged.bytes_read() < 64 << 20, "{}", merged.bytes_read());
    let mut search = Search::new(Matcher::new("line 4000.$", Case::Smart).unwrap());
    assert_eq!(search.advance(&mut merged, u64::MAX).unwrap().matches, 20);
    let first = search.step(&mut merged, 0, Direction::Forward, u64::MAX).unwrap();
    let Step::Found(position) = first else { panic!("{first:?}") };
    assert_eq!(texts(&merged.forward(position, 2).unwrap()), ["0line 40000", "1line 40000"]);
    let looked = Histogram::new().bars(&mut merged, None, 60, u64::MAX).unwrap();
    let Looked::Done(Some(bars)) = looked else { panic!("{looked:?}") };
    assert_eq!(bars.counts.iter().sum::<u64>(), 90_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pages_are_those_of_a_plain_merge(
        times in prop::collection::vec(prop::collection::vec(0_u64..40, 0..40), 1..4),
        rows in 1_usize..9,
    ) {
        let mut plain = Vec::new();
        let mut views = Vec::new();
        for (source, mut times) in times.into_iter().enumerate() {
            times.sort_unstable();
            let texts: Vec<_> =
                times.iter().enumerate().map(|(n, t)| (*t, format!("{t}-{n}"))).collect();
            let records: Vec<_> = texts.iter().map(|(t, text)| (*t, text.as_str())).collect();
            views.push(stream(&records));
            plain.extend(texts.into_iter().map(|(t, text)| (t, source, format!("{source}{text}"))));
        }
        plain.sort_by_key(|(time, source, _)| (*time, *source));
        let plain: Vec<_> = plain.into_iter().map(|(_, _, text)| text).collect();
        let mut merged = Merged::new(views);
        let (mut at, mut forward) = (merged.start(), Vec::new());
        loop {
            let page = merged.forward(at, rows).unwrap();
            let Some(last) = page.last() else { break };
            at = last.next;
            forward.extend(texts(&page));
        }
        prop_assert_eq!(&forward, &plain);
        let (mut at, mut backward) = (merged.end(), Vec::new());
        loop {
            let page = merged.backward(at, rows).unwrap();
            let Some(first) = page.first() else { break };
            at = first.position;
            let mut part = texts(&page);
            part.append(&mut backward);
            backward = part;
        }
        prop_assert_eq!(&backward, &plain);
    }
}
