//! How much was written when: a bar for each span of time.
//!
//! The bounds of the bars are looked up in the log by halving, so a log of a gigabyte has its
//! histogram after some hundred small reads. They lie at round times and are remembered, so that a
//! log that grows costs the lookup of what is new. What is counted are records where that is cheap,
//! else bytes.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{LogView, Result, Search};

/// Spans of time that a bar may have, in seconds.
const STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 2_592_000, 31_536_000,
];

/// Records of logs up to this many bytes are counted one by one.
const COUNTED: u64 = 16 << 20;

/// No more bars than this, whatever is asked for.
const MOST: usize = 4096;

/// How many lines without a time are passed over at either end.
const TRIES: usize = 50;

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Records.
    Lines,
    /// Bytes of the log.
    Bytes,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The budget is used up: ask again for the same.
    Pending,
    /// The histogram; none if nothing in the log has a time.
    Done(Option<Bars>),
}

/// A histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bars {
    /// When the first bar begins.
    pub begin: DateTime<Utc>,
    /// How long a bar is.
    pub step: TimeDelta,
    /// How much was written, bar by bar.
    pub counts: Vec<u64>,
    /// How many matches a search has found so far, bar by bar.
    pub matches: Vec<u64>,
    /// What is counted.
    pub unit: Unit,
}

impl Bars {
    /// Returns the bar of an instant, the nearest one if it is outside.
    pub fn place(&self, time: DateTime<Utc>) -> usize {
        let seconds = self.step.num_seconds().max(1);
        let at = (time - self.begin).num_seconds().max(0) / seconds;
        usize::try_from(at).unwrap_or(usize::MAX).min(self.counts.len().saturating_sub(1))
    }

    /// Returns when a bar begins.
    pub fn time(&self, bar: usize) -> DateTime<Utc> {
        self.begin + self.step * i32::try_from(bar).unwrap_or(i32::MAX)
    }
}

/// Makes histograms of one log, and remembers what it has looked up.
#[derive(Debug, Default)]
pub struct Histogram {
    step: i64,
    /// The first position at or after a second.
    bounds: BTreeMap<i64, u64>,
}

impl Histogram {
    /// Returns one that has looked up nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what it has looked up: the log begins or ends elsewhere now.
    pub fn forget(&mut self) {
        self.bounds.clear();
    }

    /// Returns the histogram of all that the view shows, in at most so many bars; none in it if
    /// nothing has a time. [`Looked::Pending`] when about `budget` bytes were read before it was
    /// done: ask again for the same.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn bars(
        &mut self,
        view: &mut dyn LogView,
        search: Option<&mut Search>,
        columns: usize,
        budget: u64,
    ) -> Result<Looked> {
        let until = view.bytes_read().saturating_add(budget);
        let Some((first, last)) = ends(view)? else { return Ok(Looked::Done(None)) };
        let columns = i64::try_from(columns.clamp(1, MOST)).unwrap_or(1);
        let fits = |step: &i64| last.div_euclid(*step) - first.div_euclid(*step) < columns;
        let step = STEPS.into_iter().find(|step| fits(step)).unwrap_or(STEPS[STEPS.len() - 1]);
        if step != self.step {
            self.step = step;
            self.bounds.clear();
        }
        let begin = first.div_euclid(step) * step;
        let bars = last.div_euclid(step) - first.div_euclid(step) + 1;
        let bars = bars.min(i64::try_from(MOST).unwrap_or(bars));
        if self.look_up(view, begin, bars, until)? {
            return Ok(Looked::Pending);
        }
        let mut bounds = vec![view.start()];
        for bar in 1..bars {
            let known = self.bounds.get(&(begin + step * bar)).copied();
            let before = bounds.last().copied().unwrap_or_default();
            bounds.push(known.unwrap_or(before).clamp(before, view.end().max(before)));
        }
        bounds.push(view.end());
        // The end isn't a bound for good: what comes may be older than it seems.
        let end = view.end();
        self.bounds.retain(|_, at| *at < end);
        let (counts, unit) = count_between(view, &bounds)?;
        let matches = match search {
            Some(search) => search.spread(view, &bounds)?,
            None => Vec::new(),
        };
        let begin = DateTime::from_timestamp(begin, 0).unwrap_or_default();
        let step = TimeDelta::seconds(step);
        Ok(Looked::Done(Some(Bars { begin, step, counts, matches, unit })))
    }

    /// Looks up the bounds that aren't known, those in the middle first, so that each narrows what
    /// is left for its neighbours. Returns whether some are left.
    fn look_up(
        &mut self,
        view: &mut dyn LogView,
        begin: i64,
        bars: i64,
        until: u64,
    ) -> Result<bool> {
        let mut stride = u64::try_from(bars).unwrap_or(1).next_power_of_two();
        while stride > 0 {
            let every = usize::try_from(stride).unwrap_or(usize::MAX);
            for bar in (0..bars).step_by(every).skip(1) {
                let second = begin + self.step * bar;
                if self.bounds.contains_key(&second) {
                    continue;
                }
                if view.bytes_read() >= until {
                    return Ok(true);
                }
                let low = self.bounds.range(..second).next_back().map_or(0, |(_, at)| *at);
                let high = self.bounds.range(second..).next().map_or(u64::MAX, |(_, at)| *at);
                let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
                let found = view.at_time_within(time, low, high)?;
                self.bounds.insert(second, found);
            }
            stride /= 2;
        }
        Ok(false)
    }
}

fn count_between(view: &mut dyn LogView, bounds: &[u64]) -> Result<(Vec<u64>, Unit)> {
    let between = |list: &[u64]| list.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    if view.end() - view.start() <= COUNTED {
        view.advance(COUNTED)?;
        let mut numbers = Vec::with_capacity(bounds.len());
        for bound in bounds {
            match view.number(*bound)? {
                Some(number) => numbers.push(number),
                None => return Ok((between(bounds), Unit::Bytes)),
            }
        }
        return Ok((between(&numbers), Unit::Lines));
    }
    Ok((between(bounds), Unit::Bytes))
}

/// Returns the first and the last second in which something was written.
fn ends(view: &mut dyn LogView) -> Result<Option<(i64, i64)>> {
    let seconds = |line: &crate::Line| line.time.map(|time| time.timestamp());
    let start = view.start();
    let first = view.forward(start, TRIES)?.iter().find_map(seconds);
    let last = view.last(TRIES)?.iter().rev().find_map(seconds);
    Ok(first.zip(last).map(|(first, last)| (first, last.max(first))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Scene, second};
    use crate::{Case, FileView, Matcher};

    fn bars(
        histogram: &mut Histogram,
        view: &mut dyn LogView,
        search: Option<&mut Search>,
        columns: usize,
    ) -> Option<Bars> {
        match histogram.bars(view, search, columns, u64::MAX).unwrap() {
            Looked::Done(bars) => bars,
            Looked::Pending => panic!("without a budget it is never used up"),
        }
    }

    #[test]
    fn lines_are_counted_by_time_and_matches_with_them() {
        let scene = Scene::new();
        scene.append(0..600);
        let mut view = FileView::open(&scene.path()).unwrap();
        let mut histogram = Histogram::new();
        let plain = bars(&mut histogram, &mut view, None, 10).unwrap();
        assert_eq!(plain.unit, Unit::Lines);
        assert_eq!(plain.step, TimeDelta::seconds(60));
        assert_eq!(plain.counts, [60; 10]);
        assert_eq!(plain.place(second(61)), 1);
        assert_eq!(plain.time(1), second(60));
        let mut search = Search::new(Matcher::new("line 12.$", Case::Smart).unwrap());
        search.advance(&mut view, u64::MAX).unwrap();
        let marked = bars(&mut histogram, &mut view, Some(&mut search), 10).unwrap();
        assert_eq!(marked.matches, [0, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
        scene.append(600..610);
        view.refresh().unwrap();
        let grown = bars(&mut histogram, &mut view, None, 20).unwrap();
        assert_eq!(grown.counts.iter().sum::<u64>(), 610);
    }

    #[test]
    fn a_large_log_has_its_histogram_after_small_reads_a_few_at_a_time() {
        let scene = Scene::new();
        scene.append(0..300_000);
        let mut view = FileView::open(&scene.path()).unwrap();
        assert!(view.end() > COUNTED);
        let (mut histogram, mut turns) = (Histogram::new(), 0);
        let found = loop {
            let before = view.bytes_read();
            let looked = histogram.bars(&mut view, None, 100, 1 << 20).unwrap();
            assert!(view.bytes_read() - before < 4 << 20);
            match looked {
                Looked::Pending => turns += 1,
                Looked::Done(bars) => break bars.unwrap(),
            }
        };
        assert!(turns > 2, "{turns}");
        assert_eq!(found.unit, Unit::Bytes);
        assert_eq!(found.counts.iter().sum::<u64>(), view.end());
        let most = found.counts.iter().max().unwrap();
        let least = found.counts[..found.counts.len() - 1].iter().min().unwrap();
        assert!(*most < least * 2, "{found:?}");
        // What is known isn't looked up again.
        let before = view.bytes_read();
        assert_eq!(bars(&mut histogram, &mut view, None, 100), Some(found));
        assert!(view.bytes_read() - before < 1 << 20);
    }

    #[test]
    fn an_empty_log_has_none() {
        let scene = Scene::new();
        scene.append_raw(b"");
        let mut view = FileView::open(&scene.path()).unwrap();
        assert_eq!(bars(&mut Histogram::new(), &mut view, None, 10), None);
    }
}
