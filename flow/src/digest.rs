//! The digest of a ledger record: a chain over the quantities of all records that it accounts for.
//!
//! It can be taken from raw records as the probe numbers them and, equally, from the flow records in the store, so that a
//! deleted, doubled, edited or reordered document shows. Each record gives one line
//! `seq|end_time|outcome|flows_started|bytes_in|bytes_out|packets_in|packets_out` (decimal, time in Unix ms, ended by a
//! newline); the digest is SHA-256 over the digest of the ledger before (64 zeros for the first) and a newline, followed by
//! the lines of the flow records `from_seq..seq` in order. The ledger record at `from_seq` has no line: its digest begins
//! the chain.

use std::io::Write;

use sha2::{Digest as _, Sha256};

use crate::{FlowRecord, RawFlow};

/// The digest before the first ledger record of a stream.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The quantities of one record that the chain covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantities<'a> {
    /// Number of the record in its stream.
    pub seq: u64,
    /// End of the record in Unix milliseconds.
    pub end_time_ms: u64,
    /// Keyword of the outcome.
    pub outcome: &'a str,
    /// Attempts started.
    pub flows_started: u64,
    /// Bytes received by the reporting end.
    pub bytes_in: u64,
    /// Bytes sent by the reporting end.
    pub bytes_out: u64,
    /// Packets received by the reporting end.
    pub packets_in: u64,
    /// Packets sent by the reporting end.
    pub packets_out: u64,
}

impl From<&RawFlow> for Quantities<'static> {
    fn from(record: &RawFlow) -> Self {
        Self {
            seq: record.seq,
            end_time_ms: record.end_time.0,
            outcome: record.outcome.as_str(),
            flows_started: record.counters.flows_started,
            bytes_in: record.counters.bytes_in,
            bytes_out: record.counters.bytes_out,
            packets_in: record.counters.packets_in,
            packets_out: record.counters.packets_out,
        }
    }
}

impl<'a> From<&'a FlowRecord> for Quantities<'a> {
    fn from(record: &'a FlowRecord) -> Self {
        Self {
            seq: record.seq,
            end_time_ms: record.timestamp.0,
            outcome: &record.outcome,
            flows_started: record.num_flows_started,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            packets_in: record.packets_in,
            packets_out: record.packets_out,
        }
    }
}

/// A chain in the making: one for each interval between two ledger records.
#[derive(Debug, Clone)]
pub struct Chain {
    hash: Sha256,
    line: Vec<u8>,
}

impl Chain {
    /// Begins the interval after the ledger record with digest `before`; [`GENESIS`] for the first.
    #[must_use]
    pub fn after(before: &str) -> Self {
        Self { hash: Sha256::new().chain_update(before).chain_update(b"\n"), line: Vec::with_capacity(128) }
    }

    /// Adds a record. Records are added in the order of their numbers.
    pub fn add<'a>(&mut self, record: impl Into<Quantities<'a>>) {
        let q: Quantities<'a> = record.into();
        self.line.clear();
        writeln!(
            self.line,
            "{}|{}|{}|{}|{}|{}|{}|{}",
            q.seq, q.end_time_ms, q.outcome, q.flows_started, q.bytes_in, q.bytes_out, q.packets_in, q.packets_out
        )
        .expect("writing to memory does not fail");
        self.hash.update(&self.line);
    }

    /// Ends the interval: returns the digest in 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        let digest = self.hash.finalize();
        let mut text = String::with_capacity(64);
        for byte in digest {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).expect("four bits are one hexadecimal digit"));
            }
        }
        text
    }
}

/// Says whether a text has the form of a digest: 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64) -> Quantities<'static> {
        Quantities {
            seq,
            end_time_ms: 1_700_000_000_123,
            outcome: "established",
            flows_started: 1,
            bytes_in: 20,
            bytes_out: 10,
            packets_in: 4,
            packets_out: 5,
        }
    }

    fn digest(records: &[Quantities<'static>]) -> String {
        let mut chain = Chain::after(GENESIS);
        for q in records {
            chain.add(*q);
        }
        chain.finish()
    }

    /// Checked with `printf '%s\n' … | sha256sum`.
    #[test]
    fn is_sha256_over_plain_lines() {
        let mut plain = Sha256::new();
        plain.update(format!("{GENESIS}\n7|1700000000123|established|1|20|10|4|5\n"));
        let expected: String = plain.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(digest(&[record(7)]), expected);
        assert!(is_digest(&expected));
        assert!(is_digest(GENESIS));
    }

    #[test]
    fn shows_what_was_done_to_the_records() {
        let whole = digest(&[record(0), record(1), record(2)]);
        assert_ne!(whole, digest(&[record(0), record(2)]), "deleted");
        assert_ne!(whole, digest(&[record(0), record(1), record(1), record(2)]), "doubled");
        assert_ne!(whole, digest(&[record(1), record(0), record(2)]), "reordered");
        let edited = Quantities { bytes_in: 21, ..record(1) };
        assert_ne!(whole, digest(&[record(0), edited, record(2)]), "edited");
        let mut after_other = Chain::after(&digest(&[]));
        for seq in 0..3 {
            after_other.add(record(seq));
        }
        assert_ne!(whole, after_other.finish(), "other predecessor");
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "0", &GENESIS[1..], &GENESIS.replace('0', "A"), &GENESIS.replace('0', "g")] {
            assert!(!is_digest(text), "{text}");
        }
    }
}
