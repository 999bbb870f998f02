//! The recorded sample: raw records of a lab with two nodes, and the manifests of its cluster, carried in the binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

include!(concat!(env!("OUT_DIR"), "/sample.rs"));

/// Where the parts of the sample were written.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Raw records and ledgers as JSON lines.
    pub(crate) raw: PathBuf,
    /// The manifests.
    pub(crate) manifests: PathBuf,
}

/// Writes the sample into a directory.
///
/// # Errors
/// Returns a failure if a file cannot be written.
pub(crate) fn write_to(directory: &Path) -> anyhow::Result<Sample> {
    let sample = Sample { raw: directory.join("raw.jsonl"), manifests: directory.join("manifests") };
    write(&sample.raw, RAW)?;
    fs::create_dir_all(&sample.manifests).with_context(|| format!("cannot create `{}`", sample.manifests.display()))?;
    MANIFESTS.iter().try_for_each(|(name, content)| write(&sample.manifests.join(name), content))?;
    Ok(sample)
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use flow::wire::{RawValue, decode_raw};

    use super::*;

    #[test]
    fn every_line_is_a_record_and_every_stream_ends_with_a_closing_ledger() {
        let values: Vec<RawValue> = RAW.lines().map(|line| decode_raw(line.as_bytes()).unwrap()).collect();
        let mut last = std::collections::BTreeMap::new();
        for value in &values {
            let closing = matches!(value, RawValue::Ledger(ledger) if ledger.closing);
            last.insert(value.headers().stream, closing);
        }
        assert!(!last.is_empty() && last.values().all(|closing| *closing), "{last:?}");
    }

    #[test]
    fn the_manifests_are_valid() {
        let directory = tempfile::tempdir().unwrap();
        let sample = write_to(directory.path()).unwrap();
        let (_, invalid) = cluster::manifests::read(&sample.manifests, cluster::manifests::Limits::default());
        assert_eq!(invalid, []);
    }
}
