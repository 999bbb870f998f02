//! The kernel's bytes into our types, each read checked: `bpf/shared.h` → [`event`](super::event).

use std::mem::offset_of;
use std::net::{IpAddr, Ipv6Addr};

use flow::Protocol;

use super::drop_reason::DropReasons;
use super::event::{
    CgroupEvent, DatagramError, DatagramEvent, DropEvent, KernelEvent, KernelNs, Owner, ScannedSocket, Side,
    SocketPlace, SocketTuple, TcpChange, TcpEvent, TcpTotals,
};
use super::layout::{CgroupEventBytes, DropEventBytes, SocketEventBytes, SocketReportBytes, TcpTotalsBytes};

const TCP_ESTABLISHED: u8 = 1;
const TCP_STALLED: u8 = 2;
const TCP_CLOSED: u8 = 3;
const TCP_GAVE_UP: u8 = 4;
const TCP_NEVER_SENT: u8 = 5;
const DATAGRAM: u8 = 6;
const DATAGRAM_ERROR: u8 = 7;
const DROP: u8 = 8;
const CGROUP_MADE: u8 = 9;
const CGROUP_REMOVED: u8 = 10;
const SCANNED: u8 = 11;

const REPORTED_BEFORE: u8 = 1 << 0;
const PREEXISTING: u8 = 1 << 1;
const OWNER: u8 = 1 << 2;
const ABORTED: u8 = 1 << 3;
const RESET: u8 = 1 << 4;
const BOUND_BEFORE: u8 = 1 << 5;
const LISTENING: u8 = 1 << 6;
const FIRST: u8 = 1 << 7;

/// Why bytes from the kernel could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnreadableEvent {
    /// Fewer bytes than the kind needs.
    #[error("event of {have} bytes, {need} are needed")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A kind that the programs never write.
    #[error("event of the unknown kind {0}")]
    Kind(u8),
    /// A value out of its range.
    #[error("event with an impossible {0}")]
    Value(&'static str),
}

/// Reads one event of any ring.
pub(super) fn event(bytes: &[u8], reasons: &DropReasons) -> Result<KernelEvent, UnreadableEvent> {
    let bytes = Bytes(bytes);
    match bytes.u8(0)? {
        kind @ TCP_ESTABLISHED..=TCP_NEVER_SENT => tcp(bytes, kind).map(KernelEvent::Tcp),
        DATAGRAM => datagram(bytes).map(KernelEvent::Datagram),
        DATAGRAM_ERROR => datagram_error(bytes).map(KernelEvent::DatagramError),
        DROP => drop_event(bytes, reasons).map(KernelEvent::Drop),
        CGROUP_MADE => cgroup(bytes, true).map(KernelEvent::Cgroup),
        CGROUP_REMOVED => cgroup(bytes, false).map(KernelEvent::Cgroup),
        other => Err(UnreadableEvent::Kind(other)),
    }
}

/// Reads one line of the scan.
pub(super) fn scanned(bytes: &[u8]) -> Result<ScannedSocket, UnreadableEvent> {
    let bytes = Bytes(bytes);
    bytes.at_least(size_of::<SocketReportBytes>())?;
    match bytes.u8(0)? {
        SCANNED => {}
        other => return Err(UnreadableEvent::Kind(other)),
    }
    let flags = bytes.u8(offset_of!(SocketEventBytes, flags))?;
    Ok(ScannedSocket {
        at: KernelNs(bytes.u64(offset_of!(SocketEventBytes, at))?),
        place: place(bytes)?,
        tuple: tuple(bytes)?,
        side: side(bytes)?,
        listening: flags & LISTENING != 0,
        preexisting: flags & PREEXISTING != 0,
        owner: owner(bytes, flags)?,
        totals: totals(bytes)?,
    })
}

/// Reads an address of 16 bytes; IPv4-mapped ones are IPv4.
pub(super) fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// Writes an address as 16 bytes, IPv4 as mapped.
pub(super) fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn tcp(bytes: Bytes<'_>, kind: u8) -> Result<TcpEvent, UnreadableEvent> {
    let flags = bytes.u8(offset_of!(SocketEventBytes, flags))?;
    let errno = bytes.u16(offset_of!(SocketEventBytes, error))?;
    let change = match kind {
        TCP_ESTABLISHED => TcpChange::Established,
        TCP_STALLED => TcpChange::Stalled,
        TCP_CLOSED => TcpChange::Closed { aborted: flags & ABORTED != 0 },
        TCP_GAVE_UP => TcpChange::GaveUp { errno, reset: flags & RESET != 0 },
        TCP_NEVER_SENT => TcpChange::NeverSent { errno },
        other => return Err(UnreadableEvent::Kind(other)),
    };
    let ended = matches!(change, TcpChange::Closed { .. } | TcpChange::GaveUp { .. });
    Ok(TcpEvent {
        at: KernelNs(bytes.u64(offset_of!(SocketEventBytes, at))?),
        change,
        side: side(bytes)?,
        place: place(bytes)?,
        tuple: tuple(bytes)?,
        owner: owner(bytes, flags)?,
        started: KernelNs(bytes.u64(offset_of!(SocketEventBytes, started))?),
        reported_before: flags & REPORTED_BEFORE != 0,
        preexisting: flags & PREEXISTING != 0,
        totals: if ended { totals(bytes)? } else { TcpTotals::default() },
    })
}

fn datagram(bytes: Bytes<'_>) -> Result<DatagramEvent, UnreadableEvent> {
    let flags = bytes.u8(offset_of!(SocketEventBytes, flags))?;
    let tuple = tuple(bytes)?;
    Ok(DatagramEvent {
        at: KernelNs(bytes.u64(offset_of!(SocketEventBytes, at))?),
        side: side(bytes)?,
        place: place(bytes)?,
        owner: owner(bytes, flags)?,
        icmp: icmp(
            tuple.protocol,
            bytes.u8(offset_of!(SocketEventBytes, icmp_type))?,
            bytes.u8(offset_of!(SocketEventBytes, icmp_code))?,
        ),
        tuple,
        bound_before: flags & BOUND_BEFORE != 0,
    })
}

fn datagram_error(bytes: Bytes<'_>) -> Result<DatagramError, UnreadableEvent> {
    Ok(DatagramError {
        at: KernelNs(bytes.u64(offset_of!(SocketEventBytes, at))?),
        place: place(bytes)?,
        tuple: tuple(bytes)?,
        errno: bytes.u16(offset_of!(SocketEventBytes, error))?,
    })
}

fn drop_event(bytes: Bytes<'_>, reasons: &DropReasons) -> Result<DropEvent, UnreadableEvent> {
    let protocol = Protocol(bytes.u8(offset_of!(DropEventBytes, protocol))?);
    let original: [u8; 16] = bytes.array(offset_of!(DropEventBytes, original))?;
    let original_port = bytes.u16(offset_of!(DropEventBytes, original_port))?;
    Ok(DropEvent {
        at: KernelNs(bytes.u64(offset_of!(DropEventBytes, at))?),
        reason: reasons.name(bytes.u32(offset_of!(DropEventBytes, reason))?),
        netns: bytes.u32(offset_of!(DropEventBytes, netns))?,
        protocol,
        source_ip: address(bytes.array(offset_of!(DropEventBytes, source))?),
        source_port: bytes.u16(offset_of!(DropEventBytes, source_port))?,
        dest_ip: address(bytes.array(offset_of!(DropEventBytes, dest))?),
        dest_port: bytes.u16(offset_of!(DropEventBytes, dest_port))?,
        original: (original != [0; 16]).then(|| (address(original), original_port)),
        first: bytes.u8(offset_of!(DropEventBytes, flags))? & FIRST != 0,
        icmp: icmp(
            protocol,
            bytes.u8(offset_of!(DropEventBytes, icmp_type))?,
            bytes.u8(offset_of!(DropEventBytes, icmp_code))?,
        ),
    })
}

fn cgroup(bytes: Bytes<'_>, made: bool) -> Result<CgroupEvent, UnreadableEvent> {
    let length = bytes.u32(offset_of!(CgroupEventBytes, length))? as usize;
    let start = offset_of!(CgroupEventBytes, path);
    let path = bytes.0.get(start..start.saturating_add(length)).ok_or(UnreadableEvent::Value("length of a path"))?;
    Ok(CgroupEvent {
        id: bytes.u64(offset_of!(CgroupEventBytes, id))?,
        path: String::from_utf8_lossy(path).into_owned(),
        made,
    })
}

fn icmp(protocol: Protocol, kind: u8, code: u8) -> Option<(u8, u8)> {
    matches!(protocol, Protocol::ICMP | Protocol::ICMPV6).then_some((kind, code))
}

fn side(bytes: Bytes<'_>) -> Result<Side, UnreadableEvent> {
    match bytes.u8(offset_of!(SocketEventBytes, side))? {
        0 => Ok(Side::Unknown),
        1 => Ok(Side::Initiator),
        2 => Ok(Side::Receiver),
        _ => Err(UnreadableEvent::Value("side")),
    }
}

fn place(bytes: Bytes<'_>) -> Result<SocketPlace, UnreadableEvent> {
    Ok(SocketPlace {
        cookie: bytes.u64(offset_of!(SocketEventBytes, cookie))?,
        netns: bytes.u32(offset_of!(SocketEventBytes, netns))?,
        cgroup: bytes.u64(offset_of!(SocketEventBytes, cgroup))?,
    })
}

fn tuple(bytes: Bytes<'_>) -> Result<SocketTuple, UnreadableEvent> {
    Ok(SocketTuple {
        protocol: Protocol(bytes.u8(offset_of!(SocketEventBytes, protocol))?),
        local_ip: address(bytes.array(offset_of!(SocketEventBytes, local))?),
        local_port: bytes.u16(offset_of!(SocketEventBytes, local_port))?,
        remote_ip: address(bytes.array(offset_of!(SocketEventBytes, remote))?),
        remote_port: bytes.u16(offset_of!(SocketEventBytes, remote_port))?,
    })
}

fn owner(bytes: Bytes<'_>, flags: u8) -> Result<Option<Owner>, UnreadableEvent> {
    if flags & OWNER == 0 {
        return Ok(None);
    }
    let command: [u8; 16] = bytes.array(offset_of!(SocketEventBytes, command))?;
    let name = command.split(|&b| b == 0).next().unwrap_or_default();
    Ok(Some(Owner {
        pid: bytes.u32(offset_of!(SocketEventBytes, pid))?,
        name: String::from_utf8_lossy(name).into_owned(),
    }))
}

fn totals(bytes: Bytes<'_>) -> Result<TcpTotals, UnreadableEvent> {
    let start = offset_of!(SocketReportBytes, totals);
    let u32_at = |offset: usize| bytes.u32(start + offset);
    Ok(TcpTotals {
        bytes_out: bytes.u64(start + offset_of!(TcpTotalsBytes, bytes_out))?,
        bytes_in: bytes.u64(start + offset_of!(TcpTotalsBytes, bytes_in))?,
        packets_out: u32_at(offset_of!(TcpTotalsBytes, packets_out))?.into(),
        packets_in: u32_at(offset_of!(TcpTotalsBytes, packets_in))?.into(),
        smooth_rtt_us: u32_at(offset_of!(TcpTotalsBytes, smooth_rtt_us))?,
        min_rtt_us: u32_at(offset_of!(TcpTotalsBytes, min_rtt_us))?,
        retransmissions: u32_at(offset_of!(TcpTotalsBytes, retransmissions))?,
        lost: u32_at(offset_of!(TcpTotalsBytes, lost))?,
        unrecovered: u32_at(offset_of!(TcpTotalsBytes, unrecovered))?,
        mss: u32_at(offset_of!(TcpTotalsBytes, mss))?,
        congestion_window: u32_at(offset_of!(TcpTotalsBytes, congestion_window))?,
    })
}

/// Bytes from the kernel, read at an offset or not at all.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn at_least(self, need: usize) -> Result<(), UnreadableEvent> {
        if self.0.len() < need { Err(UnreadableEvent::Short { have: self.0.len(), need }) } else { Ok(()) }
    }

    pub(super) fn array<const N: usize>(self, offset: usize) -> Result<[u8; N], UnreadableEvent> {
        let found = self.0.get(offset..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().ok_or(UnreadableEvent::Short { have: self.0.len(), need: offset + N })
    }

    pub(super) fn u8(self, offset: usize) -> Result<u8, UnreadableEvent> {
        self.array(offset).map(u8::from_ne_bytes)
    }

    pub(super) fn u16(self, offset: usize) -> Result<u16, UnreadableEvent> {
        self.array(offset).map(u16::from_ne_bytes)
    }

    pub(super) fn u32(self, offset: usize) -> Result<u32, UnreadableEvent> {
        self.array(offset).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(self, offset: usize) -> Result<u64, UnreadableEvent> {
        self.array(offset).map(u64::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests;
