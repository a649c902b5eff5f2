//! Clients that are attached to containers that don't run yet.
//!
//! Docker's clients attach first and start then, so that they miss nothing. The engine connects a
//! client with the start itself; so the one who starts a container finds here who waits for it, and
//! hands the connection over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use wharf_backend::Session;

/// What a waiting client wants.
pub(crate) struct Waiter {
    /// What tells it from others.
    number: u64,
    /// Whether its input is to be passed on.
    pub(crate) stdin: bool,
    /// Where the connection goes; dropped where there will be none.
    pub(crate) session: oneshot::Sender<Session>,
}

/// All of them, by their containers' ids.
#[derive(Default)]
pub(crate) struct Waiting {
    all: Mutex<HashMap<String, Vec<Waiter>>>,
    last: AtomicU64,
}

impl Waiting {
    /// Lets a client wait for a container's start; returns its number, and where the connection comes.
    pub(crate) fn wait(&self, container: &str, stdin: bool) -> (u64, oneshot::Receiver<Session>) {
        let (session, receiver) = oneshot::channel();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.add(container, Waiter { number, stdin, session });
        (number, receiver)
    }

    /// Takes a client out again; returns whether it was still there, rather than with somebody who
    /// starts its container.
    pub(crate) fn withdraw(&self, container: &str, number: u64) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiters) = all.get_mut(container) else { return false };
        let before = waiters.len();
        waiters.retain(|waiter| waiter.number != number);
        waiters.len() < before
    }

    /// Puts a client back.
    pub(crate) fn add(&self, container: &str, waiter: Waiter) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have gone, of whatever container, are forgotten with each new one.
        all.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.session.is_closed());
            !waiters.is_empty()
        });
        all.entry(container.to_owned()).or_default().push(waiter);
    }

    /// Takes out who waits for a container; whoever has gone is left out.
    pub(crate) fn take(&self, container: &str) -> Vec<Waiter> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiters = all.remove(container).unwrap_or_default();
        waiters.retain(|waiter| !waiter.session.is_closed());
        waiters
    }
}
