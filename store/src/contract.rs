//! What every engine must do, checked against slow and obvious counts over the same records.
//!
//! A [`Subject`] makes empty stores of one engine; [`check`] runs everything. A failed check panics, as a test does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a contract suite is a test that other crates run")]

mod accounts;
mod asking;
pub mod sample;
mod summing;
mod writing;

use std::future::Future;
use std::sync::Arc;

use flow::FlowRecord;

use crate::document::{Answer, Document};
use crate::query::{FlowPage, FlowQuery};
use crate::{Counting, FlowStore};

/// One engine under test.
pub trait Subject: Sync {
    /// The engine.
    type Store: FlowStore;

    /// Makes a store that holds nothing.
    fn fresh(&self) -> impl Future<Output = Self::Store> + Send;

    /// Waits until all that was written can be found.
    fn settle(&self, store: &Self::Store) -> impl Future<Output = ()> + Send;
}

/// Runs every check on a store of its own.
///
/// # Panics
/// Panics where the engine does not keep the contract.
pub async fn check<S: Subject>(subject: &S) {
    writing::gives_back_what_was_written(subject).await;
    writing::answers_item_by_item(subject).await;
    writing::writes_once(subject).await;
    asking::keeps_the_order_and_the_cursor(subject).await;
    asking::finds_what_every_filter_means(subject).await;
    asking::cuts_at_the_edges_of_time(subject).await;
    asking::follows_what_is_stored(subject).await;
    asking::refuses_what_is_no_question(subject).await;
    summing::sums_exactly(subject).await;
    accounts::lists_streams_entry_by_entry(subject).await;
    accounts::shows_one_number_in_two_places(subject).await;
    accounts::keeps_dead_letters(subject).await;
    asking::holds_ten_thousand(subject).await;
}

/// Writes flow records that must all be new.
async fn write_new<S: Subject>(subject: &S, store: &S::Store, records: &[FlowRecord]) {
    let answers = write(subject, store, records.iter().cloned().map(|r| Document::Flow(Box::new(r))).collect()).await;
    assert!(answers.iter().all(|answer| *answer == Answer::Created), "{answers:?}");
}

async fn write<S: Subject>(subject: &S, store: &S::Store, documents: Vec<Document>) -> Vec<Answer> {
    let batch: Arc<[Document]> = documents.into();
    let answers = store.write(Arc::clone(&batch)).await.unwrap();
    assert_eq!(answers.len(), batch.len());
    subject.settle(store).await;
    answers
}

/// Asks page by page until the end.
async fn all_pages(store: &impl FlowStore, query: &FlowQuery) -> Vec<FlowRecord> {
    let mut query = query.clone();
    let mut records = Vec::new();
    loop {
        let page = store.flows(&query).await.unwrap();
        assert_eq!(page.partial, [], "nothing is broken here");
        assert!(page.records.len() <= query.limit);
        records.extend(page.records);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return records,
        }
    }
}

async fn one_page(store: &impl FlowStore, query: &FlowQuery) -> FlowPage {
    let page = store.flows(query).await.unwrap();
    assert_eq!(page.partial, [], "nothing is broken here");
    page
}

fn everything() -> FlowQuery {
    FlowQuery { counting: Counting::Records, limit: 1000, ..FlowQuery::default() }
}

/// Compares two sets of records in their normal form, whatever their order.
fn assert_same(found: &[FlowRecord], expected: &[FlowRecord], what: &str) {
    let sorted = |records: &[FlowRecord]| {
        let mut records: Vec<_> = records.iter().cloned().map(FlowRecord::normal_form).collect();
        records.sort_by_key(|record| (record.stream.clone(), record.seq));
        records
    };
    let (found, expected) = (sorted(found), sorted(expected));
    assert_eq!(found.len(), expected.len(), "{what}: as many records as expected");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{what}");
    }
}
