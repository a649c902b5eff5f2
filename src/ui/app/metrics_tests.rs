use wharf_backend::fake::{Fake, container, sample, time};
use wharf_model::Status;

use super::*;

/// The fake's samples of so many seconds, as the recorder keeps them.
fn recording(seconds: std::ops::Range<u64>) -> Recording {
    let web = container(1, "web-1", "nginx", Status::Running);
    let zero = since_epoch(time(0));
    let samples = seconds.map(|second| {
        let mut sample = sample(0, &web, second);
        sample.at += zero;
        sample.into()
    });
    Recording { samples: samples.collect(), ..Recording::default() }
}

#[test]
fn a_container_that_stops_has_a_past_but_no_present() {
    let fake = Fake::demo();
    let mut metrics = Metrics::new();
    for tick in 1..5 {
        metrics.take(0, fake.batch(tick), time(i64::try_from(tick).unwrap()));
    }
    let mut web = container(1, "web-1", "nginx", Status::Running);
    let id = web.id.clone();
    assert!(metrics.now(&id).unwrap().cpu_percent.is_some());
    web = container(1, "web-1", "nginx", Status::Exited);
    fake.put(web);
    metrics.take(0, fake.batch(5), time(5));
    assert_eq!(metrics.now(&id), None);
    // Its charts end with it.
    let window = metrics.window(&id, 1);
    assert!(!window.live);
    let columns = metrics.columns(&id, Metric::Memory, 32, window);
    assert_eq!(columns.iter().filter(|c| c.avg.is_some()).count(), 4);
    assert!(columns[28].avg.is_some() && columns[31].avg.is_some());
    assert_eq!(window.column_of(time(4), 32), Some(31));
    assert_eq!(window.column_of(time(1), 32), Some(28));
    assert_eq!(window.column_of(time(5), 32), None);
    // Those of another go on.
    let db = container(2, "db-1", "", Status::Running).id;
    let window = metrics.window(&db, 1);
    assert!(window.live);
    let columns = metrics.columns(&db, Metric::Memory, 32, window);
    let newest = 31 - usize::try_from(window.lead).unwrap();
    assert!(columns[newest].avg.is_some() && columns[newest - 4].avg.is_some());
    assert!(columns.get(newest + 1).is_none_or(|column| column.avg.is_none()));
    metrics.retain(|_| false);
    assert!(!metrics.knows(&id));
}

#[test]
fn what_was_recorded_fills_the_gap_before_the_first_sample() {
    let fake = Fake::demo();
    let mut metrics = Metrics::new();
    for tick in 100..=120 {
        metrics.take(0, fake.batch(tick), time(i64::try_from(tick).unwrap()));
    }
    let id = container(1, "web-1", "nginx", Status::Running).id;
    let window = Window::until(time(120), 1);
    let known = |metrics: &Metrics| {
        let columns = metrics.columns(&id, Metric::Memory, 100, window);
        columns.iter().filter(|c| c.avg.is_some()).count()
    };
    assert_eq!(known(&metrics), 21);
    metrics.take_past(id.clone(), Past::new(recording(40..110), None));
    assert_eq!(known(&metrics), 81);
    // Both tell the same of the same instant.
    let live = metrics.columns(&id, Metric::Memory, 8, Window::until(time(109), 1));
    let past = metrics.past(&id).unwrap();
    let end = since_epoch(time(109));
    let recorded = past.history.columns(Metric::Memory, 8, Duration::from_secs(8), end);
    assert_eq!(live, recorded);
}

#[test]
fn a_clock_that_is_put_forward_makes_a_gap() {
    let fake = Fake::demo();
    let mut metrics = Metrics::new();
    metrics.take(0, fake.batch(1), time(1));
    metrics.take(0, fake.batch(2), time(2));
    // A little late is no gap.
    metrics.take(0, fake.batch(3), time(5));
    assert_eq!(metrics.newest(), since_epoch(time(3)));
    metrics.take(0, fake.batch(4), time(1000));
    assert_eq!(metrics.newest(), since_epoch(time(1000)));
    // Put back, it goes on from where it was.
    metrics.take(0, fake.batch(5), time(10));
    assert_eq!(metrics.newest(), since_epoch(time(1001)));
}

#[test]
fn cores_are_shares_of_the_time_between_two_answers() {
    let mut metrics = Metrics::new();
    metrics.take(0, Fake::demo().batch(1), time(1));
    let id = container(1, "web-1", "nginx", Status::Running).id;
    let details = |seconds: u64, cores: &[u64]| DetailSample {
        at: Duration::from_secs(seconds),
        cores: Some(cores.to_vec()),
        ..DetailSample::default()
    };
    metrics.take_details(&id, details(10, &[0, 500_000_000]));
    let usage = |metrics: &Metrics| [0, 1].map(|core| metrics.core_usage(&id, core));
    assert_eq!((metrics.core_count(&id), usage(&metrics)), (2, [None, None]));
    metrics.take_details(&id, details(12, &[1_000_000_000, 500_000_000]));
    assert_eq!(usage(&metrics), [Some(50.0), Some(0.0)]);
    let other = container(2, "db-1", "", Status::Running).id;
    assert_eq!(metrics.core_count(&other), 0);
}

/// podman measures each five seconds, whatever it is asked.
#[test]
fn an_engine_that_says_the_same_again_changes_nothing() {
    let fake = Fake::demo();
    let mut metrics = Metrics::new();
    let id = container(1, "web-1", "nginx", Status::Running).id;
    for tick in [1, 6] {
        metrics.take(0, fake.batch(tick), time(i64::try_from(tick).unwrap()));
    }
    let usage = *metrics.now(&id).unwrap();
    assert!(usage.cpu_percent.is_some());
    for second in 7..10 {
        metrics.take(0, fake.batch(6), time(second));
        assert_eq!(metrics.now(&id), Some(&usage));
    }
}
