//! A proxy that knows nothing but connections and bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::lane::{self, Way};
use super::rules::{Accept, Counts, End, Rules};
use super::worker::{self, Worker};

/// A proxy in front of a server; its connections are closed when it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _worker: Worker,
}

/// What the proxy and its connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) rules: watch::Sender<Rules>,
    /// How often all open connections were reset and half-closed by order.
    pub(super) orders: watch::Sender<Orders>,
    upstream: Mutex<Option<SocketAddr>>,
    counts: Mutex<Counts>,
}

/// Orders to open connections, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orders {
    pub(super) resets: u64,
    pub(super) half_closes: u64,
}

impl TcpProxy {
    /// Starts a proxy on a free port of loopback. Connections are reset until it is told where to forward to.
    ///
    /// # Errors
    /// If no port or thread can be had.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            rules: watch::Sender::default(),
            orders: watch::Sender::default(),
            upstream: Mutex::default(),
            counts: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let (address, worker) = worker::start(|listener| serve(listener, served))?;
        Ok(Self { address, shared, _worker: worker })
    }

    /// Starts a proxy in front of a server.
    ///
    /// # Errors
    /// If no port or thread can be had.
    pub fn to(upstream: SocketAddr) -> io::Result<Self> {
        let proxy = Self::start()?;
        proxy.forward_to(upstream);
        Ok(proxy)
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to a server.
    pub fn forward_to(&self, upstream: SocketAddr) {
        *guard(&self.shared.upstream) = Some(upstream);
    }

    /// Changes the rules, for open connections too.
    pub fn set(&self, rules: Rules) {
        self.shared.rules.send_replace(rules);
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.set(Rules::default());
    }

    /// Ends all open connections now; by [`End::HalfClose`] the clients see the end, and may still send.
    pub fn end_all(&self, by: End) {
        self.shared.orders.send_modify(|orders| match by {
            End::Reset => orders.resets += 1,
            End::HalfClose => orders.half_closes += 1,
        });
    }

    /// Returns what was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *guard(&self.shared.counts)
    }
}

impl Shared {
    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut guard(&self.counts));
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone before it was accepted is no concern of ours.
                if let Ok((client, _)) = accepted {
                    connections.spawn(connection(client, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let upstream = *guard(&shared.upstream);
    let accept = shared.rules.borrow().accept;
    let server = match (accept, upstream) {
        (Accept::Forward, Some(upstream)) => TcpStream::connect(upstream).await.ok(),
        (Accept::Forward, None) | (Accept::Reset, _) => None,
    };
    let Some(mut server) = server else {
        shared.count(|counts| counts.refused += 1);
        reset(&client);
        return;
    };
    shared.count(|counts| counts.connections += 1);
    // Small messages must not wait for each other: the proxy alone decides about delays.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let before = orders.borrow_and_update().resets;
    let ended = {
        let ((client_in, client_out), (server_in, server_out)) = (client.split(), server.split());
        let up = lane::run(client_in, server_out, Way::ToServer, &shared);
        let down = lane::run(server_in, client_out, Way::ToClient, &shared);
        tokio::select! {
            ended = async { tokio::try_join!(up, down).map(|_| ()) } => ended,
            _ = orders.wait_for(|orders| orders.resets > before) => Err(lane::Broken::OnPurpose),
        }
    };
    if let Err(broken) = ended {
        if broken == lane::Broken::OnPurpose {
            shared.count(|counts| counts.resets += 1);
        }
        reset(&client);
        reset(&server);
    }
}

/// Makes the coming close a reset.
fn reset(stream: &TcpStream) {
    // A socket that refuses is closed in good order, which the peer notices as well.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
