//! The caller's half of a consumer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use super::blocking;
use super::client::{self, Plain};
use super::credentials::Fingerprint;
use super::member::Member;
use super::reading::{self, Client, Context};
use super::settings::KafkaSettings;
use crate::{BusError, Consumer, Delivered, Resume};

/// What one poll waits at most: a year.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Between two tries to commit while partitions are being shared anew.
const SHARING_PAUSE: Duration = Duration::from_millis(50);

/// A member of a group. Dropping it leaves the group.
pub struct KafkaConsumer {
    settings: Arc<KafkaSettings>,
    topics: Vec<Arc<str>>,
    files: Fingerprint,
    client: Arc<Client>,
    context: Context,
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer")
            .field("group", &self.context.group)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl KafkaConsumer {
    /// Joins a group.
    pub(super) fn join(
        settings: Arc<KafkaSettings>,
        group: &Arc<str>,
        topics: Vec<Arc<str>>,
    ) -> Result<Self, BusError> {
        let files = Fingerprint::of(&settings);
        let context = Context {
            plain: Plain::default(),
            group: Arc::clone(group),
            member: Arc::new(Member::default()),
            wait: settings.request_timeout,
        };
        let refused = |error: KafkaError| client::failure(&error, &context.plain.complaint);
        let client = BaseConsumer::from_config_and_context(&client::consumer(&settings, group)?, context.clone());
        let client = Arc::new(client.map_err(refused)?);
        client.subscribe(&topics.iter().map(|topic| &**topic).collect::<Vec<_>>()).map_err(refused)?;
        let (reader, its, bytes) = (Arc::clone(&client), context.clone(), settings.fetch_bytes);
        std::thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || reading::run(&reader, &its, bytes))
            .map_err(|error| BusError::Unavailable { reason: format!("cannot start a thread: {error}") })?;
        Ok(Self { settings, topics, files, client, context })
    }

    /// Joins anew where the files that prove who we are have changed. What was read and not committed comes again.
    fn renew(&mut self) -> Result<(), BusError> {
        if self.files == Fingerprint::of(&self.settings) {
            return Ok(());
        }
        tracing::info!(group = &*self.context.group, "credentials have changed; joining the group anew");
        *self = Self::join(Arc::clone(&self.settings), &self.context.group, self.topics.clone())?;
        Ok(())
    }
}

impl Consumer for KafkaConsumer {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivered>, BusError> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        consume_budget().await;
        self.renew()?;
        loop {
            // Nothing is awaited between taking records and returning them: a poll that is dropped has taken none.
            let taken = self.context.member.take(max.max(1))?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            if timeout_at(deadline, self.context.member.news.notified()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn commit(&mut self, positions: &[Resume]) -> Result<Vec<Resume>, BusError> {
        if let Some(foreign) = positions.iter().find(|position| !self.topics.contains(&position.topic)) {
            return Err(BusError::UnknownTopic { topic: Arc::clone(&foreign.topic) });
        }
        let deadline = Instant::now() + self.context.wait;
        loop {
            let (client, context, positions) = (Arc::clone(&self.client), self.context.clone(), positions.to_vec());
            let error = match blocking(move || commit(&client, &context, &positions)).await?? {
                Ok(lost) => return Ok(lost),
                Err(error) => error,
            };
            // While partitions are shared anew, only the end of that says which of them are still ours.
            if !is_of_the_past(&error) || Instant::now() > deadline {
                return Err(client::failure(&error, &self.context.plain.complaint));
            }
            tokio::time::sleep(SHARING_PAUSE).await;
        }
    }

    async fn lag(&mut self) -> Result<u64, BusError> {
        let (client, context) = (Arc::clone(&self.client), self.context.clone());
        blocking(move || lag(&client, &context)).await?
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // The thread lets the client go, and with it the group.
        self.context.member.close();
    }
}

/// Commits what is ours and returns what is not; or says what the broker answered.
fn commit(
    client: &Client,
    context: &Context,
    positions: &[Resume],
) -> Result<Result<Vec<Resume>, KafkaError>, BusError> {
    let _ours = context.member.ownership.lock();
    let (ours, lost) = context.member.state().sort(positions)?;
    if ours.is_empty() {
        return Ok(Ok(lost));
    }
    let done = with_epochs(client, &ours).and_then(|list| client.commit(&list, CommitMode::Sync));
    Ok(done.map(|()| {
        context.member.state().committed(&ours);
        lost
    }))
}

/// Returns the positions with the leader epoch that was read last, so that a reader after a change of leaders finds out
/// if its position was cut off.
fn with_epochs(client: &Client, positions: &[Resume]) -> Result<TopicPartitionList, KafkaError> {
    // `position` gives the epochs; an entry keeps its own when its offset is changed.
    let read = client.position()?;
    let mut list = read.clone();
    let wanted = |topic: &str, partition: i32| {
        positions.iter().find(|one| &*one.topic == topic && u32::try_from(partition) == Ok(one.partition))
    };
    for mut at in list.elements() {
        let next = wanted(at.topic(), at.partition()).and_then(|one| i64::try_from(one.next).ok());
        // What is not to be committed is marked so: the client leaves entries without an offset out.
        at.set_offset(next.map_or(Offset::Invalid, Offset::Offset))?;
    }
    for one in positions {
        let (Ok(partition), Ok(next)) = (i32::try_from(one.partition), i64::try_from(one.next)) else { continue };
        if list.find_partition(&one.topic, partition).is_none() {
            list.add_partition_offset(&one.topic, partition, Offset::Offset(next))?;
        }
    }
    Ok(list)
}

/// Returns true if the group has moved on since we last heard of it. It may have left us the partition or not.
fn is_of_the_past(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress)
    )
}

fn lag(client: &Client, context: &Context) -> Result<u64, BusError> {
    let owned = context.member.state().owned().clone();
    if owned.is_empty() {
        return Ok(0);
    }
    let mut asked = TopicPartitionList::with_capacity(owned.len());
    for (topic, partition) in owned.keys() {
        if let Ok(partition) = i32::try_from(*partition) {
            asked.add_partition(topic, partition);
        }
    }
    let ends = reading::ends_of(client, &asked, Offset::End, context.wait)
        .map_err(|error| client::failure(&error, &context.plain.complaint))?;
    Ok(owned.iter().map(|(place, one)| ends.get(place).map_or(0, |end| end.saturating_sub(one.committed))).sum())
}
