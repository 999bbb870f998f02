//! Warnings that would repeat: one now and then, with the number of those held back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one event through in each interval and counts the others.
///
/// ```
/// # use std::time::Duration;
/// # use service::logging::Throttle;
/// # let throttle = Throttle::new(Duration::from_secs(10));
/// if let Some(held_back) = throttle.pass() {
///     tracing::warn!(held_back, "cannot decode record");
/// }
/// ```
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// Makes one that lets the first event through.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(State { last: None, held_back: 0 }) }
    }

    /// Returns how many were held back since the last that went through, or none if this one is held back as well.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.interval) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_through_and_tells_of_the_others() {
        let throttle = Throttle::new(Duration::from_secs(10));
        let start = Instant::now();
        let passed: Vec<_> =
            [0, 1, 9, 10, 11, 30].iter().map(|s| throttle.pass_at(start + Duration::from_secs(*s))).collect();
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
