//! The sockets that processes have open: those older than the probe, and the totals of connections that stay open.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::ops::RangeInclusive;

use aya::Ebpf;
use aya::programs::Program;
use flow::Protocol;

use super::KernelError;
use super::bytes;
use super::event::{ScannedSocket, Side};
use super::hook::Hook;
use super::layout::SocketReportBytes;

/// Runs the iterator and returns each socket once.
pub(super) fn scan(programs: &mut Ebpf) -> Result<Vec<ScannedSocket>, KernelError> {
    let bytes = read(programs).map_err(KernelError::Scan)?;
    let lines = bytes.chunks_exact(size_of::<SocketReportBytes>());
    let sockets = lines.filter_map(|line| bytes::scanned(line).ok()).collect();
    Ok(resolve(sockets, &chosen_ports()))
}

fn read(programs: &mut Ebpf) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let Some(Program::Iter(iterator)) = programs.program_mut(Hook::Scan.name()) else {
        return Err("the kernel object has no such program".into());
    };
    let link = iterator.attach()?;
    let mut file = iterator.take_link(link)?.into_file()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the ports that the kernel chooses from for who connects. Every namespace has its own setting; nearly all keep
/// what the kernel set, and so does the answer where it cannot be read.
fn chosen_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = text.split_whitespace().map_while(|word| word.parse().ok());
    match (ports.next(), ports.next()) {
        (Some(first), Some(last)) => first..=last,
        _ => 32_768..=60_999,
    }
}

/// Drops further descriptors of a socket already listed, and tells which side a TCP connection is where the kernel
/// could not: with a listener on its local port it is the receiver; as the far end of a receiver it is the initiator,
/// and so it is from a port that the kernel chooses and nobody listens on. From another port, as that of a listener
/// that is gone, it stays unknown.
fn resolve(mut sockets: Vec<ScannedSocket>, chosen: &RangeInclusive<u16>) -> Vec<ScannedSocket> {
    let mut seen = HashSet::new();
    sockets.retain(|s| s.place.cookie == 0 || seen.insert(s.place.cookie));
    let tcp = |s: &ScannedSocket| s.tuple.protocol == Protocol::TCP;
    let listeners: HashSet<(u32, u16)> =
        sockets.iter().filter(|s| tcp(s) && s.listening).map(|s| (s.place.netns, s.tuple.local_port)).collect();
    for s in sockets.iter_mut().filter(|s| tcp(s) && s.side == Side::Unknown) {
        if listeners.contains(&(s.place.netns, s.tuple.local_port)) {
            s.side = Side::Receiver;
        }
    }
    let ends = |s: &ScannedSocket| (s.tuple.local_ip, s.tuple.local_port, s.tuple.remote_ip, s.tuple.remote_port);
    let sides: HashMap<_, Side> = sockets.iter().filter(|s| tcp(s)).map(|s| (ends(s), s.side)).collect();
    for s in sockets.iter_mut().filter(|s| tcp(s) && s.side == Side::Unknown) {
        let (local_ip, local_port, remote_ip, remote_port) = ends(s);
        s.side = match sides.get(&(remote_ip, remote_port, local_ip, local_port)) {
            Some(Side::Receiver) => Side::Initiator,
            Some(Side::Initiator) => Side::Receiver,
            Some(Side::Unknown) | None if chosen.contains(&local_port) => Side::Initiator,
            Some(Side::Unknown) | None => Side::Unknown,
        };
    }
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::{KernelNs, SocketPlace, SocketTuple, TcpTotals};

    const CHOSEN: RangeInclusive<u16> = 32_768..=60_999;

    fn socket(cookie: u64, netns: u32, local_port: u16, remote_port: u16, listening: bool) -> ScannedSocket {
        let ip = |port: u16| if port < 1024 { "10.0.0.2" } else { "10.0.0.1" }.parse().unwrap();
        ScannedSocket {
            at: KernelNs(1),
            place: SocketPlace { cookie, netns, cgroup: 1 },
            tuple: SocketTuple {
                protocol: Protocol::TCP,
                local_ip: ip(local_port),
                local_port,
                remote_ip: ip(remote_port),
                remote_port,
            },
            side: Side::Unknown,
            listening,
            preexisting: true,
            owner: None,
            totals: TcpTotals::default(),
        }
    }

    #[test]
    fn a_socket_open_twice_is_listed_once() {
        let sockets = resolve(vec![socket(5, 1, 5000, 80, false), socket(5, 1, 5000, 80, false)], &CHOSEN);
        assert_eq!(sockets.len(), 1);
    }

    #[test]
    fn listeners_far_ends_and_chosen_ports_tell_the_side() {
        let sockets = resolve(
            vec![
                socket(1, 2, 80, 0, true),
                socket(2, 2, 80, 5000, false),
                socket(3, 1, 5000, 80, false),
                socket(4, 1, 5001, 443, false),
                socket(5, 1, 40_000, 443, false),
                socket(6, 1, 40_001, 0, true),
                socket(7, 1, 40_001, 443, false),
            ],
            &CHOSEN,
        );
        let sides: Vec<Side> = sockets.iter().map(|s| s.side).collect();
        assert_eq!(
            sides[1..],
            [Side::Receiver, Side::Initiator, Side::Unknown, Side::Initiator, Side::Receiver, Side::Receiver]
        );
    }

    #[test]
    fn a_listener_of_another_namespace_tells_nothing() {
        let sockets = resolve(vec![socket(1, 9, 80, 0, true), socket(2, 2, 80, 5000, false)], &CHOSEN);
        assert_eq!(sockets[1].side, Side::Unknown);
    }
}
