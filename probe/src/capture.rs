//! The loop that watches the kernel, on a thread of its own: poll, observe, tick, number, hand over.
//!
//! It never waits for the bus. While the channel is full nothing is numbered: rings are drained and flow keys add up.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use flow::Predecessor;
use service::health::{Condition, Heartbeat};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock;
use crate::identity::{path, walk};
use crate::kernel::conntrack::{Conntrack, ConntrackError, Translation};
use crate::kernel::event::{CgroupEvent, DatagramTotals, KernelCounters, KernelEvent, KernelNs};
use crate::kernel::{Kernel, KernelError, kernel_now};
use crate::metrics::{Lost, ProbeMetrics, set};
use crate::observe::Observer;
use crate::publish::{BATCH_RECORDS, Batch};

/// Pause between two looks at the rings while there is much to read.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The same while there is little: the longest delay of a record besides its own due time.
const QUIET_PAUSE: Duration = Duration::from_millis(100);
/// Events in one round from which the next comes sooner.
const BUSY_EVENTS: usize = 256;
/// Room for events that is kept from round to round.
const KEPT_EVENTS: usize = 4_096;
/// How often the totals of datagram flows are read: half the time after which a new flow must be reported.
const TOTALS_EVERY: Duration = Duration::from_millis(500);
/// How often a ledger record is written and the clocks are compared.
const LEDGER_EVERY: Duration = Duration::from_secs(10);
/// How long a drop is remembered in the kernel: past the last retry of a SYN.
const DROP_IDLE: Duration = Duration::from_secs(130);
/// Pause between two dumps of connection tracking after events of it were lost: each may be of all connections.
const RESYNC_EVERY: Duration = Duration::from_secs(2);
/// Looks at connection tracking in one round, each of some thousand events: more than its receive buffer holds.
const TRANSLATION_LOOKS: usize = 16;
/// When to look for the processes of a pod's cgroup after it was made, and how often.
const LOOK_AFTER: Duration = Duration::from_millis(500);
const LOOKS: u32 = 5;
/// Pod cgroups that wait for a look.
const MAX_LOOKS: usize = 4_096;
/// Rounds of draining at the end, and before a ledger, at most: a flood does not keep the probe from either.
const DRAIN_ROUNDS: usize = 200;

/// A pod cgroup to look at.
struct Look {
    due: Instant,
    path: String,
    left: u32,
}

/// The capture, ready to run.
pub(crate) struct Capture {
    pub(crate) kernel: Kernel,
    pub(crate) conntrack: Option<Conntrack>,
    /// When the connections of connection tracking are to be read whole: at first, and after events were lost.
    pub(crate) resync: Option<Instant>,
    /// When they were read whole last.
    pub(crate) resynced: Instant,
    /// The events of one round; empty between rounds.
    pub(crate) events: Vec<KernelEvent>,
    pub(crate) observer: Observer,
    pub(crate) metrics: ProbeMetrics,
    pub(crate) out: mpsc::Sender<Batch>,
    pub(crate) cgroup_mount: PathBuf,
    pub(crate) scan_interval: Duration,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) condition: Condition,
    /// Names of the hooks that the kernel refuses.
    pub(crate) refused: Vec<&'static str>,
    pub(crate) heartbeat: Heartbeat,
}

/// When each of the repeated duties comes next.
struct Duties {
    totals: Instant,
    scan: Instant,
    ledger: Instant,
}

/// The way to the bus is closed: its end has failed, and says why itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl Capture {
    /// Watches the kernel until `stop` gets a message or is dropped, then ends in order: detach, read the rest, write
    /// everything, close the account.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        let mut looks = self.learn_what_is_there();
        self.say_ready();
        let now = Instant::now();
        let mut duties = Duties { totals: now, scan: now + self.scan_interval, ledger: now };
        let mut pause = Duration::ZERO;
        while stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let begun = Instant::now();
            let (events, more) = self.poll(&mut looks);
            self.repeat(&mut duties, &mut looks, begun);
            if self.hand_over(&mut duties, begun) == Err(Closed) {
                return;
            }
            self.heartbeat.beat();
            self.metrics.round.observe(begun.elapsed().as_secs_f64());
            pause = match (more, events) {
                (true, _) => Duration::ZERO,
                (false, BUSY_EVENTS..) => BUSY_PAUSE,
                (false, _) => QUIET_PAUSE,
            };
        }
        self.finish(&mut looks);
        self.heartbeat.done();
    }

    /// Says that it is ready: from now on everything is seen. Not sooner, as bytes that pass an old connection before
    /// the first scan are never told.
    fn say_ready(&self) {
        if self.refused.is_empty() {
            self.condition.ready();
        } else {
            self.condition.degraded(format!("the kernel refuses {}", self.refused.join(", ")));
        }
    }

    /// Learns the cgroups, pods and sockets that are older than the probe.
    fn learn_what_is_there(&mut self) -> VecDeque<Look> {
        let now = kernel_now();
        let mut looks = VecDeque::new();
        match walk::cgroups(&self.cgroup_mount) {
            Ok(found) => {
                for cgroup in found {
                    plan_look(&mut looks, &cgroup.path, Instant::now());
                    let event = CgroupEvent { id: cgroup.id, path: cgroup.path, made: true };
                    self.observer.observe(&KernelEvent::Cgroup(event), now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, mount = %self.cgroup_mount.display(), "cannot walk the cgroup tree; pods stay unnamed until they change");
            }
        }
        self.look_at_pods(&mut looks, Instant::now());
        self.poll(&mut looks);
        self.scan(true);
        // What was made between the hooks and the scan has its events in the rings by now.
        self.poll(&mut looks);
        looks
    }

    fn poll(&mut self, looks: &mut VecDeque<Look>) -> (usize, bool) {
        let events = &mut self.events;
        let polled = self.kernel.poll(|event| events.push(event));
        // After the events, so that the translation of each connection among them is there.
        let now = kernel_now();
        self.learn_translations(now);
        let mut oldest: Option<KernelNs> = None;
        for event in self.events.drain(..) {
            if let KernelEvent::Cgroup(CgroupEvent { path, made: true, .. }) = &event {
                plan_look(looks, path, Instant::now() + LOOK_AFTER);
            }
            if let Some(at) = time_of(&event) {
                oldest = Some(oldest.map_or(at, |o| o.min(at)));
            }
            self.observer.observe(&event, now);
        }
        // The room that one flood needed is not kept.
        self.events.shrink_to(KEPT_EVENTS);
        self.metrics.events.inc_by(polled.events as u64);
        if let Some(oldest) = oldest {
            self.metrics.event_delay.observe(Duration::from_nanos(now.0.saturating_sub(oldest.0)).as_secs_f64());
        }
        (polled.events, polled.more)
    }

    fn learn_translations(&mut self, now: KernelNs) {
        if let Err(error) = self.read_translations(now) {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "connection tracking fails; destinations are told untranslated from now on");
            self.conntrack = None;
        }
    }

    fn read_translations(&mut self, now: KernelNs) -> Result<(), ConntrackError> {
        let Some(conntrack) = &mut self.conntrack else { return Ok(()) };
        let translations = self.observer.translations();
        let mut learn = |t: Translation| translations.learn(t.protocol, t.source, t.original, t.translated, now);
        for _ in 0..TRANSLATION_LOOKS {
            let heard = conntrack.poll(&mut learn)?;
            if heard.overrun {
                self.metrics.translation_overruns.inc();
                self.resync.get_or_insert_with(|| self.resynced + RESYNC_EVERY);
            }
            if !heard.more {
                break;
            }
        }
        if self.resync.is_some_and(|due| due <= Instant::now()) {
            self.resync = None;
            self.resynced = Instant::now();
            conntrack.dump(&mut learn)?;
        }
        Ok(())
    }

    /// Does what comes round again and again: totals, scans, looks at new pods, time.
    fn repeat(&mut self, duties: &mut Duties, looks: &mut VecDeque<Look>, begun: Instant) {
        if begun >= duties.totals {
            duties.totals = begun + TOTALS_EVERY;
            self.read_totals();
        }
        if begun >= duties.scan {
            duties.scan = begun + self.until_next_scan();
            self.scan(false);
        }
        self.look_at_pods(looks, begun);
        self.observer.tick(kernel_now());
    }

    /// Scans fall on multiples of their interval, so that those at the end of a window bring its last totals.
    fn until_next_scan(&self) -> Duration {
        let interval = u64::try_from(self.scan_interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(interval - clock::unix_now().0 % interval)
    }

    fn read_totals(&mut self) {
        let now = kernel_now();
        let mut totals: Vec<DatagramTotals> = Vec::new();
        if let Err(error) = self.kernel.datagram_totals(|each| totals.push(each)) {
            self.failed_read(&error);
        }
        self.observer.datagram_totals(&totals, now);
        let idle = self.observer.idle_datagrams();
        if idle.is_empty() {
            return;
        }
        match self.kernel.forget_datagrams(&idle) {
            Ok(last) => self.observer.datagram_totals(&last, now),
            Err(error) => self.failed_read(&error),
        }
    }

    fn scan(&mut self, first: bool) {
        match self.kernel.scan() {
            Ok(sockets) => self.observer.scanned(&sockets, first, kernel_now()),
            Err(error) => self.failed_read(&error),
        }
    }

    fn failed_read(&self, error: &KernelError) {
        self.metrics.kernel_read_errors.inc();
        let source = std::error::Error::source(error).map(ToString::to_string);
        tracing::debug!(%error, source, "cannot read from the kernel");
    }

    fn look_at_pods(&mut self, looks: &mut VecDeque<Look>, begun: Instant) {
        while looks.front().is_some_and(|look| look.due <= begun) {
            let Some(mut look) = looks.pop_front() else { return };
            // The namespaces of another node's pods are not this node's, though one kernel may serve both.
            if !self.observer.identities().owns(&look.path) {
                continue;
            }
            if let Some(pod) = walk::pod(&self.cgroup_mount, &look.path) {
                let now = kernel_now();
                let identities = self.observer.identities();
                identities.learn_namespace(pod.netns, &pod.pod_uid, now);
                for ip in pod.addresses {
                    identities.learn_address(pod.netns, ip, now);
                }
            }
            // Again even if it was found: the sandbox gets its address after its process has begun.
            if let Some(left) = look.left.checked_sub(1) {
                look.left = left;
                look.due = begun + LOOK_AFTER * 2u32.pow(LOOKS - left);
                let place = looks.partition_point(|other| other.due <= look.due);
                looks.insert(place, look);
            }
        }
    }

    /// Numbers what is due and hands it over, as far as the channel has room.
    fn hand_over(&mut self, duties: &mut Duties, begun: Instant) -> Result<(), Closed> {
        loop {
            let permit = match self.out.try_reserve() {
                Ok(permit) => permit,
                Err(TrySendError::Full(())) => {
                    self.metrics.blocked_rounds.inc();
                    return Ok(());
                }
                Err(TrySendError::Closed(())) => return Err(Closed),
            };
            let mut batch = Batch::default();
            let more = self.observer.take_due(kernel_now(), BATCH_RECORDS, &mut batch.flows);
            if !batch.flows.is_empty() {
                permit.send(batch);
            }
            if !more {
                break;
            }
        }
        if begun >= duties.ledger {
            duties.ledger = begun + LEDGER_EVERY;
            self.write_ledger()?;
        }
        Ok(())
    }

    fn write_ledger(&mut self) -> Result<(), Closed> {
        self.observer.set_clock(clock::measure());
        if let Err(error) = self.kernel.forget_drops(DROP_IDLE) {
            self.failed_read(&error);
        }
        self.metrics.sizes(&self.observer);
        let Some(counters) = self.counters() else { return Ok(()) };
        match self.out.try_reserve() {
            Ok(permit) => {
                let predecessor = self.predecessor.take();
                let (ledger, closed) = self.observer.take_ledger(kernel_now(), &counters, false, predecessor);
                self.metrics.closed(&closed);
                if closed.imbalance > 0 {
                    tracing::error!(attempts = %closed.imbalance, "books and inventory differ: attempts were miscounted");
                }
                permit.send(Batch { flows: Vec::new(), ledger: Some(ledger) });
                Ok(())
            }
            Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Closed(())) => Err(Closed),
        }
    }

    fn counters(&self) -> Option<KernelCounters> {
        match self.kernel.counters() {
            Ok(counters) => {
                for (reason, lost) in &counters.lost_events {
                    set(self.metrics.events_lost.of(Lost(*reason)), *lost);
                }
                set(&self.metrics.missed_runs, counters.missed_runs);
                Some(counters)
            }
            Err(error) => {
                self.failed_read(&error);
                None
            }
        }
    }

    /// Ends in order. Waits for the bus, unless that is gone.
    fn finish(&mut self, looks: &mut VecDeque<Look>) {
        self.scan(false);
        self.kernel.detach();
        for _ in 0..DRAIN_ROUNDS {
            if !self.poll(looks).1 {
                break;
            }
        }
        self.read_totals();
        let now = kernel_now();
        self.observer.tick(now);
        let mut flows = Vec::new();
        self.observer.take_last(now, &mut flows);
        let mut flows = flows.into_iter().peekable();
        while flows.peek().is_some() {
            let batch = Batch { flows: flows.by_ref().take(BATCH_RECORDS).collect(), ledger: None };
            if self.out.blocking_send(batch).is_err() {
                return;
            }
        }
        let counters = self.counters().unwrap_or_default();
        let (ledger, closed) = self.observer.take_ledger(now, &counters, true, self.predecessor.take());
        self.metrics.closed(&closed);
        tracing::info!(
            records = ledger.seq,
            unexplained = %closed.unexplained,
            imbalance = %closed.imbalance,
            "closed the account of the stream"
        );
        // If nobody takes it any more, the bus has failed and says so.
        let _ = self.out.blocking_send(Batch { flows: Vec::new(), ledger: Some(ledger) });
    }
}

fn plan_look(looks: &mut VecDeque<Look>, cgroup: &str, due: Instant) {
    if looks.len() < MAX_LOOKS && path::parse(cgroup).is_some() {
        let look = Look { due, path: cgroup.to_owned(), left: LOOKS };
        let place = looks.partition_point(|other| other.due <= look.due);
        looks.insert(place, look);
    }
}

fn time_of(event: &KernelEvent) -> Option<KernelNs> {
    match event {
        KernelEvent::Tcp(event) => Some(event.at),
        KernelEvent::Datagram(event) => Some(event.at),
        KernelEvent::DatagramError(event) => Some(event.at),
        KernelEvent::Drop(event) => Some(event.at),
        KernelEvent::Cgroup(_) => None,
    }
}
