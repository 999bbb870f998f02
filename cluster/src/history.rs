//! The snapshots of the last minutes, so that a record is joined with what held at its time.
//!
//! A snapshot is in force from the time it was read until the next one. What a later snapshot knows of an earlier time
//! counts too: a pod that started before the record was written, but whose manifest was read after it.

use std::net::IpAddr;
use std::sync::Arc;

use flow::{Protocol, UnixMs};

use crate::addresses::CLOCK_SKEW_MS;
use crate::services::ServiceLookup;
use crate::snapshot::{Holder, PodEntry, Snapshot};

/// Snapshots kept at most: a folder that changes at every reading (2 s) is remembered for half a minute, which is longer
/// than a record (15 s) and its way take.
const KEPT_SNAPSHOTS: usize = 16;

#[derive(Debug, Clone)]
struct Stamped {
    from: UnixMs,
    snapshot: Arc<Snapshot>,
}

/// The snapshots of the last minutes. It is a value: a new snapshot gives a new history.
#[derive(Debug, Clone)]
pub struct History {
    /// Oldest first; never empty. The first one also stands for all time before it.
    snapshots: Vec<Stamped>,
}

/// A history as of one moment.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    history: &'a History,
    in_force: usize,
    at: UnixMs,
}

impl History {
    /// Begins a history. Its first snapshot also stands for all time before `from`: pods hold from their own start.
    #[must_use]
    pub fn new(first: Arc<Snapshot>, from: UnixMs) -> Self {
        Self { snapshots: vec![Stamped { from, snapshot: first }] }
    }

    /// Returns this history with a newer snapshot. A clock that went back does not make it older than the one before.
    #[must_use]
    pub fn with(&self, snapshot: Arc<Snapshot>, from: UnixMs) -> Self {
        let from = from.max(self.snapshots.last().map_or(from, |last| last.from));
        let surplus = (self.snapshots.len() + 1).saturating_sub(KEPT_SNAPSHOTS);
        let mut snapshots: Vec<Stamped> = self.snapshots.iter().skip(surplus).cloned().collect();
        snapshots.push(Stamped { from, snapshot });
        Self { snapshots }
    }

    /// Returns the newest snapshot.
    #[must_use]
    pub fn latest(&self) -> &Arc<Snapshot> {
        &self.snapshots.last().expect("a history is made with a snapshot and only grows").snapshot
    }

    /// Returns how things stood at a time.
    #[must_use]
    pub fn at(&self, at: UnixMs) -> View<'_> {
        let in_force = self.snapshots.iter().rposition(|stamped| stamped.from <= at).unwrap_or(0);
        View { history: self, in_force, at }
    }
}

impl<'a> View<'a> {
    /// Returns the snapshot in force at that time, or the oldest that is kept.
    #[must_use]
    pub fn snapshot(&self) -> &'a Arc<Snapshot> {
        &self.history.snapshots[self.in_force].snapshot
    }

    fn later(&self) -> impl Iterator<Item = &'a Arc<Snapshot>> + use<'a> {
        self.history.snapshots[self.in_force + 1..].iter().map(|stamped| &stamped.snapshot)
    }

    /// Returns the pod of a UID. A UID never comes back, so any snapshot that knows it is right about its name; the one
    /// in force goes first, then later ones, then earlier ones.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&'a PodEntry> {
        let earlier = self.history.snapshots[..self.in_force].iter().rev().map(|stamped| &stamped.snapshot);
        let mut all = std::iter::once(self.snapshot()).chain(self.later()).chain(earlier);
        all.find_map(|snapshot| snapshot.pod(uid))
    }

    /// Returns who held an address at that time, by the snapshot in force and by what later ones know of that time.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Holder<'a> {
        let in_force = self.snapshot().address(address, self.at);
        self.later().fold(in_force, |known, later| match later.address(address, self.at) {
            Holder::Pod(newer) => self.succeed(known, newer),
            Holder::Host(newer) => match known {
                Holder::Nobody | Holder::Later => Holder::Host(newer),
                Holder::Pod(_) | Holder::Host(_) | Holder::Ambiguous { .. } => known,
            },
            Holder::Ambiguous { .. } | Holder::Later | Holder::Nobody => known,
        })
    }

    /// Weighs a pod that a later snapshot shows against what was known: it took the address over if it started, beyond
    /// doubt, before that time.
    fn succeed(&self, known: Holder<'a>, newer: &'a PodEntry) -> Holder<'a> {
        match known {
            Holder::Nobody | Holder::Later => Holder::Pod(newer),
            Holder::Pod(older) if same_pod(older, newer) => known,
            Holder::Ambiguous { .. } => known,
            Holder::Pod(_) | Holder::Host(_) => match newer.pod.started {
                Some(start) if start.0.saturating_add(CLOCK_SKEW_MS) <= self.at.0 => Holder::Pod(newer),
                Some(start) if start.0 <= self.at.0.saturating_add(CLOCK_SKEW_MS) => Holder::Ambiguous { pods: true },
                Some(_) | None => known,
            },
        }
    }

    /// Returns the service that an original destination belongs to; one made a moment ago counts too.
    #[must_use]
    pub fn service(&self, address: IpAddr, port: u16, protocol: Protocol) -> ServiceLookup<'a> {
        let mut lookup = self.snapshot().service(address, port, protocol);
        let mut later = self.later();
        while let (ServiceLookup::None, Some(next)) = (lookup, later.next()) {
            lookup = next.service(address, port, protocol);
        }
        lookup
    }
}

fn same_pod(one: &PodEntry, other: &PodEntry) -> bool {
    match (&one.pod.meta.uid, &other.pod.meta.uid) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => {
            one.pod.meta.name == other.pod.meta.name && one.pod.meta.namespace == other.pod.meta.namespace
        }
    }
}
