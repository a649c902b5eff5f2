//! What a container uses of each CPU of the host, over time.

use std::time::Duration;

use wharf_model::CORE_UNIT;

use crate::{Column, Series};

/// The history of each CPU, made of their counters.
#[derive(Clone, Debug, Default)]
pub struct CoreHistory {
    before: Option<Before>,
    usage: Vec<Option<f64>>,
    series: Vec<Series>,
}

/// The counters before.
#[derive(Clone, Debug)]
struct Before {
    clock: Duration,
    started_ms: i64,
    used: Vec<u64>,
}

impl CoreHistory {
    /// Takes in the nanoseconds that were used of each since the container was started. `clock` is when
    /// they were read, on a clock that tells how much time has passed; `at` is the same instant on that
    /// of the charts. From `gap` between two readings on, what lies between them isn't drawn.
    pub fn push(
        &mut self,
        at: Duration,
        clock: Duration,
        started_ms: i64,
        gap: Duration,
        used: &[u64],
    ) {
        let before = self.before.take().filter(|before| before.started_ms == started_ms);
        let passed = before.as_ref().map(|before| clock.saturating_sub(before.clock));
        let share = |n: usize| {
            let spent = used.get(n)?.checked_sub(*before.as_ref()?.used.get(n)?)?;
            let wall = passed.filter(|passed| !passed.is_zero())?.as_secs_f64();
            Some((spent as f64 / 1e7 / wall).min(100.0))
        };
        self.usage = (0..used.len()).map(share).collect();
        let since = passed.filter(|passed| *passed < gap).map(|passed| at.saturating_sub(passed));
        let count = self.series.len().max(used.len());
        self.series.resize_with(count, Series::new);
        for (series, value) in self.series.iter_mut().zip(&self.usage) {
            series.push(since, at, value.map(|value| value as f32));
        }
        self.before = Some(Before { clock, started_ms, used: used.to_vec() });
    }

    /// As [`CoreHistory::push`], of recorded counters: those of units that begin anew at the end of their
    /// width.
    pub fn push_recorded(&mut self, at: Duration, started_ms: i64, gap: Duration, used: &[u32]) {
        let unit = u64::try_from(CORE_UNIT.as_nanos()).unwrap_or(1);
        let before = self.before.as_ref().filter(|before| before.started_ms == started_ms);
        let on = |(n, units): (usize, &u32)| {
            let Some(known) = before.and_then(|before| before.used.get(n)) else {
                return u64::from(*units) * unit;
            };
            #[expect(clippy::cast_possible_truncation, reason = "modulo the width of the units")]
            let spent = units.wrapping_sub((known / unit) as u32).cast_signed();
            // More than half of the width is a step back, of which no rate is made.
            known.saturating_add_signed(i64::from(spent) * unit.cast_signed())
        };
        let used: Vec<u64> = used.iter().enumerate().map(on).collect();
        self.push(at, at, started_ms, gap, &used);
    }

    /// Makes no rate of the next counters and those before.
    pub fn break_off(&mut self) {
        self.before = None;
    }

    /// Returns the newest use of each, in per cent.
    pub fn usage(&self) -> &[Option<f64>] {
        &self.usage
    }

    /// Returns the history of one, in per cent: see [`Series::columns`].
    pub fn columns(
        &self,
        core: usize,
        width: usize,
        window: Duration,
        now: Duration,
    ) -> Vec<Column> {
        let series = self.series.get(core);
        series.map(|series| series.columns(width, window, now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(400);

    #[test]
    fn what_is_recorded_of_a_core_is_what_was_used_of_it() {
        let second = Duration::from_secs;
        let (mut live, mut recorded) = (CoreHistory::default(), CoreHistory::default());
        // Near the end of the units' width, and over it.
        let begin = (u64::from(u32::MAX) - 50_000) * 100_000;
        for n in 0..20 {
            let used = [begin + n * 400_000_000, n * 100_000_000];
            let units = used.map(|ns| (ns / 100_000 % (1 << 32)) as u32);
            live.push(second(n), second(n), 1, GAP, &used);
            recorded.push_recorded(second(n), 1, GAP, &units);
        }
        assert_eq!(live.usage(), [Some(40.0), Some(10.0)]);
        assert_eq!(recorded.usage(), live.usage());
        for core in 0..2 {
            let columns = |of: &CoreHistory| of.columns(core, 10, second(20), second(19));
            assert_eq!(columns(&live), columns(&recorded));
        }
        // A restart begins the counters anew.
        recorded.push_recorded(second(20), 2, GAP, &[7, 7]);
        assert_eq!(recorded.usage(), [None, None]);
    }
}
