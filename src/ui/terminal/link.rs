//! What the line to the terminal carries, learnt from what the terminal answers.
//!
//! What has been written may still wait, for seconds, in the buffers of a pseudo-terminal, of sshd
//! and of its socket. So every frame ends with a question that terminals answer by themselves, the
//! one for their attributes: the answer says that all before it has arrived, and the time it took
//! what the line carries. No more is sent ahead than arrives within a moment; what would be more
//! isn't queued but drawn later, from what is true then.
//!
//! A terminal that doesn't answer is written to as if it took everything.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Asks a terminal for its attributes (DA1 of the VT100 and all that came after it).
pub(super) const QUESTION: &[u8] = b"\x1b[c";

/// What may be under way, as time that the line needs for it.
const AHEAD: Duration = Duration::from_millis(100);

/// The same for numbers alone: a key that is pressed meanwhile comes after them.
const NUMBERS_AHEAD: Duration = Duration::from_millis(40);

/// Bytes that may be under way on any line: one row of a list, with its colours.
const LEAST: f64 = 240.0;

/// Bytes of numbers that may be under way on any line.
const LEAST_NUMBERS: f64 = 140.0;

/// Bytes that may be under way at most, however fast the line was until now: half of a large screen.
const MOST: f64 = 16.0 * 1024.0;

/// An answer that is late by less says nothing about the line.
const JITTER: Duration = Duration::from_millis(30);

/// Less room than this isn't used: what is around a frame would take most of it.
const WORTHWHILE: f64 = 90.0;

/// Bytes a second until the line has shown what it carries: a whole first screen may be under way.
const SUPPOSED: f64 = 200_000.0;

/// So many bytes measure the line; fewer measure noise.
const TELLING: u64 = 32;

/// The line is measured over so long, or until nothing is under way any more.
const PERIOD: Duration = Duration::from_millis(50);

/// An answer that takes so long, on top of what the line needs, isn't coming any more.
const LOST: Duration = Duration::from_secs(3);

/// Questions without any answer after which none is asked any more.
const UNANSWERED: usize = 16;

/// How long answers that are still to come are waited for at the end, and so long the first one of all.
const ANSWERS: Duration = Duration::from_millis(500);
const FIRST_ANSWER: Duration = Duration::from_millis(100);

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    /// Numbers, which have changed by themselves.
    Numbers,
    /// The user, who waits for it.
    User,
}

/// What is known of the line.
#[derive(Debug)]
pub(super) struct Link {
    /// Bytes sent, ever.
    sent: u64,
    /// Bytes that have arrived for sure.
    arrived: u64,
    /// The questions that wait for an answer: what had been sent then, and when.
    asked: VecDeque<(u64, Instant)>,
    /// When the last answer came.
    answered: Option<Instant>,
    /// The shortest time between a question and its answer.
    trip: Duration,
    /// What is measured now: since when, whether nothing was under way then, and the bytes that have
    /// arrived.
    since: Instant,
    from_idle: bool,
    carried: u64,
    /// Bytes a second.
    rate: f64,
    /// Whether that is more than a guess.
    measured: bool,
    /// Whether the terminal has left all questions unanswered.
    mute: bool,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            arrived: 0,
            asked: VecDeque::new(),
            answered: None,
            trip: Duration::from_secs(1),
            since: Instant::now(),
            from_idle: true,
            carried: 0,
            rate: SUPPOSED,
            measured: false,
            mute: false,
        }
    }

    /// Returns whether a frame is to end with the question.
    pub(super) fn asks(&self) -> bool {
        !self.mute
    }

    /// Takes in that so many bytes were written, the question last if one is [asked](Self::asks).
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.sent += bytes;
        if self.mute {
            return;
        }
        let now = Instant::now();
        if self.asked.is_empty() {
            (self.since, self.from_idle, self.carried) = (now, true, 0);
        }
        self.asked.push_back((self.sent, now));
        if self.answered.is_none() && self.asked.len() >= UNANSWERED {
            self.mute = true;
            self.asked.clear();
        }
    }

    /// Takes in an answer.
    pub(super) fn answer(&mut self) {
        let now = Instant::now();
        let Some((sent, when)) = self.asked.pop_front() else { return };
        self.carried += sent - self.arrived;
        self.arrived = sent;
        self.trip = self.trip.min(now - when);
        self.answered = Some(now);
        let mut took = now - self.since;
        if self.from_idle {
            // The line had nothing else to carry, so the way there and back is in it.
            took = took.saturating_sub(self.trip);
        }
        // Answers may come in one go after a pause, and then only the pause before them tells.
        if !self.asked.is_empty() && took < PERIOD {
            return;
        }
        if self.carried >= TELLING {
            // The mean of the times a byte takes: it believes in a slow line at once, and in a fast one
            // step by step.
            let time = took.as_secs_f64() / self.carried as f64;
            let mean = if self.measured { f64::midpoint(1.0 / self.rate, time) } else { time };
            self.rate = (1.0 / mean.max(1e-9)).min(10.0 * SUPPOSED);
            self.measured = true;
        }
        (self.since, self.from_idle, self.carried) = (now, false, 0);
    }

    /// Returns how many bytes may be sent now; none while enough of them are under way.
    pub(super) fn room(&mut self, what: For) -> usize {
        self.give_up_lost();
        if self.answered.is_none() {
            return usize::MAX;
        }
        let under_way = (self.sent - self.arrived) as f64;
        let rate = self.rate_now();
        let room = match what {
            // What the way itself holds is not in anybody's way.
            For::User => {
                let ahead = AHEAD + self.trip.min(Duration::from_secs(1));
                (rate * ahead.as_secs_f64()).clamp(LEAST, MOST) - under_way
            }
            For::Numbers if under_way > 0.0 => 0.0,
            For::Numbers => (rate * NUMBERS_AHEAD.as_secs_f64()).clamp(LEAST_NUMBERS, MOST),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to MOST")]
        if room >= WORTHWHILE { room as usize } else { 0 }
    }

    /// Returns when the oldest question is given up.
    pub(super) fn lost_at(&self) -> Option<Instant> {
        let (sent, when) = self.asked.front()?;
        let needed = (sent - self.arrived) as f64 / self.rate.max(100.0);
        Some(*when + LOST + self.trip + Duration::from_secs_f64(2.0 * needed))
    }

    /// Returns how long the answers may take that are still to be expected, if any are.
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.mute || self.asked.is_empty() {
            return None;
        }
        if self.answered.is_none() {
            return Some(FIRST_ANSWER);
        }
        let needed =
            Duration::from_secs_f64((self.sent - self.arrived) as f64 / self.rate.max(100.0));
        Some((2 * self.trip + needed + FIRST_ANSWER).min(ANSWERS))
    }

    /// Takes all that is under way for arrived: somebody else had the terminal meanwhile.
    pub(super) fn reset(&mut self) {
        self.asked.clear();
        self.arrived = self.sent;
    }

    /// Returns what the line carries, as far as the answer that is due next lets one hope: a line that
    /// has just become slow shows it by that.
    fn rate_now(&self) -> f64 {
        let Some((sent, when)) = self.asked.front() else { return self.rate };
        let began = self.answered.map_or(*when, |before| before.max(*when + self.trip));
        let waited = Instant::now().saturating_duration_since(began);
        let hope = (sent - self.arrived) as f64 / waited.as_secs_f64().max(0.001);
        if waited > JITTER { self.rate.min(hope) } else { self.rate }
    }

    fn give_up_lost(&mut self) {
        if self.answered.is_some() && self.lost_at().is_some_and(|when| when <= Instant::now()) {
            self.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that carries so many bytes a second, with a terminal at its end, and so long a way.
    struct Line {
        link: Link,
        rate: f64,
        way: Duration,
        /// When the line has carried what it has, and the answers on their way back.
        free: Instant,
        answers: VecDeque<Instant>,
    }

    impl Line {
        fn new(rate: f64, way: Duration) -> Self {
            let (link, free) = (Link::new(), Instant::now());
            Self { link, rate, way, free, answers: VecDeque::new() }
        }

        fn send(&mut self, bytes: usize) {
            self.link.wrote(bytes as u64);
            let needed = Duration::from_secs_f64(bytes as f64 / self.rate);
            self.free = self.free.max(Instant::now()) + needed;
            self.answers.push_back(self.free + self.way);
        }

        /// Lets time pass.
        async fn pass(&mut self, time: Duration) {
            let until = Instant::now() + time;
            while let Some(at) = self.answers.front().copied().filter(|at| *at <= until) {
                tokio::time::sleep_until(at).await;
                self.answers.pop_front();
                self.link.answer();
            }
            tokio::time::sleep_until(until).await;
        }

        /// Returns how long what is sent now waits for what is under way.
        fn queue(&self) -> Duration {
            self.free.saturating_duration_since(Instant::now())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_is_never_far_behind() {
        for (rate, way) in [(2000.0, 20), (2000.0, 300), (600.0, 100)] {
            let mut line = Line::new(rate, Duration::from_millis(way));
            line.send(8);
            line.pass(Duration::from_secs(1)).await;
            // The first screen goes at once, whatever the line.
            line.send(6000);
            line.pass(Duration::from_secs(12)).await;
            let mut sent = 0;
            let mut worst = Duration::ZERO;
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(60) {
                // Somebody holds a key down: each asks for more than the line carries.
                let room = line.link.room(For::User).min(1500);
                if room > 0 {
                    line.send(room);
                    sent += room;
                }
                worst = worst.max(line.queue());
                line.pass(Duration::from_millis(5)).await;
            }
            // Nor does it stand idle.
            assert!(sent as f64 > 0.5 * 60.0 * rate, "{sent} of {rate} in 60 s");
            let most = Duration::from_millis(150 + way) + Duration::from_secs_f64(LEAST / rate);
            assert!(worst <= most, "{worst:?} behind at {rate} B/s, {way} ms away");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_leave_a_slow_line_to_the_keys() {
        let mut line = Line::new(2000.0, Duration::from_millis(20));
        line.send(8);
        line.pass(Duration::from_secs(1)).await;
        line.send(6000);
        line.pass(Duration::from_secs(12)).await;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(30) {
            let room = line.link.room(For::Numbers).min(1500);
            if room > 0 {
                line.send(room);
            }
            assert!(line.queue() <= Duration::from_millis(75), "{:?}", line.queue());
            assert!(line.link.room(For::User) > 0, "a key may always be answered");
            line.pass(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_line_far_away_is_not_held_up() {
        let mut line = Line::new(1_000_000.0, Duration::from_millis(200));
        line.send(8);
        line.pass(Duration::from_secs(1)).await;
        line.send(6000);
        line.pass(Duration::from_secs(1)).await;
        for _ in 0..100 {
            // Keys faster than the way there and back.
            assert!(line.link.room(For::User) >= 1500, "{:?}", line.link);
            line.send(1500);
            line.pass(Duration::from_millis(33)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_that_does_not_answer_is_not_waited_for() {
        let mut link = Link::new();
        for _ in 0..3 * UNANSWERED {
            assert_eq!(link.room(For::User), usize::MAX);
            assert_eq!(link.room(For::Numbers), usize::MAX);
            link.wrote(5000);
        }
        assert!(!link.asks());
        assert_eq!(link.patience(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_answers_are_given_up() {
        let mut line = Line::new(2000.0, Duration::from_millis(20));
        line.send(8);
        line.pass(Duration::from_secs(1)).await;
        line.send(6000);
        line.answers.clear();
        line.pass(Duration::from_millis(500)).await;
        // The line is supposed to be fast until it has shown what it is.
        line.link.wrote(100_000);
        assert_eq!(line.link.room(For::User), 0);
        line.pass(Duration::from_secs(10)).await;
        assert!(line.link.room(For::User) > 0);
        line.link.answer();
        assert!(line.link.room(For::User) > 0, "an answer that comes after all is nobody's");
    }
}
