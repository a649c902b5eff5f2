use chrono::DateTime;
use wharf_model::{CpuCounters, MemoryCounters, What};

use super::*;
use crate::{History, Metric};

/// The second at which these records begin: a multiple of three minutes.
const BEGIN: u64 = 1_800_000_000;

fn sample(second: u64) -> Sample {
    Sample {
        at: Duration::from_secs(BEGIN + second),
        started_ms: 5,
        cpu: Some(CpuCounters {
            usage_ns: second * (200_000_000 + second % 70 * 1_000_000),
            ..CpuCounters::default()
        }),
        memory: Some(MemoryCounters { usage: second * 4096, ..MemoryCounters::default() }),
        ..Sample::default()
    }
}

fn event(second: u64, action: &str) -> Happening {
    let at = DateTime::from_timestamp(i64::try_from(BEGIN + second).unwrap(), 0).unwrap();
    Happening { at, what: What::Event { action: action.to_owned(), exit_code: None } }
}

#[test]
fn what_was_recorded_is_read_by_later_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path).unwrap();
    recorder.happened(event(0, "start")).unwrap();
    recorder.sample(sample(1)).unwrap();
    drop(recorder);
    let mut recorder = Recorder::open(&path).unwrap();
    recorder.sample(sample(11)).unwrap();
    recorder.happened(event(12, "pause")).unwrap();
    recorder.went_on(event(12, "unpause")).unwrap();
    let recording = read(&path).unwrap();
    assert_eq!(recording.samples, [sample(1), sample(11)]);
    assert_eq!(recording.happenings, [event(0, "start"), event(12, "unpause")]);
    assert!(!recorder.is_removed());
    std::fs::remove_file(&path).unwrap();
    assert!(recorder.is_removed());
}

#[test]
fn a_day_and_more_fits_and_the_newest_hour_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path).unwrap();
    let end = 2 * 24 * 3600;
    for second in (0..=end).step_by(10) {
        recorder.sample(sample(second)).unwrap();
    }
    assert_eq!(path.metadata().unwrap().len(), place(HAPPENINGS, 0));
    assert!(path.metadata().unwrap().len() <= SIZE);
    let recording = read(&path).unwrap();
    assert_eq!(recording.samples.last(), Some(&sample(end)));
    let ages: Vec<u64> =
        recording.samples.iter().map(|s| BEGIN + end - s.at.as_secs()).rev().collect();
    assert!(ages.windows(2).all(|pair| {
        let step = pair[1] - pair[0];
        if pair[1] < 3600 { step == 10 } else { step <= 180 && step > 0 }
    }));
    assert!(*ages.last().unwrap() >= REACH.as_secs() - 180);
}

/// Cut off at any byte of a write, the record under way is missing and no other.
#[test]
fn a_torn_record_is_dropped_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path).unwrap();
    for second in 0..5 {
        recorder.sample(sample(second * 200)).unwrap();
        recorder.happened(event(second, "oom")).unwrap();
    }
    let before = std::fs::read(&path).unwrap();
    let whole = read(&path).unwrap();
    recorder.sample(sample(1000)).unwrap();
    let after = std::fs::read(&path).unwrap();
    let place = usize::try_from(place(FINE, 5)).unwrap();
    for cut in 0..LENGTH {
        let mut torn = before.clone();
        torn[place..place + cut].copy_from_slice(&after[place..place + cut]);
        if torn[place..place + LENGTH] == after[place..place + LENGTH] {
            // What is missing is zero, as it was before.
            continue;
        }
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(read(&path).unwrap(), whole, "cut at byte {cut}");
        // Whoever goes on writes over it.
        Recorder::open(&path).unwrap().sample(sample(1010)).unwrap();
        let healed = read(&path).unwrap();
        assert_eq!(healed.samples.len(), 6, "cut at byte {cut}");
        assert_eq!(healed.samples[5], sample(1010));
    }
}

/// A file that ends anywhere gives what is whole before its end.
#[test]
fn a_file_cut_at_each_byte_keeps_what_is_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path).unwrap();
    for second in 0..3 {
        recorder.sample(sample(second * 10)).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..HEADER + 3 * LENGTH {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let expected = cut.saturating_sub(HEADER) / LENGTH;
        assert_eq!(read(&path).unwrap().samples.len(), expected, "{cut}");
        Recorder::open(&path).unwrap().sample(sample(40)).unwrap();
        assert_eq!(read(&path).unwrap().samples.len(), expected + 1, "{cut}");
    }
}

#[test]
fn what_is_no_record_is_nothing_and_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    assert!(read(&path).is_err());
    std::fs::write(&path, [7; 5000]).unwrap();
    assert_eq!(read(&path).unwrap(), Recording::default());
    Recorder::open(&path).unwrap().sample(sample(0)).unwrap();
    assert_eq!(read(&path).unwrap().samples, [sample(0)]);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Recorder::open(&link).is_err() && read(&link).is_err());
}

/// What the live charts are made of, recorded and read again, gives the same columns.
#[test]
fn a_recorded_chart_is_the_live_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = Recorder::open(&path).unwrap();
    let mut live = History::new();
    for second in (0..=3000).step_by(10) {
        live.push(sample(second), Some(1 << 30));
        recorder.sample(sample(second)).unwrap();
    }
    let mut replayed = History::new();
    for sample in read(&path).unwrap().samples {
        replayed.push(sample, Some(1 << 30));
    }
    for (window, back) in [(60, 0), (600, 120), (3600, 0), (900, 1800)] {
        for metric in [Metric::Cpu, Metric::Memory, Metric::NetRx] {
            let now = Duration::from_secs(BEGIN + 3000 - back);
            let columns =
                |history: &History| history.columns(metric, 60, Duration::from_secs(window), now);
            assert_eq!(columns(&live), columns(&replayed), "{metric:?} {window} {back}");
        }
    }
    assert_eq!(live.usage(), replayed.usage());
}

#[test]
fn a_full_disk_leaves_what_is_recorded_as_it_is() {
    let Ok(full) = File::options().read(true).write(true).open("/dev/full") else { return };
    let mut recorder = Recorder { file: full, next: [3; RINGS.len()], coarse: None };
    assert!(recorder.sample(sample(0)).is_err());
    assert_eq!((recorder.next, recorder.coarse), ([3; RINGS.len()], None));
}
