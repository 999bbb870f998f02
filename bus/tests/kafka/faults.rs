//! Faults of brokers, groups and topics: nothing is lost, nothing is skipped in silence, order is kept. The marks in the
//! names of sections are those of the fault catalogue.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bus::kafka::topics::TopicSpec;
use bus::kafka::{KafkaBus, KafkaSettings};
use bus::{BusError, Consumer, Producer, Resume, Watermark};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use servers::proxy::{End, Flow, Lane, Rules, TcpProxy};
use servers::{Kafka, KafkaOptions};

use crate::bed::{
    PATIENCE, after, can_run, create, firsts, number, numbered, quick, read_to_fault, read_until, send, unique,
};

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// Returns a bus on the shared broker with a topic of the test's own.
async fn topic(partitions: u32, change: impl FnOnce(&mut KafkaSettings)) -> (KafkaBus, KafkaSettings, String) {
    let mut settings = quick(&servers::shared::kafka().unwrap().bootstrap());
    change(&mut settings);
    let name = format!("faults.{}", unique());
    create(&settings, TopicSpec::named(&name, partitions)).await;
    (KafkaBus::new(settings.clone()).unwrap(), settings, name)
}

/// A broker, and the proxy that clients reach it through.
struct Reached {
    broker: Kafka,
    proxy: TcpProxy,
}

/// Sends and reads while `disturb` does its worst with a broker and the way to it; all come, in order. Returns how many
/// copies came.
async fn nothing_is_lost_while(disturb: impl FnOnce(&Reached) + Send + 'static) -> usize {
    const RECORDS: u64 = 20_000;
    let proxy = TcpProxy::start().unwrap();
    let options = KafkaOptions { advertised: Some(proxy.address()), ..KafkaOptions::default() };
    let broker = Kafka::start(&options).unwrap();
    proxy.forward_to(broker.address());
    let settings = quick(&proxy.address().to_string());
    let reached = Reached { broker, proxy };
    create(&settings, TopicSpec::named("flows", 1)).await;
    let bus = KafkaBus::new(settings).unwrap();
    let disturbing = tokio::task::spawn_blocking(move || {
        disturb(&reached);
        reached
    });
    let producer = bus.producer();
    let sending = tokio::spawn(async move {
        let mut failed = 0;
        for from in (0..RECORDS).step_by(100) {
            failed += send(&producer, numbered("flows", "key", from, from + 100)).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        failed
    });
    let mut consumer = bus.consumer("group", &["flows"]).await.unwrap();
    let mut read = Vec::new();
    while firsts(&read).len() < usize::try_from(RECORDS).unwrap() {
        let at = read.len();
        read.extend(read_until(&mut consumer, |more| !more.is_empty()).await);
        let last = after(read.last().unwrap());
        // A commit may fail while the broker is away; the next one covers it.
        if let Err(error) = consumer.commit(&[last]).await {
            assert_eq!(error.fate(), bus::Fate::Retryable, "{error}");
        }
        assert!(read.len() > at);
    }
    let failed = sending.await.unwrap();
    let _reached = disturbing.await.unwrap();
    assert_eq!(firsts(&read), (0..RECORDS).collect::<Vec<_>>(), "the first copies come in order");
    let copies = read.len() - usize::try_from(RECORDS).unwrap();
    println!("{RECORDS} records, {failed} sends tried again, {copies} copies");
    assert!(copies <= 100 * failed as usize, "copies come only from sends that were tried again");
    copies
}

// K1

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_and_doubles_nothing() {
    if !can_run("a_killed_broker_loses_and_doubles_nothing") {
        return;
    }
    nothing_is_lost_while(|Reached { broker, .. }| {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1500));
            broker.kill();
            broker.restart().unwrap();
        }
    })
    .await;
}

// K3

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_is_waited_for() {
    if !can_run("a_slow_broker_is_waited_for") {
        return;
    }
    nothing_is_lost_while(|Reached { proxy, .. }| {
        std::thread::sleep(Duration::from_secs(1));
        let slow =
            Lane { delay: Duration::from_millis(500), bytes_per_second: NonZeroU64::new(64 * 1024), ..Lane::default() };
        proxy.set(Rules { to_server: slow, to_client: slow, ..Rules::default() });
        std::thread::sleep(Duration::from_secs(15));
        proxy.heal();
    })
    .await;
}

// K21

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_acknowledgements_double_nothing_within_a_producer() {
    if !can_run("swallowed_acknowledgements_double_nothing_within_a_producer") {
        return;
    }
    let copies = nothing_is_lost_while(|Reached { proxy, .. }| {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1500));
            let swallow = Lane { flow: Flow::Swallow, ..Lane::default() };
            proxy.set(Rules { to_client: swallow, ..Rules::default() });
            std::thread::sleep(Duration::from_secs(1));
            proxy.heal();
            proxy.end_all(End::Reset);
        }
        assert!(proxy.counts().swallowed_bytes > 0);
    })
    .await;
    assert_eq!(copies, 0, "the broker knows the numbers of what was sent again");
}

// K4

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_is_waited_for() {
    if !can_run("a_frozen_broker_is_waited_for") {
        return;
    }
    nothing_is_lost_while(|Reached { broker, .. }| {
        std::thread::sleep(Duration::from_secs(2));
        broker.pause().unwrap();
        // Longer than requests, sessions and deliveries may take here.
        std::thread::sleep(Duration::from_secs(12));
        broker.resume().unwrap();
    })
    .await;
}

// K8

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_while_batches_are_under_way() {
    const RECORDS: u64 = 6000;
    if !can_run("members_come_and_go_while_batches_are_under_way") {
        return;
    }
    let (bus, _, name) = topic(4, |_| ()).await;
    let producer = bus.producer();
    let (to, records) = (name.clone(), RECORDS);
    let sending = tokio::spawn(async move {
        for from in (0..records).step_by(20) {
            send(&producer, numbered(&to, &format!("key-{}", from % 7), from, from + 20)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let finished = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let work = |lives: Duration| {
        let (bus, name, finished) = (bus.clone(), name.clone(), Arc::clone(&finished));
        tokio::spawn(async move {
            let mut consumer = bus.consumer("group", &[&name]).await.unwrap();
            let mut watermark = Watermark::new();
            let end = tokio::time::Instant::now() + lives;
            while tokio::time::Instant::now() < end && finished.lock().unwrap().len() < 6000 {
                let batch = match consumer.poll(200, Duration::from_millis(100)).await {
                    Ok(batch) => batch,
                    Err(error) => {
                        assert_eq!(error.fate(), bus::Fate::Retryable, "{error}");
                        continue;
                    }
                };
                watermark.begin(&batch);
                tokio::time::sleep(Duration::from_millis(30)).await;
                // Half a batch is left undone by those that go.
                let done = if tokio::time::Instant::now() < end { batch.len() } else { batch.len() / 2 };
                for one in &batch[..done] {
                    finished.lock().unwrap().insert(number(one));
                    watermark.finish(&one.position());
                }
                match consumer.commit(&watermark.advanced()).await {
                    Ok(lost) => lost.iter().for_each(|one| watermark.forget(&one.topic, one.partition)),
                    Err(error) => assert_eq!(error.fate(), bus::Fate::Retryable, "{error}"),
                }
            }
        })
    };
    let stays = work(PATIENCE);
    for _ in 0..6 {
        work(Duration::from_millis(1500)).await.unwrap();
    }
    sending.await.unwrap();
    stays.await.unwrap();
    assert_eq!(finished.lock().unwrap().len() as u64, RECORDS);
}

// K9

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_stalls_keeps_its_partitions() {
    if !can_run("a_caller_that_stalls_keeps_its_partitions") {
        return;
    }
    let (bus, _, name) = topic(1, |settings| {
        settings.poll_interval = Duration::from_secs(6);
        settings.fetch_bytes = 2 * bus::MAX_RECORD_BYTES;
    })
    .await;
    let producer = bus.producer();
    let filler = vec![0x5a; 100_000];
    let mut records = numbered(&name, "key", 0, 60);
    records.iter_mut().for_each(|one| one.headers.push(bus::Header::new("filler", filler.clone())));
    producer.send(records).await.unwrap();
    let mut consumer = bus.consumer("group", &[&name]).await.unwrap();
    let mut read = read_until(&mut consumer, |read| read.len() >= 5).await;
    // A sink that is blocked for longer than the poll interval.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(consumer.commit(&[after(read.last().unwrap())]).await, Ok(vec![]), "the partition is still ours");
    let left = 60 - read.len();
    read.extend(read_until(&mut consumer, |more| more.len() >= left).await);
    assert_eq!(read.iter().map(number).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>(), "none missing, none twice");
}

// K12

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_positions_are_gone_begins_at_the_beginning() {
    if !can_run("a_group_whose_positions_are_gone_begins_at_the_beginning") {
        return;
    }
    let (bus, settings, name) = topic(1, |_| ()).await;
    let group = format!("group-{name}");
    bus.producer().send(numbered(&name, "key", 0, 50)).await.unwrap();
    let mut consumer = bus.consumer(&group, &[&name]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 50).await;
    consumer.commit(&[after(&read[40])]).await.unwrap();
    drop(consumer);
    let admin = admin(&settings.bootstrap_servers[0]);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // The broker refuses while the member is still leaving.
    while admin.delete_groups(&[&group], &AdminOptions::new()).await.unwrap().iter().any(Result::is_err) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut consumer = bus.consumer(&group, &[&name]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 50).await;
    assert_eq!(firsts(&read), (0..50).collect::<Vec<_>>(), "nothing is skipped");
}

// K13

async fn delete_before(settings: &KafkaSettings, topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    admin(&settings.bootstrap_servers[0]).delete_records(&list, &AdminOptions::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_records_that_were_deleted_are_named() {
    if !can_run("unread_records_that_were_deleted_are_named") {
        return;
    }
    let (bus, settings, name) = topic(1, |_| ()).await;
    let group = format!("group-{name}");
    bus.producer().send(numbered(&name, "key", 0, 100)).await.unwrap();
    let mut consumer = bus.consumer(&group, &[&name]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 100).await;
    consumer.commit(&[after(&read[19])]).await.unwrap();
    drop(consumer);
    delete_before(&settings, &name, 50).await;

    let mut consumer = bus.consumer(&group, &[&name]).await.unwrap();
    let (read, error) = read_to_fault(&mut consumer).await;
    assert_eq!(read, []);
    let topic: Arc<str> = Arc::from(&*name);
    let lost =
        BusError::OffsetsLost { topic: Arc::clone(&topic), partition: 0, group: Arc::from(&*group), from: 20, to: 50 };
    assert_eq!(error, lost);
    assert_eq!(consumer.poll(1, Duration::ZERO).await, Err(lost), "it stays until somebody acts");
    drop(consumer);

    let resume = [Resume { topic, partition: 0, next: 50 }];
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = bus.resume_at(&group, &resume).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut consumer = bus.consumer(&group, &[&name]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 50).await;
    assert_eq!(firsts(&read), (50..100).collect::<Vec<_>>());
}

// K14

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_noticed_by_who_reads_it() {
    if !can_run("a_topic_made_again_is_noticed_by_who_reads_it") {
        return;
    }
    // Fewer records than were read, and more.
    for records in [10, 500] {
        let (bus, settings, name) = topic(1, |_| ()).await;
        bus.producer().send(numbered(&name, "key", 0, 100)).await.unwrap();
        let mut consumer = bus.consumer(&format!("group-{name}"), &[&name]).await.unwrap();
        let read = read_until(&mut consumer, |read| read.len() >= 100).await;
        consumer.commit(&[after(&read[99])]).await.unwrap();
        admin(&settings.bootstrap_servers[0]).delete_topics(&[&name], &AdminOptions::new()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        create(&settings, TopicSpec::named(&name, 1)).await;
        send(&bus.producer(), numbered(&name, "key", 1000, 1000 + records)).await;
        let (_, error) = read_to_fault(&mut consumer).await;
        assert!(matches!(error, BusError::TopicReplaced { next, .. } if next >= 100), "{error}");
    }
}

// K17

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_topic_is_too_narrow_for_is_refused() {
    if !can_run("a_record_that_the_topic_is_too_narrow_for_is_refused") {
        return;
    }
    let settings = quick(&servers::shared::kafka().unwrap().bootstrap());
    let name = format!("faults.{}", unique());
    create(&settings, TopicSpec { max_message_bytes: 10_000, ..TopicSpec::named(&name, 1) }).await;
    let bus = KafkaBus::new(settings).unwrap();
    let producer = bus.producer();
    let mut large = numbered(&name, "key", 0, 1);
    // No pattern that compresses.
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    large[0].value = noise.take(100_000).collect::<Vec<_>>().into();
    let error = producer.send(large).await.unwrap_err();
    assert_eq!(error.fate(), bus::Fate::Permanent);
    assert!(error.to_string().contains("max.message.bytes") && error.to_string().contains(&name), "{error}");
    producer.send(numbered(&name, "key", 0, 1)).await.unwrap();
}
