use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::{HealthStatus, Probes, Recording, What};

use super::tests::open;
use super::*;

const BEGIN: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGIN + second, 0).unwrap()
}

fn event(second: i64, action: &str, exit_code: Option<i32>) -> Happening {
    Happening { at: at(second), what: What::Event { action: action.to_owned(), exit_code } }
}

fn probe(second: i64, exit_code: i32, output: &str) -> Happening {
    let took = Duration::from_millis(20);
    let status = if exit_code == 0 { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
    let probes = Probes {
        until: at(second) + TimeDelta::milliseconds(20),
        count: 1,
        exit_code,
        status,
        streak: u32::from(exit_code != 0),
        last: took,
        longest: took,
        output: output.to_owned(),
    };
    Happening { at: at(second), what: What::Probes(probes) }
}

fn opened(path: &Path) -> Recorder {
    open(path, Some(Shape::new(2)))
}

fn probes(recording: &Recording) -> Vec<(i64, Probes)> {
    let probes = recording.happenings.iter().filter_map(|one| match &one.what {
        What::Probes(probes) => Some((one.at.timestamp() - BEGIN, probes.clone())),
        What::Event { .. } => None,
    });
    probes.collect()
}

fn count(recording: &Recording) -> u32 {
    probes(recording).iter().map(|(_, probes)| probes.count).sum()
}

/// A check that fails every other time, and a container that is started again and again meanwhile: what
/// is recorded of both reaches back a day, whatever the shape is, and no probe is lost or counted twice.
#[test]
fn a_day_is_kept_of_what_flaps() {
    let folder = tempfile::tempdir().unwrap();
    for (n, every) in [(0, 120), (1, 30), (2, 600), (3, 10)] {
        let path = folder.path().join(n.to_string());
        let shape = Shape::new(2).divided().nth(n).unwrap();
        let mut recorder = open(&path, Some(shape));
        let end = DAY * 3 / 2;
        for second in (0..end).step_by(every) {
            let odd = second / i64::try_from(every).unwrap() % 2;
            let output = if odd == 0 { "ok".to_owned() } else { format!("refused {second}") };
            recorder.happened(probe(second, i32::try_from(odd).unwrap(), &output)).unwrap();
            recorder.happened(event(second + 1, "die", Some(3))).unwrap();
            recorder.happened(event(second + 2, "start", None)).unwrap();
            if second % 7200 == 0 {
                // Whoever goes on after a crash goes on where it was.
                drop(recorder);
                recorder = open(&path, None);
            }
        }
        assert_eq!(path.metadata().unwrap().len(), shape.size());
        let recording = read(&path).unwrap();
        let first = probes(&recording)[0].0;
        let step = i64::try_from(shape.step().as_secs()).unwrap() * 2;
        assert!(first <= end - DAY + step, "{every}: reaches back to {first}");
        assert!(recording.happenings.is_sorted_by_key(|one| one.at));
        // From the first step on, every probe is in one record.
        let all = u32::try_from((end - 1) / i64::try_from(every).unwrap() + 1).unwrap();
        let before = u32::try_from(first / i64::try_from(every).unwrap()).unwrap();
        let missing = (all - before).abs_diff(count(&recording));
        assert!(missing <= 2, "{every}: {missing} of {all} after {first}");
        for hour in 1..24 {
            let then = at(end - hour * 3600);
            let near = |time: DateTime<Utc>| (then - time).abs() <= TimeDelta::seconds(step + 600);
            let failed = |one: &&Happening| match &one.what {
                What::Probes(probes) => probes.exit_code == 1 && near(one.at),
                What::Event { .. } => false,
            };
            let found = recording.happenings.iter().find(failed);
            let Some(Happening { what: What::Probes(probes), .. }) = found else {
                panic!("{every}: no failure {hour} hours ago")
            };
            assert!(probes.output.starts_with("refused"), "{probes:?}");
            let died = |one: &Happening| match &one.what {
                What::Event { action, exit_code } => {
                    action == "die" && *exit_code == Some(3) && near(one.at)
                }
                What::Probes(_) => false,
            };
            assert!(recording.happenings.iter().any(died), "{every}: {hour} hours ago");
            assert!(recording.health_at(then).is_some());
            assert!(read_at(&path, then).unwrap().happenings.last().unwrap().at <= then);
        }
    }
}

/// Of a step whose probes failed and passed, the verdict is the worst while they do, and that of the last
/// one afterwards.
#[test]
fn a_step_says_how_it_went_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    for (second, code) in [(0, 0), (60, 1), (120, 0), (180, 1), (240, 0)] {
        recorder.happened(probe(second, code, "x")).unwrap();
    }
    for n in 0..120 {
        recorder.happened(event(3600 + n, "pause", None)).unwrap();
    }
    let recording = read(&path).unwrap();
    assert_eq!(probes(&recording).len(), 2);
    let health = |second| recording.health_at(at(second));
    assert_eq!(health(30), Some(HealthStatus::Healthy));
    assert_eq!(health(100), Some(HealthStatus::Unhealthy));
    assert_eq!(health(150), Some(HealthStatus::Unhealthy));
    assert_eq!(health(1000), Some(HealthStatus::Healthy));
}

/// Killed between any two bytes of what a happening writes, nothing but that happening is missing, and
/// whoever goes on counts nothing twice.
#[test]
fn a_torn_step_leaves_the_version_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let mut recorder = opened(&path);
    // In the middle of a step, and at the beginning of one.
    for already in [130, 132, 144] {
        for n in count(&read(&path).unwrap())..already {
            recorder.happened(probe(i64::from(n) * 30, i32::from(n % 2 == 0), "out")).unwrap();
        }
        drop(recorder);
        let before = std::fs::read(&path).unwrap();
        recorder = opened(&path);
        recorder.happened(probe(i64::from(already) * 30, 7, "late")).unwrap();
        drop(recorder);
        let after = std::fs::read(&path).unwrap();
        let begin = usize::try_from(Shape::new(2).place(THINNED, 0)).unwrap();
        let changed: Vec<usize> = (0..after.len()).filter(|n| before[*n] != after[*n]).collect();
        assert!(changed.iter().any(|n| *n >= begin) && changed.iter().any(|n| *n < begin));
        // The step is written first.
        let (last, first): (Vec<usize>, Vec<usize>) = changed.into_iter().partition(|n| *n < begin);
        let order: Vec<usize> = first.into_iter().chain(last).collect();
        for cut in 0..=order.len() {
            let mut torn = before.clone();
            for n in &order[..cut] {
                torn[*n] = after[*n];
            }
            std::fs::write(&path, &torn).unwrap();
            // Half of its bytes in the ring are no happening, and what was there is in the step.
            let there = if cut == order.len() { already + 1 } else { already };
            assert_eq!(count(&read(&path).unwrap()), there, "{already}: cut at {cut}");
            let mut recorder = opened(&path);
            recorder.happened(probe(i64::from(already) * 30 + 5, 7, "late")).unwrap();
            assert_eq!(count(&read(&path).unwrap()), there + 1, "{already}: cut at {cut}");
        }
        std::fs::write(&path, &before).unwrap();
        recorder = opened(&path);
    }
}

/// A file of before there were steps is read as it is, and goes on as one that has them.
#[test]
fn a_record_of_before_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    for shape in Shape::new(2).divided() {
        let _ = std::fs::remove_file(&path);
        let mut recorder = open(&path, Some(shape));
        for n in 0..10 {
            recorder.happened(event(n, "pause", None)).unwrap();
        }
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&shape.header_of(2), 0).unwrap();
        file.set_len(shape.place(THINNED, 0)).unwrap();
        drop((recorder, file));
        assert_eq!(read(&path).unwrap().happenings.len(), 10);
        let mut recorder = open(&path, None);
        assert_eq!(recorder.shape(), shape);
        for n in 0..300 {
            recorder.happened(probe(n * 60, i32::from(n % 2 == 0), "out")).unwrap();
        }
        assert_eq!(count(&read(&path).unwrap()), 300);
        assert_eq!(path.metadata().unwrap().len(), shape.size());
    }
}
