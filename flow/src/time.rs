//! Wall-clock time as the records carry it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Returns the whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the whole days since the epoch (UTC): what the name of a daily index or file is made of.
    #[must_use]
    pub fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}
