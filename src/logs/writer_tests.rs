//! Tests of the writer, on real files.

use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::*;
use crate::test_support::{Scene, second};
use crate::{FileView, LogView};
use wharf_model::LogRecord;

fn messages(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines
        .map(|line| {
            let record = codec::decode(line).expect("every line is a record");
            String::from_utf8(record.message).unwrap()
        })
        .collect()
}

fn writer(scene: &Scene) -> Writer {
    Writer::open(scene.path(), Rotation::default()).unwrap()
}

const OUT: LogStream = LogStream::Stdout;
const ERR: LogStream = LogStream::Stderr;

#[test]
fn chunks_become_lines() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    writer.write(OUT, second(1), b"one\ntwo\nthr").unwrap();
    assert_eq!(messages(&scene.path()), ["one\n", "two\n"]);
    writer.write(ERR, second(2), b"error").unwrap();
    writer.write(OUT, second(3), b"ee\n\n").unwrap();
    assert!(writer.has_partial(ERR) && !writer.has_partial(OUT));
    writer.finish(ERR, second(4)).unwrap();
    writer.finish(OUT, second(4)).unwrap();
    assert_eq!(messages(&scene.path()), ["one\n", "two\n", "three\n", "\n", "error"]);
    assert_eq!(std::fs::metadata(scene.path()).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn long_lines_are_split_as_docker_does() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    let long = "x".repeat(MAX_RECORD * 2 + 5);
    writer.write(OUT, second(1), long.as_bytes()).unwrap();
    writer.write(OUT, second(9), b"\nnext\n").unwrap();
    let found = messages(&scene.path());
    let lengths: Vec<_> = found.iter().map(String::len).collect();
    assert_eq!(lengths, [MAX_RECORD, MAX_RECORD, 6, 5]);
    let bytes = std::fs::read(scene.path()).unwrap();
    let times: Vec<_> = bytes
        .split_inclusive(|b| *b == b'\n')
        .map(|line| codec::decode(line).unwrap().time)
        .collect();
    assert_eq!(times, [second(1), second(1), second(1), second(9)]);
}

#[test]
fn letters_are_not_torn_at_the_split() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    let mut long = "x".repeat(MAX_RECORD - 1);
    long.push_str("\u{1f600}\u{e9}\n");
    writer.write(OUT, second(1), long.as_bytes()).unwrap();
    assert_eq!(messages(&scene.path()).concat(), long);
    // What isn't UTF-8 at all still moves on.
    writer.write(OUT, second(1), &vec![0x80; MAX_RECORD + 10]).unwrap();
    writer.write(OUT, second(1), &vec![0xf0; MAX_RECORD + 10]).unwrap();
    writer.finish(OUT, second(1)).unwrap();
    assert_eq!(messages(&scene.path())[2..].concat().chars().count(), 2 * MAX_RECORD + 20);
}

#[test]
fn full_files_are_rotated() {
    let scene = Scene::new();
    let rotation = Rotation { max_size: Some(200), max_files: 3, compress: false };
    let mut writer = Writer::open(scene.path(), rotation).unwrap();
    for number in 0..20 {
        writer.write(OUT, second(number), format!("line {number}\n").as_bytes()).unwrap();
    }
    // A record is some 75 bytes: three reach the size.
    assert_eq!(messages(&scene.path()), ["line 18\n", "line 19\n"]);
    assert_eq!(messages(&scene.rotated(1)), ["line 15\n", "line 16\n", "line 17\n"]);
    assert_eq!(messages(&scene.rotated(2)), ["line 12\n", "line 13\n", "line 14\n"]);
    assert!(!scene.rotated(3).exists());
    // And what says how much is gone.
    assert_eq!(std::fs::read_dir(scene.path().parent().unwrap()).unwrap().count(), 4);
    // One chunk is rotated between its lines too.
    let many: String = (0..10).map(|n| format!("more {n}\n")).collect();
    writer.write(OUT, second(30), many.as_bytes()).unwrap();
    assert!(std::fs::metadata(scene.path()).unwrap().len() < 300);
}

#[test]
fn what_rotation_removes_is_counted() {
    for (max_files, compress) in [(1, false), (2, false), (3, false), (3, true)] {
        let scene = Scene::new();
        let rotation = Rotation { max_size: Some(200), max_files, compress };
        let mut writer = Writer::open(scene.path(), rotation).unwrap();
        let removed = |view: &FileView| view.progress().removed;
        let mut view = FileView::open(&scene.path()).unwrap();
        assert_eq!(removed(&view), 0);
        let mut record = Vec::new();
        for number in 10..60 {
            let line = format!("line {number}\n");
            writer.write(OUT, second(number), line.as_bytes()).unwrap();
            while let Some(path) = writer.take_unpacked() {
                crate::pack(&path).unwrap();
                writer.packed();
            }
            record.clear();
            codec::encode(&mut record, OUT, second(number), line.as_bytes());
        }
        view.refresh().unwrap();
        let left = FileView::open(&scene.path()).unwrap().progress().total;
        assert_eq!(removed(&view) + left, 50 * record.len() as u64, "{max_files} {compress}");
        // Whoever writes on goes on counting.
        drop(writer);
        let mut writer = Writer::open(scene.path(), rotation).unwrap();
        (60..70).for_each(|n| writer.write(OUT, second(n), b"line of a later run\n").unwrap());
        assert!(removed(&FileView::open(&scene.path()).unwrap()) > removed(&view));
    }
}

#[test]
fn rotated_files_are_compressed_one_at_a_time() {
    let scene = Scene::new();
    let rotation = Rotation { max_size: Some(200), max_files: 4, compress: true };
    let mut writer = Writer::open(scene.path(), rotation).unwrap();
    let mut number = 0;
    let mut write = |writer: &mut Writer, count: u64| {
        for _ in 0..count {
            writer.write(OUT, second(number), format!("line {number}\n").as_bytes()).unwrap();
            number += 1;
        }
    };
    let all = || {
        let mut reader = crate::Reader::open(&scene.path(), &Default::default()).unwrap();
        let mut found = Vec::new();
        while let Some(LogRecord { message, .. }) = reader.next_record().unwrap() {
            let text = String::from_utf8(message).unwrap();
            found.push(text.trim().strip_prefix("line ").unwrap().parse::<u64>().unwrap());
        }
        found
    };
    let follow = wharf_model::LogOptions { follow: true, ..Default::default() };
    let mut follower = crate::Reader::open(&scene.path(), &follow).unwrap();
    let mut followed = 0;
    let mut catch_up = |follower: &mut crate::Reader| {
        while let Some(record) = follower.next_record().unwrap() {
            assert_eq!(record.message, format!("line {followed}\n").into_bytes());
            followed += 1;
        }
        followed
    };
    write(&mut writer, 4);
    assert_eq!(catch_up(&mut follower), 4);
    let first = writer.take_unpacked().unwrap();
    assert_eq!((first.clone(), writer.take_unpacked()), (scene.rotated(1), None));
    // While it is compressed nothing is rotated, and in the end the writer had better wait.
    assert!(!writer.is_behind());
    write(&mut writer, 8);
    assert!(writer.is_behind() && !scene.rotated(2).exists());
    crate::pack(&first).unwrap();
    writer.packed();
    assert!(!first.exists() && pack::packed(&first).exists());
    assert_eq!(all(), (0..12).collect::<Vec<_>>());
    for _ in 0..3 {
        write(&mut writer, 4);
        let path = writer.take_unpacked().unwrap();
        crate::pack(&path).unwrap();
        writer.packed();
    }
    assert_eq!(catch_up(&mut follower), 24, "whatever became of the files it had open");
    let found = all();
    assert_eq!(found.last(), Some(&23));
    assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{found:?}");
    for number in 1..4 {
        assert!(!scene.rotated(number).exists());
        assert!(pack::packed(&scene.rotated(number)).exists());
    }
    assert!(!pack::packed(&scene.rotated(4)).exists());
    // What an end has interrupted is done by the next writer.
    write(&mut writer, 4);
    std::fs::write(pack::unfinished(&scene.rotated(1)), "half").unwrap();
    drop(writer);
    let mut writer = Writer::open(scene.path(), rotation).unwrap();
    assert!(!pack::unfinished(&scene.rotated(1)).exists());
    assert_eq!(writer.take_unpacked(), Some(scene.rotated(1)));
}

#[test]
fn records_bear_attributes() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    let attributes = [("tag", "a\"b"), ("x", ",\"time\":\"")];
    let attributes = attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    writer.set_attributes(&attributes);
    writer.write(OUT, second(1), b"one\n").unwrap();
    let text = std::fs::read_to_string(scene.path()).unwrap();
    assert!(text.contains(r#""stream":"stdout","attrs":{"tag":"a\"b","#), "{text}");
    assert_eq!(codec::decode(text.as_bytes()).unwrap().attributes, attributes);
}

#[test]
fn one_file_begins_anew() {
    let scene = Scene::new();
    let rotation = Rotation { max_size: Some(200), max_files: 1, compress: false };
    let mut writer = Writer::open(scene.path(), rotation).unwrap();
    for number in 0..8 {
        writer.write(OUT, second(number), format!("line {number}\n").as_bytes()).unwrap();
    }
    assert_eq!(messages(&scene.path()), ["line 6\n", "line 7\n"]);
    assert!(!scene.rotated(1).exists());
}

#[test]
fn a_torn_record_is_cut_off_on_opening() {
    let scene = Scene::new();
    scene.append(0..2);
    scene.append_raw(b"{\"log\":\"half of a rec");
    writer(&scene).write(OUT, second(2), b"after\n").unwrap();
    assert_eq!(messages(&scene.path()), ["line 0\n", "line 1\n", "after\n"]);
}

#[test]
fn a_full_disk_loses_records_and_nothing_else() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    writer.write(OUT, second(1), b"before\n").unwrap();
    // A device that is always full stands in for the file: writing fails, cutting off too.
    let full = OpenOptions::new().read(true).append(true).open("/dev/full").unwrap();
    let real = std::mem::replace(&mut writer.file, full);
    let error = writer.write(OUT, second(2), b"lost 1\nlost 2\npart").unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull));
    assert_eq!(writer.lost(), 2);
    writer.file = real;
    writer.write(OUT, second(3), b"ial\n").unwrap();
    assert_eq!(messages(&scene.path()), ["before\n", "partial\n"]);
}

#[test]
fn a_half_written_batch_ends_at_a_record() {
    let scene = Scene::new();
    let mut writer = writer(&scene);
    writer.write(OUT, second(1), b"before\n").unwrap();
    // As when the disk takes the first record and a piece of the second.
    codec::encode(&mut writer.batch, OUT, second(2), b"kept\n");
    let first = writer.batch.len();
    codec::encode(&mut writer.batch, OUT, second(2), b"lost\n");
    let taken = first + 10;
    writer.file.write_all(&writer.batch[..taken]).unwrap();
    assert!(writer.give_up(taken, io::ErrorKind::StorageFull.into()).is_err());
    writer.batch.clear();
    assert_eq!(writer.lost(), 1);
    writer.write(OUT, second(3), b"after\n").unwrap();
    assert_eq!(messages(&scene.path()), ["before\n", "kept\n", "after\n"]);
    assert_eq!(writer.size, std::fs::metadata(scene.path()).unwrap().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_the_chunks_the_bytes_come_back(
        chunks in proptest::collection::vec(("[ab\\n\u{e9}]{0,40}", 1_usize..900), 0..12),
        max_size in proptest::option::of(5_000_u64..80_000),
    ) {
        let scene = Scene::new();
        let rotation = Rotation { max_size, max_files: 1000, compress: false };
        let mut writer = Writer::open(scene.path(), rotation).unwrap();
        let mut expected = String::new();
        for (chunk, times) in &chunks {
            let chunk = chunk.repeat(*times);
            writer.write(OUT, second(1), chunk.as_bytes()).unwrap();
            expected.push_str(&chunk);
        }
        writer.finish(OUT, second(2)).unwrap();
        let options = wharf_model::LogOptions::default();
        let mut reader = crate::Reader::open(&scene.path(), &options).unwrap();
        let mut found = Vec::new();
        while let Some(LogRecord { message, .. }) = reader.next_record().unwrap() {
            prop_assert!(message.len() <= MAX_RECORD);
            found.extend(message);
        }
        prop_assert_eq!(String::from_utf8(found).unwrap(), expected);
    }
}
