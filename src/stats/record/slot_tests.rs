use super::*;
use proptest::prelude::*;

/// Records with the use of eight CPUs.
const LENGTH: usize = 188 + 4;

prop_compose! {
    fn limits()(kind in 0..3, limit in 0..u64::from(u32::MAX - 2)) -> Option<Limit> {
        match kind {
            0 => None,
            1 => Some(Limit::Unlimited),
            _ => Some(Limit::At(limit)),
        }
    }
}

prop_compose! {
    fn samples()(
        wide in prop::collection::vec(prop::option::of(0..u64::MAX / 2), 9),
        narrow in prop::collection::vec(prop::option::of(0..u64::from(u32::MAX - 2)), 8),
        limits in prop::collection::vec(limits(), 3),
        at in 0..u64::from(u32::MAX),
        cores in prop::collection::vec(any::<u32>(), 0..=cores_in(LENGTH)),
    ) -> Stored {
        let kib = |n: usize| narrow[n].map(|kib| kib * 1024);
        let line = |n: usize| wide[n].map(|total_us| PressureLine { avg10: 0.0, avg60: 0.0, total_us });
        let up = u32::try_from(at % 1000).unwrap();
        let sample = Sample {
            at: Duration::from_millis(at * 1000 + 7),
            started_ms: i64::try_from(at).unwrap(),
            cpu: wide[0].map(|usage_ns| CpuCounters {
                usage_ns,
                periods: narrow[0],
                throttled_periods: narrow[1],
                limit: limits[0],
                ..CpuCounters::default()
            }),
            memory: wide[1].map(|usage| MemoryCounters {
                usage,
                inactive_file: kib(2),
                anon: kib(3),
                file: kib(4),
                kernel: kib(5),
                limit: limits[1],
                oom_kills: narrow[6],
            }),
            network: wide[2].zip(wide[3]).map(|(rx_bytes, tx_bytes)| NetCounters {
                rx_bytes,
                tx_bytes,
                ..NetCounters::default()
            }),
            block: wide[4].zip(wide[5]).map(|(read_bytes, write_bytes)| BlockCounters {
                read_bytes,
                write_bytes,
                ..BlockCounters::default()
            }),
            pids: narrow[7].map(|current| PidCounters { current, limit: limits[2] }),
            pressure: Pressure { cpu: line(6), memory: line(7), io: line(8) },
        };
        Stored { sample, cores, up }
    }
}

proptest! {
    #[test]
    fn a_sample_comes_back_as_it_was(sample in samples(), number: u32) {
        let record = Record::Sample(sample);
        prop_assert_eq!(decode(&encode(number, &record, LENGTH)), Some((number, record)));
    }

    #[test]
    fn happenings_come_back_as_far_as_there_is_room(
        text in "\\PC{0,200}",
        count: u32,
        code in prop::option::of(any::<i32>()),
        millis in 0..4_000_000_000_000_i64,
    ) {
        let at = DateTime::from_timestamp_millis(millis).unwrap();
        let what = What::Event { action: text.clone(), exit_code: code };
        let event = Record::Happening(Happening { at, what });
        let Some((7, Record::Happening(back))) = decode(&encode(7, &event, LENGTH)) else { panic!() };
        let What::Event { action, exit_code } = back.what else { panic!() };
        prop_assert_eq!((back.at, exit_code), (at, code));
        prop_assert!(text.starts_with(&action));
        prop_assert!(action.len() == text.len() || action.len() > LENGTH - EVENT_TEXT - 5);
        let probes = Probes {
            until: at,
            count,
            exit_code: code.unwrap_or(0),
            status: HealthStatus::Unhealthy,
            streak: count,
            last: Duration::from_millis(12),
            longest: Duration::from_millis(3456),
            output: text.chars().take(20).collect(),
        };
        let record = Record::Happening(Happening { at, what: What::Probes(probes) });
        prop_assert_eq!(decode(&encode(1, &record, LENGTH)), Some((1, record)));
    }

    /// What fits comes back; of texts that don't, the beginning, of those of failures first.
    #[test]
    fn a_step_comes_back_as_far_as_there_is_room(
        actions in prop::collection::vec("\\PC{0,40}", 0..8),
        outputs in prop::collection::vec("\\PC{0,120}", 0..3),
        step: u32,
        upto: u32,
        millis in 0..4_000_000_000_000_i64,
    ) {
        let at = DateTime::from_timestamp_millis(millis).unwrap();
        let mut happenings = Vec::new();
        for (n, text) in outputs.into_iter().enumerate() {
            let what = What::Probes(Probes {
                until: at,
                count: 7,
                exit_code: i32::from(n == 0),
                status: HealthStatus::Unhealthy,
                streak: 3,
                last: Duration::from_millis(12),
                longest: Duration::from_millis(3456),
                output: text,
            });
            happenings.push(Happening { at, what });
        }
        for action in actions {
            happenings.push(Happening { at, what: What::Event { action, exit_code: Some(-1) } });
        }
        let record = Record::Thinned(Thinned { step, upto, happenings: happenings.clone() });
        let Some((9, Record::Thinned(back))) = decode(&encode(9, &record, LEAST)) else { panic!() };
        prop_assert_eq!((back.step, back.upto), (step, upto));
        prop_assert!(back.happenings.len() >= happenings.len().min(3));
        for (was, is) in happenings.iter().zip(&back.happenings) {
            match (&was.what, &is.what) {
                (What::Probes(was), What::Probes(is)) => {
                    prop_assert!(was.output.starts_with(&is.output));
                    prop_assert_eq!(is, &Probes { output: is.output.clone(), ..was.clone() });
                }
                (What::Event { .. }, What::Event { exit_code, .. }) => {
                    prop_assert_eq!(*exit_code, Some(-1));
                }
                _ => panic!("{is:?}"),
            }
        }
    }

    #[test]
    fn a_changed_bit_is_noticed(sample in samples(), bit in 0..LENGTH * 8) {
        let mut bytes = encode(1, &Record::Sample(sample), LENGTH);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn nothing_that_is_read_ends_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn the_host_comes_back_as_it_was() {
    for known in [true, false] {
        let some = |value: u64| known.then_some(value);
        let host = HostSample {
            at: Duration::from_millis(1_700_000_000_123),
            cpus: known.then_some(64),
            load1: known.then_some(3.25),
            busy_ns: some(1 << 60),
            memory_total: some(1 << 40),
            memory_available: some(1 << 39),
            disk_total: some(1 << 44),
            disk_free: some(0),
            pressure: Pressure::default(),
        };
        let record = Record::Host(host, 77);
        assert_eq!(decode(&encode(3, &record, LEAST)), Some((3, record)));
    }
}

#[test]
fn as_many_cpus_fit_as_a_length_is_made_for() {
    for cores in [0, 1, 2, 3, 64, 128] {
        assert!(cores_in(length(cores)) >= cores && length(cores) >= LEAST);
        let stored = Stored { sample: Sample::default(), cores: vec![7; cores], up: 0 };
        let record = Record::Sample(stored);
        assert_eq!(decode(&encode(3, &record, length(cores))), Some((3, record)));
    }
}

#[test]
fn what_was_never_written_is_no_record() {
    assert_eq!(decode(&[0; LENGTH]), None);
    assert_eq!(decode(&[]), None);
}
