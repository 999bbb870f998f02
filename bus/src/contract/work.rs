//! What the checks do over and over: make records, send them, read until a number has come.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::{Consumer, Delivered, Header, Producer, Record};

/// Within what everything that should happen has to. A broker that shares partitions anew takes some seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// For how long nothing may come where nothing should.
pub(super) const QUIET: Duration = Duration::from_millis(300);

/// One poll's wait.
pub(super) const WAIT: Duration = Duration::from_millis(100);

/// Returns a record whose value is a number.
pub(super) fn numbered(topic: &'static str, key: &str, number: u64) -> Record {
    Record {
        topic: Arc::from(topic),
        key: Bytes::copy_from_slice(key.as_bytes()),
        headers: vec![Header::new("seq", number.to_string())],
        value: Bytes::copy_from_slice(&number.to_be_bytes()),
        timestamp_ms: 1_700_000_000_000,
    }
}

/// Returns the number in a record's value.
pub(super) fn number(delivered: &Delivered) -> u64 {
    let value = <[u8; 8]>::try_from(delivered.record.value.as_ref());
    u64::from_be_bytes(value.expect("the value is the one that was sent: eight bytes"))
}

/// Sends records numbered from `from` to `to` under one key, in one batch.
pub(super) async fn send_numbers(producer: &impl Producer, topic: &'static str, key: &str, from: u64, to: u64) {
    let batch = (from..to).map(|number| numbered(topic, key, number)).collect();
    timeout(PATIENCE, producer.send(batch)).await.expect("a send with room is answered").expect("a send works");
}

/// Polls until `count` records came, and returns them.
pub(super) async fn read(consumer: &mut impl Consumer, count: usize) -> Vec<Delivered> {
    let mut read = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while read.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} records came", read.len());
        read.extend(poll(consumer, count - read.len()).await);
    }
    read
}

/// Polls for a while and returns all that came.
pub(super) async fn read_for(consumer: &mut impl Consumer, time: Duration) -> Vec<Delivered> {
    let mut read = Vec::new();
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        read.extend(poll(consumer, 1000).await);
    }
    read
}

/// Polls once.
pub(super) async fn poll(consumer: &mut impl Consumer, max: usize) -> Vec<Delivered> {
    let polled = consumer.poll(max, WAIT).await.expect("a poll works");
    assert!(polled.len() <= max, "a poll for {max} records gave {}", polled.len());
    polled
}
