//! What the tests are built on: topics of their own on a shared or an own broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bus::kafka::topics::{self, Plan, Step, TopicSpec};
use bus::kafka::{KafkaBus, KafkaConsumer, KafkaSettings};
use bus::{Consumer, Delivered, Header, Producer, Record, Resume};
use tokio::time::Instant;

/// Within what everything that should happen has to.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Returns true if a broker can be started here; otherwise says so.
pub(crate) fn can_run(test: &str) -> bool {
    servers::can_run(test, &[servers::Product::Kafka])
}

/// Returns a number that no other test has.
pub(crate) fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// Returns settings that find out about trouble in seconds.
pub(crate) fn quick(bootstrap: &str) -> KafkaSettings {
    let mut settings = KafkaSettings::at(bootstrap.split(','));
    settings.linger = Duration::from_millis(5);
    settings.session_timeout = Duration::from_secs(6);
    settings.poll_interval = Duration::from_secs(30);
    settings.request_timeout = Duration::from_secs(5);
    settings.delivery_timeout = Duration::from_secs(10);
    settings.options.insert("reconnect.backoff.max.ms".to_owned(), "500".to_owned());
    settings
}

/// A century. The records of tests carry old times, and brokers delete by those.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Makes a topic and waits until it is seen.
pub(crate) async fn create(settings: &KafkaSettings, mut spec: TopicSpec) {
    spec.retention.get_or_insert(FOR_EVER);
    let name = spec.name.clone();
    topics::apply(settings, &Plan { steps: vec![Step::Create(spec)] }).await.unwrap();
    let bus = KafkaBus::new(settings.clone()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = bus.expect(&[&name]).await {
        assert!(Instant::now() < deadline, "topic {name} does not come: {error}");
    }
}

/// Returns records numbered from `from` to `to`, all under one key.
pub(crate) fn numbered(topic: &str, key: &str, from: u64, to: u64) -> Vec<Record> {
    let topic: Arc<str> = Arc::from(topic);
    (from..to)
        .map(|number| Record {
            topic: Arc::clone(&topic),
            key: key.to_owned().into(),
            headers: vec![Header::new("seq", number.to_string())],
            value: number.to_be_bytes().to_vec().into(),
            timestamp_ms: 1_764_000_000_000,
        })
        .collect()
}

/// Returns the number of a record.
pub(crate) fn number(one: &Delivered) -> u64 {
    u64::from_be_bytes(one.record.value.as_ref().try_into().unwrap())
}

/// Sends a batch again and again while that can help, as the roles do; returns how often it failed.
pub(crate) async fn send(producer: &impl Producer, records: Vec<Record>) -> u32 {
    let mut failed = 0;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = producer.send(records.clone()).await {
        assert_eq!(error.fate(), bus::Fate::Retryable, "{error}");
        assert!(Instant::now() < deadline, "{error}");
        failed += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    failed
}

/// Reads until `enough` says so, going on after what passes, as the roles do.
pub(crate) async fn read_until(
    consumer: &mut KafkaConsumer,
    mut enough: impl FnMut(&[Delivered]) -> bool,
) -> Vec<Delivered> {
    let mut read = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !enough(&read) {
        assert!(Instant::now() < deadline, "only {} records came", read.len());
        match consumer.poll(500, Duration::from_millis(200)).await {
            Ok(more) => read.extend(more),
            Err(error) => assert_eq!(error.fate(), bus::Fate::Retryable, "{error}"),
        }
    }
    read
}

/// Reads until an error that stays.
pub(crate) async fn read_to_fault(consumer: &mut KafkaConsumer) -> (Vec<Delivered>, bus::BusError) {
    let mut read = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no fault after {} records", read.len());
        match consumer.poll(500, Duration::from_millis(200)).await {
            Ok(more) => read.extend(more),
            Err(error) if error.fate() == bus::Fate::Retryable => (),
            Err(error) => return (read, error),
        }
    }
}

/// Returns the position after a record.
pub(crate) fn after(one: &Delivered) -> Resume {
    Resume { topic: Arc::clone(&one.record.topic), partition: one.partition, next: one.offset + 1 }
}

/// Returns the distinct numbers in order of their first coming.
pub(crate) fn firsts(read: &[Delivered]) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    read.iter().map(number).filter(|number| seen.insert(*number)).collect()
}
