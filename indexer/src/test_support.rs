//! A stream told record by record, as a probe would number it and an enricher name it.

use std::collections::BTreeMap;

use flow::digest::{Chain, GENESIS};
use flow::{
    AttemptAccount, Direction, FlowRecord, LedgerRecord, Outcome, Predecessor, Protocol, Reporter, Stream, UnixMs,
};
use store::contract::sample;
use store::{Document, Entry, EntryKind};

/// A stream in the making: every record is one started attempt by TCP or UDP.
pub(crate) struct Story {
    pub(crate) stream: Stream,
    pub(crate) documents: Vec<Document>,
    now: u64,
    seq: u64,
    from_seq: u64,
    ledger_end: u64,
    digest: String,
    chain: Chain,
    started: BTreeMap<(Protocol, Direction), u64>,
    predecessor: Option<Predecessor>,
}

pub(crate) const NODE: &str = "node-a";

impl Story {
    /// Begins a stream of the node at a time.
    pub(crate) fn begins(epoch: u64) -> Self {
        Self {
            stream: Stream::new("local", NODE, epoch).unwrap(),
            documents: Vec::new(),
            now: epoch,
            seq: 0,
            from_seq: 0,
            ledger_end: epoch,
            digest: GENESIS.to_owned(),
            chain: Chain::after(GENESIS),
            started: BTreeMap::new(),
            predecessor: None,
        }
    }

    /// Says what the first ledger tells of the stream before.
    pub(crate) fn after(mut self, before: &Story, closed: bool, next_seq: u64) -> Self {
        let last_known = UnixMs(before.ledger_end);
        self.predecessor = Some(Predecessor { stream: before.stream.clone(), closed, next_seq, last_known });
        self
    }

    /// Numbers some records.
    pub(crate) fn records(mut self, count: u64) -> Self {
        for _ in 0..count {
            let record = self.next_record();
            self.documents.push(Document::Flow(Box::new(record)));
        }
        self
    }

    /// Numbers a record that is never stored.
    pub(crate) fn skipped(mut self) -> Self {
        let _ = self.next_record();
        self
    }

    /// Returns the next record, numbered and accounted for.
    pub(crate) fn next_record(&mut self) -> FlowRecord {
        let seq = self.seq;
        self.now += 100;
        let mut record = sample::full(seq, self.now);
        record.stream = self.stream.clone();
        record.host = NODE.to_owned();
        let (reporter, proto, outcome) = match seq % 4 {
            0 => ("src", "tcp", Outcome::Established),
            1 => ("dst", "tcp", Outcome::Established),
            2 => ("src", "udp", Outcome::Unanswered),
            _ => ("dst", "tcp", Outcome::Dropped),
        };
        record.reporter = reporter.to_owned();
        record.proto = proto.to_owned();
        record.outcome = outcome.as_str().to_owned();
        (record.num_flows, record.num_flows_started) = (3, 1 + seq % 2);
        (record.num_flows_completed, record.num_flows_aborted) = (0, 0);
        let side = if reporter == "src" { Reporter::Src } else { Reporter::Dst };
        let key = (Protocol::parse(proto).unwrap(), Direction::of_record(side, outcome));
        *self.started.entry(key).or_default() += record.num_flows_started;
        self.chain.add(&record);
        self.seq += 1;
        record
    }

    /// Writes a ledger.
    pub(crate) fn ledger(mut self) -> Self {
        let ledger = self.next_ledger(false);
        self.documents.push(Document::Ledger(Box::new(ledger)));
        self
    }

    /// Writes the closing ledger.
    pub(crate) fn closes(mut self) -> Self {
        let ledger = self.next_ledger(true);
        self.documents.push(Document::Ledger(Box::new(ledger)));
        self
    }

    /// Returns the next ledger.
    pub(crate) fn next_ledger(&mut self, closing: bool) -> LedgerRecord {
        self.now += 10;
        let account = |(key, started): (&(Protocol, Direction), &u64)| AttemptAccount {
            protocol: key.0,
            direction: key.1,
            seen: started + 5,
            started: *started,
            pending: 2,
            lost: [(flow::LossReason::RingFull, 1)].into(),
            filtered: [(flow::FilterReason::Loopback, 2)].into(),
        };
        let digest = std::mem::replace(&mut self.chain, Chain::after(GENESIS)).finish();
        self.chain = Chain::after(&digest);
        self.digest.clone_from(&digest);
        let ledger = LedgerRecord {
            stream: self.stream.clone(),
            seq: self.seq,
            from_seq: self.from_seq,
            start_time: UnixMs(self.ledger_end),
            end_time: UnixMs(self.now),
            closing,
            predecessor: self.predecessor.take(),
            attempts: self.started.iter().map(account).collect(),
            missed_runs: 0,
            digest,
        };
        self.from_seq = self.seq;
        self.ledger_end = self.now;
        self.seq += 1;
        ledger
    }

    /// Returns the stream as a store would give it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.documents.iter().map(entry).collect()
    }

    /// Changes one record, as somebody who edits the store would.
    pub(crate) fn edited(mut self, seq: u64, edit: impl FnOnce(&mut FlowRecord)) -> Self {
        let found = self.documents.iter_mut().find_map(|document| match document {
            Document::Flow(record) if record.seq == seq => Some(record),
            _ => None,
        });
        edit(found.unwrap());
        self
    }

    /// Changes one ledger.
    pub(crate) fn edited_ledger(mut self, seq: u64, edit: impl FnOnce(&mut LedgerRecord)) -> Self {
        let found = self.documents.iter_mut().find_map(|document| match document {
            Document::Ledger(ledger) if ledger.seq == seq => Some(ledger),
            _ => None,
        });
        edit(found.unwrap());
        self
    }
}

fn entry(document: &Document) -> Entry {
    let place = "day".into();
    match document {
        Document::Flow(record) => Entry { seq: record.seq, place, kind: EntryKind::Flow((&**record).into()) },
        Document::Ledger(ledger) => Entry { seq: ledger.seq, place, kind: EntryKind::Ledger(ledger.clone()) },
        Document::DeadLetter(letter) => Entry {
            seq: letter.id.as_ref().unwrap().seq,
            place,
            kind: EntryKind::DeadLetter { reason: letter.reason.clone(), value: letter.value.clone() },
        },
    }
}
