//! What a real broker does not say on demand, said by librdkafka's mock cluster.

use std::time::Duration;

use bus::kafka::{KafkaBus, KafkaSettings};
use bus::{BusError, Consumer, Fate, Producer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Answer};

use crate::bed::{PATIENCE, after, firsts, numbered, quick, read_until, send};

struct Mocked {
    cluster: MockCluster<'static, DefaultProducerContext>,
    bus: KafkaBus,
}

fn mocked(change: impl FnOnce(&mut KafkaSettings)) -> Mocked {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("flows", 1, 1).unwrap();
    let mut settings = quick(&cluster.bootstrap_servers());
    change(&mut settings);
    Mocked { cluster, bus: KafkaBus::new(settings).unwrap() }
}

/// Sends while the broker answers produce requests so; all come once, in order.
async fn survives(answers: &[Answer]) {
    let mocked = mocked(|_| ());
    let producer = mocked.bus.producer();
    producer.send(numbered("flows", "key", 0, 10)).await.unwrap();
    mocked.cluster.request_errors(Api::Produce, answers);
    for from in (10..100).step_by(10) {
        send(&producer, numbered("flows", "key", from, from + 10)).await;
    }
    let mut consumer = mocked.bus.consumer("group", &["flows"]).await.unwrap();
    let read = read_until(&mut consumer, |read| firsts(read).len() >= 100).await;
    assert_eq!(firsts(&read), (0..100).collect::<Vec<_>>(), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_sent_again_in_order() {
    survives(&[Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3]).await;
    survives(&[Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 3]).await;
    survives(&[Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 2]).await;
    survives(&[Answer::RD_KAFKA_RESP_ERR__TRANSPORT; 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_gone_is_told_and_comes_back() {
    let mocked = mocked(|_| ());
    let producer = mocked.bus.producer();
    producer.send(numbered("flows", "key", 0, 10)).await.unwrap();
    mocked.cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let error = producer.send(numbered("flows", "key", 10, 20)).await.unwrap_err();
    assert_eq!(error.fate(), Fate::Retryable);
    assert!(error.to_string().contains("uthoriz"), "{error}");
    send(&producer, numbered("flows", "key", 10, 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_cannot_go_on_is_replaced() {
    let mocked = mocked(|_| ());
    let producer = mocked.bus.producer();
    producer.send(numbered("flows", "key", 0, 10)).await.unwrap();
    // The end of an idempotent producer: the broker has lost what it knew of it, in a way that may be a gap.
    mocked.cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    send(&producer, numbered("flows", "key", 10, 20)).await;
    send(&producer, numbered("flows", "key", 20, 30)).await;
    let mut consumer = mocked.bus.consumer("group", &["flows"]).await.unwrap();
    let read = read_until(&mut consumer, |read| firsts(read).len() >= 30).await;
    assert_eq!(firsts(&read), (0..30).collect::<Vec<_>>());
}

// K15

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_unknown_for_a_moment_loses_nothing() {
    let mocked = mocked(|_| ());
    let producer = mocked.bus.producer();
    producer.send(numbered("flows", "key", 0, 10)).await.unwrap();
    mocked.cluster.topic_error("flows", Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    mocked.cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART; 2]);
    let sending = tokio::spawn(async move {
        for from in (10..50).step_by(10) {
            send(&producer, numbered("flows", "key", from, from + 10)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    mocked.cluster.topic_error("flows", Answer::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    sending.await.unwrap();
    let mut consumer = mocked.bus.consumer("group", &["flows"]).await.unwrap();
    let read = read_until(&mut consumer, |read| firsts(read).len() >= 50).await;
    assert_eq!(firsts(&read), (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_away_is_waited_for() {
    let mocked = mocked(|_| ());
    mocked.bus.producer().send(numbered("flows", "key", 0, 10)).await.unwrap();
    let mut consumer = mocked.bus.consumer("group", &["flows"]).await.unwrap();
    let mut last = after(&read_until(&mut consumer, |read| read.len() >= 10).await[9]);
    mocked.cluster.request_errors(Api::OffsetCommit, &[Answer::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 2]);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < deadline, "no commit works");
        match consumer.commit(std::slice::from_ref(&last)).await {
            Ok(lost) if lost.is_empty() => break,
            // The mock forgets a member whose connection ends: it joins anew, and what was not committed comes again.
            Ok(_) => last = after(&read_until(&mut consumer, |read| read.len() >= 10).await[9]),
            Err(error) => assert_eq!(error.fate(), Fate::Retryable, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_the_right_is_told() {
    let mocked = mocked(|_| ());
    mocked.bus.producer().send(numbered("flows", "key", 0, 10)).await.unwrap();
    let mut consumer = mocked.bus.consumer("group", &["flows"]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 10).await;
    mocked.cluster.request_errors(Api::OffsetCommit, &[Answer::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED]);
    let error = consumer.commit(&[after(&read[9])]).await.unwrap_err();
    assert!(matches!(&error, BusError::Unavailable { reason } if reason.contains("uthoriz")), "{error}");
    assert_eq!(consumer.commit(&[after(&read[9])]).await, Ok(vec![]));
}
