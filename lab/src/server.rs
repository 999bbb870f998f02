//! Servers: they take what comes, do what their port is for, and write receipts.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flow::{Protocol, UnixMs};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::ledger::Receipt;
use crate::plan::{Listener, Plan};
use crate::process::{Orders, say};
use crate::world::Behaviour;

mod tcp;
mod udp;

/// How long receipts wait for connections that are still open when they are asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// Listens until the builder is gone; writes receipts when it asks for them.
pub(crate) async fn run(
    plan: &Plan,
    listeners: &[Listener],
    mut orders: watch::Receiver<Orders>,
) -> anyhow::Result<()> {
    let book = Arc::new(Book::new(plan)?);
    let mut datagrams = Vec::new();
    // Keeps the queue of jammed ports full.
    let mut jams = Vec::new();
    for listener in listeners {
        let address = SocketAddr::new(listener.address, listener.port);
        let bound = match listener.behaviour {
            Behaviour::TcpEcho => tcp::echo(address, Arc::clone(&book)),
            Behaviour::TcpJammed => tcp::jam(address).await.map(|jam| jams.push(jam)),
            Behaviour::UdpEcho | Behaviour::UdpSink | Behaviour::Dns => {
                udp::serve(address, listener.behaviour).map(|peers| datagrams.push(peers))
            }
        };
        bound.with_context(|| format!("`{}` cannot listen on {address}", plan.comm))?;
    }
    say("ready").context("cannot tell the builder")?;
    let mut flushes = 0;
    loop {
        let now = *orders
            .wait_for(|orders| orders.over || orders.flushes > flushes)
            .await
            .context("nobody gives orders any more")?;
        book.drain().await;
        for peers in &datagrams {
            peers.settle(&book);
        }
        book.flush()?;
        if now.over {
            return Ok(());
        }
        flushes = now.flushes;
        say("flushed").context("cannot tell the builder")?;
    }
}

/// The receipts of a process.
struct Book {
    plan: Plan,
    out: Mutex<BufWriter<File>>,
    /// Connections accepted and not yet closed.
    open: AtomicU64,
}

/// What a receipt says beside who wrote it.
struct Entry {
    protocol: Protocol,
    local: (Option<IpAddr>, u16),
    peer: SocketAddr,
    start: UnixMs,
    end: UnixMs,
    bytes_received: u64,
    bytes_sent: u64,
    aborted: bool,
}

impl Book {
    fn new(plan: &Plan) -> anyhow::Result<Self> {
        let file =
            File::create(&plan.ledger).with_context(|| format!("cannot create ledger `{}`", plan.ledger.display()))?;
        Ok(Self { plan: plan.clone(), out: Mutex::new(BufWriter::new(file)), open: AtomicU64::new(0) })
    }

    fn enter(&self, entry: &Entry) {
        let receipt = Receipt {
            receiver: self.plan.party.clone(),
            container: self.plan.container.clone(),
            protocol: entry.protocol,
            local_ip: entry.local.0.map(|ip| ip.to_canonical()),
            local_port: entry.local.1,
            peer_ip: entry.peer.ip().to_canonical(),
            peer_port: entry.peer.port(),
            start: entry.start,
            end: entry.end,
            bytes_received: entry.bytes_received,
            bytes_sent: entry.bytes_sent,
            aborted: entry.aborted,
        };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows when the receipts are flushed: a buffered writer keeps what it could not write.
        let _ = serde_json::to_writer(&mut *out, &receipt);
        let _ = out.write_all(b"\n");
    }

    /// Waits until no connection is open, for some seconds at most.
    async fn drain(&self) {
        let deadline = Instant::now() + DRAIN;
        // What is still in the kernel's queues is taken first.
        sleep(Duration::from_millis(50)).await;
        while self.open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn flush(&self) -> anyhow::Result<()> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).flush().context("cannot write receipts")
    }
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(since.as_millis() as u64)
}
