//! Clients that are attached to containers that don't run yet.
//!
//! Docker's clients attach first and start then, so that they miss nothing. The engine connects a
//! client with the start itself; so the one who starts a container finds here who waits for it, and
//! hands the connection over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use wharf_backend::Session;

/// What a waiting client wants.
pub(crate) struct Waiter {
    /// Whether its input is to be passed on.
    pub(crate) stdin: bool,
    /// Where the connection goes; dropped where there will be none.
    pub(crate) session: oneshot::Sender<Session>,
}

/// All of them, by their containers' ids.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, Vec<Waiter>>>);

impl Waiting {
    /// Lets a client wait for a container's start.
    pub(crate) fn add(&self, container: &str, waiter: Waiter) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have gone, of whatever container, are forgotten with each new one.
        all.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.session.is_closed());
            !waiters.is_empty()
        });
        all.entry(container.to_owned()).or_default().push(waiter);
    }

    /// Takes out who waits for a container; whoever has gone is left out.
    pub(crate) fn take(&self, container: &str) -> Vec<Waiter> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiters = all.remove(container).unwrap_or_default();
        waiters.retain(|waiter| !waiter.session.is_closed());
        waiters
    }
}
