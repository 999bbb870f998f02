//! One producer, one consumer: order, fidelity, and what happens to what is not committed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::super::work::{PATIENCE, QUIET, WAIT, number, poll, read, read_for, send_numbers};
use super::super::{Declared, Engine};
use crate::{Consumer, Delivered, Header, MAX_RECORD_BYTES, Producer, Record, Watermark};

const TOPIC: &str = "contract.flows";

fn topic(partitions: u32) -> [Declared; 1] {
    [Declared { name: TOPIC, partitions, max_records: 10_000 }]
}

/// Records of one key come from one partition, in the order in which they were sent.
///
/// # Panics
/// If they do not.
pub async fn order_per_key<E: Engine>() {
    let engine = E::start(&topic(4)).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    let keys: Vec<String> = (0..8).map(|key| format!("cluster/node-{key}/1")).collect();
    for round in 0..10 {
        for key in &keys {
            send_numbers(&producer, TOPIC, key, round * 10, round * 10 + 10).await;
        }
    }
    let mut by_key: BTreeMap<Bytes, Vec<Delivered>> = BTreeMap::new();
    for delivered in read(&mut consumer, keys.len() * 100).await {
        by_key.entry(delivered.record.key.clone()).or_default().push(delivered);
    }
    assert_eq!(by_key.len(), keys.len(), "every key comes back");
    for (key, delivered) in &by_key {
        let numbers: Vec<_> = delivered.iter().map(number).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "records of {key:?}");
        assert!(delivered.windows(2).all(|two| two[0].partition == two[1].partition), "{key:?} lies in one partition");
        assert!(delivered.windows(2).all(|two| two[0].offset < two[1].offset), "offsets of {key:?} grow");
    }
    assert_eq!(read_for(&mut consumer, QUIET).await, [], "nothing comes twice while the consumer stays");
}

/// What a consumer that goes away did not commit comes again; what it committed does not.
///
/// # Panics
/// If it is otherwise.
pub async fn at_least_once_after_a_lost_commit<E: Engine>() {
    let engine = E::start(&topic(1)).await;
    let mut first = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    send_numbers(&producer, TOPIC, "key", 0, 20).await;

    let mut watermark = Watermark::new();
    let delivered = read(&mut first, 20).await;
    watermark.begin(&delivered);
    for one in delivered.iter().take(7) {
        watermark.finish(&one.position());
    }
    assert_eq!(first.commit(&watermark.advanced()).await, Ok(vec![]), "its own partition can be committed");
    assert_eq!(first.lag().await, Ok(13), "records of its partitions that are not committed");
    // The rest is finished as well, but the commit is lost.
    for one in &delivered {
        watermark.finish(&one.position());
    }
    drop(first);

    let mut second = engine.consumer("group", &[TOPIC]).await;
    let again: Vec<_> = read(&mut second, 13).await.iter().map(number).collect();
    assert_eq!(again, (7..20).collect::<Vec<_>>(), "exactly what was not committed");
    assert_eq!(read_for(&mut second, QUIET).await, []);
}

/// A record that is not finished holds back the commit, whatever is finished behind it.
///
/// # Panics
/// If it is lost.
pub async fn unfinished_records_hold_the_watermark<E: Engine>() {
    let engine = E::start(&topic(1)).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    send_numbers(&engine.producer().await, TOPIC, "key", 0, 10).await;
    let delivered = read(&mut consumer, 10).await;
    let mut watermark = Watermark::new();
    watermark.begin(&delivered);
    for one in delivered.iter().rev().filter(|one| number(one) != 4) {
        watermark.finish(&one.position());
    }
    consumer.commit(&watermark.advanced()).await.expect("a commit works");
    drop(consumer);
    let mut next = engine.consumer("group", &[TOPIC]).await;
    let again: Vec<_> = read(&mut next, 6).await.iter().map(number).collect();
    assert_eq!(again, (4..10).collect::<Vec<_>>());
}

/// Keys, values, headers and times come back as they were sent: any bytes, none, and up to the limit.
///
/// # Panics
/// If they differ.
pub async fn fidelity<E: Engine>() {
    let engine = E::start(&topic(1)).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    let all_bytes: Bytes = (0..=255u8).collect();
    let name = |name: &'static str| Cow::Borrowed(name);
    let record = |key: &[u8], headers: Vec<Header>, value: Bytes| Record {
        topic: Arc::from(TOPIC),
        key: Bytes::copy_from_slice(key),
        headers,
        value,
        timestamp_ms: 1_764_000_000_123,
    };
    let mut sent = vec![
        record(b"", vec![], Bytes::new()),
        record(&all_bytes, vec![], all_bytes.clone()),
        record(
            b"k",
            vec![
                Header { name: name("stream"), value: all_bytes.clone() },
                Header { name: name("twice"), value: Bytes::from_static(b"1") },
                Header { name: name("empty"), value: Bytes::new() },
                Header { name: name("twice"), value: Bytes::from_static(b"2") },
                Header { name: Cow::Owned("größe".to_owned()), value: Bytes::from_static(b"\xff\x00") },
            ],
            Bytes::from_static(b"{\"a\":1}\r\n"),
        ),
    ];
    let largest = record(b"k", vec![Header::new("h", "v")], Bytes::from(vec![0xa5; MAX_RECORD_BYTES - 3]));
    assert_eq!(largest.size(), MAX_RECORD_BYTES);
    sent.push(largest);
    let producer = engine.producer().await;
    producer.send(sent.clone()).await.expect("records up to the limit are sent");
    producer.send(vec![]).await.expect("an empty batch is sent at once");
    let came: Vec<_> = read(&mut consumer, sent.len()).await.into_iter().map(|delivered| delivered.record).collect();
    assert!(came == sent, "sent and received differ");
}

/// A group that is new reads a partition from its first record on.
///
/// # Panics
/// If it misses records that were kept for it.
pub async fn partitions_start_at_their_beginning<E: Engine>() {
    let engine = E::start(&topic(3)).await;
    // The engine keeps records while some group has not read them.
    let _keeper = engine.consumer("keeper", &[TOPIC]).await;
    let producer = engine.producer().await;
    for key in ["a", "b", "c", "d"] {
        send_numbers(&producer, TOPIC, key, 0, 25).await;
    }
    let mut late = engine.consumer("late", &[TOPIC]).await;
    let numbers: Vec<_> = read(&mut late, 100).await.iter().map(number).collect();
    assert_eq!(numbers.iter().filter(|number| **number == 0).count(), 4, "the first record of each key came");
}

/// A poll that is dropped while it waits loses no record.
///
/// # Panics
/// If one is lost.
pub async fn polls_can_be_dropped<E: Engine>() {
    let engine = E::start(&topic(2)).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    let sending = tokio::spawn(async move {
        for number in 0..200 {
            send_numbers(&producer, TOPIC, "key", number, number + 1).await;
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    });
    let mut came = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while came.len() < 200 {
        assert!(Instant::now() < deadline, "only {} of 200 records came", came.len());
        if let Ok(polled) = timeout(Duration::from_micros(700), consumer.poll(3, PATIENCE)).await {
            came.extend(polled.expect("a poll works").iter().map(number));
        }
    }
    sending.await.expect("the producer ends");
    assert_eq!(came, (0..200).collect::<Vec<_>>());
}

/// A poll without news returns nothing after its wait, and one with news returns long before.
///
/// # Panics
/// If it does not.
pub async fn polls_end_in_time<E: Engine>() {
    let engine = E::start(&topic(1)).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    // Joining may take its time.
    read_for(&mut consumer, QUIET).await;
    let started = Instant::now();
    assert_eq!(poll(&mut consumer, 10).await, []);
    let waited = started.elapsed();
    assert!(waited >= WAIT / 2 && waited < WAIT * 20, "a poll of {WAIT:?} took {waited:?}");

    let producer = engine.producer().await;
    let sending = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        send_numbers(&producer, TOPIC, "key", 0, 1).await;
    });
    let started = Instant::now();
    let polled = consumer.poll(10, PATIENCE).await.expect("a poll works");
    assert_eq!(polled.len(), 1);
    assert!(started.elapsed() < PATIENCE / 2, "news came after {:?}", started.elapsed());
    sending.await.expect("the producer ends");
}
