//! UDP ports: echo, silence, and names.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use flow::{Protocol, UnixMs};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;

use super::{Book, Entry, now};
use crate::dns;
use crate::world::Behaviour;

/// Room for a burst that arrives before the process gets to run.
const BUFFER: usize = 8 << 20;

/// Who has sent datagrams to a port since the last receipts.
#[derive(Clone)]
pub(super) struct Peers {
    local: SocketAddr,
    seen: Arc<Mutex<BTreeMap<SocketAddr, Seen>>>,
}

#[derive(Clone, Copy)]
struct Seen {
    start: UnixMs,
    end: UnixMs,
    bytes_received: u64,
    bytes_sent: u64,
}

impl Peers {
    /// Writes a receipt for each peer and forgets it.
    pub(super) fn settle(&self, book: &Book) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let ip = Some(self.local.ip()).filter(|ip| !ip.is_unspecified());
        for (peer, seen) in seen {
            book.enter(&Entry {
                protocol: Protocol::UDP,
                local: (ip, self.local.port()),
                peer,
                start: seen.start,
                end: seen.end,
                bytes_received: seen.bytes_received,
                bytes_sent: seen.bytes_sent,
                aborted: false,
            });
        }
    }

    fn count(&self, peer: SocketAddr, received: usize, sent: usize) {
        let time = now();
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(peer).or_insert(Seen { start: time, end: time, bytes_received: 0, bytes_sent: 0 });
        seen.end = time;
        seen.bytes_received += received as u64;
        seen.bytes_sent += sent as u64;
    }
}

/// Receives on an address, and answers as the port does.
pub(super) fn serve(address: SocketAddr, behaviour: Behaviour) -> io::Result<Peers> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &BUFFER)?;
    let socket = UdpSocket::from_std(socket)?;
    let peers = Peers { local: address, seen: Arc::default() };
    let seen = peers.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error here is that of an earlier answer, such as port unreachable from a client that has gone.
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
            let received = &buffer[..length];
            let answer = match behaviour {
                Behaviour::UdpEcho => Some(received.to_vec()),
                Behaviour::Dns => dns::answer(received),
                Behaviour::UdpSink | Behaviour::TcpEcho | Behaviour::TcpJammed => None,
            };
            let sent = match answer {
                Some(answer) => socket.send_to(&answer, peer).await.unwrap_or(0),
                None => 0,
            };
            seen.count(peer, length, sent);
        }
    });
    Ok(peers)
}
