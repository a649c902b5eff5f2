//! When the next frame is due: at once for a key, a few times a second for what moves, and as the
//! byte budget allows while only numbers change.

use std::time::Duration;

use tokio::time::Instant;

use crate::app::Redraw;

/// The time between frames for what moves by itself.
const LIVELY: Duration = Duration::from_millis(100);

/// The time between frames for what a program writes, while it doesn't write much.
const QUICK: Duration = Duration::from_millis(15);

/// Seconds of the budget that can be saved up, and that can be owed.
const SAVED: f64 = 4.0;
const OWED: f64 = 2.0;

/// Bytes that may go to the terminal.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes a second.
    rate: f64,
    /// Bytes that may go now; negative while too many have gone.
    left: f64,
    /// When `left` was right.
    at: Instant,
    /// When the last frame was drawn.
    drawn: Instant,
}

impl Budget {
    pub(super) fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(100));
        let now = Instant::now();
        Self { rate, left: rate * SAVED, at: now, drawn: now }
    }

    /// Returns when the next frame is due, if one is.
    pub(super) fn due(&self, redraw: Redraw) -> Option<Instant> {
        match redraw {
            Redraw::No => None,
            Redraw::Now => Some(self.drawn),
            Redraw::Quick if self.left > 0.0 => Some(self.drawn + QUICK),
            Redraw::Lively | Redraw::Quick => Some(self.drawn + LIVELY),
            Redraw::Soon => {
                let owed = Duration::from_secs_f64((-self.left / self.rate).max(0.0));
                Some((self.at + owed).max(self.drawn + LIVELY))
            }
        }
    }

    /// Takes off what a frame has cost.
    pub(super) fn spent(&mut self, bytes: u64) {
        let now = Instant::now();
        let earned = (now - self.at).as_secs_f64() * self.rate;
        let left = (self.left + earned).min(self.rate * SAVED) - bytes as f64;
        // Keys draw without asking; numbers shall not stand still for long after that.
        self.left = left.max(-self.rate * OWED);
        self.at = now;
        self.drawn = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn numbers_keep_to_the_budget_and_keys_do_not_wait() {
        let mut budget = Budget::new(2000);
        let begin = Instant::now();
        let mut bytes = 0;
        while begin.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if budget.due(Redraw::Soon).unwrap() <= Instant::now() {
                budget.spent(3000);
                bytes += 3000;
            }
        }
        assert!((110_000..=131_000).contains(&bytes), "{bytes}");
        budget.spent(1_000_000);
        assert!(budget.due(Redraw::Now).unwrap() <= Instant::now());
        let wait = budget.due(Redraw::Soon).unwrap() - Instant::now();
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        assert_eq!(budget.due(Redraw::No), None);
    }
}
