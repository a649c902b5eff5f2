//! Tests of the rings.

use proptest::prelude::*;

use super::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn filled(count: u64, value: impl Fn(u64) -> Option<f32>) -> Series {
    let mut series = Series::new();
    for second in 1..=count {
        series.push(second.checked_sub(1).map(seconds), seconds(second), value(second));
    }
    series
}

fn averages(columns: &[Column]) -> Vec<Option<f32>> {
    columns.iter().map(|c| c.avg).collect()
}

#[test]
fn a_minute_by_the_second() {
    let series = filled(100, |s| Some(s as f32));
    let columns = series.columns(60, seconds(60), seconds(100));
    assert_eq!(columns.len(), 60);
    assert_eq!(columns[0].avg, Some(41.0));
    assert_eq!(columns[59].avg, Some(100.0));
    assert_eq!(series.latest(), Some(100.0));
}

#[test]
fn gaps_stay_gaps() {
    let series = filled(10, |s| (s % 5 != 0).then_some(1.0));
    let columns = series.columns(10, seconds(10), seconds(10));
    let one = Some(1.0);
    assert_eq!(averages(&columns), [one, one, one, one, None, one, one, one, one, None]);
    assert_eq!(series.latest(), None);
    // Before the first and after the last there is nothing.
    let columns = series.columns(20, seconds(20), seconds(12));
    assert_eq!(columns[19], Column::default());
    assert_eq!(columns[0], Column::default());
    let empty = Series::new();
    assert_eq!(empty.columns(3, seconds(60), seconds(5)), [Column::default(); 3]);
}

#[test]
fn a_rate_fills_the_time_it_was_measured_over() {
    let mut series = Series::new();
    series.push(None, seconds(10), None);
    series.push(Some(seconds(10)), seconds(15), Some(3.0));
    let columns = series.columns(7, seconds(7), seconds(15));
    let three = Some(3.0);
    assert_eq!(averages(&columns), [None, None, three, three, three, three, three]);
}

#[test]
fn columns_keep_peaks_and_stand_still() {
    let series = filled(600, |s| Some(if s == 300 { 90.0 } else { 10.0 }));
    let before = series.columns(100, seconds(600), seconds(598));
    let after = series.columns(100, seconds(600), seconds(599));
    assert_eq!(before, after, "six seconds a column: nothing moves within one");
    let peaks: Vec<_> = after.iter().filter(|c| c.max == Some(90.0)).collect();
    assert_eq!(peaks.len(), 1);
    assert_eq!(peaks[0].min, Some(10.0));
    assert_eq!(series.peak(seconds(600), seconds(600)), Some(90.0));
}

#[test]
fn longer_windows_come_from_coarser_rings() {
    let series = filled(90_000, |s| Some(if s == 80_000 { 500.0 } else { 100.0 }));
    for (window, columns) in [(60, 60), (600, 100), (7200, 100), (86_400, 100)] {
        let columns = series.columns(columns, seconds(window), seconds(90_000));
        assert!(columns.iter().all(|c| c.avg.is_some()), "{window}");
    }
    let day = series.columns(120, seconds(86_400), seconds(90_000));
    assert_eq!(day.iter().filter(|c| c.max == Some(500.0)).count(), 1);
}

#[test]
fn memory_is_bounded_and_taken_as_needed() {
    assert_eq!(Series::new().heap_bytes(), 0);
    assert!(filled(50, |_| Some(1.0)).heap_bytes() <= 2 * 60 * 4 + 60 * 4);
    let full = filled(100_000, |_| Some(1.0)).heap_bytes();
    assert!(full <= 7200, "{full}");
}

#[test]
fn a_long_pause_is_a_gap_and_costs_no_time() {
    let mut series = filled(700, |_| Some(1.0));
    series.push(None, seconds(10_000_000), Some(2.0));
    let columns = series.columns(600, seconds(600), seconds(10_000_000));
    assert_eq!(columns.iter().filter(|c| c.avg.is_some()).count(), 1);
    series.push(None, seconds(5), Some(9.0));
    assert_eq!(series.latest(), Some(2.0), "what comes late is passed over");
}

proptest! {
    #[test]
    fn halves_are_near(value in 0.0_f32..1e12) {
        let near = Half::new(Some(value)).get().unwrap();
        prop_assert!((near - value).abs() <= value * 0.004);
    }

    #[test]
    fn any_pushes_keep_the_shape(
        pushes in proptest::collection::vec((0_u64..3000, proptest::option::of(0.0_f32..100.0)), 0..200),
        width in 1_usize..200,
        window in 1_u64..200_000,
    ) {
        let mut series = Series::new();
        let mut before = None;
        let mut at = 0;
        for (step, value) in pushes {
            at += step;
            series.push(before, seconds(at), value);
            before = Some(seconds(at));
        }
        let columns = series.columns(width, seconds(window), seconds(at));
        prop_assert_eq!(columns.len(), width);
        for column in columns {
            prop_assert_eq!(column.min.is_some(), column.max.is_some());
            if let (Some(min), Some(avg), Some(max)) = (column.min, column.avg, column.max) {
                prop_assert!(min <= avg * 1.001 && avg <= max * 1.01 + 0.001);
            }
        }
        prop_assert!(series.heap_bytes() <= 7200);
    }
}

#[test]
fn the_past_is_seen_through_the_ring_that_still_has_it() {
    let mut series = Series::new();
    for second in 1..=4000 {
        series.push(Some(seconds(second - 1)), seconds(second), Some(second as f32));
    }
    // Of the last minute every second is known, of one an hour ago every ten.
    let minute = Duration::from_secs(60);
    let columns = series.columns(60, minute, seconds(4000));
    assert!(columns.iter().all(|c| c.avg.is_some()));
    let columns = series.columns(60, minute, seconds(400));
    assert!(columns.iter().all(|c| c.avg.is_some()), "{columns:?}");
    assert!((columns[59].avg.unwrap() - 400.0).abs() < 10.0, "{:?}", columns[59]);
}
