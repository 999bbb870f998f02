//! Sums, against a slow and obvious count.

use std::collections::BTreeMap;

use flow::FlowRecord;

use super::sample::{HOSTILE, MIDNIGHT, hostile, mixed};
use super::{Subject, write_new};
use crate::FlowStore;
use crate::aggregate::{AggregateQuery, GroupBy, Sums};
use crate::filter::{Filter, Keyword};
use crate::query::Counting;

pub(super) async fn sums_exactly<S: Subject>(subject: &S) {
    let store = subject.fresh().await;
    let mut records = mixed(1000, 23);
    for (seq, word) in (2000..).zip(HOSTILE) {
        records.push(hostile(seq, MIDNIGHT, word));
    }
    write_new(subject, &store, &records).await;
    let pairs = vec![
        GroupBy::SourceNamespace,
        GroupBy::SourceNameAggr,
        GroupBy::DestNamespace,
        GroupBy::DestNameAggr,
        GroupBy::DestPort,
        GroupBy::Protocol,
        GroupBy::Outcome,
    ];
    let mut groupings: Vec<Vec<GroupBy>> = GroupBy::ALL.iter().map(|group| vec![*group]).collect();
    groupings.extend([Vec::new(), pairs, vec![GroupBy::DestIp, GroupBy::SourceIp, GroupBy::Action]]);
    for group_by in groupings {
        for counting in [Counting::Attempts, Counting::Records] {
            for filter in [Filter::everything(), Filter::one_of(Keyword::Protocol, ["udp"])] {
                let query =
                    AggregateQuery { filter, counting, group_by: group_by.clone(), ..AggregateQuery::default() };
                compare(&store, &records, &query).await;
            }
        }
    }
    let few = AggregateQuery { group_by: vec![GroupBy::SourceName], limit: 2, ..AggregateQuery::default() };
    let answer = store.aggregate(&few).await.unwrap();
    let expected = count(&records, &few);
    assert_eq!(answer.rows.len(), 2);
    assert_eq!(answer.groups_left_out, expected.len() as u64 - 2);
    let most = expected.values().map(|sums| sums.started).max();
    assert_eq!(answer.rows.first().map(|row| row.sums.started), most, "most attempts come first");
}

async fn compare(store: &impl FlowStore, records: &[FlowRecord], query: &AggregateQuery) {
    let answer = store.aggregate(query).await.unwrap();
    assert_eq!(answer.partial, []);
    assert!(answer.rows.is_sorted_by(|a, b| a.sums.started >= b.sums.started));
    let expected = count(records, query);
    let mut total = Sums::default();
    expected.values().for_each(|sums| total.add(sums));
    assert_eq!(answer.total, total, "{query:?}");
    let found: BTreeMap<_, _> = answer.rows.into_iter().map(|row| (row.key, row.sums)).collect();
    assert_eq!(found, expected, "{query:?}");
}

fn count(records: &[FlowRecord], query: &AggregateQuery) -> BTreeMap<Vec<Option<String>>, Sums> {
    let rule = Filter::counting(query.counting);
    let mut groups: BTreeMap<_, Sums> = BTreeMap::new();
    for record in records.iter().filter(|r| query.filter.matches(r) && rule.matches(r)) {
        let key = query.group_by.iter().map(|group| group.of(record)).collect::<Vec<_>>();
        groups.entry(key).or_default().add_record(record);
    }
    groups
}
