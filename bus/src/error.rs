//! What can go wrong on the bus, and whether trying again can help.

use std::sync::Arc;

/// A failed call to the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The bus, or this topic of it, was closed. A consumer sees it when it has been given all there was.
    #[error("the bus is closed")]
    Closed,
    /// Nobody declared this topic.
    #[error("topic `{topic}` does not exist")]
    UnknownTopic {
        /// The topic.
        topic: Arc<str>,
    },
    /// A record is larger than the bus carries. No record of the batch was sent.
    #[error("record {index} of the batch for topic `{topic}` has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The topic that it was meant for.
        topic: Arc<str>,
        /// Its place in the batch, from 0.
        index: usize,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A commit names a partition that the topic does not have.
    #[error("topic `{topic}` has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: u32,
    },
    /// A commit lies past the last record that the group was given.
    #[error("cannot commit {next} in partition {partition} of topic `{topic}`: only {end} records were delivered")]
    NotDelivered {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: u32,
        /// The position that was to be committed.
        next: u64,
        /// The position after the last record that was delivered.
        end: u64,
    },
    /// Records were deleted before the group read them, by the topic's retention. Reading stops until somebody says that
    /// the range is given up.
    #[error(
        "records {from} to {to}, the last not counted, in partition {partition} of topic `{topic}` were deleted before \
         group `{group}` read them: lengthen the topic's retention, then move the group to {to} to go on without them"
    )]
    OffsetsLost {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: u32,
        /// The group that was to read them.
        group: Arc<str>,
        /// The first offset that is gone.
        from: u64,
        /// The first offset that is still there.
        to: u64,
    },
    /// The partition is not the one that the group read: it ends before the group's position, or knows nothing of the
    /// group any more. The topic was deleted and made again, or lost its end.
    #[error(
        "partition {partition} of topic `{topic}` is not the one that group `{group}` read up to {next} (it ends at {end}): \
         the topic was deleted and made again, or lost its end; find out which, then move the group to where it is to go on"
    )]
    TopicReplaced {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: u32,
        /// The group that reads it.
        group: Arc<str>,
        /// How far the group had come.
        next: u64,
        /// Where the partition ends now.
        end: u64,
    },
    /// The engine cannot be reached or does not answer for now.
    #[error("the bus does not answer: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
    /// The engine refuses, and will refuse again.
    #[error("the bus refuses: {reason}")]
    Refused {
        /// What the engine said.
        reason: String,
    },
}

/// Whether trying the same call again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may work later.
    Retryable,
    /// It will fail again.
    Permanent,
}

impl BusError {
    /// Returns whether trying again can help.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Unavailable { .. } => Fate::Retryable,
            Self::Closed
            | Self::UnknownTopic { .. }
            | Self::TooLarge { .. }
            | Self::UnknownPartition { .. }
            | Self::NotDelivered { .. }
            | Self::OffsetsLost { .. }
            | Self::TopicReplaced { .. }
            | Self::Refused { .. } => Fate::Permanent,
        }
    }

    /// Returns the word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::UnknownTopic { .. } => "unknown_topic",
            Self::TooLarge { .. } => "too_large",
            Self::UnknownPartition { .. } => "unknown_partition",
            Self::NotDelivered { .. } => "not_delivered",
            Self::OffsetsLost { .. } => "offsets_lost",
            Self::TopicReplaced { .. } => "topic_replaced",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}
