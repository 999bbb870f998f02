//! Where an engine says no, or not yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::work::{PATIENCE, QUIET, number, numbered, poll, read, read_for, send_numbers};
use super::super::{Declared, Engine};
use crate::{BusError, Consumer, Fate, MAX_RECORD_BYTES, Producer, Watermark};

const TOPIC: &str = "contract.flows";

/// A producer far ahead of a slow consumer waits or is stored; nothing is dropped and the order stays.
///
/// # Panics
/// If a record is missing.
pub async fn back_pressure_waits_and_loses_nothing<E: Engine>() {
    const RECORDS: u64 = 2000;
    let engine = E::start(&[Declared { name: TOPIC, partitions: 1, max_records: 50 }]).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        for start in (0..RECORDS).step_by(10) {
            send_numbers(&producer, TOPIC, "key", start, start + 10).await;
            counted.store(start + 10, Ordering::SeqCst);
        }
    });
    let mut watermark = Watermark::new();
    let mut expected = 0;
    let deadline = Instant::now() + PATIENCE;
    while expected < RECORDS {
        assert!(Instant::now() < deadline, "only {expected} of {RECORDS} records came");
        let polled = poll(&mut consumer, 20).await;
        tokio::time::sleep(Duration::from_micros(200)).await;
        watermark.begin(&polled);
        for record in &polled {
            assert_eq!(number(record), expected, "in order, none missing, none twice");
            expected += 1;
            watermark.finish(&record.position());
        }
        consumer.commit(&watermark.advanced()).await.expect("a commit works");
    }
    sending.await.expect("the producer ends");
    assert_eq!((sent.load(Ordering::SeqCst), consumer.lag().await), (RECORDS, Ok(0)));
}

/// A record over the limit is refused with its topic and size, before anything of its batch is sent.
///
/// # Panics
/// If it is not.
pub async fn too_large_is_refused_by_name<E: Engine>() {
    let engine = E::start(&[Declared { name: TOPIC, partitions: 1, max_records: 100 }]).await;
    let mut consumer = engine.consumer("group", &[TOPIC]).await;
    let producer = engine.producer().await;
    let mut large = numbered(TOPIC, "key", 1);
    large.value = Bytes::from(vec![0; MAX_RECORD_BYTES]);
    let size = large.size();
    let error = producer.send(vec![numbered(TOPIC, "key", 0), large]).await.expect_err("it is too large");
    assert_eq!(error, BusError::TooLarge { topic: Arc::from(TOPIC), index: 1, size, limit: MAX_RECORD_BYTES });
    assert_eq!(error.fate(), Fate::Permanent);
    assert_eq!(read_for(&mut consumer, QUIET).await, [], "nothing of the batch was sent");
    send_numbers(&producer, TOPIC, "key", 0, 1).await;
    assert_eq!(read(&mut consumer, 1).await.len(), 1, "the producer works on");
}

/// Sending to a topic that does not exist is refused with its name.
///
/// # Panics
/// If it is not.
pub async fn unknown_topics_are_refused<E: Engine>() {
    let engine = E::start(&[Declared { name: TOPIC, partitions: 1, max_records: 100 }]).await;
    let error = engine.producer().await.send(vec![numbered("contract.absent", "key", 0)]).await;
    assert_eq!(error, Err(BusError::UnknownTopic { topic: Arc::from("contract.absent") }));
}
