//! A value's history in bounded memory: three rings of falling resolution.
//!
//! Ten minutes by the second, two hours by ten seconds, a day by three minutes. Each keeps the
//! average and the greatest value of its slots as 16-bit floats (the upper half of an `f32`: a
//! precision of 0.4 %, finer than any chart), so that a full series takes 7 KiB. Memory is taken as
//! the rings fill.

use std::time::Duration;

/// One ring: seconds a slot, and slots.
const LEVELS: [(u64, usize); 3] = [(1, 600), (10, 720), (180, 480)];

/// Rings grow by this many slots.
const GROW: usize = 60;

/// A value's history.
#[derive(Clone, Debug, Default)]
pub struct Series {
    levels: [Level; LEVELS.len()],
}

/// What a column of a chart stands for; each is none where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Column {
    /// The least average of the column's slots.
    pub min: Option<f32>,
    /// The average.
    pub avg: Option<f32>,
    /// The greatest value.
    pub max: Option<f32>,
}

impl Series {
    /// Returns an empty series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value that holds from `since` (the sample before, for a rate) to `at`. None is a gap.
    /// Times are of one monotonic clock; what is older than what was added before is passed over.
    pub fn push(&mut self, since: Option<Duration>, at: Duration, value: Option<f32>) {
        let value = value.filter(|v| v.is_finite());
        for (level, (step, capacity)) in self.levels.iter_mut().zip(LEVELS) {
            let to = at.as_secs() / step;
            // The slot that `since` lies in has its own value.
            let from = since.map_or(to, |since| (since.as_secs() / step + 1).min(to));
            level.push(from, to, value, capacity);
        }
    }

    /// Returns the newest value; none if that is a gap.
    pub fn latest(&self) -> Option<f32> {
        self.levels[0].open.as_ref()?.average()
    }

    /// Returns so many columns for a chart of the time window that ends at `now`, oldest first.
    /// Columns lie at fixed times, so that peaks keep their shape as time goes on; the oldest part
    /// of the window, less than one column, may be left out for that.
    pub fn columns(&self, width: usize, window: Duration, now: Duration) -> Vec<Column> {
        let (level, slots, last) = self.pick(window, now);
        let width = width as u64;
        if width == 0 {
            return Vec::new();
        }
        // Counted from the clock's zero, column k begins with slot k * slots / width.
        let wide = |k: u64| u128::from(k) * u128::from(slots) / u128::from(width);
        let begin = |k: u64| u64::try_from(wide(k)).unwrap_or(u64::MAX);
        let newest = (u128::from(last + 1) * u128::from(width) - 1) / u128::from(slots);
        let newest = u64::try_from(newest).unwrap_or(u64::MAX);
        (0..width)
            .rev()
            .map(|back| match newest.checked_sub(back) {
                Some(k) => level.column(begin(k), (begin(k + 1) - begin(k)).max(1)),
                None => Column::default(),
            })
            .collect()
    }

    /// Returns the greatest value in the time window that ends at `now`.
    pub fn peak(&self, window: Duration, now: Duration) -> Option<f32> {
        let (level, slots, last) = self.pick(window, now);
        level.column((last + 1).saturating_sub(slots), slots).max
    }

    /// Returns the finest ring that still reaches back that far, how many slots of it the window has, and
    /// the number of the last.
    fn pick(&self, window: Duration, now: Duration) -> (&Level, u64, u64) {
        let seconds = window.as_secs().max(1);
        // What lies between the window's end and the newest slot has to be reached over.
        let newest = self.levels[0].open.as_ref().map_or(0, |open| open.number * LEVELS[0].0);
        let reach = seconds + newest.saturating_sub(now.as_secs());
        // A hundredth that is missing at the beginning is better than a coarser view.
        let fits = |(step, capacity): &(u64, usize)| step * *capacity as u64 * 101 / 100 >= reach;
        let index = LEVELS.iter().position(fits).unwrap_or(LEVELS.len() - 1);
        let step = LEVELS[index].0;
        (&self.levels[index], seconds.div_ceil(step), now.as_secs() / step)
    }

    /// Returns how many bytes of memory the rings take beside the series itself.
    pub fn heap_bytes(&self) -> usize {
        self.levels.iter().map(|l| l.ring.capacity() * size_of::<Slot>()).sum()
    }
}

#[derive(Clone, Debug, Default)]
struct Level {
    /// Finished slots, a ring once it is full.
    ring: Vec<Slot>,
    /// Where the oldest is, in a full ring.
    oldest: usize,
    /// The slot that is being filled.
    open: Option<Open>,
}

/// Average and greatest value; NaN is a gap.
#[derive(Clone, Copy, Debug)]
struct Slot {
    average: Half,
    max: Half,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    sum: f64,
    count: u32,
    max: f32,
}

impl Open {
    fn new(number: u64) -> Self {
        Self { number, sum: 0.0, count: 0, max: f32::NEG_INFINITY }
    }

    fn add(&mut self, value: Option<f32>) {
        if let Some(value) = value {
            self.sum += f64::from(value);
            self.count += 1;
            self.max = self.max.max(value);
        }
    }

    fn average(&self) -> Option<f32> {
        (self.count > 0).then(|| (self.sum / f64::from(self.count)) as f32)
    }

    fn slot(&self) -> Slot {
        Slot {
            average: Half::new(self.average()),
            max: Half::new((self.count > 0).then_some(self.max)),
        }
    }
}

impl Level {
    fn push(&mut self, from: u64, to: u64, value: Option<f32>, capacity: usize) {
        let newest = self.open.map_or(from, |open| open.number);
        if to < newest {
            return;
        }
        // What can't be kept anyway needn't be written.
        let begin = newest.max(to.saturating_sub(capacity as u64));
        for number in begin..=to {
            let mut open = match self.open.take() {
                Some(open) if open.number == number => open,
                Some(open) => {
                    self.finish(open.slot(), capacity);
                    if open.number + 1 < number {
                        // More time passed than the ring is long.
                        self.ring.clear();
                        self.oldest = 0;
                    }
                    Open::new(number)
                }
                None => Open::new(number),
            };
            if number >= from {
                open.add(value);
            }
            self.open = Some(open);
        }
    }

    fn finish(&mut self, slot: Slot, capacity: usize) {
        if self.ring.len() < capacity {
            if self.ring.len() == self.ring.capacity() {
                self.ring.reserve_exact(GROW);
            }
            self.ring.push(slot);
        } else {
            self.ring[self.oldest] = slot;
            self.oldest = (self.oldest + 1) % capacity;
        }
    }

    fn slot(&self, number: u64) -> Option<Slot> {
        let open = self.open.as_ref()?;
        if number == open.number {
            return Some(open.slot());
        }
        let back = usize::try_from(open.number.checked_sub(number)?).ok()?;
        let at = self.ring.len().checked_sub(back)?;
        self.ring.get((self.oldest + at) % self.ring.len()).copied()
    }

    fn column(&self, first: u64, count: u64) -> Column {
        let mut column = Column::default();
        let (mut sum, mut known) = (0.0, 0_u32);
        for slot in (first..first + count).filter_map(|number| self.slot(number)) {
            let (Some(average), Some(max)) = (slot.average.get(), slot.max.get()) else { continue };
            sum += average;
            known += 1;
            column.min = Some(column.min.map_or(average, |m| m.min(average)));
            column.max = Some(column.max.map_or(max, |m| m.max(max)));
        }
        column.avg = (known > 0).then(|| sum / known as f32);
        column
    }
}

/// The upper half of an `f32`.
#[derive(Clone, Copy, Debug)]
struct Half(u16);

impl Half {
    const GAP: Self = Self(0x7fc0);

    fn new(value: Option<f32>) -> Self {
        match value {
            // Adding half of the last kept digit rounds; a finite value can at most become infinite.
            Some(value) if value.is_finite() => {
                let bits = value.to_bits().saturating_add(0x8000) >> 16;
                Self(u16::try_from(bits).unwrap_or(Self::GAP.0))
            }
            _ => Self::GAP,
        }
    }

    fn get(self) -> Option<f32> {
        let value = f32::from_bits(u32::from(self.0) << 16);
        value.is_finite().then_some(value)
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
