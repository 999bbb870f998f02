//! The checks themselves.

mod delivery;
mod groups;
mod limits;

pub use delivery::{
    at_least_once_after_a_lost_commit, fidelity, order_per_key, partitions_start_at_their_beginning,
    polls_can_be_dropped, polls_end_in_time, unfinished_records_hold_the_watermark,
};
pub use groups::{
    commits_of_a_lost_partition_are_refused, committed_positions_never_go_back, groups_are_independent,
    many_producers_and_consumers, rebalance_when_a_consumer_leaves,
};
pub use limits::{back_pressure_waits_and_loses_nothing, too_large_is_refused_by_name, unknown_topics_are_refused};
