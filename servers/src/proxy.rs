//! Faults between a client and a server, injected on purpose and counted.
//!
//! [`TcpProxy`] hurts connections: it delays, narrows, stalls, swallows, cuts and resets. [`BulkProxy`] understands the
//! bulk API of OpenSearch and Elasticsearch and hurts answers, item by item. Both have a thread of their own, so they go
//! on while a test waits, and both take new rules at any time. For both kinds of fault at once, let a `TcpProxy` forward
//! to a `BulkProxy`.
//!
//! A Kafka client follows the address that the broker tells it, so that must be the proxy's:
//!
//! ```no_run
//! use servers::{Kafka, KafkaOptions, proxy::TcpProxy};
//!
//! let proxy = TcpProxy::start()?;
//! let options = KafkaOptions { advertised: Some(proxy.address()), ..KafkaOptions::default() };
//! let kafka = Kafka::start(&options)?;
//! proxy.forward_to(kafka.address());
//! // Clients are given `proxy.address()`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bulk;
mod fault;
mod http;
mod lane;
mod rules;
mod tcp;
mod worker;

pub use bulk::Item;
pub use fault::{Choose, Fault, Injected, What};
pub use http::BulkProxy;
pub use rules::{Accept, Counts, Cut, End, Flow, Lane, Rules};
pub use tcp::TcpProxy;
