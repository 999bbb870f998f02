//! Any filter tree means in SQL what it means in plain Rust.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use super::write;
use crate::contract::sample::{HOSTILE, MIDNIGHT, hostile, mixed};
use crate::sqlite::{Options, SqliteStore};
use crate::{Counting, EndTest, Filter, FlowQuery, FlowStore, Keyword, Side, Text};

fn text() -> impl Strategy<Value = Text> {
    let known = ["storefront", "frontend-1", "front", "wep", "net", "src", "tcp", "udp", "dropped", "deny", "-", ""];
    let words: Vec<&'static str> = known.into_iter().chain(HOSTILE).collect();
    (proptest::sample::select(words), any::<bool>())
        .prop_map(|(word, whole)| if whole { Text::Exact(word.to_owned()) } else { Text::Prefix(word.to_owned()) })
}

fn end_test() -> impl Strategy<Value = EndTest> {
    prop_oneof![
        text().prop_map(EndTest::Namespace),
        text().prop_map(EndTest::Name),
        text().prop_map(EndTest::Type),
        text().prop_map(EndTest::Label),
        text().prop_map(EndTest::OwnerName),
        text().prop_map(EndTest::Node),
        proptest::sample::select(vec![0, 53, 80, 443]).prop_map(EndTest::Port),
        (any::<u16>(), 0..=32_u8).prop_map(|(low, length)| {
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + u32::from(low % 1024));
            EndTest::Address(ipnet::Ipv4Net::new(ip, length).unwrap().into())
        }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let sides = proptest::sample::select(vec![Side::Source, Side::Dest, Side::Either]);
    let leaf = prop_oneof![
        (sides, proptest::collection::vec(end_test(), 0..3)).prop_map(|(side, tests)| Filter::End(side, tests)),
        (proptest::sample::select(Keyword::ALL), text()).prop_map(|(keyword, text)| Filter::Keyword(keyword, text)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

#[test]
fn any_tree_means_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    let mut records = mixed(200, 41);
    records.extend((1000..).zip(HOSTILE).map(|(seq, word)| hostile(seq, MIDNIGHT, word)));
    runtime.block_on(write(&store, records.clone()));
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let check = runner.run(&filter(), |filter| {
        let query =
            FlowQuery { filter: filter.clone(), counting: Counting::Records, limit: 1000, ..FlowQuery::default() };
        let page = runtime.block_on(store.flows(&query)).unwrap();
        let mut found: Vec<u64> = page.records.iter().map(|record| record.seq).collect();
        found.sort_unstable();
        let expected: Vec<u64> = records.iter().filter(|r| filter.matches(r)).map(|r| r.seq).collect();
        prop_assert_eq!(found, expected);
        Ok(())
    });
    check.unwrap();
}
