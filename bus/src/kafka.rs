//! The engine on Kafka.
//!
//! - What librdkafka loses or doubles by default is switched off: sends are idempotent and acknowledged by all in-sync
//!   replicas, offsets are committed only as the caller says, and no position is ever reset.
//! - A partition without a committed position starts at its first record, because we say so. A position that the
//!   partition does not have stops reading with the range that is gone ([`BusError::OffsetsLost`]) or with what points to
//!   another topic under the same name ([`BusError::TopicReplaced`]); [`KafkaBus::resume_at`] is the way on.
//! - What an operator can mend (a login, a right, a broker) is [`BusError::Unavailable`] and passes without a restart.
//! - Passwords and certificates are read again when their files change.

mod client;
mod consumer;
mod credentials;
mod member;
mod producer;
mod reading;
mod settings;
pub mod topics;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientContext, Offset};

use crate::{BusError, Resume};
use client::Plain;

pub use consumer::KafkaConsumer;
pub use producer::KafkaProducer;
pub use settings::{
    Compression, EXTRA_OPTIONS, Identity, KafkaSettings, LONGEST_LINGER, Mechanism, Problem, Sasl, Tls,
};

/// Settings that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|problem| format!("{}: {}", problem.key, problem.reason)).collect::<Vec<_>>().join("; "))]
pub struct InvalidKafkaSettings(pub Vec<Problem>);

/// A Kafka cluster. Makes producers and consumers; holds no connection itself.
#[derive(Debug, Clone)]
pub struct KafkaBus {
    settings: Arc<KafkaSettings>,
}

impl KafkaBus {
    /// Takes settings that are good.
    ///
    /// # Errors
    /// [`InvalidKafkaSettings`] with all that is wrong.
    pub fn new(settings: KafkaSettings) -> Result<Self, InvalidKafkaSettings> {
        let problems = settings.validate();
        if problems.is_empty() {
            Ok(Self { settings: Arc::new(settings) })
        } else {
            Err(InvalidKafkaSettings(problems))
        }
    }

    /// Returns a producer. It connects when it first sends.
    pub fn producer(&self) -> KafkaProducer {
        KafkaProducer::new(Arc::clone(&self.settings))
    }

    /// Joins a group as a new member that reads these topics.
    ///
    /// # Errors
    /// [`BusError::UnknownTopic`]; [`BusError::Unavailable`] if no broker answers or the login is not taken, with what
    /// the broker said.
    pub async fn consumer(&self, group: &str, topics: &[&str]) -> Result<KafkaConsumer, BusError> {
        self.expect(topics).await?;
        let topics = topics.iter().map(|topic| Arc::from(*topic)).collect();
        KafkaConsumer::join(Arc::clone(&self.settings), &Arc::from(group), topics)
    }

    /// Connects, logs in, and looks for topics: for a start that says what is wrong instead of waiting.
    ///
    /// # Errors
    /// As [`KafkaBus::consumer`].
    pub async fn expect(&self, topics: &[&str]) -> Result<(), BusError> {
        let settings = Arc::clone(&self.settings);
        let topics: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        blocking(move || {
            let client = plain(&settings, None)?;
            let complaint = &client.context().complaint;
            for topic in topics {
                let found = topics::partitions(client.client(), &topic, settings.request_timeout);
                serve(&client);
                match found.map_err(|error| client::failure(&error, complaint))? {
                    Some(_) => (),
                    None => return Err(BusError::UnknownTopic { topic }),
                }
            }
            Ok(())
        })
        .await?
    }

    /// Moves a group that has no members to other positions: the way on after [`BusError::OffsetsLost`] or
    /// [`BusError::TopicReplaced`], for somebody who knows what is given up by it.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] if the group still has members, or no broker answers.
    pub async fn resume_at(&self, group: &str, positions: &[Resume]) -> Result<(), BusError> {
        let (settings, group, positions) = (Arc::clone(&self.settings), group.to_owned(), positions.to_vec());
        blocking(move || {
            let client = plain(&settings, Some(&group))?;
            let failure = |error: KafkaError| client::failure(&error, &client.context().complaint);
            let mut list = TopicPartitionList::with_capacity(positions.len());
            for one in &positions {
                let unknown = || BusError::UnknownPartition { topic: Arc::clone(&one.topic), partition: one.partition };
                let partition = i32::try_from(one.partition).map_err(|_| unknown())?;
                let next = i64::try_from(one.next).map_err(|_| unknown())?;
                list.add_partition_offset(&one.topic, partition, Offset::Offset(next)).map_err(failure)?;
            }
            client.commit(&list, CommitMode::Sync).map_err(failure)
        })
        .await?
    }
}

/// Makes a client that asks and carries no records.
fn plain(settings: &KafkaSettings, group: Option<&str>) -> Result<BaseConsumer<Plain>, BusError> {
    let config = match group {
        Some(group) => client::consumer(settings, group)?,
        None => client::common(settings)?,
    };
    let context = Plain::default();
    BaseConsumer::from_config_and_context(&config, context.clone())
        .map_err(|error| client::failure(&error, &context.complaint))
}

/// Lets a client say what it has to say.
fn serve(client: &BaseConsumer<Plain>) {
    while client.poll(Duration::from_millis(20)).is_some() {}
}

impl rdkafka::consumer::ConsumerContext for Plain {}

/// Asks for the metadata of one topic or of the cluster.
fn metadata<C: ClientContext>(
    client: &Client<C>,
    topic: Option<&str>,
    wait: Duration,
) -> KafkaResult<rdkafka::metadata::Metadata> {
    client.fetch_metadata(topic, wait)
}

/// Runs what waits for brokers where it blocks no async work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BusError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| BusError::Unavailable { reason: format!("a call to kafka was cut short: {error}") })
}
