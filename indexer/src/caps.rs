//! The caps of the embedded store, kept from time to time: the oldest records go, and what went is written down.

use std::time::Duration;

use service::shutdown::Token;
use store::{FlowStore, SqliteStore};

use crate::metrics::IndexerMetrics;

/// Keeps the caps until the end is asked for. A failure is logged and the next round goes on: the store writes all the
/// same.
pub async fn keep(store: SqliteStore, every: Duration, metrics: IndexerMetrics, stop: Token) {
    loop {
        match store.enforce_caps().await {
            Ok(removed) => {
                metrics.removed.inc_by(removed.records);
            }
            Err(error) => tracing::error!(%error, "cannot keep the store's caps"),
        }
        if let Ok(state) = store.state().await {
            metrics.store_bytes.set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        }
        metrics.set_aside_files.set(i64::try_from(store.set_aside_total()).unwrap_or(i64::MAX));
        if stop.unless_requested(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}
