//! A gate: connections that are opened first and go on only when the builder says so.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use crate::process::Orders;

/// Counts openings and waits for the release.
pub(super) struct Gate {
    awaited: u64,
    opened: AtomicU64,
    changed: Notify,
    orders: watch::Receiver<Orders>,
}

impl Gate {
    /// Makes a gate for a number of connections.
    pub(super) fn new(awaited: u64, orders: watch::Receiver<Orders>) -> Self {
        Self { awaited, opened: AtomicU64::new(0), changed: Notify::new(), orders }
    }

    /// Counts a connection that is open, or never will be.
    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits until all connections have been counted.
    pub(super) async fn all_open(&self) {
        while self.opened.load(Ordering::Relaxed) < self.awaited {
            self.changed.notified().await;
        }
    }

    /// Waits until the builder lets the connections go on, or is gone.
    pub(super) async fn released(&self) {
        let mut orders = self.orders.clone();
        // The sender lives as long as the process reads orders; its end is the end of waiting.
        let _ = orders.wait_for(|orders| orders.release || orders.over).await;
    }
}
