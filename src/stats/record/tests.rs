use chrono::DateTime;
use wharf_model::{
    BlockCounters, CpuCounters, Limit, MemoryCounters, NetCounters, PidCounters, Pressure,
    PressureLine, Recording, What, since_epoch,
};

use super::*;
use crate::{CoreHistory, History, Metric};

/// The second at which these records begin: a multiple of three minutes.
const BEGIN: u64 = 1_800_000_000;

/// How long the host had been up then.
const UP: u64 = 5000;

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

fn shape() -> Shape {
    Shape::new(2)
}

/// Opens a record that nobody writes. Whatever another test starts meanwhile has a copy of the descriptor until
/// it is executed, and with it the lock.
pub(super) fn open(path: &Path, new: Option<Shape>) -> Recorder {
    let begin = std::time::Instant::now();
    loop {
        match Recorder::open(path, new) {
            Err(cause)
                if cause.kind() == io::ErrorKind::WouldBlock
                    && begin.elapsed() < Duration::from_secs(10) =>
            {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

fn opened(path: &Path) -> Recorder {
    open(path, Some(shape()))
}

/// Writes a sample of a host whose clock is right.
fn write(recorder: &mut Recorder, second: u64) {
    write_by(recorder, second, second);
}

/// Writes a sample of this second by a wall's clock, `passed` seconds after the beginning.
fn write_by(recorder: &mut Recorder, second: u64, passed: u64) {
    let sample = Sample { cpu: super::tests::sample(passed).cpu, ..sample(second) };
    recorder.sample(sample, &[passed * 1000, 0], Duration::from_secs(UP + passed)).unwrap();
}

fn samples(recording: &Recording) -> Vec<Sample> {
    recording.samples.iter().map(|one| one.sample.clone()).collect()
}

/// The seconds of the samples.
fn seconds(recording: &Recording) -> Vec<u64> {
    recording.samples.iter().map(|one| one.sample.at.as_secs() - BEGIN).collect()
}

/// Proves that what is read of an instant is what all of the record tells of it.
fn tells_the_same_of_each_instant(path: &Path, instants: impl Iterator<Item = u64>) {
    let all = read(path).unwrap();
    for second in instants {
        let at = event(second, "").at;
        let mut cut = all.clone();
        cut.cut(at);
        let then = read_at(path, at).unwrap();
        assert_eq!(then.samples_at(at), cut.samples_at(at), "{second}");
        assert_eq!((&then.happenings, then.step), (&cut.happenings, cut.step));
    }
}

#[test]
fn what_was_recorded_is_read_by_later_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    assert!(Recorder::open(&path, None).is_err() && !path.exists());
    let mut recorder = opened(&path);
    recorder.happened(event(0, "start")).unwrap();
    write(&mut recorder, 1);
    drop(recorder);
    let mut recorder = open(&path, None);
    write(&mut recorder, 11);
    recorder.happened(event(12, "pause")).unwrap();
    recorder.went_on(event(12, "unpause")).unwrap();
    let recording = read(&path).unwrap();
    assert_eq!(samples(&recording), [sample(1), sample(11)]);
    assert_eq!(recording.happenings, [event(0, "start"), event(12, "unpause")]);
    assert!(!recorder.is_removed());
    std::fs::remove_file(&path).unwrap();
    assert!(recorder.is_removed());
}

#[test]
fn a_day_and_more_fits_and_the_newest_hour_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let end = 2 * 24 * 3600;
    for (n, shape) in shape().divided().enumerate() {
        let path = folder.path().join(n.to_string());
        let mut recorder = open(&path, Some(shape));
        for second in (0..=end).step_by(10) {
            write(&mut recorder, second);
        }
        assert_eq!(path.metadata().unwrap().len(), shape.size());
        let recording = read(&path).unwrap();
        assert_eq!(recording.samples.last().unwrap().sample, sample(end));
        let ages: Vec<u64> = seconds(&recording).into_iter().map(|at| end - at).rev().collect();
        let fine = 3600 >> n;
        assert!(ages.windows(2).all(|pair| {
            let step = pair[1] - pair[0];
            if pair[1] < fine { step == 10 } else { step <= shape.step().as_secs() && step > 0 }
        }));
        assert!(*ages.last().unwrap() >= REACH.as_secs() - shape.step().as_secs());
        assert!(recording.samples.iter().all(|one| !one.clock_set && one.cores.len() == 2));
        tells_the_same_of_each_instant(&path, (0..=end + 4000).step_by(7777));
    }
}

/// A thousand containers that run for days, and as many that have ended, keep to the budget, and of each
/// that runs a day is kept.
#[test]
fn a_crowd_keeps_to_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(n.to_string());
    let taken = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap());
        files
            .map(|file| file.metadata().unwrap())
            .map(|m| m.len().max(m.blocks() * 512))
            .sum::<u64>()
    };
    let day = 24 * 3600;
    let now = |second| std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + second);
    let mut shapes = std::collections::BTreeMap::new();
    for n in 0..1000 {
        let records = (0..n).map(path);
        let Some(shape) = make_room(records, shape(), BUDGET, now(0)).unwrap() else { break };
        *shapes.entry(shape.size()).or_insert(0) += 1;
        let mut recorder = Recorder::open(&path(n), Some(shape)).unwrap();
        // Three hours apart, and at the end as often as ever.
        for second in (0..3 * day).step_by(3 * 3600).chain(3 * day - 10..3 * day) {
            write(&mut recorder, second);
        }
        let file = std::fs::File::options().write(true).open(path(n)).unwrap();
        file.set_modified(now(0)).unwrap();
        assert!(taken_within(&shapes), "{shapes:?}");
    }
    assert_eq!(shapes.values().sum::<u32>(), 1000, "each has one: {shapes:?}");
    assert!(taken() <= BUDGET, "{} {shapes:?}", taken());
    for n in [0, 500, 999] {
        let recording = read(&path(n)).unwrap();
        let first = *seconds(&recording).first().unwrap();
        assert!(first <= 2 * day, "{n} reaches back to {first}");
    }
    // A day later they rest, and newcomers get what they had.
    let after = make_room((0..1000).map(path), shape(), BUDGET, now(2 * day)).unwrap();
    assert_eq!(after, Some(shape()));
}

fn taken_within(shapes: &std::collections::BTreeMap<u64, u32>) -> bool {
    shapes.iter().map(|(size, count)| size * u64::from(*count)).sum::<u64>() <= BUDGET
}

/// Cut off at any byte of a write, the record under way is missing and no other, in each of the rings.
#[test]
fn a_torn_record_is_dropped_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for second in 0..5 {
        write(&mut recorder, second * 200);
        recorder.happened(event(second, "oom")).unwrap();
    }
    drop(recorder);
    let before = std::fs::read(&path).unwrap();
    let whole = read(&path).unwrap();
    let length = shape().length();
    for ring in [FINE, COARSE, HAPPENINGS] {
        std::fs::write(&path, &before).unwrap();
        let mut recorder = opened(&path);
        match ring {
            HAPPENINGS => recorder.happened(event(1000, "die")).unwrap(),
            _ => write(&mut recorder, 1000),
        }
        drop(recorder);
        let after = std::fs::read(&path).unwrap();
        let place = usize::try_from(shape().place(ring, 5)).unwrap();
        for cut in 0..length {
            let mut torn = before.clone();
            torn[place..place + cut].copy_from_slice(&after[place..place + cut]);
            if torn[place..place + length] == after[place..place + length] {
                // What is missing is zero, as it was before.
                continue;
            }
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(read(&path).unwrap(), whole, "ring {ring} cut at byte {cut}");
            // Whoever goes on writes over it.
            let mut recorder = opened(&path);
            write(&mut recorder, 1010);
            recorder.happened(event(1010, "start")).unwrap();
            let healed = read(&path).unwrap();
            assert_eq!(seconds(&healed), [0, 200, 400, 600, 800, 1010], "cut at byte {cut}");
            assert_eq!(healed.happenings.len(), 6);
        }
    }
}

/// A file that ends anywhere gives what is whole before its end.
#[test]
fn a_file_cut_at_each_byte_keeps_what_is_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for second in 0..3 {
        write(&mut recorder, second * 10);
    }
    drop(recorder);
    let bytes = std::fs::read(&path).unwrap();
    let begin = usize::try_from(shape().place(FINE, 0)).unwrap();
    for cut in 0..begin + 3 * shape().length() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let expected = cut.saturating_sub(begin) / shape().length();
        assert_eq!(read(&path).unwrap().samples.len(), expected, "{cut}");
        write(&mut opened(&path), 40);
        // Where nothing but zeros was cut off, the file's full length brings them back.
        let under_way = cut > begin && !(cut - begin).is_multiple_of(shape().length());
        let end = begin + (expected + 1) * shape().length();
        let healed = under_way && bytes[cut..end].iter().all(|byte| *byte == 0);
        let expected = expected + 1 + usize::from(healed);
        assert_eq!(read(&path).unwrap().samples.len(), expected, "{cut}");
    }
}

/// What is destroyed in the middle is missing, and nothing else; nothing that is there is believed
/// without its checksum.
#[test]
fn a_destroyed_record_in_the_middle_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for second in 0..30 {
        write(&mut recorder, second * 10);
    }
    drop(recorder);
    let whole = std::fs::read(&path).unwrap();
    let begin = usize::try_from(shape().place(FINE, 0)).unwrap();
    for wrong in 1..29 {
        let mut bytes = whole.clone();
        bytes[begin + wrong * shape().length() + wrong * 5] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        // The day's ring has one of them, too.
        let expected: Vec<u64> =
            (0..30).filter(|n| *n != wrong as u64 || n * 10 % 180 == 0).map(|n| n * 10).collect();
        assert_eq!(seconds(&read(&path).unwrap()), expected);
        write(&mut opened(&path), 300);
        assert_eq!(seconds(&read(&path).unwrap()).last(), Some(&300));
    }
    // A header that isn't one is no record; a new one begins there.
    for byte in 0..32 {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x80;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap(), Recording::default(), "byte {byte}");
        assert!(Recorder::open(&path, None).is_err());
        write(&mut opened(&path), 0);
        assert_eq!(seconds(&read(&path).unwrap()), [0]);
    }
}

#[test]
fn what_is_no_record_is_nothing_and_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    assert!(read(&path).is_err());
    std::fs::write(&path, [7; 5000]).unwrap();
    assert_eq!(read(&path).unwrap(), Recording::default());
    write(&mut opened(&path), 0);
    assert_eq!(seconds(&read(&path).unwrap()), [0]);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Recorder::open(&link, Some(shape())).is_err() && read(&link).is_err());
}

/// Two that would write at once: the second is refused until the first has let go, by its death at last.
#[test]
fn there_is_one_recorder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let first = opened(&path);
    let refused = Recorder::open(&path, Some(shape())).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    write(&mut opened(&path), 0);
    assert_eq!(seconds(&read(&path).unwrap()), [0]);
}

/// A clock that is set forward leaves a gap over which no rate is made.
#[test]
fn a_clock_that_was_set_forward_leaves_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for passed in (0..=100).step_by(10) {
        write(&mut recorder, passed);
    }
    for passed in (110..=200).step_by(10) {
        write_by(&mut recorder, passed + 3600, passed);
    }
    let recording = read(&path).unwrap();
    assert_eq!(recording.samples.len(), 21);
    let set: Vec<usize> = (0..21).filter(|n| recording.samples[*n].clock_set).collect();
    assert_eq!(set, [11]);
    let rates = |recording: &Recording| {
        let at = |second: u64| event(second, "").at;
        let rate = |second| recording.samples_at(at(second)).map(|(before, _)| before.is_some());
        [rate(100), rate(3709), rate(3710), rate(3720)]
    };
    assert_eq!(rates(&recording), [Some(true), None, Some(false), Some(true)]);
    // Slewing isn't setting.
    for n in 1..=10 {
        write_by(&mut recorder, 3800 + n * 10 + n / 8, 200 + n * 10);
    }
    assert_eq!(read(&path).unwrap().samples.iter().filter(|one| one.clock_set).count(), 1);
    tells_the_same_of_each_instant(&path, (0..=5000).step_by(33));
}

/// A clock that is set back: what was written later stands for that time, what was written before stays
/// where nothing else is, and no rate is made over the seams.
#[test]
fn a_clock_that_was_set_back_makes_no_spikes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for passed in (0..=1000).step_by(10) {
        write(&mut recorder, passed);
    }
    // Ten minutes back, for five minutes; then it is right again.
    for passed in (1010..=1300).step_by(10) {
        write_by(&mut recorder, passed - 605, passed);
    }
    for passed in (1310..=1400).step_by(10) {
        write(&mut recorder, passed);
    }
    let recording = read(&path).unwrap();
    let seconds = seconds(&recording);
    assert!(seconds.is_sorted(), "{seconds:?}");
    let between = |from: u64, to: u64| seconds.iter().filter(|at| (from..=to).contains(at)).count();
    // Until then, meanwhile, after that, and since it is right.
    assert_eq!([between(0, 404), between(405, 695), between(696, 1000)], [41, 30, 31]);
    assert_eq!(between(1310, 1400), 10);
    assert!(seconds[41..71].iter().all(|at| at % 10 == 5), "{seconds:?}");
    let mut history = History::new();
    let mut most: f64 = 0.0;
    for one in &recording.samples {
        if one.clock_set {
            history.break_off();
        }
        history.push(one.sample.clone(), None);
        most = most.max(history.usage().cpu_percent.unwrap_or(0.0));
    }
    assert_eq!(recording.samples.iter().filter(|one| one.clock_set).count(), 2);
    tells_the_same_of_each_instant(&path, (0..=2500).step_by(17));
    // The most that these counters ever do in ten seconds.
    let counters = |second: u64| sample(second).cpu.unwrap().usage_ns;
    let true_most = (0..140).map(|n| counters(n * 10 + 10).saturating_sub(counters(n * 10))).max();
    assert!(most <= true_most.unwrap() as f64 / 1e8 + 0.1, "{most} {true_most:?}");
}

/// A sample in which everything is known and everything differs.
fn full(second: u64) -> Sample {
    let line = |share: u64| PressureLine { avg10: 0.0, avg60: 0.0, total_us: second * share };
    let wave = |period: u64| (second % period) * 1024 * 1024;
    Sample {
        cpu: Some(CpuCounters {
            usage_ns: second * 270_000_000 + wave(60),
            periods: Some(second * 10),
            throttled_periods: Some(second * 3 + second / 50),
            limit: Some(Limit::At(500_000_000)),
            ..CpuCounters::default()
        }),
        memory: Some(MemoryCounters {
            usage: (64 << 20) + wave(90),
            inactive_file: Some(3 << 20),
            anon: Some((40 << 20) + wave(70)),
            file: Some((9 << 20) + wave(30)),
            kernel: Some((1 << 20) + wave(20)),
            limit: Some(Limit::At(1 << 28)),
            oom_kills: Some(second / 700),
        }),
        network: Some(NetCounters {
            rx_bytes: second * 7000 + wave(50),
            tx_bytes: second * 900 + wave(40),
            ..NetCounters::default()
        }),
        block: Some(BlockCounters {
            read_bytes: second * 100 + wave(80),
            write_bytes: second * 300 + wave(130),
            ..BlockCounters::default()
        }),
        pids: Some(PidCounters { current: 5 + second % 7, limit: Some(Limit::At(99)) }),
        pressure: Pressure { cpu: Some(line(9000)), memory: Some(line(700)), io: Some(line(50)) },
        ..sample(second)
    }
}

/// What the live charts are made of, recorded and read again, gives the same columns: of every metric, of
/// every core, in every window.
#[test]
fn a_recorded_chart_is_the_live_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    let (mut live, mut cores) = (History::new(), CoreHistory::default());
    live.look_closely(true);
    let gap = Recording::default().gap();
    for second in (0..=3000).step_by(10) {
        let used = [second * 150_000_000 + second % 70 * 100_000_000, second * 20_000_000];
        let sample = full(second);
        cores.push(sample.at, sample.at, sample.started_ms, gap, &used);
        live.push(sample.clone(), Some(1 << 30));
        recorder.sample(sample, &used, Duration::from_secs(UP + second)).unwrap();
    }
    let (mut replayed, mut recorded_cores) = (History::new(), CoreHistory::default());
    replayed.look_closely(true);
    for one in read(&path).unwrap().samples {
        recorded_cores.push_recorded(one.sample.at, one.sample.started_ms, gap, &one.cores);
        replayed.push(one.sample, Some(1 << 30));
    }
    for (window, back) in [(60, 0), (600, 120), (3600, 0), (900, 1800), (86_400, 0)] {
        let now = Duration::from_secs(BEGIN + 3000 - back);
        let window = Duration::from_secs(window);
        for metric in Metric::ALL {
            let columns = |history: &History| history.columns(metric, 60, window, now);
            assert_eq!(columns(&live), columns(&replayed), "{metric:?} {window:?} {back}");
            let known = columns(&live).iter().any(|column| column.max.is_some_and(|max| max > 0.0));
            assert!(known, "{metric:?} says nothing");
        }
        for core in 0..2 {
            let columns = |history: &CoreHistory| history.columns(core, 60, window, now);
            assert_eq!(columns(&cores), columns(&recorded_cores), "core {core} {window:?} {back}");
        }
    }
    assert_eq!(live.usage(), replayed.usage());
    assert_eq!(cores.usage(), recorded_cores.usage());
    assert_eq!(live.sample(), replayed.sample());
}

#[test]
fn the_host_is_recorded_and_found_by_instant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = open(&path, Some(Shape::new(0)));
    let host = |second: u64| HostSample {
        at: Duration::from_secs(BEGIN + second),
        cpus: Some(8),
        load1: Some(1.25),
        busy_ns: Some(second * 4_000_000_000),
        memory_total: Some(1 << 34),
        memory_available: Some(1 << 33),
        disk_total: Some(1 << 40),
        disk_free: None,
        pressure: full(second).pressure,
    };
    for second in (0..=2000).step_by(10) {
        recorder.host(host(second), Duration::from_secs(UP + second)).unwrap();
    }
    let at = |second| host_at(&path, event(second, "").at).unwrap();
    let moment = at(1239).unwrap();
    assert_eq!((moment.before, moment.now), (Some(host(1220)), host(1230)));
    assert_eq!(at(0).unwrap().before, None);
    assert_eq!(at(2500).unwrap().now, host(2000));
    assert_eq!(at(4000), None, "nobody recorded it any more");
    assert_eq!(host_at(&path, event(0, "").at - chrono::TimeDelta::seconds(1)).unwrap(), None);
    assert_eq!(since_epoch(event(3, "").at), Duration::from_secs(BEGIN + 3));
}

#[test]
fn a_full_disk_leaves_what_is_recorded_as_it_is() {
    let Ok(full) = File::options().read(true).write(true).open("/dev/full") else { return };
    let (thinned, newest) = (None, Newest::default());
    let next = [3; shape::RINGS];
    let mut recorder = Recorder { file: full, shape: shape(), next, coarse: None, thinned, newest };
    assert!(recorder.sample(sample(0), &[], Duration::ZERO).is_err());
    assert_eq!((recorder.next, recorder.coarse), ([3; shape::RINGS], None));
}
