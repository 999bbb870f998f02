//! UDP attempts: a socket and source port of its own each, connected, so that ICMP errors reach the application.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, socket, sockopt};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::{Course, errno, payload};
use crate::dns;
use crate::ledger::Saw;
use crate::plan::Task;

pub(super) async fn attempt(task: &Task, destination: IpAddr, port: Option<u16>, begin: Instant) -> Course {
    let mut course = Course {
        source: None,
        connected: None,
        closed: Duration::ZERO,
        saw: Saw::Silence,
        bytes_sent: 0,
        bytes_received: 0,
    };
    if let Err(error) = exchange(task, destination, port, &mut course).await {
        course.saw = Saw::Error { errno: errno(&error) };
    }
    course.closed = begin.elapsed();
    course
}

async fn exchange(task: &Task, destination: IpAddr, port: Option<u16>, course: &mut Course) -> io::Result<()> {
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = bind(SocketAddr::new(task.source.unwrap_or(any), port.unwrap_or(0)))?;
    socket.connect(SocketAddr::new(destination, task.port.unwrap_or(0))).await?;
    course.source = socket.local_addr().ok().map(|local| (local.ip(), local.port()));
    let question = if task.port == Some(dns::PORT) {
        dns::question(course.source.map_or(0, |(_, port)| port), "backend.storefront.svc.cluster.local")
    } else {
        payload(task.bytes)
    };
    let (mut answer, mut answered) = (vec![0; 65_536], 0);
    for round in 0..task.rounds {
        if round > 0 {
            sleep(Duration::from_millis(task.pause_ms)).await;
        }
        course.bytes_sent += socket.send(&question).await? as u64;
        if let Ok(received) = timeout(Duration::from_millis(task.timeout_ms), socket.recv(&mut answer)).await {
            course.bytes_received += received? as u64;
            answered += 1;
        }
    }
    if answered > 0 && answered == task.rounds {
        course.saw = Saw::Answered;
    }
    Ok(())
}

/// Binds a socket of one family only, so that each family has all ports for itself.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    nix::sys::socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    UdpSocket::from_std(socket.into())
}
