//! What every engine must do, as checks that any engine can be put through.
//!
//! An engine's tests implement [`Engine`] and put it through all checks with [`bus_contract!`](crate::bus_contract), or through one:
//!
//! ```
//! # use bus::contract::{self, Engine, Declared};
//! # use bus::{InProcessBus, InProcessConsumer, InProcessProducer, TopicSettings};
//! struct InProcess(InProcessBus);
//!
//! impl Engine for InProcess {
//!     type Producer = InProcessProducer;
//!     type Consumer = InProcessConsumer;
//!
//!     async fn start(topics: &[Declared]) -> Self {
//!         let topics = topics.iter().map(|topic| TopicSettings {
//!             partitions: topic.partitions,
//!             max_records: topic.max_records,
//!             ..TopicSettings::named(topic.name)
//!         });
//!         Self(InProcessBus::new(topics).expect("the checks declare valid topics"))
//!     }
//!
//!     async fn producer(&self) -> InProcessProducer {
//!         self.0.producer()
//!     }
//!
//!     async fn consumer(&self, group: &str, topics: &[&str]) -> InProcessConsumer {
//!         self.0.subscribe(group, topics).expect("the checks declare their topics")
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! contract::order_per_key::<InProcess>().await;
//! # }
//! ```
//!
//! A check panics with what it found, as tests do.

mod books;
mod checks;
mod work;

use std::future::Future;

use crate::{Consumer, Producer};

pub use checks::{
    at_least_once_after_a_lost_commit, back_pressure_waits_and_loses_nothing, commits_of_a_lost_partition_are_refused,
    committed_positions_never_go_back, fidelity, groups_are_independent, many_producers_and_consumers, order_per_key,
    partitions_start_at_their_beginning, polls_can_be_dropped, polls_end_in_time, rebalance_when_a_consumer_leaves,
    too_large_is_refused_by_name, unfinished_records_hold_the_watermark, unknown_topics_are_refused,
};

/// A topic that a check needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// Over how many partitions its keys are spread.
    pub partitions: u32,
    /// About how many records its producers may be ahead of its consumers before they wait. An engine that keeps its
    /// backlog on disk may take more.
    pub max_records: usize,
}

/// An engine as the checks see it.
pub trait Engine: Send + Sync + Sized + 'static {
    /// Its producer.
    type Producer: Producer + 'static;
    /// Its consumer.
    type Consumer: Consumer + 'static;

    /// Starts an engine with these topics, all of them empty.
    fn start(topics: &[Declared]) -> impl Future<Output = Self> + Send;

    /// Returns a producer.
    fn producer(&self) -> impl Future<Output = Self::Producer> + Send;

    /// Returns a new member of a group. The topics keep what is sent from now on for this group.
    fn consumer(&self, group: &str, topics: &[&str]) -> impl Future<Output = Self::Consumer> + Send;
}

/// Makes one test for each check of the contract, for an engine.
///
/// Use it inside a module of its own; the tests need tokio's multi-threaded runtime. An engine that needs more than the
/// compiler gives a function as well that is told the name of a test and says whether it can run here.
#[macro_export]
macro_rules! bus_contract {
    ($engine:ty) => {
        $crate::bus_contract!($engine, |_: &str| true);
    };
    ($engine:ty, $can_run:expr) => {
        $crate::bus_contract!($engine, $can_run =>
            order_per_key, at_least_once_after_a_lost_commit, unfinished_records_hold_the_watermark,
            back_pressure_waits_and_loses_nothing, fidelity, too_large_is_refused_by_name, unknown_topics_are_refused,
            many_producers_and_consumers, rebalance_when_a_consumer_leaves, commits_of_a_lost_partition_are_refused,
            committed_positions_never_go_back, groups_are_independent, partitions_start_at_their_beginning,
            polls_can_be_dropped, polls_end_in_time);
    };
    ($engine:ty, $can_run:expr => $($check:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let can_run: fn(&str) -> bool = $can_run;
                if can_run(stringify!($check)) {
                    $crate::contract::$check::<$engine>().await;
                }
            }
        )+
    };
}
