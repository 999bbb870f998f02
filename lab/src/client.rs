//! Clients: real attempts by real sockets, each written down.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flow::{Protocol, UnixMs};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::ledger::{Attempt, Saw};
use crate::plan::{Plan, Task};
use crate::process::{Orders, say};

mod echo;
mod gate;
mod tcp;
mod udp;

use gate::Gate;

/// Makes all attempts of a plan and writes its ledger.
pub(crate) async fn run(plan: &Plan, tasks: &[Task], orders: watch::Receiver<Orders>) -> anyhow::Result<()> {
    let file =
        File::create(&plan.ledger).with_context(|| format!("cannot create ledger `{}`", plan.ledger.display()))?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(file, receiver));
    let gated = tasks.iter().filter(|task| task.gate).filter_map(|task| task.count).sum();
    let gate = Arc::new(Gate::new(gated, orders.clone()));
    let mut running = JoinSet::new();
    for task in tasks {
        let maker = Maker { plan: Arc::new(plan.clone()), task: Arc::new(task.clone()), gate: Arc::clone(&gate) };
        running.spawn(make_all(maker, sender.clone(), orders.clone()));
    }
    drop(sender);
    gate.all_open().await;
    say("ready").context("cannot tell the builder")?;
    while let Some(done) = running.join_next().await {
        done.context("a task broke off")??;
    }
    writer.await.context("the ledger's writer broke off")?
}

/// What every attempt of a task needs.
#[derive(Clone)]
struct Maker {
    plan: Arc<Plan>,
    task: Arc<Task>,
    gate: Arc<Gate>,
}

/// What an attempt came to, before it is written down.
#[derive(Debug)]
struct Course {
    source: Option<(IpAddr, u16)>,
    connected: Option<Duration>,
    closed: Duration,
    saw: Saw,
    bytes_sent: u64,
    bytes_received: u64,
}

async fn make_all(
    maker: Maker,
    ledger: mpsc::UnboundedSender<Attempt>,
    mut orders: watch::Receiver<Orders>,
) -> anyhow::Result<()> {
    let task = &maker.task;
    // All connections of a gate are open at the same time.
    let width = if task.gate { task.count.unwrap_or(1) as usize } else { task.concurrency };
    let places = Arc::new(Semaphore::new(width.max(1)));
    let mut pace = task.rate.map(|rate| {
        let mut pace = interval(Duration::from_secs_f64(1.0 / rate));
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        pace
    });
    let mut ports = task.source_ports.map(|(first, last)| (first..=last).collect::<VecDeque<u16>>());
    let mut running = JoinSet::new();
    for index in 0..task.count.unwrap_or(u64::MAX) {
        if let Some(pace) = &mut pace {
            tokio::select! {
                _ = pace.tick() => {}
                _ = orders.wait_for(|orders| orders.stop || orders.over) => {}
            }
        }
        let now = *orders.borrow();
        if now.over || (now.stop && task.count.is_none()) {
            break;
        }
        let place = Arc::clone(&places).acquire_owned().await.context("the places are closed")?;
        let port = ports.as_mut().and_then(|ports| {
            ports.rotate_left(1);
            ports.back().copied()
        });
        let (maker, ledger) = (maker.clone(), ledger.clone());
        running.spawn(async move {
            let attempt = make(&maker, index, port).await;
            drop(place);
            // The writer is gone only if the disk is full; then its error is the one to tell.
            let _ = ledger.send(attempt);
        });
        while running.try_join_next().is_some() {}
    }
    while let Some(done) = running.join_next().await {
        done.context("an attempt broke off")?;
    }
    Ok(())
}

async fn make(maker: &Maker, index: u64, port: Option<u16>) -> Attempt {
    let (plan, task) = (&maker.plan, &maker.task);
    let destination = if task.spread { nth(task.destination, index) } else { task.destination };
    let (start, begin) = (now(), Instant::now());
    let course = match task.protocol {
        Protocol::TCP => tcp::attempt(task, destination, begin, &maker.gate).await,
        Protocol::UDP => udp::attempt(task, destination, port, begin).await,
        _ => echo::attempt(task, destination, index, begin).await,
    };
    Attempt {
        id: task.first_id + index,
        task: task.name.clone(),
        source: plan.party.clone(),
        container: plan.container.clone(),
        node: plan.node.clone(),
        protocol: task.protocol,
        source_ip: course.source.map(|(address, _)| address).or(task.source),
        source_port: course.source.map(|(_, port)| port).filter(|port| *port != 0 && task.protocol.has_ports()),
        destination,
        port: task.port,
        expected: task.expected,
        start,
        connected_us: course.connected.map(microseconds),
        closed_us: microseconds(course.closed),
        saw: course.saw,
        bytes_sent: course.bytes_sent,
        bytes_received: course.bytes_received,
        pid: std::process::id(),
        comm: plan.comm.clone(),
    }
}

/// Writes attempts as they come; everything is on disk before the process ends.
async fn write(file: File, mut attempts: mpsc::UnboundedReceiver<Attempt>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(file);
    while let Some(attempt) = attempts.recv().await {
        serde_json::to_writer(&mut out, &attempt).context("cannot write the ledger")?;
        out.write_all(b"\n").context("cannot write the ledger")?;
        if attempts.is_empty() {
            out.flush().context("cannot write the ledger")?;
        }
    }
    out.flush().context("cannot write the ledger")
}

/// Returns the address a number of places after the first.
fn nth(first: IpAddr, index: u64) -> IpAddr {
    match first {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add(index as u32)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add(u128::from(index))).into(),
    }
}

/// Returns bytes to send: printable, so that they read well in a dump.
fn payload(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(nix::errno::Errno::EIO as i32)
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(since.as_millis() as u64)
}

fn microseconds(time: Duration) -> u64 {
    time.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_through() {
        assert_eq!(nth("198.18.0.1".parse().unwrap(), 255).to_string(), "198.18.1.0");
        assert_eq!(nth("2001:db8:18::1".parse().unwrap(), 65535).to_string(), "2001:db8:18::1:0");
    }
}
