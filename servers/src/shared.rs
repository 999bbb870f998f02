//! Servers that all tests of a process use together: started by the first that asks, ended with the process.
//!
//! Nobody should kill, pause or fill a shared server; start one of your own for that. Tests keep apart by names of
//! topics and indices.

use std::sync::OnceLock;

use crate::{Kafka, KafkaOptions, Product, Search, SearchOptions, ServerError};

/// Returns the broker of this process.
///
/// # Errors
/// If it did not come up; the error is the same for all that ask.
pub fn kafka() -> Result<&'static Kafka, &'static ServerError> {
    static SHARED: OnceLock<Result<Kafka, ServerError>> = OnceLock::new();
    SHARED.get_or_init(|| Kafka::start(&KafkaOptions::default())).as_ref()
}

/// Returns the node of this process with the given product, without security.
///
/// # Errors
/// If it did not come up; the error is the same for all that ask.
pub fn search(product: Product) -> Result<&'static Search, &'static ServerError> {
    static KAFKA: OnceLock<Result<Search, ServerError>> = OnceLock::new();
    static OPENSEARCH3: OnceLock<Result<Search, ServerError>> = OnceLock::new();
    static OPENSEARCH2: OnceLock<Result<Search, ServerError>> = OnceLock::new();
    static ELASTICSEARCH9: OnceLock<Result<Search, ServerError>> = OnceLock::new();
    let shared = match product {
        // Its start says that it is no search engine.
        Product::Kafka => &KAFKA,
        Product::OpenSearch3 => &OPENSEARCH3,
        Product::OpenSearch2 => &OPENSEARCH2,
        Product::Elasticsearch9 => &ELASTICSEARCH9,
    };
    shared.get_or_init(|| Search::start(product, &SearchOptions::default())).as_ref()
}
