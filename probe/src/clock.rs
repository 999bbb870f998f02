//! From the kernel's monotonic clock to wall-clock time. The offset is measured outside and comes in as a value, so
//! that the middle of the probe has no clock; [`measure`] and [`unix_now`] are for its two ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::UnixMs;

use crate::kernel::event::KernelNs;
use crate::kernel::kernel_now;

/// The offset between both clocks, as last measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WallClock {
    offset_ns: i128,
}

impl WallClock {
    /// Makes a clock of one simultaneous reading of both: the kernel's time and Unix nanoseconds.
    #[must_use]
    pub fn of(kernel: KernelNs, unix_ns: u128) -> Self {
        let unix = i128::try_from(unix_ns).unwrap_or(i128::MAX);
        Self { offset_ns: unix - i128::from(kernel.0) }
    }

    /// Returns the wall-clock time of a kernel time; times before 1970 become 0.
    #[must_use]
    pub fn wall(&self, at: KernelNs) -> UnixMs {
        let ns = self.offset_ns + i128::from(at.0);
        UnixMs(u64::try_from(ns / 1_000_000).unwrap_or(0))
    }
}

/// Reads both clocks. The kernel's is read before and after, so that a pause in between shifts the offset by half.
#[must_use]
pub fn measure() -> WallClock {
    let before = kernel_now();
    let unix = since_epoch();
    let after = kernel_now();
    WallClock::of(KernelNs(before.0.midpoint(after.0)), unix.as_nanos())
}

/// Returns the wall-clock time.
#[must_use]
pub fn unix_now() -> UnixMs {
    UnixMs(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl KernelNs {
    /// Returns the time that many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Returns the milliseconds since an earlier time; 0 if it is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_kernel_time_to_wall_time() {
        let clock = WallClock::of(KernelNs(5_000_000), 1_700_000_000_000_000_000);
        assert_eq!(clock.wall(KernelNs(5_000_000)), UnixMs(1_700_000_000_000));
        assert_eq!(clock.wall(KernelNs(6_500_000)), UnixMs(1_700_000_000_001));
    }

    #[test]
    fn never_goes_below_the_epoch() {
        assert_eq!(WallClock::of(KernelNs(10), 0).wall(KernelNs(1)), UnixMs(0));
    }
}
