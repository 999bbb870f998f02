//! ICMP and ICMPv6 echo over ping sockets: the kernel chooses the identifier and sums up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Course, errno, payload};
use crate::ledger::Saw;
use crate::plan::Task;

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

pub(super) async fn attempt(task: &Task, destination: IpAddr, index: u64, begin: Instant) -> Course {
    let mut course = Course {
        source: None,
        connected: None,
        closed: Duration::ZERO,
        saw: Saw::Silence,
        bytes_sent: 0,
        bytes_received: 0,
    };
    if let Err(error) = exchange(task, destination, index, &mut course).await {
        course.saw = Saw::Error { errno: errno(&error) };
    }
    course.closed = begin.elapsed();
    course
}

async fn exchange(task: &Task, destination: IpAddr, index: u64, course: &mut Course) -> io::Result<()> {
    let socket = ping_socket(destination)?;
    socket.connect(SocketAddr::new(destination, 0)).await?;
    course.source = socket.local_addr().ok().map(|local| (local.ip(), 0));
    let mut request = vec![0; HEADER];
    request[0] = if destination.is_ipv4() { 8 } else { 128 };
    request[6..].copy_from_slice(&(index as u16).to_be_bytes());
    request.extend(payload(task.bytes));
    let (mut reply, mut answered) = (vec![0; 65_536], 0);
    for _ in 0..task.rounds {
        course.bytes_sent += socket.send(&request).await?.saturating_sub(HEADER) as u64;
        if let Ok(received) = timeout(Duration::from_millis(task.timeout_ms), socket.recv(&mut reply)).await {
            course.bytes_received += received?.saturating_sub(HEADER) as u64;
            answered += 1;
        }
    }
    if answered > 0 && answered == task.rounds {
        course.saw = Saw::Answered;
    }
    Ok(())
}

/// A ping socket takes and gives the same addresses as a UDP socket, so that type can carry it.
fn ping_socket(destination: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket: OwnedFd = socket(family, SockType::Datagram, flags, protocol)?;
    UdpSocket::from_std(socket.into())
}
