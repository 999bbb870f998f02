//! The input of part `run`: a cluster of a thousand pods as manifests, and raw records of its traffic, from a seed.

mod cluster;
mod random;
mod traffic;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flow::{RawFlow, Reporter, UnixMs, wire};

use self::cluster::Cluster;
use self::random::Random;

/// The seed: every run has the same cluster and the same traffic, but for the time of day.
const SEED: u64 = 0x6d69_6c6c_7261_6365;
/// Pairs of pods that talk.
const PAIRS: usize = 5_000;

/// Generated input.
#[derive(Debug)]
pub(crate) struct Input {
    /// Raw records as JSON lines.
    pub(crate) raw: PathBuf,
    /// Folder of manifests.
    pub(crate) manifests: PathBuf,
    /// Raw records.
    pub(crate) records: u64,
    /// Bytes of the raw records.
    pub(crate) bytes: u64,
    /// Nodes, each with a stream.
    pub(crate) nodes: u64,
    /// What must be in the store, by the names of both pods.
    pub(crate) expected: BTreeMap<(String, String), Expected>,
}

/// What the records of a pair of pods add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Expected {
    /// Records.
    pub(crate) records: u64,
    /// Attempts started.
    pub(crate) started: u128,
    /// Payload from the initiator to the receiver.
    pub(crate) bytes_to_dest: u128,
    /// Payload from the receiver to the initiator.
    pub(crate) bytes_to_source: u128,
}

impl Expected {
    fn add(&mut self, record: &RawFlow) {
        let counters = &record.counters;
        let (to_dest, to_source) = match record.reporter {
            Reporter::Src => (counters.bytes_out, counters.bytes_in),
            Reporter::Dst | Reporter::Fwd => (counters.bytes_in, counters.bytes_out),
        };
        self.records += 1;
        self.started += u128::from(counters.flows_started);
        self.bytes_to_dest += u128::from(to_dest);
        self.bytes_to_source += u128::from(to_source);
    }
}

impl Input {
    /// Writes the input to a directory.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn generate(directory: &Path, records: u64) -> anyhow::Result<Self> {
        let mut random = Random::new(SEED);
        let cluster = Cluster::generate(&mut random);
        let manifests = directory.join("manifests");
        fs::create_dir_all(&manifests)?;
        fs::write(manifests.join("cluster.yaml"), cluster.manifests())?;
        let pairs = traffic::pairs(&cluster, PAIRS, &mut random);
        let raw = directory.join("raw.jsonl");
        let mut out = BufWriter::new(File::create(&raw).context("cannot write the records")?);
        let (mut bytes, mut next_seq) = (0, vec![0; cluster.nodes.len()]);
        let mut expected: BTreeMap<(String, String), Expected> = BTreeMap::new();
        let begin = unix_now().0.saturating_sub(60_000);
        for number in 0..records {
            let pair = &pairs[random.skewed(pairs.len())];
            // All of it lies in the minute before now, so that it is stored under one day, or two at midnight.
            let end = UnixMs(begin + number * 60_000 / records.max(1));
            let record = traffic::record(&cluster, pair, end, &mut next_seq, &mut random)?;
            let names = (cluster.pods[pair.source].name.clone(), cluster.pods[pair.dest].name.clone());
            expected.entry(names).or_default().add(&record);
            let mut line = wire::encode_raw(&record)?;
            line.push(b'\n');
            bytes += line.len() as u64;
            out.write_all(&line)?;
        }
        out.flush()?;
        Ok(Self { raw, manifests, records, bytes, nodes: cluster.nodes.len() as u64, expected })
    }
}

/// Returns the present time.
pub(crate) fn unix_now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_valid_and_the_same_each_time_but_for_the_time() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = Input::generate(first.path(), 500).unwrap();
        let b = Input::generate(second.path(), 500).unwrap();
        assert_eq!(a.expected, b.expected);
        assert_eq!(a.expected.values().map(|e| e.records).sum::<u64>(), 500);
        let text = fs::read_to_string(&a.raw).unwrap();
        assert_eq!(text.len() as u64, a.bytes);
        for line in text.lines() {
            wire::decode_raw(line.as_bytes()).unwrap();
        }
    }
}
