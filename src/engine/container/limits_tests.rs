use super::*;

fn whole(change: impl FnOnce(&mut Resources)) -> std::result::Result<(), String> {
    let mut limits = Resources::default();
    change(&mut limits);
    let layout = Layout::detect().unwrap();
    judge(&mut limits, &layout)
        .and_then(|_| check_whole(&limits))
        .map_err(|error| error.to_string())
}

#[test]
fn conflicts_are_refused_in_docker_s_words() {
    let says = |change: fn(&mut Resources), text: &str| {
        assert_eq!(whole(change), Err(text.to_owned()));
    };
    says(|r| r.memory = Some(5 << 20), "Minimum memory limit allowed is 6MB");
    says(
        |r| {
            r.memory = Some(64 << 20);
            r.memory_swap = Some(32 << 20);
        },
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    );
    says(
        |r| r.memory_swap = Some(32 << 20),
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    );
    says(
        |r| {
            r.memory = Some(64 << 20);
            r.memory_reservation = Some(128 << 20);
        },
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    );
    says(|r| r.memory_reservation = Some(1), "Minimum memory reservation allowed is 6MB");
    says(
        |r| {
            r.nano_cpus = Some(1_000_000_000);
            r.cpu_period = Some(1000);
        },
        "Conflicting options: Nano CPUs and CPU Period cannot both be set",
    );
    says(
        |r| {
            r.nano_cpus = Some(1_000_000_000);
            r.cpu_quota = Some(1000);
        },
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    );
    says(
        |r| r.cpu_period = Some(10),
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    );
    says(|r| r.cpu_quota = Some(10), "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    says(|r| r.cpu_shares = Some(1), "the minimum allowed cpu-shares is 2");
    says(|r| r.cpu_shares = Some(262_145), "the maximum allowed cpu-shares is 262144");
    says(|r| r.blkio_weight = Some(5), "Range of blkio weight is from 10 to 1000");
    for part in ["0-", "a", "1-0", "-1"] {
        let text = format!("Invalid value {part} for cpuset cpus: invalid format: {part}");
        assert_eq!(whole(|r| r.cpuset_cpus = part.to_owned()), Err(text));
    }
    let error = whole(|r| r.cpuset_mems = "999".to_owned()).unwrap_err();
    let begins = "Requested memory nodes are not available - requested 999, available: 0";
    assert!(error.starts_with(begins), "{error}");
    assert_eq!(whole(|r| r.cpu_quota = Some(-1)), Ok(()));
}

#[test]
fn an_update_takes_what_it_names_and_keeps_the_rest() {
    let mut old = Resources {
        memory: Some(64 << 20),
        memory_swap: Some(128 << 20),
        cpu_shares: Some(512),
        ..Resources::default()
    };
    let new =
        Resources { memory: Some(96 << 20), cpuset_cpus: "0".to_owned(), ..Resources::default() };
    merge(&mut old, new).unwrap();
    assert_eq!((old.memory, old.memory_swap), (Some(96 << 20), Some(128 << 20)));
    assert_eq!((old.cpu_shares, old.cpuset_cpus.as_str()), (Some(512), "0"));
    let more = || Resources { memory: Some(256 << 20), ..Resources::default() };
    let error = merge(&mut old, more()).unwrap_err();
    assert!(error.starts_with("Memory limit should be smaller than already set"), "{error}");
    merge(&mut old, Resources { memory_swap: Some(-1), ..more() }).unwrap();
    assert_eq!((old.memory, old.memory_swap), (Some(256 << 20), Some(-1)));
    let mut old = Resources { nano_cpus: Some(1), ..Resources::default() };
    let quota = Resources { cpu_quota: Some(5000), ..Resources::default() };
    let error = merge(&mut old, quota).unwrap_err();
    assert!(error.ends_with("CPU Quota cannot be updated as NanoCPUs has already been set"));
    // No quota is no limit, whichever of both was one.
    for before in [None, Some(-1)] {
        let mut old = Resources { nano_cpus: Some(1), cpu_quota: before, ..Resources::default() };
        let none = || Resources { cpu_quota: Some(-1), ..Resources::default() };
        merge(&mut old, none()).unwrap();
        assert_eq!((old.nano_cpus, old.cpu_quota), (None, before));
        merge(&mut old, none()).unwrap();
        assert_eq!((old.nano_cpus, old.cpu_quota), (None, Some(-1)));
    }
}

#[test]
fn lists_of_numbers() {
    assert_eq!(number_list("0-3,5"), Ok(vec![0..=3, 5..=5]));
    assert_eq!(number_list(""), Ok(vec![]));
    assert_eq!(number_list("1,,2"), Err(""));
    assert_eq!(number_list("9999"), Err("9999"));
}
