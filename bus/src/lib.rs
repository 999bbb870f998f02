//! The bus between the roles: produce, poll, commit. It carries bytes and never looks into them.
//!
//! A [`Producer`] sends [`Record`]s to topics; a [`Consumer`] polls them as a member of a group, works on them in any
//! order, and commits how far the group has come. [`Watermark`] keeps the books in between: a position is committed
//! only when everything before it is finished.
//!
//! What every engine promises, and what [`contract`] checks of each:
//!
//! - **Order**: records of one key lie in one partition and are delivered in the order in which they were sent.
//! - **At least once**: what was acknowledged is delivered until the group has committed it. A consumer that goes away
//!   without committing makes its records come again, to whoever has the partition then.
//! - **From the beginning**: a partition without a committed position starts at its first record.
//! - **Back-pressure**: a producer waits while the backlog is full; nothing that a group still has to read is dropped.
//! - **Fidelity**: keys, values and headers come back byte for byte, headers in their order.
//!
//! [`InProcessBus`] is the engine of a single process: memory only, bounded in records and bytes. What it holds when
//! the process dies is gone; the roles state that as a gap.
//!
//! [`kafka::KafkaBus`] is the engine on Kafka.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout))]

pub mod contract;
mod engine;
mod error;
mod in_process;
pub mod kafka;
mod record;
mod watermark;

pub use engine::{Consumer, Producer};
pub use error::{BusError, Fate};
pub use in_process::{Backlog, InProcessBus, InProcessConsumer, InProcessProducer, InvalidTopic, TopicSettings};
pub use record::{Delivered, Header, MAX_RECORD_BYTES, Position, Record, Resume};
pub use watermark::Watermark;
