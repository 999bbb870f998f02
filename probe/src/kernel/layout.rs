//! The bytes of `bpf/shared.h` once more in Rust: only their layout counts, nothing is ever cast to these types.
//!
//! Sizes and offsets are asserted on both sides, so that a change on one side alone does not compile.

use std::mem::offset_of;

/// `struct socket_event`.
#[repr(C)]
pub(super) struct SocketEventBytes {
    pub(super) kind: u8,
    pub(super) side: u8,
    pub(super) flags: u8,
    pub(super) protocol: u8,
    pub(super) error: u16,
    pub(super) icmp_type: u8,
    pub(super) icmp_code: u8,
    pub(super) at: u64,
    pub(super) cookie: u64,
    pub(super) cgroup: u64,
    pub(super) started: u64,
    pub(super) netns: u32,
    pub(super) pid: u32,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) padding: u32,
    pub(super) local: [u8; 16],
    pub(super) remote: [u8; 16],
    pub(super) command: [u8; 16],
}

/// `struct tcp_totals`.
#[repr(C)]
pub(super) struct TcpTotalsBytes {
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u32,
    pub(super) packets_in: u32,
    pub(super) smooth_rtt_us: u32,
    pub(super) min_rtt_us: u32,
    pub(super) retransmissions: u32,
    pub(super) lost: u32,
    pub(super) unrecovered: u32,
    pub(super) mss: u32,
    pub(super) congestion_window: u32,
    pub(super) padding: u32,
}

/// `struct socket_report`.
#[repr(C)]
pub(super) struct SocketReportBytes {
    pub(super) event: SocketEventBytes,
    pub(super) totals: TcpTotalsBytes,
}

/// `struct drop_event`.
#[repr(C)]
pub(super) struct DropEventBytes {
    pub(super) kind: u8,
    pub(super) protocol: u8,
    pub(super) flags: u8,
    pub(super) icmp_type: u8,
    pub(super) icmp_code: u8,
    pub(super) padding: u8,
    pub(super) original_port: u16,
    pub(super) at: u64,
    pub(super) netns: u32,
    pub(super) reason: u32,
    pub(super) source_port: u16,
    pub(super) dest_port: u16,
    pub(super) padding_2: u32,
    pub(super) source: [u8; 16],
    pub(super) dest: [u8; 16],
    pub(super) original: [u8; 16],
}

/// `struct cgroup_event` without its path, which ends it.
#[repr(C)]
pub(super) struct CgroupEventBytes {
    pub(super) kind: u8,
    pub(super) padding: [u8; 3],
    pub(super) length: u32,
    pub(super) id: u64,
    pub(super) path: [u8; 1024],
}

/// `struct flow_key`.
#[repr(C)]
pub(super) struct FlowKeyBytes {
    pub(super) cgroup: u64,
    pub(super) netns: u32,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) protocol: u8,
    pub(super) padding: [u8; 7],
    pub(super) local: [u8; 16],
    pub(super) remote: [u8; 16],
}

/// `struct flow_value`.
#[repr(C)]
pub(super) struct FlowValueBytes {
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) packets_in: u64,
    pub(super) last: u64,
    pub(super) cookie: u64,
    pub(super) told: u32,
    pub(super) padding: u32,
}

/// `struct drop_key`; user space only carries it back to the kernel.
pub(super) const DROP_KEY: usize = 48;

/// `struct drop_value`.
#[repr(C)]
pub(super) struct DropValueBytes {
    pub(super) count: u64,
    pub(super) last: u64,
    pub(super) sequence: u32,
    pub(super) padding: u32,
}

/// Protocol classes of the counters.
pub(super) const CLASSES: usize = 6;
/// Directions of the counters.
pub(super) const DIRECTIONS: usize = 3;
/// Reasons of loss that the kernel counts.
pub(super) const LOSSES: usize = 5;
/// Words of `struct counters`: seen, reported, lost, lost events.
pub(super) const COUNTERS: usize = CLASSES * DIRECTIONS * (2 + LOSSES) + LOSSES;

const _: () = {
    assert!(size_of::<SocketEventBytes>() == 104);
    assert!(offset_of!(SocketEventBytes, error) == 4);
    assert!(offset_of!(SocketEventBytes, at) == 8);
    assert!(offset_of!(SocketEventBytes, cookie) == 16);
    assert!(offset_of!(SocketEventBytes, cgroup) == 24);
    assert!(offset_of!(SocketEventBytes, started) == 32);
    assert!(offset_of!(SocketEventBytes, netns) == 40);
    assert!(offset_of!(SocketEventBytes, pid) == 44);
    assert!(offset_of!(SocketEventBytes, local_port) == 48);
    assert!(offset_of!(SocketEventBytes, local) == 56);
    assert!(offset_of!(SocketEventBytes, remote) == 72);
    assert!(offset_of!(SocketEventBytes, command) == 88);
    assert!(size_of::<TcpTotalsBytes>() == 56);
    assert!(offset_of!(TcpTotalsBytes, packets_out) == 16);
    assert!(offset_of!(TcpTotalsBytes, congestion_window) == 48);
    assert!(size_of::<SocketReportBytes>() == 160);
    assert!(offset_of!(SocketReportBytes, totals) == 104);
    assert!(size_of::<DropEventBytes>() == 80);
    assert!(offset_of!(DropEventBytes, original_port) == 6);
    assert!(offset_of!(DropEventBytes, at) == 8);
    assert!(offset_of!(DropEventBytes, netns) == 16);
    assert!(offset_of!(DropEventBytes, source_port) == 24);
    assert!(offset_of!(DropEventBytes, source) == 32);
    assert!(offset_of!(DropEventBytes, original) == 64);
    assert!(size_of::<CgroupEventBytes>() == 1040);
    assert!(offset_of!(CgroupEventBytes, id) == 8);
    assert!(offset_of!(CgroupEventBytes, path) == 16);
    assert!(size_of::<FlowKeyBytes>() == 56);
    assert!(offset_of!(FlowKeyBytes, local_port) == 12);
    assert!(offset_of!(FlowKeyBytes, local) == 24);
    assert!(size_of::<FlowValueBytes>() == 56);
    assert!(offset_of!(FlowValueBytes, told) == 48);
    assert!(size_of::<DropValueBytes>() == 24);
    assert!(offset_of!(DropValueBytes, last) == 8);
    assert!(COUNTERS == 18 + 18 + 90 + 5);
};
