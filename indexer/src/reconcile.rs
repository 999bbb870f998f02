//! Reads a store and draws the balances of all its streams.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::{Predecessor, Stream, UnixMs};
use store::{EntryQuery, FlowStore, Partial, StoreError};

use crate::balance::report::{Conclusion, End, Report, StreamReport, Totals};
use crate::balance::{StreamBalance, Surroundings};

/// A stream whose latest ledger is younger may be going on: three times the interval between two ledgers.
pub const STILL_OPEN: Duration = Duration::from_secs(30);

/// Entries of one page: some MiB.
const PAGE: usize = 5000;

/// Draws the balances of all streams, as they stand at `now`.
///
/// A stream that does not close is read a second time: what was written or removed while it was read is no loss.
///
/// # Errors
/// Returns [`StoreError`] if the store cannot be read at all; parts that cannot be read are in the report.
pub async fn reconcile<S: FlowStore>(store: &S, now: UnixMs) -> Result<Report, StoreError> {
    let list = store.streams().await?;
    let mut partial = list.partial;
    let mut last_ends: BTreeMap<Stream, Option<UnixMs>> =
        list.streams.into_iter().map(|summary| (summary.stream, summary.last_end)).collect();
    let mut balances: BTreeMap<Stream, StreamBalance> = BTreeMap::new();
    let mut told: BTreeMap<Stream, Predecessor> = BTreeMap::new();
    let mut unread: Vec<Stream> = last_ends.keys().cloned().collect();
    while let Some(stream) = unread.pop() {
        let mut balance = read(store, &stream, &mut partial).await?;
        if let Some(before) = balance.predecessor().cloned() {
            // An incarnation of which nothing was stored is known by its successor alone.
            if !last_ends.contains_key(&before.stream) {
                last_ends.insert(before.stream.clone(), None);
                unread.push(before.stream.clone());
            }
            told.insert(before.stream.clone(), before);
        }
        balances.insert(stream, balance);
    }
    let mut streams = Vec::with_capacity(balances.len());
    for (stream, balance) in balances {
        let around = surroundings(&stream, &last_ends, &told, now);
        let mut report = balance.finish(&around);
        if report.conclusion() == Conclusion::Open {
            let mut again = Vec::new();
            report = read(store, &stream, &mut again).await?.finish(&around);
            partial.extend(again.into_iter().filter(|part| !partial.contains(part)).collect::<Vec<_>>());
        }
        streams.push(report);
    }
    Ok(conclude(streams, partial))
}

async fn read<S: FlowStore>(
    store: &S,
    stream: &Stream,
    partial: &mut Vec<Partial>,
) -> Result<StreamBalance, StoreError> {
    let mut balance = StreamBalance::new(stream.clone());
    let mut query = EntryQuery { stream: stream.clone(), limit: PAGE, cursor: None };
    loop {
        let page = store.entries(&query).await?;
        for part in page.partial {
            if !partial.contains(&part) {
                partial.push(part);
            }
        }
        page.entries.into_iter().for_each(|entry| balance.push(entry));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(balance),
        }
    }
}

fn surroundings(
    stream: &Stream,
    last_ends: &BTreeMap<Stream, Option<UnixMs>>,
    told: &BTreeMap<Stream, Predecessor>,
    now: UnixMs,
) -> Surroundings {
    // Streams are ordered by cluster, node, epoch: the next one of this node is the next incarnation.
    let next = last_ends.range(stream.clone()..).map(|(next, _)| next).find(|next| *next != stream);
    let same_node = |next: &&Stream| next.cluster() == stream.cluster() && next.node() == stream.node();
    let last_end = last_ends.get(stream).copied().flatten();
    let still_open = UnixMs(now.0.saturating_sub(u64::try_from(STILL_OPEN.as_millis()).unwrap_or(u64::MAX)));
    Surroundings {
        told: told.get(stream).cloned(),
        successor_epoch: next.filter(same_node).map(|next| UnixMs(next.epoch())),
        recent: last_end.unwrap_or(UnixMs(stream.epoch())) >= still_open,
        last_end,
    }
}

/// Puts the reports of streams together: what they come to, in sums and in one word. `partial` is what could not be read.
#[must_use]
pub fn conclude(streams: Vec<StreamReport>, partial: Vec<Partial>) -> Report {
    let mut totals = Totals { streams: streams.len() as u64, ..Totals::default() };
    let mut windows = Vec::new();
    // An empty store closes nothing.
    let mut conclusion =
        if partial.is_empty() && !streams.is_empty() { Conclusion::Closed } else { Conclusion::Undecided };
    for stream in &streams {
        let records = &stream.records;
        totals.expected += records.expected;
        totals.stored += records.stored;
        totals.dead_lettered += records.dead_lettered;
        totals.removed += records.removed;
        totals.in_flight += records.in_flight;
        totals.unexplained += records.unexplained;
        totals.findings += stream.findings_total;
        for account in &stream.attempts.accounts {
            totals.seen += u128::from(account.seen);
            totals.started += u128::from(account.stored);
            totals.pending += u128::from(account.pending);
            totals.lost += account.lost.values().map(|n| u128::from(*n)).sum::<u128>();
            totals.filtered += account.filtered.values().map(|n| u128::from(*n)).sum::<u128>();
        }
        if let End::Indeterminate(window) = &stream.end {
            windows.push(window.clone());
        }
        conclusion = match (conclusion, stream.conclusion()) {
            (Conclusion::Open, _) | (_, Conclusion::Open) => Conclusion::Open,
            (Conclusion::Undecided, _) | (_, Conclusion::Undecided) => Conclusion::Undecided,
            (Conclusion::Closed, Conclusion::Closed) => Conclusion::Closed,
        };
    }
    // A part that could not be read makes everything in it seem lost: nothing can be said to be missing.
    if !partial.is_empty() && conclusion == Conclusion::Open {
        let only_missing = |stream: &StreamReport| stream.findings.iter().all(seems_missing);
        if streams.iter().all(only_missing) {
            conclusion = Conclusion::Undecided;
        }
    }
    Report { conclusion, totals, streams, windows, partial }
}

fn seems_missing(finding: &crate::balance::report::Finding) -> bool {
    use crate::balance::report::Finding;
    match finding {
        Finding::Missing { .. } | Finding::Started { .. } | Finding::LedgerChain { .. } => true,
        Finding::Doubled { .. }
        | Finding::Conflict { .. }
        | Finding::Unreadable { .. }
        | Finding::Account { .. }
        | Finding::Digest { .. }
        | Finding::AfterClosing { .. } => false,
    }
}

#[cfg(test)]
mod tests;
