//! Trying again: pauses that grow from try to try, and are random, so that many do not come back at the same moment.
//!
//! The only user of the crate `backoff`.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::shutdown::Token;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest first pause; each further one may be twice as long. A pause is a random part of what it may be.
    pub first_pause: Duration,
    /// What a pause never exceeds.
    pub longest_pause: Duration,
    /// After how long, counted from the first try, to give up; never if there is none.
    pub give_up_after: Option<Duration>,
}

impl RetryPolicy {
    /// Tries for ever: pauses up to 100 ms at first, up to 30 s later. For what must not be lost.
    pub const fn endless() -> Self {
        Self { first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(30), give_up_after: None }
    }

    /// Tries as [`RetryPolicy::endless`] does, but gives up after a while. For what somebody waits for.
    pub const fn within(give_up_after: Duration) -> Self {
        Self { give_up_after: Some(give_up_after), ..Self::endless() }
    }

    fn pauses(&self) -> ExponentialBackoff {
        // `backoff` draws from 0 to twice the interval when its factor is 1: half the interval makes that "full jitter".
        let mut pauses = ExponentialBackoff {
            current_interval: self.first_pause / 2,
            initial_interval: self.first_pause / 2,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: self.longest_pause / 2,
            max_elapsed_time: self.give_up_after,
            ..ExponentialBackoff::default()
        };
        pauses.reset();
        pauses
    }
}

/// Whether the same try can succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It can.
    Retryable,
    /// It will fail again.
    Permanent,
}

/// A try that failed and will be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How many tries failed up to now, this one included.
    pub tries: u64,
    /// How long the pause before the next one is.
    pub pause: Duration,
}

/// Why there was no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GaveUp<E> {
    /// It would fail again.
    Permanent(E),
    /// It failed again and again until the time was over.
    TimeOver {
        /// The last failure.
        error: E,
        /// How many tries failed.
        tries: u64,
    },
    /// The end was asked for; the last failure before that.
    Stopped(E),
}

impl<E> GaveUp<E> {
    /// Returns the last failure.
    pub fn into_error(self) -> E {
        match self {
            Self::Permanent(error) | Self::TimeOver { error, .. } | Self::Stopped(error) => error,
        }
    }
}

impl<E> fmt::Display for GaveUp<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(_) => f.write_str("it would fail again"),
            Self::TimeOver { tries, .. } => write!(f, "gave up after {tries} tries"),
            Self::Stopped(_) => f.write_str("stopped before it succeeded"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for GaveUp<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Permanent(error) | Self::TimeOver { error, .. } | Self::Stopped(error) => Some(error),
        }
    }
}

/// Tries until it succeeds, cannot succeed, the policy's time is over, or the end is asked for.
///
/// `classify` says what a failure means, `observe` hears of each that is followed by another try: the place for a metric
/// and a log line. A try that is under way is never broken off; give it a timeout of its own.
///
/// # Errors
/// Why it gave up, with the last failure.
pub async fn retry<T, E, F>(
    policy: RetryPolicy,
    stop: &Token,
    classify: impl Fn(&E) -> Fate,
    mut observe: impl FnMut(&E, Failed),
    mut attempt: impl FnMut() -> F,
) -> Result<T, GaveUp<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pauses = policy.pauses();
    let mut tries = 0;
    loop {
        let error = match attempt().await {
            Ok(success) => return Ok(success),
            Err(error) => error,
        };
        tries += 1;
        if classify(&error) == Fate::Permanent {
            return Err(GaveUp::Permanent(error));
        }
        if stop.is_requested() {
            return Err(GaveUp::Stopped(error));
        }
        let Some(pause) = pauses.next_backoff() else { return Err(GaveUp::TimeOver { error, tries }) };
        observe(&error, Failed { tries, pause });
        if stop.unless_requested(tokio::time::sleep(pause)).await.is_none() {
            return Err(GaveUp::Stopped(error));
        }
    }
}

#[cfg(test)]
mod tests;
