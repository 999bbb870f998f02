//! Whether the process is ready, and if not why; and whether it still moves.
//!
//! A role registers its *conditions* and sets them as it learns: `kernel hooks attached`, `store answers`. It registers
//! *heartbeats* for what must go on: one that stays out makes the process not alive (it should be restarted), or not
//! ready (it makes no progress), as it was registered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The health of a process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Health {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    conditions: BTreeMap<&'static str, State>,
    heartbeats: BTreeMap<&'static str, Beat>,
}

#[derive(Debug)]
struct Beat {
    for_what: Purpose,
    last: Instant,
    limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Liveness,
    Progress,
}

/// How a condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Ready,
    /// It holds with a loss that an operator should know of; the process stays ready.
    Degraded(String),
    /// It does not hold, and this is why.
    NotReady(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Degraded(reason) => write!(f, "degraded: {reason}"),
            Self::NotReady(reason) => write!(f, "not ready: {reason}"),
        }
    }
}

/// One condition, in the hands of the part that knows how it stands.
#[derive(Debug, Clone)]
pub struct Condition {
    name: &'static str,
    health: Health,
}

/// Something that must go on, in the hands of the loop that does it.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    name: &'static str,
    health: Health,
}

/// All conditions and overdue heartbeats at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// By name, in the order of the names.
    pub states: Vec<(&'static str, State)>,
}

impl Report {
    /// Returns true if nothing is in the way.
    pub fn is_ready(&self) -> bool {
        !self.states.iter().any(|(_, state)| matches!(state, State::NotReady(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, state) in &self.states {
            writeln!(f, "{name}: {state}")?;
        }
        Ok(())
    }
}

impl Health {
    /// Makes the health of a process without conditions: it is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a condition; it does not hold until it is said to.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.book().conditions.insert(name, State::NotReady("starting".to_owned()));
        Condition { name, health: self.clone() }
    }

    /// Registers something whose standstill for longer than the limit means that the process has to be restarted.
    pub fn liveness(&self, name: &'static str, limit: Duration) -> Heartbeat {
        self.heartbeat(name, limit, Purpose::Liveness)
    }

    /// Registers something whose standstill for longer than the limit means that the process is not ready.
    pub fn progress(&self, name: &'static str, limit: Duration) -> Heartbeat {
        self.heartbeat(name, limit, Purpose::Progress)
    }

    /// Returns what is ready and what is not.
    pub fn readiness(&self) -> Report {
        self.readiness_at(Instant::now())
    }

    /// Returns what stands still that must not; the process is alive if that is nothing.
    pub fn liveness_report(&self) -> Report {
        self.liveness_at(Instant::now())
    }

    fn readiness_at(&self, now: Instant) -> Report {
        let book = self.book();
        let conditions = book.conditions.iter().map(|(name, state)| (*name, state.clone()));
        let mut states: Vec<_> = conditions.chain(book.beats(Purpose::Progress, now)).collect();
        states.sort_by_key(|(name, _)| *name);
        Report { states }
    }

    fn liveness_at(&self, now: Instant) -> Report {
        Report { states: self.book().beats(Purpose::Liveness, now).collect() }
    }

    fn heartbeat(&self, name: &'static str, limit: Duration, for_what: Purpose) -> Heartbeat {
        self.book().heartbeats.insert(name, Beat { for_what, last: Instant::now(), limit });
        Heartbeat { name, health: self.clone() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn beats(&self, purpose: Purpose, now: Instant) -> impl Iterator<Item = (&'static str, State)> {
        self.heartbeats.iter().filter(move |(_, beat)| beat.for_what == purpose).map(move |(name, beat)| {
            let silent = now.saturating_duration_since(beat.last);
            let state = if silent <= beat.limit {
                State::Ready
            } else {
                let (silent, limit) = (silent.as_secs(), beat.limit.as_secs());
                State::NotReady(format!("no progress for {silent} s, allowed are {limit} s"))
            };
            (*name, state)
        })
    }
}

impl Condition {
    /// Says that it holds.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// Says that it holds, with a loss that an operator should know of.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(State::Degraded(reason.into()));
    }

    /// Says that it does not hold, and why.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(State::NotReady(reason.into()));
    }

    fn set(&self, state: State) {
        // A change is worth a log line, the same again is not.
        let before = self.health.book().conditions.insert(self.name, state.clone());
        if before.as_ref() == Some(&state) {
            return;
        }
        let condition = self.name;
        match state {
            State::Ready => tracing::info!(condition, "ready"),
            State::Degraded(reason) => tracing::warn!(condition, reason, "degraded"),
            State::NotReady(reason) => tracing::warn!(condition, reason, "not ready"),
        }
    }
}

impl Heartbeat {
    /// Says that it goes on.
    pub fn beat(&self) {
        if let Some(beat) = self.health.book().heartbeats.get_mut(self.name) {
            beat.last = Instant::now();
        }
    }

    /// Says that it has ended by itself and need not go on.
    pub fn done(&self) {
        self.health.book().heartbeats.remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(report: &Report) -> String {
        report.to_string()
    }

    #[test]
    fn a_process_without_conditions_is_ready() {
        assert!(Health::new().readiness().is_ready());
        assert!(Health::new().liveness_report().is_ready());
    }

    #[test]
    fn every_condition_has_to_hold() {
        let health = Health::new();
        let (store, hooks) = (health.condition("store"), health.condition("hooks"));
        assert_eq!(lines(&health.readiness()), "hooks: not ready: starting\nstore: not ready: starting\n");
        store.ready();
        assert!(!health.readiness().is_ready());
        hooks.degraded("no drop reasons");
        assert!(health.readiness().is_ready());
        assert_eq!(lines(&health.readiness()), "hooks: degraded: no drop reasons\nstore: ready\n");
        store.not_ready("disk full");
        assert!(!health.readiness().is_ready());
    }

    #[test]
    fn standing_still_shows_where_it_belongs() {
        let health = Health::new();
        let progress = health.progress("indexing", Duration::from_secs(30));
        let _alive = health.liveness("reader", Duration::from_secs(60));
        let later = Instant::now() + Duration::from_secs(45);
        assert_eq!(lines(&health.readiness_at(later)), "indexing: not ready: no progress for 45 s, allowed are 30 s\n");
        assert!(health.liveness_at(later).is_ready());
        assert!(!health.liveness_at(later + Duration::from_secs(30)).is_ready());
        progress.done();
        assert!(health.readiness_at(later).is_ready());
    }
}
