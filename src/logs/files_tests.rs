//! Tests of the row of files.

use super::*;
use crate::test_support::{Scene, records};

fn lines(files: &mut Files, mut at: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    while let Some((next, _)) = files.line(at, &mut line).unwrap() {
        let record = crate::codec::decode(&line).unwrap();
        let text = String::from_utf8(record.message).unwrap();
        found.push(text.trim().strip_prefix("line ").unwrap().parse().unwrap());
        at = next;
    }
    found
}

fn all(files: &mut Files) -> Vec<u64> {
    let start = files.start();
    lines(files, start)
}

#[test]
fn rotated_files_are_one_row() {
    let scene = Scene::new();
    for (number, range) in [(2, 0..3), (1, 3..5), (0, 5..9)] {
        scene.append(range);
        if number > 0 {
            std::fs::rename(scene.path(), scene.rotated(number)).unwrap();
        }
    }
    let mut files = Files::open(&scene.path()).unwrap();
    assert_eq!(all(&mut files), (0..9).collect::<Vec<_>>());
    for count in 0..12 {
        let at = files.back_from_end(count).unwrap();
        assert_eq!(lines(&mut files, at), (9 - count.min(9)..9).collect::<Vec<_>>());
    }
    // Every position in between leads to a record's beginning.
    let starts: Vec<u64> = (1..=9).rev().map(|n| files.back_from_end(n).unwrap()).collect();
    for (before, after) in starts.iter().zip(&starts[1..]) {
        for at in [before + 1, before + 20, after - 1, *after] {
            assert_eq!(files.align(at).unwrap(), *after);
        }
    }
}

#[test]
fn growth_and_half_records() {
    let scene = Scene::new();
    scene.append(0..2);
    let mut files = Files::open(&scene.path()).unwrap();
    let next = records(2..3);
    scene.append_raw(&next[..10]);
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Same);
    assert_eq!(all(&mut files), [0, 1]);
    scene.append_raw(&next[10..]);
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Grown);
    assert_eq!(all(&mut files), [0, 1, 2]);
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Same);
}

#[test]
fn positions_outlive_rotation() {
    let scene = Scene::new();
    scene.append(0..4);
    let mut files = Files::open(&scene.path()).unwrap();
    let third = files.back_from_end(2).unwrap();
    scene.append(4..6);
    // Two rotations between two looks.
    for (from, range) in [(1, 6..8), (2, 8..10)] {
        for number in (1..from).rev() {
            std::fs::rename(scene.rotated(number), scene.rotated(number + 1)).unwrap();
        }
        std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
        scene.append(range);
    }
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Rotated);
    assert_eq!(lines(&mut files, third), (2..10).collect::<Vec<_>>());
    // The oldest is deleted, but someone is still reading it.
    std::fs::remove_file(scene.rotated(2)).unwrap();
    std::fs::rename(scene.rotated(1), scene.rotated(2)).unwrap();
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(10..11);
    assert_eq!(files.refresh(third).unwrap(), Refreshed::Rotated);
    assert_eq!(lines(&mut files, third), (2..11).collect::<Vec<_>>());
    std::fs::rename(scene.path(), scene.rotated(1)).unwrap();
    scene.append(11..12);
    files.refresh(u64::MAX).unwrap();
    assert_eq!(all(&mut files)[0], 6);
    assert_eq!(files.align(0).unwrap(), files.start());
}

#[test]
fn a_rotation_that_rests_half_way_hides_nothing() {
    let scene = Scene::new();
    scene.append(0..2);
    let mut files = Files::open(&scene.path()).unwrap();
    for range in [2..4, 4..6, 6..8] {
        for number in [3, 2, 1] {
            let from = if number == 1 { scene.path() } else { scene.rotated(number - 1) };
            let _ = std::fs::rename(from, scene.rotated(number));
        }
        scene.append(range);
    }
    // The next one has moved two files so far.
    std::fs::rename(scene.rotated(3), scene.rotated(4)).unwrap();
    std::fs::rename(scene.rotated(2), scene.rotated(3)).unwrap();
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Rotated);
    assert_eq!(all(&mut files), (0..8).collect::<Vec<_>>());
    assert_eq!(all(&mut Files::open(&scene.path()).unwrap()), (0..8).collect::<Vec<_>>());
}

#[test]
fn an_emptied_file_begins_anew() {
    let scene = Scene::new();
    scene.append(0..4);
    let mut files = Files::open(&scene.path()).unwrap();
    let end = files.end();
    std::fs::write(scene.path(), b"").unwrap();
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Rotated);
    assert_eq!(all(&mut files), Vec::<u64>::new());
    scene.append(7..9);
    assert_eq!(files.refresh(0).unwrap(), Refreshed::Grown);
    assert_eq!(all(&mut files), [7, 8]);
    let at = files.align(end).unwrap();
    assert_eq!(lines(&mut files, at), [7, 8], "the old end leads to what is new");
}

#[test]
fn very_long_lines_are_cut_and_passed() {
    let scene = Scene::new();
    scene.append(0..1);
    let mut long = vec![b'x'; MAX_LINE + 100_000];
    long.push(b'\n');
    scene.append_raw(&long);
    scene.append(1..2);
    let mut files = Files::open(&scene.path()).unwrap();
    let mut line = Vec::new();
    let (second, cut) = files.line(0, &mut line).unwrap().unwrap();
    assert!(!cut);
    let (third, cut) = files.line(second, &mut line).unwrap().unwrap();
    assert!(cut);
    assert_eq!(line.len(), MAX_LINE);
    assert_eq!(lines(&mut files, third), [1]);
    assert_eq!(files.before(third).unwrap(), Some(second));
    assert_eq!(files.before(second).unwrap(), Some(0));
    assert_eq!(files.before(0).unwrap(), None);
}

#[test]
fn a_missing_log_says_so() {
    let scene = Scene::new();
    let error = Files::open(&scene.path()).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
}
