//! Many at once: groups, members that come and go, commits that come too late.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::books::Books;
use super::super::work::{PATIENCE, QUIET, number, poll, read, read_for, send_numbers};
use super::super::{Declared, Engine};
use crate::{Consumer, Resume, Watermark};

const TOPIC: &str = "contract.flows";

fn topic(partitions: u32) -> [Declared; 1] {
    [Declared { name: TOPIC, partitions, max_records: 10_000 }]
}

/// Each group is given everything, whatever the others commit.
///
/// # Panics
/// If one takes from another.
pub async fn groups_are_independent<E: Engine>() {
    let engine = E::start(&topic(2)).await;
    let mut one = engine.consumer("one", &[TOPIC]).await;
    let mut other = engine.consumer("other", &[TOPIC]).await;
    send_numbers(&engine.producer().await, TOPIC, "key", 0, 50).await;
    let delivered = read(&mut one, 50).await;
    let mut watermark = Watermark::new();
    watermark.begin(&delivered);
    for record in &delivered {
        watermark.finish(&record.position());
    }
    one.commit(&watermark.advanced()).await.expect("a commit works");
    let numbers: Vec<_> = read(&mut other, 50).await.iter().map(number).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

/// Several producers and several members at once: every record comes, each key in order within a poll.
///
/// # Panics
/// If a record is missing.
pub async fn many_producers_and_consumers<E: Engine>() {
    const PRODUCERS: usize = 4;
    const RECORDS: u64 = 1000;
    let engine = E::start(&[Declared { name: TOPIC, partitions: 6, max_records: 100 }]).await;
    let (books, wanted) = (Arc::new(Books::default()), PRODUCERS * usize::try_from(RECORDS).unwrap_or(usize::MAX));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (mut consumer, books) = (engine.consumer("group", &[TOPIC]).await, Arc::clone(&books));
        tasks.push(tokio::spawn(async move {
            let mut watermark = Watermark::new();
            let deadline = Instant::now() + PATIENCE;
            while books.distinct() < wanted {
                assert!(Instant::now() < deadline, "only {} of {wanted} records came", books.distinct());
                let polled = poll(&mut consumer, 40).await;
                books.enter(&polled);
                watermark.begin(&polled);
                // Finished back to front, as answers of a sink may come.
                for record in polled.iter().rev() {
                    watermark.finish(&record.position());
                }
                for lost in consumer.commit(&watermark.advanced()).await.expect("a commit works") {
                    watermark.forget(&lost.topic, lost.partition);
                }
            }
        }));
    }
    for producer in 0..PRODUCERS {
        let engine = engine.producer().await;
        tasks.push(tokio::spawn(async move {
            let key = format!("cluster/node-{producer}/1");
            for start in (0..RECORDS).step_by(25) {
                send_numbers(&engine, TOPIC, &key, start, start + 25).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("all tasks end");
    }
    assert_eq!(books.distinct(), wanted);
}

/// When a member leaves, the others are given its partitions from what it committed on, and nothing is missing.
///
/// # Panics
/// If a record is missing, or a committed one comes again.
pub async fn rebalance_when_a_consumer_leaves<E: Engine>() {
    let engine = E::start(&topic(4)).await;
    let mut leaves = engine.consumer("group", &[TOPIC]).await;
    let mut stays = engine.consumer("group", &[TOPIC]).await;
    // Both poll until the partitions are shared.
    for _ in 0..10 {
        poll(&mut leaves, 1).await;
        poll(&mut stays, 1).await;
    }
    let producer = engine.producer().await;
    let keys: Vec<String> = (0..16).map(|key| format!("key-{key}")).collect();
    for key in &keys {
        send_numbers(&producer, TOPIC, key, 0, 10).await;
    }
    let total = keys.len() * 10;
    let books = Books::default();
    let mut watermark = Watermark::new();
    let (mut of_leaving, mut of_staying) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while of_leaving.len() + of_staying.len() < total {
        assert!(Instant::now() < deadline, "only {} of {total} records came", of_leaving.len() + of_staying.len());
        of_leaving.extend(poll(&mut leaves, 1000).await);
        of_staying.extend(poll(&mut stays, 1000).await);
    }
    assert!(!of_leaving.is_empty() && !of_staying.is_empty(), "the partitions are shared");
    watermark.begin(&of_leaving);
    let half = of_leaving.len() / 2;
    for record in of_leaving.iter().take(half) {
        watermark.finish(&record.position());
    }
    let committed = watermark.advanced();
    assert_eq!(leaves.commit(&committed).await, Ok(vec![]));
    drop(leaves);

    let is_committed = |one: &crate::Delivered| {
        committed.iter().any(|resume| resume.partition == one.partition && one.offset < resume.next)
    };
    books.enter(&of_staying);
    of_leaving.iter().filter(|one| is_committed(one)).for_each(|one| books.enter(std::slice::from_ref(one)));
    let deadline = Instant::now() + PATIENCE;
    while books.distinct() < total {
        assert!(Instant::now() < deadline, "only {} of {total} records came", books.distinct());
        let polled = poll(&mut stays, 1000).await;
        assert!(!polled.iter().any(is_committed), "a committed record came again");
        books.enter(&polled);
    }
    assert_eq!(read_for(&mut stays, QUIET).await, [], "nothing comes a third time");
}

/// A member that lost a partition cannot commit in it, is told so, and the member that has it now is not disturbed.
///
/// # Panics
/// If the late commit counts.
pub async fn commits_of_a_lost_partition_are_refused<E: Engine>() {
    let engine = E::start(&topic(2)).await;
    let mut first = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    for key in 0..8 {
        send_numbers(&producer, TOPIC, &format!("key-{key}"), 0, 5).await;
    }
    let delivered = read(&mut first, 40).await;
    let mut watermark = Watermark::new();
    watermark.begin(&delivered);
    // A second member takes one of the two partitions.
    let mut second = engine.consumer("group", &[TOPIC]).await;
    let mut again = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while again.is_empty() {
        assert!(Instant::now() < deadline, "the second member is given nothing");
        again.extend(poll(&mut second, 1000).await);
        // Some engines let a member know only when it polls.
        poll(&mut first, 1000).await;
    }
    for record in &delivered {
        watermark.finish(&record.position());
    }
    let lost = first.commit(&watermark.advanced()).await.expect("a commit works");
    let partition = again[0].partition;
    assert!(lost.iter().any(|resume| resume.partition == partition), "the late commit is handed back: {lost:?}");
    // The new owner did not commit: when it goes, its records come once more.
    drop(second);
    let once_more = read(&mut first, again.len()).await;
    assert!(once_more.iter().all(|one| one.partition == partition), "only the partition that moved comes again");
}

/// Committing less than was committed before changes nothing.
///
/// # Panics
/// If committed records come again.
pub async fn committed_positions_never_go_back<E: Engine>() {
    let engine = E::start(&topic(1)).await;
    // Another group that commits nothing, so that the records are still there to come again.
    let _keeper = engine.consumer("keeper", &[TOPIC]).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    send_numbers(&engine.producer().await, TOPIC, "key", 0, 10).await;
    let delivered = read(&mut consumer, 10).await;
    let at = |place: usize| {
        let position = delivered[place].position();
        Resume { topic: position.topic, partition: position.partition, next: position.offset + 1 }
    };
    assert_eq!(consumer.commit(&[at(6)]).await, Ok(vec![]));
    assert_eq!(consumer.commit(&[at(2)]).await, Ok(vec![]));
    assert_eq!(consumer.lag().await, Ok(3));
    drop(consumer);
    let mut next = engine.consumer("group", &[TOPIC]).await;
    let again: Vec<_> = read(&mut next, 3).await.iter().map(number).collect();
    assert_eq!(again, [7, 8, 9]);
}
