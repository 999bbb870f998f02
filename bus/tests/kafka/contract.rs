//! The contract of all engines, on one broker: each check has topics and groups under names of its own.

use std::sync::Arc;
use std::time::Duration;

use bus::contract::{Declared, Engine};
use bus::kafka::topics::TopicSpec;
use bus::kafka::{KafkaBus, KafkaConsumer, KafkaProducer};
use bus::{BusError, Consumer, Delivered, Producer, Record, Resume};

use crate::bed;

bus::bus_contract!(OnKafka, bed::can_run);

/// A part of the shared broker.
struct OnKafka {
    bus: KafkaBus,
    suffix: String,
}

/// A producer or consumer that knows the topics under the names of the checks.
struct Renamed<T> {
    inner: T,
    suffix: String,
}

impl Engine for OnKafka {
    type Producer = Renamed<KafkaProducer>;
    type Consumer = Renamed<KafkaConsumer>;

    async fn start(topics: &[Declared]) -> Self {
        let broker = servers::shared::kafka().unwrap();
        let settings = bed::quick(&broker.bootstrap());
        let suffix = format!(".{}", bed::unique());
        for topic in topics {
            bed::create(&settings, TopicSpec::named(&format!("{}{suffix}", topic.name), topic.partitions)).await;
        }
        Self { bus: KafkaBus::new(settings).unwrap(), suffix }
    }

    async fn producer(&self) -> Self::Producer {
        Renamed { inner: self.bus.producer(), suffix: self.suffix.clone() }
    }

    async fn consumer(&self, group: &str, topics: &[&str]) -> Self::Consumer {
        let topics: Vec<_> = topics.iter().map(|topic| format!("{topic}{}", self.suffix)).collect();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let inner = self.bus.consumer(&format!("{group}{}", self.suffix), &topics).await.unwrap();
        Renamed { inner, suffix: self.suffix.clone() }
    }
}

impl<T> Renamed<T> {
    fn out(&self, topic: &str) -> Arc<str> {
        Arc::from(format!("{topic}{}", self.suffix))
    }

    fn back(&self, topic: &str) -> Arc<str> {
        Arc::from(topic.strip_suffix(&self.suffix).unwrap())
    }

    fn back_in(&self, error: BusError) -> BusError {
        match error {
            BusError::UnknownTopic { topic } => BusError::UnknownTopic { topic: self.back(&topic) },
            BusError::TooLarge { topic, index, size, limit } => {
                BusError::TooLarge { topic: self.back(&topic), index, size, limit }
            }
            other => other,
        }
    }
}

impl Producer for Renamed<KafkaProducer> {
    async fn send(&self, mut records: Vec<Record>) -> Result<(), BusError> {
        for record in &mut records {
            record.topic = self.out(&record.topic);
        }
        self.inner.send(records).await.map_err(|error| self.back_in(error))
    }
}

impl Consumer for Renamed<KafkaConsumer> {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivered>, BusError> {
        let mut polled = self.inner.poll(max, wait).await.map_err(|error| self.back_in(error))?;
        for one in &mut polled {
            one.record.topic = self.back(&one.record.topic);
        }
        Ok(polled)
    }

    async fn commit(&mut self, positions: &[Resume]) -> Result<Vec<Resume>, BusError> {
        let out = |one: &Resume| Resume { topic: self.out(&one.topic), ..one.clone() };
        let positions: Vec<_> = positions.iter().map(out).collect();
        let lost = self.inner.commit(&positions).await.map_err(|error| self.back_in(error))?;
        Ok(lost.into_iter().map(|one| Resume { topic: self.back(&one.topic), ..one }).collect())
    }

    async fn lag(&mut self) -> Result<u64, BusError> {
        self.inner.lag().await.map_err(|error| self.back_in(error))
    }
}
