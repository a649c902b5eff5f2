//! Why a container is slow, in words: from what it waited for and which limits it met.

/// What tells of it: averages over a short time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signs {
    /// Per cent of the enforcement periods in which the CPU quota was hit.
    pub throttled: Option<f64>,
    /// Per cent of the time some task waited for a CPU.
    pub cpu_pressure: Option<f64>,
    /// Per cent of the time some task waited for memory.
    pub memory_pressure: Option<f64>,
    /// Per cent of the time some task waited for block devices.
    pub io_pressure: Option<f64>,
    /// Processes lately killed for want of memory.
    pub oom_kills: u64,
    /// Bytes of memory used.
    pub memory: Option<u64>,
    /// The container's own memory limit, in bytes.
    pub memory_limit: Option<u64>,
    /// The container's own CPU limit, in CPUs.
    pub cpus: Option<f64>,
    /// Bytes read from and written to block devices a second.
    pub block: Option<(f64, f64)>,
    /// Tasks, and how many there may be.
    pub pids: Option<(u64, Option<u64>)>,
    /// Per cent of the host's CPUs that are busy.
    pub host_cpu: Option<f64>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// What it is, and what helps where that is known.
    pub text: String,
    /// How much of the time it cost, in per cent, or how near that is.
    pub weight: f64,
}

/// Below this share of the time, a wait isn't worth a word.
const NOTABLE: f64 = 5.0;

/// From this share of its limit on, memory is scarce.
const SCARCE: f64 = 90.0;

/// Returns the reasons, the weightiest first; none when nothing holds the container back. `size` writes
/// bytes as the caller does.
pub fn causes(signs: &Signs, size: impl Fn(u64) -> String) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut add = |weight: f64, text: String| causes.push(Cause { text, weight });
    let raise_memory = || match signs.memory_limit {
        Some(limit) => format!("raise --memory {}?", size(limit)),
        None => "the host is short of memory".to_owned(),
    };
    if signs.oom_kills > 0 {
        let who = if signs.oom_kills == 1 { "process was" } else { "processes were" };
        let kills = signs.oom_kills;
        add(1000.0, format!("{kills} {who} killed for want of memory: {}", raise_memory()));
    }
    let notable = |share: Option<f64>| share.filter(|share| *share >= NOTABLE);
    let throttled = notable(signs.throttled);
    if let Some(share) = throttled {
        let raise = match signs.cpus {
            Some(cpus) => format!("raise --cpus {}?", short(cpus)),
            None => "raise --cpus?".to_owned(),
        };
        add(share, format!("throttled {share:.0} % of periods: {raise}"));
    }
    let filled = signs.memory.zip(signs.memory_limit).filter(|(_, limit)| *limit > 0);
    let filled = filled.map(|(used, limit)| used as f64 / limit as f64 * 100.0);
    let scarce = filled.filter(|share| *share >= SCARCE);
    match (notable(signs.memory_pressure), scarce) {
        (Some(share), Some(filled)) => add(
            share,
            format!(
                "waits for memory {share:.0} % of the time, at {filled:.0} % of its limit: {}",
                raise_memory()
            ),
        ),
        // Within a limit of its own, what is read from the files is dropped before it is used again. The
        // waits for block devices are for that, too.
        (Some(share), None) if signs.memory_limit.is_some() => {
            let raise = raise_memory();
            let text = format!("its files don't stay there, or the host is short of it: {raise}");
            let weight = share + signs.io_pressure.unwrap_or(0.0);
            add(weight, format!("waits for memory {share:.0} % of the time: {text}"));
        }
        (Some(share), None) => {
            let text = "the host is short of memory, or it reads its files again and again";
            add(share, format!("waits for memory {share:.0} % of the time: {text}"));
        }
        (None, Some(filled)) => {
            add(NOTABLE, format!("memory at {filled:.0} % of its limit: {}", raise_memory()));
        }
        (None, None) => {}
    }
    if let Some(share) = notable(signs.io_pressure) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
        let rate = |bytes: f64| size(bytes.max(0.0) as u64);
        let does = match signs.block {
            Some((read, written)) => {
                format!(": it reads {}/s and writes {}/s", rate(read), rate(written))
            }
            None => String::new(),
        };
        add(share, format!("waits for block devices {share:.0} % of the time{does}"));
    }
    // Who is throttled waits for a CPU, too, for that reason.
    let cpu = notable(signs.cpu_pressure).filter(|_| throttled.is_none());
    if let Some(share) = cpu.filter(|share| *share >= 2.0 * NOTABLE) {
        let whose = match signs.host_cpu {
            Some(busy) if busy >= 80.0 => format!("the host's CPUs are {busy:.0} % busy"),
            _ => "more runs in it than it has CPUs".to_owned(),
        };
        add(share, format!("waits for a CPU {share:.0} % of the time: {whose}"));
    }
    if let Some((tasks, Some(limit))) = signs.pids
        && tasks >= limit
    {
        add(100.0, format!("{tasks} of {limit} tasks: raise --pids-limit?"));
    }
    causes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    causes
}

/// Returns a number of CPUs as people write it.
fn short(cpus: f64) -> String {
    let text = format!("{cpus:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(signs: &Signs) -> Vec<String> {
        causes(signs, |bytes| format!("{}M", bytes >> 20)).into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn the_weightiest_reason_comes_first_and_says_what_helps() {
        let calm = Signs { cpu_pressure: Some(4.0), throttled: Some(0.0), ..Signs::default() };
        assert_eq!(words(&calm), [""; 0]);
        let signs = Signs {
            throttled: Some(38.2),
            cpu_pressure: Some(60.0),
            cpus: Some(0.5),
            io_pressure: Some(41.0),
            block: Some((3e6, 0.0)),
            ..Signs::default()
        };
        assert_eq!(
            words(&signs),
            [
                "waits for block devices 41 % of the time: it reads 2M/s and writes 0M/s",
                "throttled 38 % of periods: raise --cpus 0.5?",
            ]
        );
    }

    #[test]
    fn memory_is_told_by_what_is_short_of_it() {
        let limit = Signs {
            memory: Some(125 << 20),
            memory_limit: Some(128 << 20),
            memory_pressure: Some(23.4),
            ..Signs::default()
        };
        assert_eq!(
            words(&limit),
            ["waits for memory 23 % of the time, at 98 % of its limit: raise --memory 128M?"]
        );
        let calm = Signs { memory_pressure: None, ..limit };
        assert_eq!(words(&calm), ["memory at 98 % of its limit: raise --memory 128M?"]);
        let killed = Signs { oom_kills: 2, ..calm };
        assert_eq!(
            words(&killed)[0],
            "2 processes were killed for want of memory: raise --memory 128M?"
        );
        let files = Signs { memory: Some(90 << 20), io_pressure: Some(60.0), ..limit };
        assert_eq!(
            words(&files)[0],
            "waits for memory 23 % of the time: its files don't stay there, or the host is short of \
             it: raise --memory 128M?"
        );
        let host = Signs { memory_limit: None, ..limit };
        assert!(words(&host)[0].contains("the host is short of memory"));
    }

    #[test]
    fn a_busy_host_and_a_full_list_of_tasks_are_named() {
        let signs = Signs {
            cpu_pressure: Some(45.0),
            host_cpu: Some(97.6),
            pids: Some((16, Some(16))),
            ..Signs::default()
        };
        assert_eq!(
            words(&signs),
            [
                "16 of 16 tasks: raise --pids-limit?",
                "waits for a CPU 45 % of the time: the host's CPUs are 98 % busy",
            ]
        );
    }
}
