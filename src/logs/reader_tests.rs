//! Tests of reading and following.

use rustix::event::{PollFd, PollFlags, poll};
use wharf_model::LogStream;

use super::*;
use crate::test_support::{Scene, second};
use crate::{Follow, Rotation, Writer};

fn numbers(reader: &mut Reader) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let text = String::from_utf8(record.message).unwrap();
        found.push(text.trim().strip_prefix("line ").unwrap().parse().unwrap());
    }
    found
}

fn read(scene: &Scene, options: &LogOptions) -> Vec<u64> {
    numbers(&mut Reader::open(&scene.path(), options).unwrap())
}

#[test]
fn options_choose_records() {
    let scene = Scene::new();
    scene.append(0..6);
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(6..10);
    let all = LogOptions::default();
    assert_eq!(read(&scene, &all), (0..10).collect::<Vec<_>>());
    assert_eq!(read(&scene, &LogOptions { tail: Some(0), ..all.clone() }), Vec::<u64>::new());
    assert_eq!(read(&scene, &LogOptions { tail: Some(5), ..all.clone() }), [5, 6, 7, 8, 9]);
    assert_eq!(read(&scene, &LogOptions { tail: Some(99), ..all.clone() }).len(), 10);
    let since = LogOptions { since: Some(second(7)), ..all.clone() };
    assert_eq!(read(&scene, &since), [7, 8, 9]);
    let until = LogOptions { until: Some(second(2)), ..all.clone() };
    assert_eq!(read(&scene, &until), [0, 1]);
    // As docker does it: the tail is counted first.
    let both = LogOptions { tail: Some(4), since: Some(second(8)), ..all };
    assert_eq!(read(&scene, &both), [8, 9]);
}

#[test]
fn a_short_tail_of_a_large_log_reads_little() {
    let scene = Scene::new();
    scene.append(0..50_000);
    let options = LogOptions { tail: Some(10), ..LogOptions::default() };
    let mut reader = Reader::open(&scene.path(), &options).unwrap();
    assert_eq!(numbers(&mut reader).len(), 10);
    assert!(reader.bytes_read() < 200_000, "{}", reader.bytes_read());
}

#[test]
fn rubbish_between_records_is_passed_over() {
    let scene = Scene::new();
    scene.append(0..1);
    scene.append_raw(b"{\"log\":\"torn\nnot json\n\n\xff\xfe\n");
    scene.append(1..2);
    assert_eq!(read(&scene, &LogOptions::default()), [0, 1]);
}

#[test]
fn following_wakes_at_new_records_and_over_rotations() {
    let scene = Scene::new();
    let rotation = Rotation { max_size: Some(300), max_files: 2, compress: false };
    let mut writer = Writer::open(scene.path(), rotation).unwrap();
    let mut write = |number: u64| {
        let text = format!("line {number}\n");
        writer.write(LogStream::Stdout, second(number), text.as_bytes()).unwrap();
    };
    write(0);
    let follow = Follow::new(&scene.path()).unwrap();
    let changed = || {
        let mut watched = [PollFd::new(&follow, PollFlags::IN)];
        assert_eq!(poll(&mut watched, None).unwrap(), 1);
        follow.drain();
    };
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut reader = Reader::open(&scene.path(), &options).unwrap();
    assert_eq!(numbers(&mut reader), [0]);
    let mut found = Vec::new();
    for number in 1..40 {
        // Each record is written while nobody reads, and must end the wait all the same.
        reader.rest();
        write(number);
        changed();
        found.extend(numbers(&mut reader));
    }
    assert_eq!(found, (1..40).collect::<Vec<_>>());
    // What a thread writes while another waits.
    std::thread::scope(|scope| {
        scope.spawn(|| write(40));
        while found.len() < 40 {
            changed();
            found.extend(numbers(&mut reader));
        }
    });
}

#[test]
fn a_reader_that_fell_behind_loses_only_what_was_deleted_unread() {
    let scene = Scene::new();
    scene.append(0..3);
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut reader = Reader::open(&scene.path(), &options).unwrap();
    assert_eq!(reader.next_record().unwrap().unwrap().message, b"line 0\n");
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(3..5);
    std::fs::remove_file(scene.rotated(1)).unwrap();
    assert_eq!(numbers(&mut reader), [1, 2, 3, 4]);
}

#[test]
fn an_end_in_time_ends_the_following() {
    let scene = Scene::new();
    scene.append(0..3);
    let options = LogOptions { follow: true, until: Some(second(2)), ..LogOptions::default() };
    let mut reader = Reader::open(&scene.path(), &options).unwrap();
    assert_eq!(numbers(&mut reader), [0, 1]);
    assert!(reader.is_finished());
}
