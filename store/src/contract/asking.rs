//! Asking: every filter, the orders, cursors, edges of time, following.

use std::collections::HashSet;

use flow::{FlowRecord, UnixMs};

use super::sample::{HOSTILE, MIDNIGHT, full, hostile, minimal, mixed};
use super::{Subject, all_pages, assert_same, everything, one_page, write_new};
use crate::error::{Fate, StoreError};
use crate::filter::{EndTest, Filter, Keyword, MAX_DEPTH, Side, Text};
use crate::query::{Counting, Cursor, FlowQuery, Order};
use crate::{AggregateQuery, FlowStore};

pub(super) async fn keeps_the_order_and_the_cursor<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let records = mixed(300, 5);
    write_new(subject, &store, &records).await;
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let mut query = FlowQuery { order, limit: 7, ..everything() };
        let mut found: Vec<FlowRecord> = Vec::new();
        let mut extra = 1_000_000 + u64::from(order == Order::OldestFirst) * 1000;
        loop {
            let page = one_page(&store, &query).await;
            found.extend(page.records);
            let Some(next) = page.next else { break };
            // What is stored while somebody turns the pages moves nothing.
            write_new(
                subject,
                &store,
                &[minimal(extra, MIDNIGHT + 7_200_000), minimal(extra + 1, MIDNIGHT - 7_200_000)],
            )
            .await;
            extra += 2;
            query.cursor = Some(next);
        }
        let times: Vec<u64> = found.iter().map(|record| record.timestamp.0).collect();
        match order {
            Order::NewestFirst => assert!(times.is_sorted_by(|a, b| a >= b), "newest first"),
            Order::OldestFirst | Order::Stored => assert!(times.is_sorted(), "oldest first"),
        }
        let ids: HashSet<u64> = found.iter().map(|record| record.seq).collect();
        assert_eq!(ids.len(), found.len(), "no record comes twice");
        assert!(records.iter().all(|record| ids.contains(&record.seq)), "no record is left out");
    }
}

pub(super) async fn finds_what_every_filter_means<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let mut records = mixed(400, 7);
    for (seq, word) in (1000..).zip(HOSTILE) {
        records.push(hostile(seq, MIDNIGHT + seq, word));
    }
    write_new(subject, &store, &records).await;
    for filter in filters() {
        for counting in [Counting::Attempts, Counting::Records] {
            let query = FlowQuery { filter: filter.clone(), counting, limit: 1000, ..FlowQuery::default() };
            let rule = Filter::counting(counting);
            let expected: Vec<_> = records.iter().filter(|r| filter.matches(r) && rule.matches(r)).cloned().collect();
            assert_same(&all_pages(&store, &query).await, &expected, &format!("{counting:?} {filter:?}"));
        }
    }
}

/// One filter of every kind, on every side, with values that are there, that are not, and that are hostile.
fn filters() -> Vec<Filter> {
    let mut words =
        vec!["storefront", "frontend-1", "frontend-*", "wep", "net", "Deployment", "node-b", "eu-1a", "-", ""];
    words.extend(HOSTILE);
    let mut tests: Vec<EndTest> = Vec::new();
    for word in words {
        let text = Text::parse(word);
        let exact = Text::Exact(word.to_owned());
        let prefix = Text::Prefix(word.chars().take(3).collect());
        for text in [text, exact, prefix] {
            tests.extend([
                EndTest::Namespace(text.clone()),
                EndTest::Name(text.clone()),
                EndTest::Type(text.clone()),
                EndTest::OwnerKind(text.clone()),
                EndTest::OwnerName(text.clone()),
                EndTest::Node(text.clone()),
                EndTest::Zone(text.clone()),
                EndTest::Label(text),
            ]);
        }
    }
    for label in ["app=frontend", "app=*", "app", "tier=1"] {
        tests.push(EndTest::Label(Text::parse(label)));
    }
    for net in
        ["10.0.0.5/32", "10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::3/128", "fd00::/16", "10.0.0.7/31"]
    {
        tests.push(EndTest::Address(net.parse().unwrap()));
    }
    tests.extend([0, 53, 80, 65_535, 9].map(EndTest::Port));
    let mut filters = vec![Filter::everything(), Filter::Any(Vec::new()), Filter::Not(Box::new(Filter::everything()))];
    for side in [Side::Source, Side::Dest, Side::Either] {
        filters.push(Filter::End(side, Vec::new()));
        filters.extend(tests.iter().map(|test| Filter::End(side, vec![test.clone()])));
        let both = vec![EndTest::Name(Text::parse("backend-*")), EndTest::Namespace(Text::parse("storefront"))];
        filters.push(Filter::End(side, both.clone()));
        let with_port = [both, vec![EndTest::Port(80)]].concat();
        filters.push(Filter::Not(Box::new(Filter::End(side, with_port))));
    }
    for keyword in Keyword::ALL {
        let words =
            ["local", "node-a", "src", "deny", "tcp", "dropped", "NETFILTER_DROP", "TC_*", "unknown", "curl", "*"];
        for word in words.into_iter().chain(HOSTILE) {
            let test = Filter::Keyword(*keyword, Text::parse(word));
            filters.push(Filter::Not(Box::new(test.clone())));
            filters.push(test);
        }
    }
    let dropped = Filter::one_of(Keyword::Outcome, ["dropped", "refused"]);
    let udp = Filter::one_of(Keyword::Protocol, ["udp"]);
    filters.push(dropped.clone().and(Filter::Not(Box::new(udp.clone()))));
    filters.push(Filter::Any(vec![Filter::All(vec![dropped, udp.clone()]), Filter::Not(Box::new(udp))]));
    filters
}

pub(super) async fn cuts_at_the_edges_of_time<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let ends = [MIDNIGHT - 1000, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1, MIDNIGHT + 86_399_999, MIDNIGHT + 86_400_000];
    let records: Vec<_> = (0..).zip(ends).map(|(seq, end)| minimal(seq, end)).collect();
    write_new(subject, &store, &records).await;
    let edges = [
        None,
        Some(0),
        Some(MIDNIGHT - 1),
        Some(MIDNIGHT),
        Some(MIDNIGHT + 1),
        Some(MIDNIGHT + 86_400_000),
        Some(u64::MAX),
    ];
    for from in edges {
        for to in edges {
            let holds = |end: u64| from.is_none_or(|from| end >= from) && to.is_none_or(|to| end < to);
            let expected: Vec<_> = records.iter().filter(|r| holds(r.timestamp.0)).cloned().collect();
            let (from, to) = (from.map(UnixMs), to.map(UnixMs));
            let query = FlowQuery { from, to, limit: 2, ..everything() };
            assert_same(&all_pages(&store, &query).await, &expected, &format!("from {from:?} to {to:?}"));
            let sums = AggregateQuery { from, to, counting: Counting::Records, ..AggregateQuery::default() };
            let answer = store.aggregate(&sums).await.unwrap();
            assert_eq!(answer.total.records, expected.len() as u64, "sums from {from:?} to {to:?}");
        }
    }
}

pub(super) async fn follows_what_is_stored<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    write_new(subject, &store, &mixed(50, 11)).await;
    let mut cursor = store.state().await.unwrap().end;
    let mut stored = Vec::new();
    let mut seen = Vec::new();
    for round in 0..6_u64 {
        // Later rounds bring older records, of another day too: following goes by storing, not by time.
        let new: Vec<_> = (0..5).map(|n| full(1000 + round * 5 + n, MIDNIGHT + 50_000 - round * 20_000 + n)).collect();
        write_new(subject, &store, &new).await;
        stored.extend(new);
        loop {
            let query = FlowQuery { order: Order::Stored, limit: 3, cursor: Some(cursor.clone()), ..everything() };
            let page = one_page(&store, &query).await;
            cursor = page.next.expect("what is stored later has a place");
            if page.records.is_empty() {
                break;
            }
            seen.extend(page.records);
        }
    }
    assert_eq!(seen.len(), stored.len(), "each record is seen once");
    assert_same(&seen, &stored, "what is stored is followed");
    let all = {
        let mut query = FlowQuery { order: Order::Stored, limit: 9, ..everything() };
        let mut all = Vec::new();
        loop {
            let page = one_page(&store, &query).await;
            if page.records.is_empty() {
                break all;
            }
            all.extend(page.records);
            query.cursor = page.next;
        }
    };
    assert_eq!(all.len(), 80, "from the beginning");
}

pub(super) async fn refuses_what_is_no_question<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    write_new(subject, &store, &mixed(20, 13)).await;
    let invalid = |error: StoreError| error.fate() == Fate::Invalid;
    for text in ["", "newest:", "newest:1", "newest:x:y", "newest:1:2:3", "'; --", "stored:-"] {
        let cursor = Some(Cursor::from_text(text));
        assert!(invalid(store.flows(&FlowQuery { cursor, ..everything() }).await.unwrap_err()), "cursor {text:?}");
    }
    let stored = one_page(&store, &FlowQuery { order: Order::Stored, ..everything() }).await.next;
    assert!(invalid(store.flows(&FlowQuery { cursor: stored, ..everything() }).await.unwrap_err()), "of another order");
    let deep = (0..=MAX_DEPTH).fold(Filter::everything(), |filter, _| Filter::Not(Box::new(filter)));
    assert!(invalid(store.flows(&FlowQuery { filter: deep.clone(), ..everything() }).await.unwrap_err()));
    let sums = AggregateQuery { filter: deep, ..AggregateQuery::default() };
    assert!(invalid(store.aggregate(&sums).await.unwrap_err()));
    let wide = Filter::one_of(Keyword::Outcome, (0..10_000).map(|n| n.to_string()));
    assert!(invalid(store.flows(&FlowQuery { filter: wide, ..everything() }).await.unwrap_err()));
    let widest = Filter::one_of(Keyword::Outcome, (0..500).map(|n| n.to_string()));
    assert_eq!(one_page(&store, &FlowQuery { filter: widest, ..everything() }).await.records, []);
}

pub(super) async fn holds_ten_thousand<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let records = mixed(10_000, 17);
    for batch in records.chunks(2000) {
        write_new(subject, &store, batch).await;
    }
    assert_same(&all_pages(&store, &everything()).await, &records, "ten thousand");
}
