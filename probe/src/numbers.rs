//! The numbers of a stream: dense, from 0, records and ledgers alike, and the digest of what they went to.

use flow::digest::{Chain, GENESIS};
use flow::{AttemptAccount, LedgerRecord, Predecessor, RawFlow, Stream, UnixMs};

/// Gives numbers to the records of one stream.
#[derive(Debug)]
pub struct Numbers {
    stream: Stream,
    next: u64,
    from: u64,
    since: UnixMs,
    chain: Chain,
}

impl Numbers {
    /// Makes the numbers of a stream that begins at `begin`.
    #[must_use]
    pub fn new(stream: Stream, begin: UnixMs) -> Self {
        Self { stream, next: 0, from: 0, since: begin, chain: Chain::after(GENESIS) }
    }

    /// Gives a record its stream and number.
    pub fn number(&mut self, record: &mut RawFlow) {
        record.stream = self.stream.clone();
        record.seq = self.next;
        self.next += 1;
        self.chain.add(&*record);
    }

    /// Makes a ledger record over all numbers given before, and gives it its own.
    pub fn ledger(
        &mut self,
        now: UnixMs,
        attempts: Vec<AttemptAccount>,
        missed_runs: u64,
        closing: bool,
        predecessor: Option<Predecessor>,
    ) -> LedgerRecord {
        // The clock may have been set back; the account's time runs forward all the same.
        let end = now.max(self.since);
        let digest = std::mem::replace(&mut self.chain, Chain::after(GENESIS)).finish();
        self.chain = Chain::after(&digest);
        let record = LedgerRecord {
            stream: self.stream.clone(),
            seq: self.next,
            from_seq: self.from,
            start_time: self.since,
            end_time: end,
            closing,
            predecessor,
            attempts,
            missed_runs,
            digest,
        };
        self.from = self.next;
        self.next += 1;
        self.since = end;
        record
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns the number that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_take_numbers_and_chain_their_digests() {
        let mut numbers = Numbers::new("c/n/1".parse().unwrap(), UnixMs(10));
        let first = numbers.ledger(UnixMs(20), Vec::new(), 0, false, None);
        let second = numbers.ledger(UnixMs(15), Vec::new(), 3, true, None);
        assert_eq!((first.from_seq, first.seq, second.from_seq, second.seq), (0, 0, 0, 1));
        assert_eq!((second.start_time, second.end_time), (UnixMs(20), UnixMs(20)));
        assert_eq!(second.digest, Chain::after(&first.digest).finish());
        assert_eq!(numbers.next(), 2);
        assert_eq!((first.validate(), second.validate()), (Ok(()), Ok(())));
    }
}
