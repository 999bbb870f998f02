//! The kernel's table of drops already told.

use std::mem::offset_of;
use std::os::fd::AsFd;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData};

use super::KernelError;
use super::bytes::Bytes;
use super::event::KernelNs;
use super::layout::{DROP_KEY, DropValueBytes};
use super::syscall::{self, Shape};

const NAME: &str = "drops";
const SHAPE: Shape = Shape { key: DROP_KEY, value: size_of::<DropValueBytes>() };

/// What a look through the table found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DropSweep {
    /// Entries forgotten.
    pub forgotten: usize,
    /// Packets that these entries stood for, the first included.
    pub packets: u64,
    /// Entries that stay.
    pub kept: usize,
}

/// The table.
pub(super) struct Drops(MapData);

impl Drops {
    pub(super) fn take(programs: &mut Ebpf) -> Result<Self, KernelError> {
        match programs.take_map(NAME) {
            Some(Map::HashMap(data)) => Ok(Self(data)),
            _ => Err(KernelError::Table { name: NAME }),
        }
    }

    pub(super) fn forget(&mut self, now: KernelNs, idle: Duration) -> Result<DropSweep, KernelError> {
        let failed = |error| KernelError::Read { name: NAME, error };
        let idle = u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX);
        let table = self.0.fd().as_fd();
        let (mut sweep, mut old) = (DropSweep::default(), Vec::new());
        syscall::read_all(table, SHAPE, |key, value| {
            let (count, last) = (
                Bytes(value).u64(offset_of!(DropValueBytes, count)).unwrap_or(0),
                Bytes(value).u64(offset_of!(DropValueBytes, last)).unwrap_or(0),
            );
            if now.0.saturating_sub(last) >= idle {
                old.extend_from_slice(key);
                sweep.forgotten += 1;
                sweep.packets += count;
            } else {
                sweep.kept += 1;
            }
        })
        .map_err(failed)?;
        syscall::delete_all(table, SHAPE, &old).map_err(failed)?;
        Ok(sweep)
    }
}
