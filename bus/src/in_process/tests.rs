use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::contract::{Declared, Engine};
use crate::{Consumer, Delivered, Producer, Record, Resume};

mod contract {
    use crate::in_process::InProcessBus;

    crate::bus_contract!(InProcessBus);
}

impl Engine for InProcessBus {
    type Producer = InProcessProducer;
    type Consumer = InProcessConsumer;

    async fn start(topics: &[Declared]) -> Self {
        let topics = topics.iter().map(|topic| TopicSettings {
            partitions: topic.partitions,
            max_records: topic.max_records,
            ..TopicSettings::named(topic.name)
        });
        Self::new(topics).unwrap()
    }

    async fn producer(&self) -> InProcessProducer {
        InProcessBus::producer(self)
    }

    async fn consumer(&self, group: &str, topics: &[&str]) -> InProcessConsumer {
        self.subscribe(group, topics).unwrap()
    }
}

const SOON: Duration = Duration::from_millis(20);

fn bus(settings: TopicSettings) -> InProcessBus {
    InProcessBus::new([settings]).unwrap()
}

fn small(max_records: usize) -> TopicSettings {
    TopicSettings { max_records, ..TopicSettings::named("t") }
}

fn record(topic: &str, value: &[u8]) -> Record {
    Record {
        topic: Arc::from(topic),
        key: Bytes::from_static(b"key"),
        headers: vec![],
        value: Bytes::copy_from_slice(value),
        timestamp_ms: 0,
    }
}

fn after(delivered: &Delivered) -> Resume {
    Resume { topic: Arc::clone(&delivered.record.topic), partition: delivered.partition, next: delivered.offset + 1 }
}

fn values(delivered: &[Delivered]) -> Vec<u8> {
    delivered.iter().map(|one| one.record.value[0]).collect()
}

#[test]
fn topics_that_could_take_nothing_are_refused() {
    let refused = |settings: TopicSettings| InProcessBus::new([settings]).unwrap_err().to_string();
    assert_eq!(refused(TopicSettings { partitions: 0, ..small(1) }), "topic `t` has no partitions");
    assert_eq!(refused(small(0)), "topic `t` may hold no records");
    assert_eq!(
        refused(TopicSettings { max_bytes: 10, ..small(1) }),
        "topic `t` may hold 10 bytes; it needs room for one record of 1048576"
    );
    let twice = InProcessBus::new([small(1), small(1)]).unwrap_err();
    assert_eq!(twice, InvalidTopic::Twice("t".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_makes_the_producer_wait_until_a_commit() {
    let bus = bus(small(2));
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    let producer = bus.producer();
    producer.send(vec![record("t", b"0"), record("t", b"1")]).await.unwrap();
    let mut third = Box::pin(producer.send(vec![record("t", b"2")]));
    assert!(timeout(SOON, &mut third).await.is_err(), "it waits");
    // Reading alone makes no room: it may come again.
    let read = consumer.poll(10, SOON).await.unwrap();
    assert_eq!(values(&read), *b"01");
    assert!(timeout(SOON, &mut third).await.is_err(), "it still waits");
    assert_eq!(
        bus.backlog("t", "g").unwrap(),
        Backlog { lag: 2, held_records: 2, held_bytes: 8, ..Backlog::default() }
    );
    consumer.commit(&[after(&read[0])]).await.unwrap();
    timeout(SOON, third).await.unwrap().unwrap();
    assert_eq!(values(&consumer.poll(10, SOON).await.unwrap()), *b"2");
}

#[tokio::test(start_paused = true)]
async fn bytes_bound_a_topic_as_well() {
    let bus = bus(TopicSettings { max_bytes: MAX_RECORD_BYTES, ..small(1000) });
    bus.register("g", &["t"]).unwrap();
    let producer = bus.producer();
    let half = vec![0; MAX_RECORD_BYTES / 2];
    producer.send(vec![record("t", &half)]).await.unwrap();
    assert!(timeout(SOON, producer.send(vec![record("t", &half)])).await.is_err(), "keys count too");
    assert_eq!(bus.backlog("t", "g").unwrap().held_records, 1);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_group_holds_the_records() {
    let bus = bus(small(10));
    let (mut fast, mut slow) = (bus.subscribe("fast", &["t"]).unwrap(), bus.subscribe("slow", &["t"]).unwrap());
    bus.producer().send((0..4).map(|value| record("t", &[value])).collect()).await.unwrap();
    let read = fast.poll(10, SOON).await.unwrap();
    fast.commit(&[after(&read[3])]).await.unwrap();
    assert_eq!(bus.backlog("t", "fast").unwrap(), Backlog { held_records: 4, held_bytes: 16, ..Backlog::default() });
    let read = slow.poll(2, SOON).await.unwrap();
    slow.commit(&[after(&read[1])]).await.unwrap();
    let backlog = bus.backlog("t", "slow").unwrap();
    assert_eq!((backlog.held_records, backlog.lag, backlog.undelivered), (2, 2, 2));
    assert_eq!(bus.backlog("t", "nobody"), None);
    assert_eq!(bus.backlog("absent", "fast"), None);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_reads_keeps_the_newest_and_counts() {
    let bus = bus(TopicSettings { partitions: 3, ..small(5) });
    let producer = bus.producer();
    for value in 0..20u8 {
        let mut record = record("t", &[value]);
        record.key = Bytes::copy_from_slice(&[value]);
        record.timestamp_ms = i64::from(value);
        timeout(SOON, producer.send(vec![record])).await.unwrap().unwrap();
    }
    let mut late = bus.subscribe("late", &["t"]).unwrap();
    let mut kept = values(&late.poll(100, SOON).await.unwrap());
    kept.sort_unstable();
    assert_eq!(kept, [15, 16, 17, 18, 19]);
    assert_eq!(bus.backlog("t", "late").unwrap().discarded, 15);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_members_still_holds_its_records() {
    let bus = bus(small(3));
    drop(bus.subscribe("g", &["t"]).unwrap());
    let producer = bus.producer();
    producer.send((0..3).map(|value| record("t", &[value])).collect()).await.unwrap();
    assert!(timeout(SOON, producer.send(vec![record("t", b"x")])).await.is_err());
    let read = bus.subscribe("g", &["t"]).unwrap().poll(10, SOON).await.unwrap();
    assert_eq!(values(&read), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_topic_is_drained_and_then_ends() {
    let bus = InProcessBus::new([small(2), TopicSettings::named("open")]).unwrap();
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    let producer = bus.producer();
    producer.send(vec![record("t", b"0"), record("t", b"1")]).await.unwrap();
    let mut waiting = Box::pin(producer.send(vec![record("t", b"2")]));
    assert!(timeout(SOON, &mut waiting).await.is_err());
    bus.close_topic("t").unwrap();
    assert_eq!(waiting.await, Err(BusError::Closed), "who waits for room is told");
    assert_eq!(producer.send(vec![record("t", b"3")]).await, Err(BusError::Closed));
    producer.send(vec![record("open", b"3")]).await.unwrap();

    let first = consumer.poll(1, SOON).await.unwrap();
    let second = consumer.poll(1, SOON).await.unwrap();
    assert_eq!((values(&first), values(&second)), (vec![b'0'], vec![b'1']));
    assert_eq!(consumer.poll(1, SOON).await, Err(BusError::Closed));
    assert_eq!(consumer.commit(&[after(&second[0])]).await, Ok(vec![]), "the last can still be committed");
    assert_eq!(bus.backlog("t", "g").unwrap(), Backlog::default());
    assert_eq!(bus.close_topic("absent"), Err(BusError::UnknownTopic { topic: Arc::from("absent") }));
}

#[tokio::test(start_paused = true)]
async fn closing_wakes_a_poll_that_waits() {
    let bus = bus(small(2));
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    let polling = tokio::spawn(async move { consumer.poll(1, Duration::MAX).await });
    tokio::time::sleep(SOON).await;
    bus.close();
    assert_eq!(timeout(SOON, polling).await.unwrap().unwrap(), Err(BusError::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_a_member_leaves_behind_after_a_close_is_still_delivered() {
    let bus = bus(small(10));
    let (mut one, mut other) = (bus.subscribe("g", &["t"]).unwrap(), bus.subscribe("g", &["t"]).unwrap());
    bus.producer().send(vec![record("t", b"0")]).await.unwrap();
    bus.close();
    assert_eq!(values(&one.poll(10, SOON).await.unwrap()), *b"0");
    assert_eq!(other.poll(10, SOON).await, Err(BusError::Closed));
    drop(one);
    assert_eq!(values(&other.poll(10, SOON).await.unwrap()), *b"0");
}

#[tokio::test(start_paused = true)]
async fn wrong_commits_are_refused_with_their_place() {
    let bus = bus(small(10));
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    bus.producer().send(vec![record("t", b"0"), record("t", b"1")]).await.unwrap();
    consumer.poll(1, SOON).await.unwrap();
    let resume = |topic: &str, partition, next| Resume { topic: Arc::from(topic), partition, next };
    let refused = [
        (resume("t", 0, 2), "cannot commit 2 in partition 0 of topic `t`: only 1 records were delivered"),
        (resume("t", 7, 0), "topic `t` has no partition 7"),
        (resume("other", 0, 0), "topic `other` does not exist"),
    ];
    for (commit, reason) in refused {
        assert_eq!(consumer.commit(&[commit]).await.unwrap_err().to_string(), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_topics_cannot_be_subscribed() {
    let bus = bus(small(10));
    let unknown = BusError::UnknownTopic { topic: Arc::from("absent") };
    assert_eq!(bus.subscribe("g", &["t", "absent"]).unwrap_err(), unknown);
    assert_eq!(bus.register("g", &["t", "absent"]).unwrap_err(), unknown);
    assert_eq!(bus.backlog("t", "g"), None, "nothing was registered");
}

#[tokio::test(start_paused = true)]
async fn a_busy_partition_does_not_starve_the_others() {
    let bus = bus(TopicSettings { partitions: 8, ..small(10_000) });
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    let keyed = |key: u8, value: u8| Record { key: Bytes::copy_from_slice(&[key]), ..record("t", &[value]) };
    bus.producer().send((0..100).map(|_| keyed(0, 0)).chain((1..50).map(|key| keyed(key, 1))).collect()).await.unwrap();
    let mut early = Vec::new();
    for _ in 0..10 {
        early.extend(consumer.poll(10, SOON).await.unwrap());
    }
    assert!(values(&early).contains(&1), "a small partition comes before the large one is read");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_several_topics_is_given_all() {
    let bus = InProcessBus::new([TopicSettings::named("a"), TopicSettings::named("b")]).unwrap();
    let mut consumer = bus.subscribe("g", &["a", "b", "a"]).unwrap();
    bus.producer().send(vec![record("a", b"0"), record("b", b"1"), record("a", b"2")]).await.unwrap();
    let mut read = values(&consumer.poll(10, SOON).await.unwrap());
    read.sort_unstable();
    assert_eq!(read, *b"012");
    assert_eq!(consumer.lag().await, Ok(3));
    bus.close_topic("a").unwrap();
    assert_eq!(consumer.poll(10, SOON).await, Ok(vec![]), "one of two is still open");
    bus.close_topic("b").unwrap();
    assert_eq!(consumer.poll(10, SOON).await, Err(BusError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_half_way_keeps_the_order_of_the_next() {
    let bus = bus(small(2));
    let mut consumer = bus.subscribe("g", &["t"]).unwrap();
    let producer = bus.producer();
    let half = producer.send((0..4).map(|value| record("t", &[value])).collect());
    assert!(timeout(SOON, half).await.is_err());
    let read = consumer.poll(10, SOON).await.unwrap();
    consumer.commit(&[after(&read[1])]).await.unwrap();
    let again = tokio::spawn(async move { producer.send((0..4).map(|value| record("t", &[value])).collect()).await });
    let mut rest = Vec::new();
    while rest.len() < 4 {
        let read = consumer.poll(10, SOON).await.unwrap();
        consumer.commit(&read.last().map(after).into_iter().collect::<Vec<_>>()).await.unwrap();
        rest.extend(values(&read));
    }
    again.await.unwrap().unwrap();
    assert_eq!(rest, [0, 1, 2, 3]);
}

/// What may happen to a group.
#[derive(Debug, Clone)]
enum Step {
    Send(u8),
    Join,
    Leave(usize),
    Poll(usize, usize),
    Commit(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Send),
        1 => Just(Step::Join),
        1 => any::<usize>().prop_map(Step::Leave),
        4 => (any::<usize>(), 1usize..5).prop_map(|(member, max)| Step::Poll(member, max)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(member, count)| Step::Commit(member, count)),
    ]
}

proptest! {
    /// Members come and go and commit what they like of what they were given: in the end every record that was never
    /// covered by a commit is delivered to the last member, and offsets are dense.
    #[test]
    fn nothing_uncommitted_is_ever_lost(steps in prop::collection::vec(step(), 0..100)) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let bus = bus(TopicSettings { partitions: 3, ..small(1000) });
            bus.register("g", &["t"]).unwrap();
            let producer = bus.producer();
            let mut members: Vec<(InProcessConsumer, Vec<Delivered>)> = Vec::new();
            let mut sent = 0u64;
            let mut committed = [0u64; 3];
            for step in steps {
                let count = members.len();
                match step {
                    Step::Send(key) => {
                        let mut record = record("t", &sent.to_be_bytes());
                        record.key = Bytes::copy_from_slice(&[key]);
                        producer.send(vec![record]).await.unwrap();
                        sent += 1;
                    }
                    Step::Join => members.push((bus.subscribe("g", &["t"]).unwrap(), Vec::new())),
                    Step::Leave(member) if count > 0 => drop(members.swap_remove(member % count)),
                    Step::Poll(member, max) if count > 0 => {
                        let (consumer, given) = &mut members[member % count];
                        given.extend(consumer.poll(max, Duration::ZERO).await.unwrap());
                    }
                    Step::Commit(member, which) if count > 0 => {
                        let (consumer, given) = &mut members[member % count];
                        if let Some(one) = given.get(which % given.len().max(1)) {
                            let resume = after(one);
                            if consumer.commit(std::slice::from_ref(&resume)).await.unwrap().is_empty() {
                                let mark = &mut committed[resume.partition as usize];
                                *mark = resume.next.max(*mark);
                            }
                        }
                    }
                    Step::Leave(_) | Step::Poll(..) | Step::Commit(..) => {}
                }
            }
            members.clear();
            let rest = bus.subscribe("g", &["t"]).unwrap().poll(usize::MAX, Duration::ZERO).await.unwrap();
            let by_partition: Vec<Vec<u64>> = (0..3)
                .map(|partition| rest.iter().filter(|one| one.partition == partition).map(|one| one.offset).collect())
                .collect();
            for (offsets, mark) in by_partition.iter().zip(committed) {
                let dense: Vec<u64> = (mark..mark + offsets.len() as u64).collect();
                assert_eq!(*offsets, dense);
            }
            assert_eq!(rest.len() as u64 + committed.iter().sum::<u64>(), sent);
            assert_eq!(bus.backlog("t", "g").unwrap().held_records, rest.len());
        });
    }
}
