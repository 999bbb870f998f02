//! Writing: fidelity, an answer an item, and once.

use flow::record::Labels;

use super::sample::{HOSTILE, MIDNIGHT, full, hostile, ledger, minimal};
use super::{Subject, all_pages, assert_same, everything, write, write_new};
use crate::document::{Answer, Document};

pub(super) async fn gives_back_what_was_written<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let mut records = vec![minimal(0, MIDNIGHT), full(1, MIDNIGHT + 1)];
    let most = i64::MAX.cast_unsigned();
    let mut large = full(2, MIDNIGHT + 2);
    (large.bytes_in, large.num_flows_started, large.tcp_lost_packets) = (most, most, Some(most));
    let mut empty = full(3, MIDNIGHT + 3);
    empty.source_labels = Some(Labels::default());
    empty.dest_labels = None;
    let mut unsorted = full(4, MIDNIGHT + 4);
    unsorted.source_labels = Some(Labels { labels: vec!["z=1".into(), "a=1".into(), "z=1".into()] });
    unsorted.dest_domains = vec!["b".into(), "a".into()];
    records.extend([large, empty, unsorted]);
    for (seq, word) in (5..).zip(HOSTILE) {
        records.push(hostile(seq, MIDNIGHT + seq, word));
    }
    write_new(subject, &store, &records).await;
    assert_same(&all_pages(&store, &everything()).await, &records, "what was written comes back");
}

pub(super) async fn answers_item_by_item<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let flow = |record| Document::Flow(Box::new(record));
    let mut too_large = minimal(3, MIDNIGHT);
    too_large.bytes_out = u64::MAX;
    let mut conflict = minimal(0, MIDNIGHT);
    conflict.bytes_in = 1;
    let mut other_names = minimal(0, MIDNIGHT);
    other_names.source_name = "learnt-later".to_owned();
    let beyond = minimal(4, u64::MAX / 2);
    let answers = write(
        subject,
        &store,
        vec![
            flow(minimal(0, MIDNIGHT)),
            flow(minimal(0, MIDNIGHT)),
            flow(too_large),
            flow(minimal(1, MIDNIGHT - 1)),
            flow(conflict),
            Document::Ledger(Box::new(ledger(2, 0, MIDNIGHT))),
            Document::Ledger(Box::new(ledger(2, 1, MIDNIGHT))),
            flow(other_names),
            flow(beyond),
        ],
    )
    .await;
    let expected: [fn(&Answer) -> bool; 9] = [
        |a| *a == Answer::Created,
        |a| *a == Answer::Duplicate,
        |a| matches!(a, Answer::Rejected(why) if why.contains("bytes_out")),
        |a| *a == Answer::Created,
        |a| *a == Answer::Conflict,
        |a| *a == Answer::Created,
        |a| *a == Answer::Conflict,
        |a| *a == Answer::Duplicate,
        |a| matches!(a, Answer::Rejected(_)),
    ];
    for (at, (answer, holds)) in answers.iter().zip(expected).enumerate() {
        assert!(holds(answer), "item {at} was answered {answer:?}");
    }
    let found = all_pages(&store, &everything()).await;
    assert_same(&found, &[minimal(0, MIDNIGHT), minimal(1, MIDNIGHT - 1)], "the first write stays");
}

pub(super) async fn writes_once<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let records = super::sample::mixed(200, 3);
    write_new(subject, &store, &records).await;
    for _ in 0..2 {
        let again = records.iter().cloned().map(|r| Document::Flow(Box::new(r))).collect();
        let answers = write(subject, &store, again).await;
        assert!(answers.iter().all(|answer| *answer == Answer::Duplicate));
    }
    assert_same(&all_pages(&store, &everything()).await, &records, "a replay doubles nothing");
    assert_eq!(write(subject, &store, Vec::new()).await, [], "an empty batch is no failure");
}
