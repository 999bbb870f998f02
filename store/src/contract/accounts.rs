//! Streams, entries and dead letters: what the balances are drawn from.

use flow::{RecordId, Stream, UnixMs};

use super::sample::{HOSTILE, MIDNIGHT, full, ledger, minimal, stream};
use super::{Subject, write};
use crate::FlowStore;
use crate::document::{Answer, DeadLetter, Document, Stage};
use crate::entry::{Entry, EntryKind, EntryQuery, Quantities};
use crate::query::DeadLetterQuery;

pub(super) async fn lists_streams_entry_by_entry<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let other = Stream::new("local", "node-b", 7).unwrap();
    let mut foreign = full(9, MIDNIGHT);
    (foreign.stream, foreign.host) = (other.clone(), "node-b".to_owned());
    // Written out of order, over two days, with a gap at 3.
    let documents = vec![
        Document::Flow(Box::new(full(5, MIDNIGHT + 5))),
        Document::Flow(Box::new(full(0, MIDNIGHT - 5))),
        Document::Ledger(Box::new(ledger(2, 0, MIDNIGHT - 1))),
        Document::Flow(Box::new(full(1, MIDNIGHT + 1))),
        Document::DeadLetter(Box::new(letter(Some(4), "decode", 1))),
        Document::DeadLetter(Box::new(letter(Some(4), "conflict", 2))),
        Document::Ledger(Box::new(ledger(6, 2, MIDNIGHT + 6))),
        Document::Flow(Box::new(foreign)),
    ];
    write(subject, &store, documents).await;
    let list = store.streams().await.unwrap();
    assert_eq!(list.partial, []);
    assert_eq!(list.streams.iter().map(|s| s.stream.clone()).collect::<Vec<_>>(), [stream(), other]);
    let summary = &list.streams[0];
    assert_eq!((summary.stored, summary.dead_letters, summary.last_seq), (5, 1, 6));
    assert_eq!(summary.last_end, Some(UnixMs(MIDNIGHT + 6)));
    for limit in [1, 2, 3, 100] {
        let entries = all_entries(&store, limit).await;
        let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 4, 5, 6], "pages of {limit}");
        assert_eq!(entries[0].kind, EntryKind::Flow(Quantities::from(&full(0, MIDNIGHT - 5))));
        assert_eq!(entries[2].kind, EntryKind::Ledger(Box::new(ledger(2, 0, MIDNIGHT - 1))));
        let EntryKind::DeadLetter { reason, value } = &entries[3].kind else { panic!("{:?}", entries[3]) };
        assert_eq!(reason, "conflict", "the reason that counts");
        assert_eq!(*value, letter(Some(4), "conflict", 2).value);
    }
}

pub(super) async fn shows_one_number_in_two_places<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let one = Document::Flow(Box::new(minimal(0, MIDNIGHT - 1)));
    let other = Document::Flow(Box::new(minimal(0, MIDNIGHT)));
    assert_eq!(write(subject, &store, vec![one, other]).await, [Answer::Created, Answer::Created]);
    for limit in [1, 10] {
        let entries = all_entries(&store, limit).await;
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [0, 0]);
        assert_ne!(entries[0].place, entries[1].place, "each says where it lies");
    }
}

async fn all_entries(store: &impl FlowStore, limit: usize) -> Vec<Entry> {
    let mut query = EntryQuery { stream: stream(), limit, cursor: None };
    let mut entries = Vec::new();
    loop {
        let page = store.entries(&query).await.unwrap();
        assert_eq!(page.partial, []);
        entries.extend(page.entries);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return entries,
        }
    }
}

pub(super) async fn keeps_dead_letters<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let mut letters = vec![letter(Some(3), "decode", 0), letter(None, "foreign", 1), letter(None, "foreign", 2)];
    for (offset, word) in (10..).zip(HOSTILE) {
        letters.push(DeadLetter { detail: word.to_owned(), ..letter(Some(offset), "decode", offset) });
    }
    let documents = |letters: &[DeadLetter]| {
        letters.iter().map(|letter| Document::DeadLetter(Box::new(letter.clone()))).collect::<Vec<_>>()
    };
    let answers = write(subject, &store, documents(&letters)).await;
    assert!(answers.iter().all(|answer| *answer == Answer::Created), "{answers:?}");
    let answers = write(subject, &store, documents(&letters)).await;
    assert!(answers.iter().all(|answer| *answer == Answer::Duplicate), "{answers:?}");
    for limit in [1, 4, 0] {
        let mut query = DeadLetterQuery { limit, ..DeadLetterQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = store.dead_letters(&query).await.unwrap();
            assert_eq!(page.partial, []);
            found.extend(page.letters);
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(found, letters, "oldest first, in pages of {limit}");
    }
    let late = DeadLetterQuery { from: Some(UnixMs(MIDNIGHT + 10)), ..DeadLetterQuery::default() };
    assert_eq!(store.dead_letters(&late).await.unwrap().letters, letters[3..]);
    let early = DeadLetterQuery { to: Some(UnixMs(MIDNIGHT + 10)), ..DeadLetterQuery::default() };
    assert_eq!(store.dead_letters(&early).await.unwrap().letters, letters[..3]);
}

fn letter(seq: Option<u64>, reason: &str, offset: u64) -> DeadLetter {
    DeadLetter {
        id: seq.map(|seq| RecordId { stream: stream(), seq }),
        stage: Stage::Indexer,
        reason: reason.to_owned(),
        detail: "line 1 column 2: expected value".to_owned(),
        topic: "millrace.flows.enriched.v1".to_owned(),
        partition: 0,
        offset,
        timestamp: UnixMs(MIDNIGHT + offset),
        value: vec![0, 255, b'{', u8::try_from(offset).unwrap_or(0)],
    }
}
