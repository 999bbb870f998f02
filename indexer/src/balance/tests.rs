use flow::wire;
use store::EntryKind;

use super::report::Conclusion;
use super::*;
use crate::test_support::Story;

const EPOCH: u64 = 1_795_564_000_000;

fn finish(entries: Vec<Entry>, around: &Surroundings) -> StreamReport {
    let mut balance = StreamBalance::new(Story::begins(EPOCH).stream);
    entries.into_iter().for_each(|entry| balance.push(entry));
    let report = balance.finish(around);
    let records = &report.records;
    let parts = records.stored + records.dead_lettered + records.removed + records.in_flight + records.unexplained;
    assert_eq!(records.expected, parts, "the columns add up: {records:?}");
    report
}

fn closed(story: &Story) -> StreamReport {
    finish(story.entries(), &Surroundings::default())
}

/// Numbers: 0–9, ledger 10, 11–20, ledger 21, 22–26, closing ledger 27.
fn whole() -> Story {
    Story::begins(EPOCH).records(10).ledger().records(10).ledger().records(5).closes()
}

fn without(seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    whole().entries().into_iter().filter(|entry| !seqs.contains(&entry.seq)).collect()
}

fn dead(seq: u64, reason: &str, value: Vec<u8>) -> Entry {
    Entry { seq, place: "day".into(), kind: EntryKind::DeadLetter { reason: reason.to_owned(), value } }
}

fn insert(mut entries: Vec<Entry>, entry: Entry) -> Vec<Entry> {
    let at = entries.partition_point(|other| other.seq <= entry.seq);
    entries.insert(at, entry);
    entries
}

#[test]
fn a_whole_stream_closes() {
    let report = closed(&whole());
    assert_eq!(report.findings, []);
    assert_eq!(report.conclusion(), Conclusion::Closed);
    assert_eq!((report.records.expected, report.records.stored), (28, 28));
    assert_eq!((report.attempts.ledgers, report.attempts.verified_intervals), (3, 3));
    for account in &report.attempts.accounts {
        assert_eq!(account.started, account.stored, "{account:?}");
    }
}

#[test]
fn a_missing_record_is_named_with_the_ledger_that_shows_it() {
    let report = finish(without(13..=14), &Surroundings::default());
    assert_eq!(report.conclusion(), Conclusion::Open);
    assert_eq!(report.records.unexplained, 2);
    assert_eq!(report.findings[0], Finding::Missing { seq: 13, to: 14 });
    let started = |f: &&Finding| matches!(f, Finding::Started { seq: 21, from_seq: 10, .. });
    assert_eq!(report.findings.iter().filter(started).count(), 2, "two accounts lack what was in it");
    let digest = report.findings.iter().any(|f| matches!(f, Finding::Digest { .. }));
    assert!(!digest, "what is missing needs no second name");
}

#[test]
fn a_missing_ledger_is_a_missing_number() {
    let report = finish(without(10..=10), &Surroundings::default());
    assert_eq!(report.findings, [Finding::Missing { seq: 10, to: 10 }]);
    let report = finish(without(0..=0), &Surroundings::default());
    assert_eq!(report.findings[0], Finding::Missing { seq: 0, to: 0 }, "the first number is missed too");
}

#[test]
fn an_edited_record_is_found_by_its_interval() {
    let edits: [fn(&mut flow::FlowRecord); 4] = [
        |r| r.bytes_in += 1,
        |r| r.packets_out -= 1,
        |r| r.outcome = "refused".to_owned(),
        |r| r.timestamp = flow::UnixMs(r.timestamp.0 + 1),
    ];
    for edit in edits {
        let report = closed(&whole().edited(12, edit));
        assert!(report.findings.contains(&Finding::Digest { seq: 21, from_seq: 10 }), "{:?}", report.findings);
        assert_eq!(report.attempts.verified_intervals, 2, "the chain goes on with what the ledgers say");
    }
    let report = closed(&whole().edited(12, |r| r.num_flows_started += 1));
    let [Finding::Started { seq: 21, ledger, records, .. }, Finding::Digest { seq: 21, .. }] = &report.findings[..]
    else {
        panic!("{:?}", report.findings)
    };
    assert_eq!(*records, u64::try_from(*ledger).unwrap() + 1);
}

#[test]
fn a_ledger_off_by_one_is_named() {
    let edits: [fn(&mut flow::AttemptAccount); 5] = [
        |a| a.seen += 1,
        |a| a.pending += 1,
        |a| a.started -= 1,
        |a| *a.lost.get_mut(&flow::LossReason::RingFull).unwrap() += 1,
        |a| a.filtered.clear(),
    ];
    for edit in edits {
        let report = closed(&whole().edited_ledger(21, |ledger| edit(&mut ledger.attempts[0])));
        let account = |f: &Finding| matches!(f, Finding::Account { seq: 21, .. });
        assert!(report.findings.iter().any(account), "{:?}", report.findings);
        assert_eq!(report.findings[0].seq(), 21, "where it first fails");
    }
    // Both sides by one: closes in itself, and not with the records.
    let both = |ledger: &mut LedgerRecord| {
        ledger.attempts[0].seen += 1;
        ledger.attempts[0].started += 1;
    };
    let report = closed(&whole().edited_ledger(21, both));
    assert!(matches!(report.findings[0], Finding::Started { seq: 21, .. }), "{:?}", report.findings);
    let report = closed(&whole().edited_ledger(21, |ledger| ledger.digest.replace_range(..1, "x")));
    assert_eq!(report.findings[0], Finding::Digest { seq: 21, from_seq: 10 });
    let report = closed(&whole().edited_ledger(21, |ledger| ledger.from_seq = 11));
    assert_eq!(report.findings[0], Finding::LedgerChain { seq: 21, from_seq: 11, before: Some(10) });
}

#[test]
fn a_number_in_two_places_is_doubled() {
    let story = whole();
    let mut again = story.entries()[12].clone();
    again.place = "other day".into();
    let report = finish(insert(story.entries(), again.clone()), &Surroundings::default());
    let places = vec!["day".to_owned(), "other day".to_owned()];
    assert_eq!(report.findings, [Finding::Doubled { seq: 12, places: places.clone(), same: true }]);
    assert_eq!(report.records.doubled, 1);
    let EntryKind::Flow(quantities) = &mut again.kind else { panic!() };
    quantities.bytes_in += 1;
    let report = finish(insert(story.entries(), again), &Surroundings::default());
    assert_eq!(report.findings, [Finding::Doubled { seq: 12, places, same: false }]);
}

#[test]
fn a_conflict_is_a_finding_and_any_other_dead_letter_of_a_stored_record_is_not() {
    let story = whole();
    let report = finish(insert(story.entries(), dead(12, "conflict", Vec::new())), &Surroundings::default());
    assert_eq!(report.findings, [Finding::Conflict { seq: 12 }]);
    let report = finish(insert(story.entries(), dead(12, "form", Vec::new())), &Surroundings::default());
    assert_eq!(report.conclusion(), Conclusion::Closed);
    assert_eq!(report.records.dead_lettered, 0, "it is counted once");
}

#[test]
fn a_dead_letter_that_can_be_read_closes_both_balances() {
    let mut story = Story::begins(EPOCH).records(3);
    let record = story.next_record();
    let ledger = story.next_ledger(false);
    let story = story.records(2).closes();
    let mut entries = story.entries();
    entries = insert(entries, dead(3, "time_suspect", wire::encode_flow(&record).unwrap()));
    entries = insert(entries, dead(4, "time_suspect", wire::encode_ledger(&ledger).unwrap()));
    let report = finish(entries, &Surroundings::default());
    assert_eq!(report.findings, []);
    assert_eq!(report.conclusion(), Conclusion::Closed);
    assert_eq!((report.records.dead_lettered, report.attempts.verified_intervals), (2, 2));
}

#[test]
fn a_dead_letter_that_cannot_be_read_leaves_its_interval_undecided() {
    let entries = insert(without(13..=13), dead(13, "form", b"{".to_vec()));
    let report = finish(entries, &Surroundings::default());
    assert_eq!(report.findings, []);
    assert_eq!(report.conclusion(), Conclusion::Undecided);
    assert_eq!(report.attempts.undecidable_intervals, 1);
    assert_eq!(report.attempts.in_dead_letters, 2, "record 13 started two");
    // It can hold what is lacking, not what is too much.
    let story = whole().edited(12, |r| r.num_flows_started += 1);
    let entries = story.entries().into_iter().filter(|entry| entry.seq != 13).collect();
    let report = finish(insert(entries, dead(13, "form", b"{".to_vec())), &Surroundings::default());
    assert!(matches!(report.findings[..], [Finding::Started { seq: 21, .. }]), "{:?}", report.findings);
}

#[test]
fn what_retention_took_is_no_loss_and_the_rest_is_still_checked() {
    let removed = |from: u64, to: u64| Entry { seq: from, place: "store".into(), kind: EntryKind::Removed { to } };
    let mut entries = without(0..=14);
    entries.insert(0, removed(0, 14));
    let report = finish(entries.clone(), &Surroundings::default());
    assert_eq!(report.findings, []);
    assert_eq!(report.conclusion(), Conclusion::Closed);
    assert_eq!((report.records.removed, report.records.stored), (15, 13));
    assert_eq!((report.attempts.removed_intervals, report.attempts.verified_intervals), (1, 1));
    // Around midnight some numbers inside the range stay.
    let entries = insert(entries, whole().entries()[12].clone());
    let report = finish(entries, &Surroundings::default());
    assert_eq!(report.conclusion(), Conclusion::Closed);
    assert_eq!((report.records.removed, report.records.stored), (14, 14));
    // A loss behind it is still found.
    let mut entries: Vec<Entry> = without(0..=14).into_iter().filter(|entry| entry.seq != 24).collect();
    entries.insert(0, removed(0, 14));
    let report = finish(entries, &Surroundings::default());
    assert_eq!(report.findings[0], Finding::Missing { seq: 24, to: 24 });
}

#[test]
fn a_stream_without_a_closing_ledger_is_open_or_indeterminate() {
    let story = Story::begins(EPOCH).records(10).ledger().records(3);
    let last_end = Some(UnixMs(EPOCH + 5000));
    let report = finish(story.entries(), &Surroundings { recent: true, last_end, ..Surroundings::default() });
    assert_eq!((report.end.clone(), report.conclusion()), (End::StillOpen, Conclusion::Undecided));
    let old = Surroundings { last_end, ..Surroundings::default() };
    let report = finish(story.entries(), &old);
    let End::Indeterminate(window) = &report.end else { panic!("{:?}", report.end) };
    assert_eq!((window.from, window.to, window.records), (UnixMs(EPOCH + 5000), None, 0));
    // The next incarnation knows that more was handed over than is stored.
    let told =
        Predecessor { stream: story.stream.clone(), closed: false, next_seq: 20, last_known: UnixMs(EPOCH + 7000) };
    let successor_epoch = Some(UnixMs(EPOCH + 60_000));
    let around = Surroundings { told: Some(told.clone()), successor_epoch, recent: true, last_end };
    let report = finish(story.entries(), &around);
    let End::Indeterminate(window) = &report.end else { panic!("{:?}", report.end) };
    assert_eq!((window.from, window.to, window.records), (UnixMs(EPOCH + 7000), successor_epoch, 6));
    assert_eq!((report.records.in_flight, report.conclusion()), (6, Conclusion::Undecided));
    // It closed, says the next one: then what is not here is missing.
    let told = Predecessor { closed: true, ..told };
    let report = finish(story.entries(), &Surroundings { told: Some(told), successor_epoch, recent: true, last_end });
    assert_eq!(report.findings, [Finding::Missing { seq: 14, to: 19 }]);
}

#[test]
fn a_gap_above_the_last_ledger_waits_for_the_next_one() {
    let gap = |story: Story| story.records(2).skipped().records(1);
    let open = gap(Story::begins(EPOCH).records(10).ledger());
    let recent = Surroundings { recent: true, ..Surroundings::default() };
    let report = finish(open.entries(), &recent);
    assert_eq!((report.conclusion(), report.records.in_flight), (Conclusion::Undecided, 1));
    let report = finish(open.ledger().entries(), &recent);
    assert_eq!(report.conclusion(), Conclusion::Open);
    assert_eq!(report.findings[0], Finding::Missing { seq: 13, to: 13 });
}

#[test]
fn records_after_the_closing_ledger_are_a_finding() {
    let report = closed(&whole().records(2));
    assert_eq!(report.findings, [Finding::AfterClosing { seq: 28, closing: 27 }]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let mut entries = whole().entries();
    entries[12].kind = EntryKind::Unreadable { reason: "context 9 is missing".to_owned() };
    let report = finish(entries, &Surroundings::default());
    assert!(matches!(&report.findings[0], Finding::Unreadable { seq: 12, .. }), "{:?}", report.findings);
    let report = closed(&whole().edited(12, |r| r.proto = "tcp\u{7}?".to_owned()));
    assert!(matches!(&report.findings[0], Finding::Unreadable { seq: 12, .. }), "{:?}", report.findings);
}

#[test]
fn many_findings_are_counted_and_some_listed() {
    let entries: Vec<Entry> =
        Story::begins(EPOCH).records(1000).closes().entries().into_iter().filter(|e| e.seq % 2 == 0).collect();
    let report = finish(entries, &Surroundings::default());
    assert_eq!(report.records.unexplained, 500);
    assert!(report.findings_total > 500 && report.findings.len() == MAX_LISTED);
}
