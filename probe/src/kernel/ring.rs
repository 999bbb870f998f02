//! The rings through which events come.

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};

use super::{KernelError, Polled};

/// Events of one ring in one look. 32,768 TCP events are half of the default ring.
const MOST: usize = 32_768;

/// A ring's reading end.
pub(super) struct Ring(RingBuf<MapData>);

impl Ring {
    /// Takes a ring out of the loaded object.
    pub(super) fn take(programs: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        let map = programs.take_map(name).ok_or(KernelError::Table { name })?;
        RingBuf::try_from(map).map(Self).map_err(|_| KernelError::Table { name })
    }

    /// Hands the bytes of each waiting event to `visit`, up to a bound.
    pub(super) fn drain(&mut self, mut visit: impl FnMut(&[u8])) -> Polled {
        for events in 0..MOST {
            match self.0.next() {
                Some(bytes) => visit(&bytes),
                None => return Polled { events, more: false },
            }
        }
        Polled { events: MOST, more: true }
    }
}
