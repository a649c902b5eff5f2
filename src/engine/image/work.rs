//! The same work on several things at once.

use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Does `work` on everything in `items`, on as many threads as there are processors, and returns what
/// came of each, in any order.
///
/// # Errors
/// The first that any of them returned; what hasn't begun by then isn't begun.
pub(super) fn parallel<I: Send, T: Send>(
    items: Vec<I>,
    work: impl Fn(I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let left = Mutex::new(items.into_iter());
    let locked = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let Some(item) = locked().next() else { return Ok(done) };
            match work(item) {
                Ok(result) => done.push(result),
                Err(error) => {
                    // The others come to their end.
                    locked().by_ref().for_each(drop);
                    return Err(error);
                }
            }
        }
    };
    let done: Vec<Result<Vec<T>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let panicked = |_| Err(Error::failed("work on several layers", "a thread panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    Ok(done.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_or_the_failure_is_told() {
        let mut squares = parallel((0..100).collect(), |n| Ok(n * n)).unwrap();
        squares.sort_unstable();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        assert!(parallel(Vec::<u8>::new(), Ok).unwrap().is_empty());
        let error = parallel(vec![1, 2, 3], |n| match n {
            2 => Err(Error::failed("two", "wrong")),
            n => Ok(n),
        });
        assert_eq!(error.unwrap_err().to_string(), "two: wrong");
    }
}
