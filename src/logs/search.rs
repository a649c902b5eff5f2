//! Search through a [`LogView`], bit by bit.
//!
//! The counts of matches in each block are kept, nothing else: blocks without any are stepped over
//! when the user goes from match to match, and the total needs no list of matches. Dropping the
//! search, or not calling it again, cancels it.

use std::collections::BTreeMap;

use crate::{LogView, Matcher, Result};

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To newer records.
    Forward,
    /// To older records.
    Backward,
}

/// What a step of a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The nearest match.
    Found(u64),
    /// The budget is used up: ask again for the same.
    Pending,
    /// There is none that way.
    None,
}

/// Matches in order of position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The positions, oldest first.
    pub positions: Vec<u64>,
    /// Whether the budget ran out before the page was full or the log's end reached: ask again.
    pub pending: bool,
}

/// How far the count of matches is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchProgress {
    /// Matches found so far.
    pub matches: u64,
    /// Whether the whole log has been searched, so that `matches` is exact for now.
    pub complete: bool,
}

/// What is known of a block.
#[derive(Debug, Default)]
struct Block {
    matches: u64,
    /// Up to where the block has been searched.
    to: u64,
}

/// A search in progress.
#[derive(Debug)]
pub struct Search {
    matcher: Matcher,
    blocks: BTreeMap<u64, Block>,
    matches: u64,
    /// All blocks before this one have been searched to their end.
    next: u64,
    hits: Vec<u64>,
}

impl Search {
    /// Returns the search for this pattern; nothing has been searched yet.
    pub fn new(matcher: Matcher) -> Self {
        Self { matcher, blocks: BTreeMap::new(), matches: 0, next: 0, hits: Vec::new() }
    }

    /// Returns what is searched for.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Goes on counting, oldest records first, reading about `budget` bytes. Call it again as the
    /// log grows. Matches in records that the log has dropped are taken off.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn advance(&mut self, view: &mut dyn LogView, budget: u64) -> Result<SearchProgress> {
        let size = view.block_size();
        let first = view.start() / size;
        self.forget_before(first);
        let mut left = budget;
        self.next = self.next.max(first);
        while self.next * size < view.end() {
            if !self.is_done(view, self.next) {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(self.scan(view, self.next)?.max(1));
            }
            if (self.next + 1) * size > view.end() {
                // The last block can still grow.
                break;
            }
            self.next += 1;
        }
        Ok(self.progress(view))
    }

    /// Returns how far the count is.
    pub fn progress(&self, view: &dyn LogView) -> SearchProgress {
        let complete = self.next * view.block_size() >= view.end() || {
            let last = (self.next + 1) * view.block_size() > view.end();
            last && self.is_done(view, self.next)
        };
        SearchProgress { matches: self.matches, complete }
    }

    /// Finds the match nearest to `from` that way, `from` itself not included, reading about
    /// `budget` bytes.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn step(
        &mut self,
        view: &mut dyn LogView,
        from: u64,
        direction: Direction,
        budget: u64,
    ) -> Result<Step> {
        let from = match direction {
            Direction::Forward => from.saturating_add(1),
            Direction::Backward => from,
        };
        let page = self.page(view, from, direction, 1, budget)?;
        Ok(match page.positions.first() {
            Some(position) => Step::Found(*position),
            None if page.pending => Step::Pending,
            None => Step::None,
        })
    }

    /// Returns up to `rows` matches at or after `from` (forward), or before it (backward), reading
    /// about `budget` bytes: the page of a list of only the matching records.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn page(
        &mut self,
        view: &mut dyn LogView,
        from: u64,
        direction: Direction,
        rows: usize,
        budget: u64,
    ) -> Result<Page> {
        let size = view.block_size();
        let from = from.clamp(view.start(), view.end());
        let mut page = Page::default();
        let mut left = budget;
        let mut block = match direction {
            Direction::Forward => from / size,
            Direction::Backward => from.saturating_sub(1) / size,
        };
        while page.positions.len() < rows {
            let outside = match direction {
                Direction::Forward => block * size >= view.end(),
                Direction::Backward => (block + 1) * size <= view.start(),
            };
            if outside {
                break;
            }
            let empty = self.is_done(view, block)
                && self.blocks.get(&block).is_some_and(|b| b.matches == 0);
            if !empty {
                if left == 0 {
                    page.pending = true;
                    break;
                }
                left = left.saturating_sub(self.scan_whole(view, block)?.max(1));
                let wanted = |at: &&u64| match direction {
                    Direction::Forward => **at >= from,
                    Direction::Backward => **at < from,
                };
                let room = rows - page.positions.len();
                match direction {
                    Direction::Forward => {
                        page.positions.extend(self.hits.iter().filter(wanted).take(room));
                    }
                    Direction::Backward => {
                        page.positions.extend(self.hits.iter().rev().filter(wanted).take(room));
                    }
                }
            }
            block = match (direction, block) {
                (Direction::Backward, 0) => break,
                (Direction::Backward, _) => block - 1,
                (Direction::Forward, _) => block + 1,
            };
        }
        page.positions.sort_unstable();
        Ok(page)
    }

    /// Returns how many of the matches that are known lie between each two of these positions, which
    /// are in order. Only blocks that lie across one of them are read again.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn spread(&mut self, view: &mut dyn LogView, bounds: &[u64]) -> Result<Vec<u64>> {
        let mut counts = vec![0; bounds.len().saturating_sub(1)];
        let size = view.block_size();
        let place = |at: u64| bounds.partition_point(|b| *b <= at).checked_sub(1);
        let add = |counts: &mut Vec<u64>, at: u64, matches: u64| {
            if let Some(count) = place(at).and_then(|n| counts.get_mut(n)) {
                *count += matches;
            }
        };
        let known: Vec<(u64, u64, u64)> = self
            .blocks
            .iter()
            .filter(|(_, block)| block.matches > 0)
            .map(|(number, block)| (*number, block.to, block.matches))
            .collect();
        for (number, to, matches) in known {
            let begin = number * size;
            if place(begin).is_some() && place(begin) == place(to.max(begin + 1) - 1) {
                add(&mut counts, begin, matches);
                continue;
            }
            self.scan_whole(view, number)?;
            for hit in &self.hits {
                add(&mut counts, *hit, 1);
            }
        }
        Ok(counts)
    }

    fn forget_before(&mut self, first: u64) {
        while let Some(entry) = self.blocks.first_entry()
            && *entry.key() < first
        {
            self.matches -= entry.remove().matches;
        }
    }

    fn is_done(&self, view: &dyn LogView, block: u64) -> bool {
        let begin = block * view.block_size();
        self.blocks.get(&block).is_some_and(|b| b.to >= view.block_end(begin).max(view.start()))
    }

    /// Searches what is new in a block.
    fn scan(&mut self, view: &mut dyn LogView, block: u64) -> Result<u64> {
        let begin = (block * view.block_size()).max(view.start());
        let entry = self.blocks.entry(block).or_default();
        let from = entry.to.max(begin);
        let to = view.block_end(begin).max(from);
        self.hits.clear();
        let read = view.scan(from, to, &self.matcher, &mut self.hits)?;
        entry.to = to;
        entry.matches += self.hits.len() as u64;
        self.matches += self.hits.len() as u64;
        Ok(read)
    }

    /// Searches a block from its beginning, whether it was searched or not.
    fn scan_whole(&mut self, view: &mut dyn LogView, block: u64) -> Result<u64> {
        if let Some(old) = self.blocks.remove(&block) {
            self.matches -= old.matches;
        }
        self.scan(view, block)
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
