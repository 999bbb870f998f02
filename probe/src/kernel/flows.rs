//! The kernel's table of datagram flows.

use std::mem::offset_of;
use std::os::fd::AsFd;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use flow::Protocol;

use super::KernelError;
use super::bytes::{Bytes, UnreadableEvent, address, address_bytes};
use super::event::{DatagramEvent, DatagramTotals, KernelNs, SocketPlace, SocketTuple};
use super::layout::{FlowKeyBytes, FlowValueBytes};
use super::syscall::{self, Shape};

const NAME: &str = "flows";
const SHAPE: Shape = Shape { key: size_of::<FlowKeyBytes>(), value: size_of::<FlowValueBytes>() };

/// An entry whose event was lost is forgotten after this long without a packet: twice the idle time that ends a flow.
const UNTOLD_IDLE_NS: u64 = 120_000_000_000;

/// What a datagram flow is known by in the kernel's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramKey {
    /// Id of the socket's cgroup.
    pub cgroup: u64,
    /// Inode of the socket's network namespace.
    pub netns: u32,
    /// The two ends.
    pub tuple: SocketTuple,
}

impl From<&DatagramEvent> for DatagramKey {
    fn from(event: &DatagramEvent) -> Self {
        Self { cgroup: event.place.cgroup, netns: event.place.netns, tuple: event.tuple }
    }
}

impl From<&DatagramTotals> for DatagramKey {
    fn from(totals: &DatagramTotals) -> Self {
        Self { cgroup: totals.place.cgroup, netns: totals.place.netns, tuple: totals.tuple }
    }
}

/// The table.
pub(super) struct Flows(MapData);

impl Flows {
    pub(super) fn take(programs: &mut Ebpf) -> Result<Self, KernelError> {
        match programs.take_map(NAME) {
            Some(Map::HashMap(data)) => Ok(Self(data)),
            _ => Err(KernelError::Table { name: NAME }),
        }
    }

    pub(super) fn totals(&mut self, now: KernelNs, mut sink: impl FnMut(DatagramTotals)) -> Result<(), KernelError> {
        let failed = |error| KernelError::Read { name: NAME, error };
        let mut forgotten = Vec::new();
        let table = self.0.fd().as_fd();
        syscall::read_all(table, SHAPE, |key, value| {
            let Ok((totals, told)) = entry(key, value) else { return };
            if told {
                sink(totals);
            } else if now.0.saturating_sub(totals.last.0) > UNTOLD_IDLE_NS {
                forgotten.extend_from_slice(key);
            }
        })
        .map_err(failed)?;
        syscall::delete_all(table, SHAPE, &forgotten).map_err(failed)
    }

    pub(super) fn forget(&mut self, keys: &[DatagramKey]) -> Result<Vec<DatagramTotals>, KernelError> {
        let table = self.0.fd().as_fd();
        let mut found = Vec::with_capacity(keys.len());
        let mut value = Vec::new();
        for key in keys {
            let key = key_bytes(key);
            let there = syscall::take(table, SHAPE, &key, &mut value)
                .map_err(|error| KernelError::Read { name: NAME, error })?;
            if there && let Ok((totals, _)) = entry(&key, &value) {
                found.push(totals);
            }
        }
        Ok(found)
    }
}

/// Reads one entry, and whether its event reached the ring.
fn entry(key: &[u8], value: &[u8]) -> Result<(DatagramTotals, bool), UnreadableEvent> {
    let (key, value) = (Bytes(key), Bytes(value));
    let totals = DatagramTotals {
        place: SocketPlace {
            cookie: value.u64(offset_of!(FlowValueBytes, cookie))?,
            netns: key.u32(offset_of!(FlowKeyBytes, netns))?,
            cgroup: key.u64(offset_of!(FlowKeyBytes, cgroup))?,
        },
        tuple: SocketTuple {
            protocol: Protocol(key.u8(offset_of!(FlowKeyBytes, protocol))?),
            local_ip: address(key.array(offset_of!(FlowKeyBytes, local))?),
            local_port: key.u16(offset_of!(FlowKeyBytes, local_port))?,
            remote_ip: address(key.array(offset_of!(FlowKeyBytes, remote))?),
            remote_port: key.u16(offset_of!(FlowKeyBytes, remote_port))?,
        },
        bytes_out: value.u64(offset_of!(FlowValueBytes, bytes_out))?,
        bytes_in: value.u64(offset_of!(FlowValueBytes, bytes_in))?,
        packets_out: value.u64(offset_of!(FlowValueBytes, packets_out))?,
        packets_in: value.u64(offset_of!(FlowValueBytes, packets_in))?,
        last: KernelNs(value.u64(offset_of!(FlowValueBytes, last))?),
    };
    Ok((totals, value.u32(offset_of!(FlowValueBytes, told))? != 0))
}

fn key_bytes(key: &DatagramKey) -> [u8; SHAPE.key] {
    let mut bytes = [0; SHAPE.key];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(offset_of!(FlowKeyBytes, cgroup), &key.cgroup.to_ne_bytes());
    put(offset_of!(FlowKeyBytes, netns), &key.netns.to_ne_bytes());
    put(offset_of!(FlowKeyBytes, local_port), &key.tuple.local_port.to_ne_bytes());
    put(offset_of!(FlowKeyBytes, remote_port), &key.tuple.remote_port.to_ne_bytes());
    put(offset_of!(FlowKeyBytes, protocol), &[key.tuple.protocol.0]);
    put(offset_of!(FlowKeyBytes, local), &address_bytes(key.tuple.local_ip));
    put(offset_of!(FlowKeyBytes, remote), &address_bytes(key.tuple.remote_ip));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_written() {
        for (local, remote) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            let tuple = SocketTuple {
                protocol: Protocol::UDP,
                local_ip: local.parse().unwrap(),
                local_port: 4242,
                remote_ip: remote.parse().unwrap(),
                remote_port: 53,
            };
            let key = DatagramKey { cgroup: 77, netns: 4_026_531_840, tuple };
            let mut value = [0; SHAPE.value];
            value[..8].copy_from_slice(&9_u64.to_ne_bytes());
            let (totals, told) = entry(&key_bytes(&key), &value).unwrap();
            assert_eq!(DatagramKey::from(&totals), key);
            assert_eq!((totals.bytes_out, told), (9, false));
        }
    }
}
