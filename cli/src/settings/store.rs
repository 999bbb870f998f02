//! Section `store`: how much the embedded store keeps, in the data directory.

use std::path::Path;

use ::store::sqlite::{DEFAULT_CAP_BYTES, DEFAULT_CAP_DAYS, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::settings::{Problems, Size};

/// Below this a day of a quiet node does not fit, and retention would work against writing.
const LEAST_CAP: Size = Size::bytes(16 << 20);

/// The section `store` as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawStoreSettings {
    /// The most bytes that flows take on disk; the oldest go first, and what went is written down. Default: 2GiB.
    cap_bytes: Option<Size>,
    /// The most days that flows are kept. Default: 8.
    cap_days: Option<u64>,
}

/// The section `store`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StoreSettings {
    cap_bytes: Size,
    cap_days: u64,
}

impl StoreSettings {
    pub(super) fn resolve(raw: &RawStoreSettings, problems: &mut Problems) -> Self {
        let cap_bytes = raw.cap_bytes.unwrap_or(Size::bytes(DEFAULT_CAP_BYTES));
        problems.check("store.cap_bytes", cap_bytes >= LEAST_CAP, || format!("must be at least {LEAST_CAP}"));
        let cap_days = problems.in_range("store.cap_days", raw.cap_days.unwrap_or(DEFAULT_CAP_DAYS), &(1..=3650));
        Self { cap_bytes, cap_days }
    }

    /// Returns how the store in a data directory is opened.
    pub(crate) fn options(&self, data_dir: &Path) -> Options {
        Options { dir: data_dir.to_owned(), cap_bytes: self.cap_bytes.as_bytes(), cap_days: self.cap_days }
    }
}
