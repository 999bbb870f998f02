//! The Kafka engine against real brokers, and against librdkafka's mock cluster for what a real one does not say on demand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may panic, and wait on threads of its own"
)]

mod bed;
mod codecs;
mod contract;
mod faults;
mod mocked;
mod secured;
mod zombie;
