//! Several logs as one, by time.
//!
//! Each log is in the order of its own records; between logs the earlier record comes first, and
//! what a program wrote as one record of several lines isn't torn apart: all its lines count as
//! written with the first.
//!
//! Where one is in a merged log is told by one position in each of the logs (a *front*). Reading
//! a record moves one of them on, so their sum grows with every record: it is the position that this
//! view speaks of. From a position the front is found by halving by time, or from one nearby that is
//! remembered.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use wharf_model::LogRecord;

use super::{Change, Line, LogView, Progress};
use crate::{MOST_JOINED, Matcher, Result, continues};

/// Several logs as one.
pub struct Merged {
    views: Vec<Box<dyn LogView>>,
    /// Fronts by their sums.
    known: BTreeMap<u64, Vec<u64>>,
}

/// No more fronts than this are remembered.
const KNOWN: usize = 4096;

/// How far a remembered front may be to go on from there, and how near halving comes, in positions.
const NEAR: u64 = 128 << 10;

/// A record and the instant that it counts as written.
struct Head {
    line: Line,
    key: i64,
}

/// A front on its way to newer records, or to older ones.
struct Walk {
    front: Vec<u64>,
    heads: Vec<Option<Head>>,
}

fn nanos(time: Option<DateTime<Utc>>) -> Option<i64> {
    time.and_then(|time| time.timestamp_nanos_opt())
}

/// Returns the instant that a record counts as written: that of the first of the lines it belongs to.
fn key(view: &mut dyn LogView, line: &Line) -> Result<i64> {
    let mut first = nanos(line.time);
    let mut line = line.clone();
    for _ in 0..MOST_JOINED {
        let Some(before) = view.backward(line.position, 1)?.pop() else { break };
        if !continues(&before, &line) && first.is_some() {
            break;
        }
        // A line without a time counts as the one before it.
        first = nanos(before.time).or(first);
        line = before;
    }
    Ok(first.unwrap_or(i64::MIN))
}

impl Merged {
    /// Returns these logs as one; a record's source is its log's place in the list.
    pub fn new(views: Vec<Box<dyn LogView>>) -> Self {
        Self { views, known: BTreeMap::new() }
    }

    fn remember(&mut self, front: &[u64]) {
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(front.iter().sum(), front.to_vec());
    }

    fn starts(&self) -> Vec<u64> {
        self.views.iter().map(|view| view.start()).collect()
    }

    fn ends(&self) -> Vec<u64> {
        self.views.iter().map(|view| view.end()).collect()
    }

    /// Returns the record after a place in one of the logs.
    fn after(&mut self, source: usize, at: u64) -> Result<Option<Head>> {
        let view = &mut self.views[source];
        let Some(line) = view.forward(at, 1)?.pop() else { return Ok(None) };
        let key = key(&mut **view, &line)?;
        Ok(Some(Head { line, key }))
    }

    /// Returns the record before a place in one of the logs.
    fn before(&mut self, source: usize, at: u64) -> Result<Option<Head>> {
        let view = &mut self.views[source];
        let Some(line) = view.backward(at, 1)?.pop() else { return Ok(None) };
        let key = key(&mut **view, &line)?;
        Ok(Some(Head { line, key }))
    }

    fn walk(&mut self, front: Vec<u64>, newer: bool) -> Result<Walk> {
        let mut heads = Vec::with_capacity(front.len());
        for (source, at) in front.iter().enumerate() {
            heads.push(if newer { self.after(source, *at)? } else { self.before(source, *at)? });
        }
        Ok(Walk { front, heads })
    }

    /// Returns the next record, and moves on; its positions are those of the merged log.
    fn step(&mut self, walk: &mut Walk) -> Result<Option<Line>> {
        let heads = walk.heads.iter().enumerate();
        let next = heads.filter_map(|(n, head)| head.as_ref().map(|head| (head.key, n))).min();
        let Some((key_now, source)) = next else { return Ok(None) };
        let Some(head) = walk.heads[source].take() else { return Ok(None) };
        let position = walk.front.iter().sum();
        walk.front[source] = head.line.next;
        let following = self.views[source].forward(head.line.next, 1)?.pop();
        walk.heads[source] = match following {
            Some(line) if continues(&head.line, &line) || line.time.is_none() => {
                Some(Head { line, key: key_now })
            }
            Some(line) => {
                let key = nanos(line.time).unwrap_or(key_now);
                Some(Head { line, key })
            }
            None => None,
        };
        let next = walk.front.iter().sum();
        Ok(Some(Line { position, next, source, ..head.line }))
    }

    /// Returns the record before, and moves back.
    fn step_back(&mut self, walk: &mut Walk) -> Result<Option<Line>> {
        let heads = walk.heads.iter().enumerate();
        let next = heads.filter_map(|(n, head)| head.as_ref().map(|head| (head.key, n))).max();
        let Some((key_now, source)) = next else { return Ok(None) };
        let Some(head) = walk.heads[source].take() else { return Ok(None) };
        let next = walk.front.iter().sum();
        walk.front[source] = head.line.position;
        let preceding = self.views[source].backward(head.line.position, 1)?.pop();
        walk.heads[source] = match preceding {
            Some(line) if continues(&line, &head.line) => Some(Head { line, key: key_now }),
            Some(line) => {
                let key = key(&mut *self.views[source], &line)?;
                Some(Head { line, key })
            }
            None => None,
        };
        let position = walk.front.iter().sum();
        Ok(Some(Line { position, next, source, ..head.line }))
    }

    /// Returns the front at an instant, which lies between two others: all records before it are
    /// older.
    fn front_at(&mut self, time: DateTime<Utc>, low: &[u64], high: &[u64]) -> Result<Vec<u64>> {
        let mut front = Vec::with_capacity(self.views.len());
        for (view, (low, high)) in self.views.iter_mut().zip(low.iter().zip(high)) {
            let mut at = view.at_time_within(time, *low, *high)?;
            // Not in the middle of a record of several lines.
            for _ in 0..MOST_JOINED {
                let (before, line) = (view.backward(at, 1)?.pop(), view.forward(at, 1)?.pop());
                match (before, line) {
                    (Some(before), Some(line)) if continues(&before, &line) => at = line.next,
                    _ => break,
                }
            }
            front.push(at);
        }
        Ok(front)
    }

    /// Returns the front at a position, or at the first record after it.
    fn front(&mut self, position: u64) -> Result<Vec<u64>> {
        if position <= self.start() {
            return Ok(self.starts());
        }
        if position >= self.end() {
            return Ok(self.ends());
        }
        let near = self.known.range(..=position).next_back();
        let near = near.filter(|(at, _)| position - *at <= NEAR).map(|(_, front)| front.clone());
        let mut front = match near {
            Some(front) => front,
            None => self.halve(position)?,
        };
        let sum = |front: &[u64]| front.iter().sum::<u64>();
        if sum(&front) > position {
            let mut walk = self.walk(front, false)?;
            while sum(&walk.front) > position && self.step_back(&mut walk)?.is_some() {}
            front = walk.front;
        }
        if sum(&front) < position {
            let mut walk = self.walk(front, true)?;
            while sum(&walk.front) < position && self.step(&mut walk)?.is_some() {}
            front = walk.front;
        }
        self.remember(&front);
        Ok(front)
    }

    /// Returns a front not far from a position.
    fn halve(&mut self, position: u64) -> Result<Vec<u64>> {
        let (mut low, mut high) = (self.starts(), self.ends());
        let mut stuck = vec![false; self.views.len()];
        for _ in 0..64 * self.views.len() {
            let width = |n: &usize| high[*n].saturating_sub(low[*n]);
            let open = (0..self.views.len()).filter(|n| !stuck[*n] && width(n) > NEAR);
            let Some(widest) = open.max_by_key(width) else { break };
            let middle = low[widest] + (high[widest] - low[widest]) / 2;
            let at = self.views[widest].align(middle)?;
            let line = self.views[widest].forward(at, 1)?.pop();
            let Some(time) = line.and_then(|line| line.time) else {
                stuck[widest] = true;
                continue;
            };
            let front = self.front_at(time, &low, &high)?;
            if front[widest] <= low[widest] || front[widest] >= high[widest] {
                stuck[widest] = true;
            }
            if front.iter().sum::<u64>() <= position {
                low = front;
            } else {
                high = front;
            }
        }
        Ok(low)
    }
}

impl LogView for Merged {
    fn start(&self) -> u64 {
        self.views.iter().map(|view| view.start()).sum()
    }

    fn end(&self) -> u64 {
        self.views.iter().map(|view| view.end()).sum()
    }

    fn refresh(&mut self) -> Result<Change> {
        let mut change = Change::Same;
        for view in &mut self.views {
            change = match (view.refresh()?, change) {
                (Change::Rotated, _) | (_, Change::Rotated) => Change::Rotated,
                (Change::Grown, _) | (_, Change::Grown) => Change::Grown,
                _ => Change::Same,
            };
        }
        if change == Change::Rotated {
            self.known.clear();
        }
        Ok(change)
    }

    fn advance(&mut self, budget: u64) -> Result<bool> {
        let mut whole = true;
        for view in &mut self.views {
            whole &= view.advance(budget)?;
        }
        Ok(whole)
    }

    fn progress(&self) -> Progress {
        self.views.iter().map(|view| view.progress()).fold(Progress::default(), |a, b| Progress {
            indexed: a.indexed + b.indexed,
            total: a.total + b.total,
            lines: a.lines + b.lines,
            dropped: a.dropped + b.dropped,
            removed: a.removed + b.removed,
        })
    }

    fn align(&mut self, position: u64) -> Result<u64> {
        Ok(self.front(position)?.iter().sum())
    }

    fn forward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let front = self.front(position)?;
        let mut walk = self.walk(front, true)?;
        let mut lines = Vec::new();
        while lines.len() < rows {
            let Some(line) = self.step(&mut walk)? else { break };
            lines.push(line);
        }
        self.remember(&walk.front);
        Ok(lines)
    }

    fn backward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let front = self.front(position)?;
        let mut walk = self.walk(front, false)?;
        let mut lines = Vec::new();
        while lines.len() < rows {
            let Some(line) = self.step_back(&mut walk)? else { break };
            lines.push(line);
        }
        self.remember(&walk.front);
        lines.reverse();
        Ok(lines)
    }

    fn number(&mut self, position: u64) -> Result<Option<u64>> {
        let front = self.front(position)?;
        let mut total = Some(0);
        for (view, at) in self.views.iter_mut().zip(front) {
            total = total.zip(view.number(at)?).map(|(total, number)| total + number);
        }
        Ok(total)
    }

    fn at_number(&mut self, _number: u64) -> Result<Option<u64>> {
        Ok(None)
    }

    fn block_size(&self) -> u64 {
        self.views.iter().map(|view| view.block_size()).max().unwrap_or(1)
    }

    fn block_end(&self, position: u64) -> u64 {
        let size = self.block_size();
        let block = position / size * size;
        self.end().clamp(block, block + size)
    }

    fn scan(&mut self, from: u64, to: u64, matcher: &Matcher, hits: &mut Vec<u64>) -> Result<u64> {
        let before = self.bytes_read();
        let front = self.front(from)?;
        let mut walk = self.walk(front, true)?;
        let mut read = 0;
        while walk.front.iter().sum::<u64>() < to {
            let Some(line) = self.step(&mut walk)? else { break };
            read += line.message.len() as u64;
            if matcher.is_match(&line.message) {
                hits.push(line.position);
            }
        }
        // The next block begins here.
        self.remember(&walk.front);
        Ok((self.bytes_read() - before).max(read))
    }

    fn bytes_read(&self) -> u64 {
        self.views.iter().map(|view| view.bytes_read()).sum()
    }

    fn feed(&mut self, source: usize, record: LogRecord) {
        if let Some(view) = self.views.get_mut(source) {
            view.feed(0, record);
        }
    }

    fn at_time_within(&mut self, time: DateTime<Utc>, low: u64, high: u64) -> Result<u64> {
        // What is remembered narrows the search in each log.
        let low = self.known.get(&low).cloned().unwrap_or_else(|| self.starts());
        let high = self.known.get(&high).cloned().unwrap_or_else(|| self.ends());
        let front = self.front_at(time, &low, &high)?;
        self.remember(&front);
        Ok(front.iter().sum())
    }
}

#[cfg(test)]
#[path = "merged_tests.rs"]
mod tests;
