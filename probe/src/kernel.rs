//! The kernel side seen from user space: programs, rings, tables, counters. Comes in: BPF. Goes out: [`event`] values.
//!
//! [`Kernel::start`] loads `bpf/probe.bpf.c`, attaches what this kernel accepts and says of each hook how that went.
//! Programs never wake a reader: call [`Kernel::poll`] every 20 to 100 ms, and at once again while it says `more`.
//!
//! Accounting: `seen = reported + lost + undecided` in [`Kernel::counters`], by protocol class and direction. Each drop
//! event is one of direction *drop*, also those with `first: false`; each datagram event one of its side's direction.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod event;

mod attach;
mod btf;
mod bytes;
pub mod conntrack;

mod counters;
mod drop_reason;
mod drops;
mod flows;
mod hook;
mod layout;
mod object;
mod options;
mod ring;
mod scan;
#[expect(unsafe_code, reason = "aya has no call for batches of a table, nor for the statistics of a program")]
mod syscall;

use std::io;
use std::time::Duration;

use aya::{Btf, Ebpf};
use nix::time::{ClockId, clock_gettime};

pub use drops::DropSweep;
pub use flows::DatagramKey;
pub use hook::{Hook, HookError, HookReport, HookState, RunStatistics};
pub use options::{KernelOptions, cgroup2_mount};

use event::{DatagramTotals, KernelCounters, KernelEvent, KernelNs, ScannedSocket};

/// Why the kernel side cannot start at all. A hook that is refused is no reason: see [`HookReport`].
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel does not describe its types, which every program needs.
    #[error("cannot read the kernel's types from /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)")]
    NoBtf(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tables could not be made; most often `CAP_BPF` is missing.
    #[error("cannot create the probe's kernel tables (needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN)")]
    Load(#[source] aya::EbpfError),
    /// The object lacks a table: the build is broken.
    #[error("the kernel object has no usable table `{name}`")]
    Table {
        /// Name of the table.
        name: &'static str,
    },
    /// A table could not be read.
    #[error("cannot read the kernel table `{name}`")]
    Read {
        /// Name of the table.
        name: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The sockets of this machine could not be listed.
    #[error("cannot list the sockets of the running processes")]
    Scan(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What one look at the rings brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Polled {
    /// Events handed to the sink.
    pub events: usize,
    /// True if a ring was left before it was empty: poll again soon.
    pub more: bool,
}

/// The loaded programs with their rings and tables. Dropping it detaches everything.
pub struct Kernel {
    programs: Ebpf,
    hooks: Vec<Hook>,
    cgroup_ring: ring::Ring,
    drop_ring: ring::Ring,
    ring: ring::Ring,
    flows: flows::Flows,
    drops: drops::Drops,
    counters: counters::Counters,
    reasons: drop_reason::DropReasons,
    unreadable: u64,
    missed_by_detached: u64,
}

impl Kernel {
    /// Loads the programs and attaches the hooks that `options` names, each by itself. The sockets that exist already
    /// are not looked at yet: call [`Kernel::scan`] next, so that they are marked as older than the probe.
    ///
    /// # Errors
    /// Returns an error only if nothing can work: no BTF, or no right to create tables.
    pub fn start(options: &KernelOptions) -> Result<(Self, Vec<HookReport>), KernelError> {
        let btf = Btf::from_sys_fs().map_err(|e| KernelError::NoBtf(e.into()))?;
        let reasons = drop_reason::DropReasons::of_running_kernel();
        let mut programs = object::load(options, &btf, &reasons)?;
        let reports = attach::attach_all(&mut programs, &btf, options);
        let attached = |r: &HookReport| matches!(r.state, HookState::Attached).then_some(r.hook);
        let kernel = Self {
            hooks: reports.iter().filter_map(attached).collect(),
            cgroup_ring: ring::Ring::take(&mut programs, "cgroup_ring")?,
            drop_ring: ring::Ring::take(&mut programs, "drop_ring")?,
            ring: ring::Ring::take(&mut programs, "ring")?,
            flows: flows::Flows::take(&mut programs)?,
            drops: drops::Drops::take(&mut programs)?,
            counters: counters::Counters::take(&mut programs)?,
            reasons,
            programs,
            unreadable: 0,
            missed_by_detached: 0,
        };
        Ok((kernel, reports))
    }

    /// Hands all waiting events to `sink`: first cgroups, so that names are known; then drops, so that they are there
    /// when the attempt they belong to ends; then all others. Bounded, so that a flood cannot hold the caller.
    pub fn poll(&mut self, mut sink: impl FnMut(KernelEvent)) -> Polled {
        let mut polled = Polled::default();
        for ring in [&mut self.cgroup_ring, &mut self.drop_ring, &mut self.ring] {
            let drained = ring.drain(|bytes| match bytes::event(bytes, &self.reasons) {
                Ok(event) => sink(event),
                Err(_) => self.unreadable += 1,
            });
            polled.events += drained.events;
            polled.more |= drained.more;
        }
        polled
    }

    /// Hands the running totals of all datagram flows to `sink`. Flows whose first event was lost are left out; idle
    /// ones among them are forgotten here, for nobody else knows of them.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read; flows read before it have been handed over.
    pub fn datagram_totals(&mut self, sink: impl FnMut(DatagramTotals)) -> Result<(), KernelError> {
        self.flows.totals(kernel_now(), sink)
    }

    /// Removes flows from the kernel's table and returns their final totals. The next packet of such a flow makes a new
    /// entry, a new event and a new count. Keys that are not in the table are passed over.
    ///
    /// # Errors
    /// Returns an error if the table cannot be changed.
    pub fn forget_datagrams(&mut self, keys: &[DatagramKey]) -> Result<Vec<DatagramTotals>, KernelError> {
        self.flows.forget(keys)
    }

    /// Removes drops not repeated for `idle` from the kernel's table. The next drop like them is told again. 130 s is a
    /// good value: retries of a SYN are at most 64 s apart, and the kernel gives up after 127 s.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or changed.
    pub fn forget_drops(&mut self, idle: Duration) -> Result<DropSweep, KernelError> {
        self.drops.forget(kernel_now(), idle)
    }

    /// Lists the TCP and datagram sockets of all processes, each once, and marks those not yet known as older than the
    /// probe. Sees only processes of the caller's PID namespace.
    ///
    /// # Errors
    /// Returns an error if the hook [`Hook::Scan`] is not there or reading fails.
    pub fn scan(&mut self) -> Result<Vec<ScannedSocket>, KernelError> {
        scan::scan(&mut self.programs)
    }

    /// Reads all counters of the programs.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub fn counters(&self) -> Result<KernelCounters, KernelError> {
        let missed: u64 = self.run_statistics().iter().map(|s| s.missed).sum();
        self.counters.read(self.unreadable, missed + self.missed_by_detached)
    }

    /// Returns how often each attached program ran and for how long. The kernel counts runs and time only while
    /// `kernel.bpf_stats_enabled` is 1; skipped runs always.
    #[must_use]
    pub fn run_statistics(&self) -> Vec<RunStatistics> {
        self.hooks.iter().filter_map(|&hook| attach::statistics(&self.programs, hook)).collect()
    }

    /// Stops all hooks. Rings, tables and counters stay readable: a last [`Kernel::poll`] sees everything.
    pub fn detach(&mut self) {
        self.missed_by_detached += self.run_statistics().iter().map(|s| s.missed).sum::<u64>();
        for hook in self.hooks.drain(..) {
            attach::unload(&mut self.programs, hook);
        }
    }
}

/// Returns the present time on the clock of kernel events.
#[must_use]
pub fn kernel_now() -> KernelNs {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    KernelNs(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
