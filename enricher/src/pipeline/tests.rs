//! The pipeline on the bus of one process, and on buses that fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::{InProcessBus, InProcessConsumer, Resume, TopicSettings};
use flow::wire::dead_letter::Reason;
use prometheus_client::registry::Registry;
use service::shutdown::Shutdown;

use super::*;
use crate::metrics::{DeadBecause, Kind};
use crate::test_support::{NOW_MS, history, ledger_value, raw_value, record, settings};

const RAW: &str = "millrace.flows.raw.v1";
const ENRICHED: &str = "millrace.flows.enriched.v1";
const DEAD: &str = "millrace.dead-letters.v1";

fn bus(max_records: usize) -> InProcessBus {
    let topic = |name: &str| TopicSettings { max_records, ..TopicSettings::named(name) };
    let bus = InProcessBus::new([RAW, ENRICHED, DEAD].map(topic)).unwrap();
    bus.register("millrace-enricher", &[RAW]).unwrap();
    bus.register("reader", &[ENRICHED, DEAD]).unwrap();
    bus
}

fn metrics() -> EnricherMetrics {
    EnricherMetrics::register(&mut Registry::default())
}

fn histories() -> watch::Receiver<Arc<History>> {
    watch::channel(Arc::new(history(""))).1
}

fn messages(count: u64) -> Vec<Record> {
    (0..count)
        .map(|seq| match seq % 10 {
            8 => record(seq, "ledger/1", ledger_value(seq)),
            9 => record(seq, "raw-flow/1", b"rubbish".to_vec()),
            _ => record(seq, "raw-flow/1", raw_value(seq, NOW_MS)),
        })
        .collect()
}

async fn read_all(bus: &InProcessBus, topic: &str) -> Vec<Delivered> {
    let mut reader = bus.subscribe("reader", &[topic]).unwrap();
    let mut all = Vec::new();
    loop {
        let batch = reader.poll(1_000, Duration::from_millis(10)).await.unwrap_or_default();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

async fn all_committed(bus: &InProcessBus) {
    for _ in 0..2_000 {
        if bus.backlog(RAW, "millrace-enricher").unwrap().lag == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the enricher stands still");
}

fn seqs(all: &[Delivered]) -> Vec<u64> {
    all.iter().map(|d| std::str::from_utf8(d.record.header("seq").unwrap()).unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn every_message_comes_out_once_and_in_order() {
    let bus = bus(65_536);
    bus.producer().send(messages(2_000)).await.unwrap();
    bus.close_topic(RAW).unwrap();
    let metrics = metrics();
    let consumer = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let enricher = Enricher::new(&settings(), consumer, bus.producer(), histories(), metrics.clone());
    let done = enricher.run(Shutdown::new().token()).await.unwrap();
    assert_eq!(done, Enriched { flows: 1_600, ledgers: 200, dead_letters: 200 });

    let enriched = seqs(&read_all(&bus, ENRICHED).await);
    assert_eq!(enriched, (0..2_000).filter(|seq| seq % 10 != 9).collect::<Vec<u64>>());
    let dead = seqs(&read_all(&bus, DEAD).await);
    assert_eq!(dead, (0..2_000).filter(|seq| seq % 10 == 9).collect::<Vec<u64>>());
    assert_eq!(bus.backlog(RAW, "millrace-enricher").unwrap().lag, 0);
    assert_eq!(metrics.records.of(Kind::Flow).get(), 1_600);
    assert_eq!(metrics.dead_letters.of(DeadBecause(Reason::Form)).get(), 200);
}

#[tokio::test]
async fn nothing_is_committed_before_it_is_sent() {
    // Room for 100 in the sink, and nobody reads it: the enricher has to wait.
    let bus = bus(100);
    let producer = bus.producer();
    let consumer = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let shutdown = Shutdown::new();
    let enricher = Enricher::new(&settings(), consumer, bus.producer(), histories(), metrics());
    let running = tokio::spawn(enricher.run(shutdown.token()));
    let flows = |range: std::ops::Range<u64>| {
        range.map(|seq| record(seq, "raw-flow/1", raw_value(seq, NOW_MS))).collect::<Vec<_>>()
    };
    producer.send(flows(0..90)).await.unwrap();
    all_committed(&bus).await;
    producer.send(flows(90..150)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bus.backlog(RAW, "millrace-enricher").unwrap().lag, 60, "waits for room");

    shutdown.request_now();
    let stopped = running.await.unwrap().unwrap_err();
    assert!(matches!(stopped, Stopped::Send(GaveUp::Stopped(_))), "{stopped:?}");
    assert_eq!(bus.backlog(RAW, "millrace-enricher").unwrap().lag, 60, "the next enricher reads them again");
}

#[tokio::test]
async fn ends_when_asked_and_finishes_what_it_began() {
    let bus = bus(65_536);
    bus.producer().send(messages(100)).await.unwrap();
    let consumer = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let shutdown = Shutdown::new();
    let enricher = Enricher::new(&settings(), consumer, bus.producer(), histories(), metrics());
    let running = tokio::spawn(enricher.run(shutdown.token()));
    all_committed(&bus).await;
    shutdown.request();
    let done = running.await.unwrap().unwrap();
    assert_eq!(done.flows + done.ledgers + done.dead_letters, 100);
}

/// A producer that fails some times before it works.
struct Shaky {
    inner: bus::InProcessProducer,
    failures: AtomicU64,
    error: BusError,
    sizes: Mutex<Vec<usize>>,
}

impl Producer for Shaky {
    async fn send(&self, records: Vec<Record>) -> Result<(), BusError> {
        self.sizes.lock().unwrap().push(records.len());
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(self.error.clone());
        }
        self.inner.send(records).await
    }
}

async fn run_with(failures: u64, error: BusError) -> (InProcessBus, Result<Enriched, Stopped>) {
    let bus = bus(65_536);
    bus.producer().send(messages(20)).await.unwrap();
    bus.close_topic(RAW).unwrap();
    let consumer = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let producer = Shaky { inner: bus.producer(), failures: failures.into(), error, sizes: Mutex::new(Vec::new()) };
    let enricher = Enricher::new(&settings(), consumer, producer, histories(), metrics());
    let done = enricher.run(Shutdown::new().token()).await;
    (bus, done)
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_does_not_answer_is_tried_again() {
    let (bus, done) = run_with(5, BusError::Unavailable { reason: "down".to_owned() }).await;
    assert_eq!(done.unwrap(), Enriched { flows: 16, ledgers: 2, dead_letters: 2 });
    assert_eq!(read_all(&bus, ENRICHED).await.len(), 18);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_ends_the_enricher_and_commits_nothing() {
    let (bus, done) = run_with(1, BusError::Refused { reason: "not allowed".to_owned() }).await;
    assert!(matches!(done, Err(Stopped::Send(GaveUp::Permanent(_)))));
    assert_eq!(bus.backlog(RAW, "millrace-enricher").unwrap().lag, 20);
}

/// A consumer that fails some times at every call.
struct ShakyConsumer {
    inner: InProcessConsumer,
    polls: u64,
    commits: u64,
}

impl Consumer for ShakyConsumer {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivered>, BusError> {
        if let Some(left) = self.polls.checked_sub(1) {
            self.polls = left;
            return Err(BusError::Unavailable { reason: "down".to_owned() });
        }
        self.inner.poll(max, wait).await
    }

    async fn commit(&mut self, positions: &[Resume]) -> Result<Vec<Resume>, BusError> {
        if let Some(left) = self.commits.checked_sub(1) {
            self.commits = left;
            return Err(BusError::Unavailable { reason: "down".to_owned() });
        }
        self.inner.commit(positions).await
    }

    async fn lag(&mut self) -> Result<u64, BusError> {
        self.inner.lag().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_answer_is_tried_again() {
    let bus = bus(65_536);
    bus.producer().send(messages(20)).await.unwrap();
    bus.close_topic(RAW).unwrap();
    let inner = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let consumer = ShakyConsumer { inner, polls: 3, commits: 3 };
    let metrics = metrics();
    let enricher = Enricher::new(&settings(), consumer, bus.producer(), histories(), metrics.clone());
    let done = enricher.run(Shutdown::new().token()).await.unwrap();
    assert_eq!(done.flows, 16);
    assert_eq!(metrics.retries.get(), 6);
    assert_eq!(bus.backlog(RAW, "millrace-enricher").unwrap().lag, 0);
    assert_eq!(read_all(&bus, ENRICHED).await.len(), 18, "sent once");
}

#[tokio::test]
async fn a_new_history_counts_from_the_next_batch() {
    let bus = bus(65_536);
    let (sender, receiver) = watch::channel(Arc::new(history("")));
    let consumer = bus.subscribe("millrace-enricher", &[RAW]).unwrap();
    let enricher = Enricher::new(&settings(), consumer, bus.producer(), receiver, metrics());
    let shutdown = Shutdown::new();
    let running = tokio::spawn(enricher.run(shutdown.token()));
    let mut names = Vec::new();
    for seq in 0..2 {
        bus.producer().send(vec![record(seq, "raw-flow/1", raw_value(seq, NOW_MS))]).await.unwrap();
        all_committed(&bus).await;
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: web}, status: {podIP: 10.0.0.2}}";
        sender.send_replace(Arc::new(history(pod)));
    }
    bus.close_topic(RAW).unwrap();
    running.await.unwrap().unwrap();
    for message in read_all(&bus, ENRICHED).await {
        let value: serde_json::Value = serde_json::from_slice(&message.record.value).unwrap();
        names.push(value["dest_name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["-", "web"]);
}
