//! The thread of a consumer: serves its group, reads ahead, and keeps an eye on the partitions.
//!
//! It polls on while the caller does not, with the partitions paused where there is no room: a sink that is blocked for
//! an hour costs no partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};

use super::client::{self, Plain};
use super::member::{Member, Owned, Place, begin_at};
use crate::{BusError, Delivered, Header, Record};

/// One poll's wait.
const POLL: Duration = Duration::from_millis(100);
/// How long the thread waits for room before it pauses the partitions: pausing throws away what librdkafka read ahead.
const STALL: Duration = Duration::from_secs(2);
/// How often the partitions are looked at beside reading.
const LOOK: Duration = Duration::from_secs(10);
/// Between two tries to learn a group's positions.
const AGAIN: Duration = Duration::from_millis(500);

/// The client of a consumer.
pub(super) type Client = BaseConsumer<Context>;

/// What the client tells us.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) plain: Plain,
    pub(super) group: Arc<str>,
    pub(super) member: Arc<Member>,
    pub(super) wait: Duration,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, client: &Client, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let placed = self.gain(client, partitions);
            client.incremental_assign(&placed)
        } else {
            self.lose(partitions);
            client.incremental_unassign(partitions)
        };
        if let Err(error) = done {
            self.member.trouble(client::failure(&error, &self.plain.complaint));
        }
    }
}

impl Context {
    /// Learns where to begin in the partitions that we are given. Tries until it is told or the consumer is closed: to
    /// begin anywhere else would skip records or read all of them again.
    fn gain(&self, client: &Client, given: &TopicPartitionList) -> TopicPartitionList {
        // A member may be given nothing more; there is nothing to ask then.
        while given.count() > 0 {
            match look(client, given, self.wait) {
                Ok(found) => return self.begin(&found),
                Err(error) => self.member.trouble(client::failure(&error, &self.plain.complaint)),
            }
            if self.member.wait_for_end(AGAIN) {
                break;
            }
        }
        TopicPartitionList::new()
    }

    fn begin(&self, found: &Look) -> TopicPartitionList {
        // A copy of what the broker said: it keeps the leader epoch of each position.
        let placed = found.committed.clone();
        self.plain.complaint.clear();
        for (place, bounds) in &found.bounds {
            let owned = match begin_at(&self.group, place, bounds.committed, bounds.begin, bounds.end) {
                Ok(owned) => owned,
                Err(error) => {
                    self.member.fault(error);
                    let next = bounds.committed.unwrap_or(bounds.begin);
                    Owned { committed: next, kept: true, next }
                }
            };
            if bounds.committed.is_none()
                && let (Some(mut at), Ok(begin)) = (find(&placed, place), i64::try_from(bounds.begin))
                && let Err(error) = at.set_offset(Offset::Offset(begin))
            {
                self.member.trouble(client::failure(&error, &self.plain.complaint));
            }
            let (topic, partition) = place;
            tracing::info!(group = &*self.group, %topic, partition, next = owned.next, "partition gained");
            self.member.state().gain(place.clone(), owned);
        }
        placed
    }

    fn lose(&self, partitions: &TopicPartitionList) {
        let _ours = self.member.ownership.lock();
        for place in partitions.elements().iter().filter_map(|at| self.place(at.topic(), at.partition())) {
            tracing::info!(group = &*self.group, topic = &*place.0, partition = place.1, "partition given up");
            self.member.state().lose(&place);
        }
    }

    fn place(&self, topic: &str, partition: i32) -> Option<Place> {
        Some((Arc::from(topic), u32::try_from(partition).ok()?))
    }
}

/// What is known of partitions at one moment.
pub(super) struct Look {
    committed: TopicPartitionList,
    pub(super) bounds: BTreeMap<Place, Bounds>,
}

/// What is known of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) committed: Option<u64>,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// Asks for the group's positions and for what the partitions have. Waits for brokers: not for async threads.
pub(super) fn look(client: &Client, partitions: &TopicPartitionList, wait: Duration) -> KafkaResult<Look> {
    let mut asked = TopicPartitionList::with_capacity(partitions.count());
    for at in partitions.elements() {
        asked.add_partition(at.topic(), at.partition());
    }
    let begins = ends_of(client, &asked, Offset::Beginning, wait)?;
    // Asked before the ends, so that no position lies past its end only because it moved in between.
    let committed = client.committed_offsets(asked.clone(), wait)?;
    let ends = ends_of(client, &asked, Offset::End, wait)?;
    let mut bounds = BTreeMap::new();
    for at in committed.elements() {
        at.error()?;
        let Ok(partition) = u32::try_from(at.partition()) else { continue };
        let place: Place = (Arc::from(at.topic()), partition);
        let (Some(begin), Some(end)) = (begins.get(&place), ends.get(&place)) else { continue };
        let committed = match at.offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        };
        bounds.insert(place, Bounds { committed, begin: *begin, end: *end });
    }
    Ok(Look { committed, bounds })
}

/// Asks for the first or the last offsets of partitions, all of a broker in one request.
pub(super) fn ends_of(
    client: &Client,
    partitions: &TopicPartitionList,
    which: Offset,
    wait: Duration,
) -> KafkaResult<BTreeMap<Place, u64>> {
    let mut asked = partitions.clone();
    asked.set_all_offsets(which)?;
    let answered = client.offsets_for_times(asked, wait)?;
    let mut found = BTreeMap::new();
    for at in answered.elements() {
        at.error()?;
        if let (Offset::Offset(offset), Ok(partition)) = (at.offset(), u32::try_from(at.partition()))
            && let Ok(offset) = u64::try_from(offset)
        {
            found.insert((Arc::from(at.topic()), partition), offset);
        }
    }
    if found.len() < answered.count() {
        return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition));
    }
    Ok(found)
}

/// Returns the entry of a partition.
pub(super) fn find<'a>(
    list: &'a TopicPartitionList,
    place: &Place,
) -> Option<rdkafka::topic_partition_list::TopicPartitionListElem<'a>> {
    list.find_partition(&place.0, i32::try_from(place.1).ok()?)
}

/// Reads until the member is closed, then leaves the group.
pub(super) fn run(client: &Arc<Client>, context: &Context, fetch_bytes: usize) {
    read(client, context, fetch_bytes);
    // Leaving waits for the broker: the last to let the client go must be this thread, and not an async one.
    while Arc::strong_count(client) > 1 {
        std::thread::park_timeout(POLL);
    }
}

fn read(client: &Client, context: &Context, fetch_bytes: usize) {
    let member = &context.member;
    let mut topics: Vec<Arc<str>> = Vec::new();
    let (mut paused, mut looked) = (false, Instant::now());
    while !member.state().is_closed() {
        if !paused && !member.wait_for_room(fetch_bytes, STALL) {
            paused = set_paused(client, true);
        } else if paused && member.state().ready_bytes() < fetch_bytes / 2 {
            paused = !set_paused(client, false);
        }
        match client.poll(POLL) {
            None => (),
            Some(Ok(message)) => {
                if let Some(one) = delivered(&message, &mut topics) {
                    member.push(&context.group, one);
                }
            }
            Some(Err(error)) => explain(client, context, &error),
        }
        if looked.elapsed() >= LOOK {
            check(client, context);
            looked = Instant::now();
        }
    }
}

/// Pauses or resumes all partitions; returns whether that worked.
fn set_paused(client: &Client, pause: bool) -> bool {
    let done = client.assignment().and_then(|all| if pause { client.pause(&all) } else { client.resume(&all) });
    tracing::debug!(pause, ok = done.is_ok(), "no room for more records, or room again");
    done.is_ok()
}

/// Tells the caller what a failed poll means.
fn explain(client: &Client, context: &Context, error: &KafkaError) {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        // The position is not in the partition: find out on which side, and say so.
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => check(client, context),
        // Told by the rebalance that follows; what was read is read again by whoever has the partitions then.
        Some(Code::PollExceeded) => {
            tracing::warn!(group = &*context.group, "partitions lost: the group was not served in time");
        }
        Some(Code::PartitionEOF) => (),
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            let reason = client.client().fatal_error().map_or_else(|| error.to_string(), |(_, reason)| reason);
            context.member.fault(BusError::Refused { reason });
        }
        _ => context.member.trouble(client::failure(error, &context.plain.complaint)),
    }
}

/// Compares our positions with what the partitions have: retention may have overtaken us, and the topic may be another.
fn check(client: &Client, context: &Context) {
    let Ok(assignment) = client.assignment() else { return };
    if assignment.count() == 0 {
        return;
    }
    let found = match look(client, &assignment, context.wait) {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%error, "cannot look at the partitions");
            return;
        }
    };
    let owned = context.member.state().owned().clone();
    for (place, bounds) in found.bounds {
        let Some(owned) = owned.get(&place) else { continue };
        // The broker forgets the positions of a deleted topic, and of no other while members are there.
        let forgotten = owned.kept && bounds.committed.is_none();
        let begun = begin_at(&context.group, &place, Some(owned.next), bounds.begin, bounds.end);
        let (group, (topic, partition)) = (Arc::clone(&context.group), place);
        match begun {
            Err(error) => context.member.fault(error),
            Ok(_) if forgotten => {
                let (next, end) = (owned.next, bounds.end);
                context.member.fault(BusError::TopicReplaced { topic, partition, group, next, end });
            }
            Ok(_) => (),
        }
    }
}

/// Makes a record of ours out of a message: one allocation for all its bytes.
fn delivered(message: &BorrowedMessage<'_>, topics: &mut Vec<Arc<str>>) -> Option<Delivered> {
    let topic = match topics.iter().find(|known| &***known == message.topic()) {
        Some(known) => Arc::clone(known),
        None => {
            topics.push(Arc::from(message.topic()));
            Arc::clone(topics.last()?)
        }
    };
    let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    let headers = message.headers();
    let of_headers: usize =
        headers.iter().flat_map(|all| all.iter()).map(|one| one.value.unwrap_or_default().len()).sum();
    let mut bytes = BytesMut::with_capacity(key.len() + value.len() + of_headers);
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(part);
        bytes.split().freeze()
    };
    let (key, value) = (put(key), put(value));
    let headers = headers.map_or_else(Vec::new, |all| {
        let header = |one: rdkafka::message::Header<'_, &[u8]>| Header {
            name: one.key.to_owned().into(),
            value: put(one.value.unwrap_or_default()),
        };
        all.iter().map(header).collect()
    });
    let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
    let record = Record { topic, key, headers, value, timestamp_ms };
    Some(Delivered {
        partition: u32::try_from(message.partition()).ok()?,
        offset: u64::try_from(message.offset()).ok()?,
        record,
    })
}
