//! Part `kernel`: what the programs in the kernel cost a connection, both ends together.
//!
//! A turn makes the same load twice: first without the kernel's statistics, for the CPU time of the load itself, then
//! with them, for the time of each program. What came through the rings is held against what was done.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use aya::sys::{Stats, enable_stats};
use probe::kernel::event::{KernelEvent, TcpChange, TcpEvent};
use probe::kernel::{Hook, HookState, Kernel, KernelOptions, RunStatistics};

use crate::arguments::{Arguments, Part};
use crate::load::{Done, Load};
use crate::measured::pause;
use crate::network::Network;
use crate::report::{Goal, Measured, plain, spread_of};
use crate::statistics::{Spread, number, per};

/// Servers: enough that no client waits for one that is busy.
const PORTS: u32 = 8;

/// Who takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    Nothing,
    Empty,
    Tcp,
    All,
}

impl Contender {
    const ALL: [Self; 4] = [Self::Nothing, Self::Empty, Self::Tcp, Self::All];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "an empty program",
            Self::Tcp => "the TCP hooks",
            Self::All => "all hooks",
        }
    }

    fn options(self) -> Option<KernelOptions> {
        match self {
            Self::Nothing => None,
            Self::Empty => Some(KernelOptions::with_hooks([Hook::Empty])),
            Self::Tcp => Some(KernelOptions::with_hooks([Hook::TcpState, Hook::TcpRetransmit, Hook::TcpReset])),
            Self::All => Some(KernelOptions::default()),
        }
    }

    /// Says whether it reports connections, so that they can be counted.
    fn reports(self) -> bool {
        matches!(self, Self::Tcp | Self::All)
    }
}

/// What one turn of one contender measured.
#[derive(Debug, Default)]
struct Turn {
    plain: Option<Done>,
    /// Runs and nanoseconds by hook, in the load that was counted.
    hooks: BTreeMap<Hook, (u64, u64)>,
    counted: u64,
    told: Told,
    /// Attempts of other processes of the machine in the same time.
    foreign: u64,
}

/// What came through the rings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    events: u64,
    begun: [u64; 2],
    ended: [u64; 2],
    lost: u64,
}

impl Turn {
    fn cpu_us(&self) -> f64 {
        self.plain.map_or(f64::NAN, |done| per(number(done.cpu_us), number(done.connections)))
    }

    fn per_second(&self) -> f64 {
        self.plain.map_or(f64::NAN, |done| number(done.connections) / number(done.wall_us) * 1e6)
    }

    fn runs(&self) -> f64 {
        per(number(self.hooks.values().map(|(runs, _)| runs).sum()), number(self.counted))
    }

    fn run_ns(&self) -> f64 {
        let (runs, ns) = self.hooks.values().fold((0, 0), |sum, (runs, ns)| (sum.0 + runs, sum.1 + ns));
        per(number(ns), number(runs))
    }

    fn bpf_us(&self) -> f64 {
        per(number(self.hooks.values().map(|(_, ns)| ns).sum()), number(self.counted)) / 1000.0
    }
}

/// Measures the part.
pub(crate) fn measure(arguments: &Arguments) -> Measured {
    let mut measured = Measured::new(Part::Kernel.name());
    if let Err(error) = turns(arguments, &mut measured) {
        measured.fail(format!("{error:#}"));
    }
    measured
}

fn turns(arguments: &Arguments, measured: &mut Measured) -> anyhow::Result<()> {
    let network = Network::new().context("cannot make the namespaces of the load")?;
    let connections = arguments.size(20_000, 1_000);
    let load = Load::on(&network, connections, 1, PORTS);
    load.make(|| {}).context("warm-up")?;
    let mut all: Vec<Vec<Turn>> = Contender::ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.turns() {
        for (contender, turns) in Contender::ALL.into_iter().zip(&mut all) {
            let turn = take_turn(contender, &network, &load, measured).with_context(|| contender.name().to_owned())?;
            check(contender, &turn, connections, measured);
            turns.push(turn);
        }
    }
    tell(&all, connections, measured);
    Ok(())
}

fn take_turn(contender: Contender, network: &Network, load: &Load, measured: &mut Measured) -> anyhow::Result<Turn> {
    let Some(options) = contender.options() else {
        return Ok(Turn { plain: Some(load.make(|| {})?), ..Turn::default() });
    };
    let (mut kernel, reports) = Kernel::start(&options)?;
    for report in reports {
        if let HookState::Refused(error) = report.state {
            measured.note(format!("{}: the kernel refuses {}: {error}", contender.name(), report.hook.name()));
        }
    }
    let mut told = Told::default();
    let mut drain = |kernel: &mut Kernel| while kernel.poll(|event| told.hear(&event, network)).more {};
    let plain = load.make(|| drain(&mut kernel))?;
    // Only for as long as the descriptor lives: nothing to restore, even if this process is killed.
    let statistics = enable_stats(Stats::RunTime).context("cannot switch the kernel's statistics on")?;
    let before = kernel.run_statistics();
    let counted = load.make(|| drain(&mut kernel))?;
    let after = kernel.run_statistics();
    drop(statistics);
    // The last socket closes a moment after its process.
    pause(Duration::from_millis(200));
    drain(&mut kernel);
    let counters = kernel.counters()?;
    told.lost = counters.lost.iter().map(|loss| loss.attempts).sum::<u64>() + counters.missed_runs;
    let seen: u64 = counters.attempts.iter().map(|attempts| attempts.seen).sum();
    let ours = 2 * (plain.connections + counted.connections);
    let hooks = between(&before, &after);
    Ok(Turn { plain: Some(plain), hooks, counted: counted.connections, told, foreign: seen.saturating_sub(ours) })
}

/// Returns runs and nanoseconds by hook from one reading to another.
fn between(before: &[RunStatistics], after: &[RunStatistics]) -> BTreeMap<Hook, (u64, u64)> {
    let earlier = |hook| before.iter().find(|one| one.hook == hook).map_or((0, 0), |one| (one.runs, one.run_ns));
    let runs = after.iter().map(|one| {
        let (runs, run_ns) = earlier(one.hook);
        (one.hook, (one.runs.saturating_sub(runs), one.run_ns.saturating_sub(run_ns)))
    });
    runs.collect()
}

impl Told {
    fn hear(&mut self, event: &KernelEvent, network: &Network) {
        let KernelEvent::Tcp(TcpEvent { change, place, reported_before, preexisting, .. }) = event else { return };
        let ends = [network.client.inode, network.server.inode];
        let Some(end) = ends.iter().position(|&inode| inode == place.netns) else { return };
        self.events += 1;
        self.begun[end] += u64::from(!reported_before && !preexisting);
        self.ended[end] += u64::from(!matches!(change, TcpChange::Established | TcpChange::Stalled));
    }
}

/// A fast turn that lost something is a failed turn.
fn check(contender: Contender, turn: &Turn, connections: u64, measured: &mut Measured) {
    if !contender.reports() {
        return;
    }
    let whole = [2 * connections; 2];
    let Told { begun, ended, lost, .. } = turn.told;
    if begun != whole || ended != whole || lost > 0 {
        measured.fail(format!(
            "{}: of {} connections {begun:?} beginnings and {ended:?} ends were told (client, server), {lost} lost",
            contender.name(),
            2 * connections
        ));
    }
}

fn tell(all: &[Vec<Turn>], connections: u64, measured: &mut Measured) {
    let by_turn = |of: usize, value: fn(&Turn) -> f64| all[of].iter().map(value).collect::<Vec<f64>>();
    let nothing = by_turn(0, Turn::cpu_us);
    let rows = Contender::ALL.iter().enumerate().map(|(at, contender)| {
        let more: Vec<f64> = by_turn(at, Turn::cpu_us).iter().zip(&nothing).map(|(own, none)| own - none).collect();
        let only = |there: bool, text: String| if there { text } else { "-".to_owned() };
        let hooked = *contender != Contender::Nothing;
        vec![
            contender.name().to_owned(),
            spread_of(by_turn(at, Turn::per_second)),
            spread_of(by_turn(at, Turn::cpu_us)),
            only(hooked, spread_of(more)),
            only(hooked, spread_of(by_turn(at, Turn::runs))),
            only(hooked, spread_of(by_turn(at, Turn::run_ns))),
            only(hooked, spread_of(by_turn(at, Turn::bpf_us))),
        ]
    });
    measured.table(
        format!("a connection, both ends: connect, 128 B there, 1 KiB back, orderly close; {connections} a turn"),
        &["contender", "conn/s", "CPU µs of the load", "more than nothing", "BPF runs", "ns a run", "BPF µs"],
        rows.collect(),
    );
    for (at, contender) in Contender::ALL.iter().enumerate().filter(|(_, contender)| contender.reports()) {
        measured.table(
            format!("{}, by hook", contender.name()),
            &["hook", "runs a connection", "ns a run", "µs a connection"],
            by_hook(&all[at]),
        );
    }
    let rows = Contender::ALL.iter().enumerate().filter(|(_, contender)| contender.reports()).map(|(at, contender)| {
        let sum = |value: fn(&Turn) -> u64| plain(number(all[at].iter().map(value).sum()));
        vec![
            contender.name().to_owned(),
            plain(number(4 * connections * all[at].len() as u64)),
            sum(|turn| turn.told.begun.iter().sum()),
            sum(|turn| turn.told.ended.iter().sum()),
            sum(|turn| turn.told.events),
            sum(|turn| turn.told.lost),
            sum(|turn| turn.foreign),
        ]
    });
    measured.table(
        "what was told, all turns (an attempt is one end of a connection)",
        &["contender", "attempts", "begun", "ended", "events", "lost", "of other processes"],
        rows.collect(),
    );
    let bpf = |at: usize| by_turn(at, Turn::bpf_us);
    let (empty, tcp, hooks) = (bpf(1), bpf(2), bpf(3));
    let of = |numbers: &[f64]| Spread::of(numbers.iter().copied());
    measured.figure("BPF time a connection, all hooks, both ends", "µs", of(&hooks), Goal::AtMost(12.0));
    measured.figure("BPF time a connection, TCP hooks, both ends", "µs", of(&tcp), Goal::AtMost(6.0));
    measured.figure("the same against the far goal", "µs", of(&tcp), Goal::AtMost(3.0));
    measured.figure("an empty program on inet_sock_set_state", "µs", of(&empty), Goal::Told);
    measured.figure("TCP hooks / empty program", "×", Spread::of_ratios(&tcp, &empty), Goal::Told);
    measured.figure("all hooks / empty program", "×", Spread::of_ratios(&hooks, &empty), Goal::Told);
    measured.note("the kernel's statistics add some 40 to 50 ns to each run, the empty program's included");
}

/// Returns one row a hook that ran for at least one connection in a hundred, the dearest first.
fn by_hook(turns: &[Turn]) -> Vec<Vec<String>> {
    let hooks: Vec<Hook> = turns.first().map(|turn| turn.hooks.keys().copied().collect()).unwrap_or_default();
    let of = |hook: Hook, value: fn(u64, u64, u64) -> f64| {
        Spread::of(turns.iter().map(|turn| {
            let (runs, ns) = turn.hooks.get(&hook).copied().unwrap_or_default();
            value(runs, ns, turn.counted)
        }))
    };
    let mut rows: Vec<(f64, Vec<String>)> = hooks
        .into_iter()
        .filter(|hook| turns.iter().any(|turn| turn.hooks.get(hook).is_some_and(|(runs, _)| runs * 100 > turn.counted)))
        .map(|hook| {
            let runs = of(hook, |runs, _, counted| per(number(runs), number(counted)));
            let ns = of(hook, |runs, ns, _| per(number(ns), number(runs)));
            let us = of(hook, |_, ns, counted| per(number(ns), number(counted)) / 1000.0);
            let cells = [runs, ns, us].map(|cell| spread_of(cell.into_iter().flat_map(|s| [s.min, s.median, s.max])));
            (us.map_or(0.0, |s| s.median), [vec![hook.name().to_owned()], cells.to_vec()].concat())
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(hook: Hook, runs: u64, run_ns: u64) -> RunStatistics {
        RunStatistics { hook, runs, run_ns, skipped: 0, missed: 0 }
    }

    #[test]
    fn only_runs_of_the_counted_load_count() {
        let before = [statistics(Hook::TcpState, 10, 1_000)];
        let after = [statistics(Hook::TcpState, 90, 33_000), statistics(Hook::TcpReset, 1, 100)];
        let hooks = between(&before, &after);
        assert_eq!(hooks[&Hook::TcpState], (80, 32_000));
        assert_eq!(hooks[&Hook::TcpReset], (1, 100));
        let turn = Turn { hooks, counted: 10, ..Turn::default() };
        assert!((turn.runs() - 8.1).abs() < 1e-9);
        assert!((turn.bpf_us() - 3.21).abs() < 1e-9);
        assert!((turn.run_ns() - 32_100.0 / 81.0).abs() < 1e-9);
    }

    #[test]
    fn a_turn_that_lost_something_is_a_failure() {
        let failed = |told: Told| {
            let mut measured = Measured::new("kernel");
            check(Contender::All, &Turn { told, ..Turn::default() }, 5, &mut measured);
            let mut report = crate::report::Report::new(Vec::new());
            report.add(measured);
            report.failed()
        };
        let whole = Told { events: 40, begun: [10, 10], ended: [10, 10], lost: 0 };
        assert!(!failed(whole));
        assert!(failed(Told { lost: 1, ..whole }));
        assert!(failed(Told { ended: [10, 9], ..whole }));
        assert!(failed(Told { begun: [11, 10], ..whole }));
    }
}
