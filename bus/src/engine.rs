//! What an engine can do: the two traits that the roles are written against.

use std::future::Future;
use std::time::Duration;

use crate::{BusError, Delivered, Record, Resume};

/// Sends records. Clones, where an engine has them, share one connection.
pub trait Producer: Send + Sync {
    /// Sends the records in their order and resolves when all of them are acknowledged.
    ///
    /// Waits while the backlog is full. An oversized record or an unknown topic is found before anything is sent. After
    /// any other failure, and when the future is dropped early, some of the records may have been sent: send the whole
    /// batch again, readers take the second copy for what it is.
    ///
    /// # Errors
    /// See [`BusError`]; [`BusError::fate`] says whether to try again.
    fn send(&self, records: Vec<Record>) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// Reads as one member of a group. The partitions of its topics are shared among the members; dropping a consumer hands
/// its partitions, from their committed positions on, to the members that stay.
pub trait Consumer: Send {
    /// Returns up to `max` records, of one partition in their order; none if there was nothing new within `wait`.
    ///
    /// Can be dropped at any time: a record is either returned or will be returned by a later poll.
    ///
    /// A record may be delivered again after the partition went to another member and came back:
    /// [`Watermark`](crate::Watermark) copes with that.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the topics are closed and this consumer was given all that its partitions hold.
    fn poll(&mut self, max: usize, wait: Duration) -> impl Future<Output = Result<Vec<Delivered>, BusError>> + Send;

    /// Commits how far the group has come.
    ///
    /// Returns those that were *not* committed because their partition has gone to another member: forget what is known
    /// of them (see [`Watermark::forget`](crate::Watermark::forget)), the other member reads them again. A committed
    /// position never goes back. Works after a close, so that the last records can be committed.
    ///
    /// # Errors
    /// See [`BusError`]. Positions before the one at fault may have been committed.
    fn commit(&mut self, positions: &[Resume]) -> impl Future<Output = Result<Vec<Resume>, BusError>> + Send;

    /// Returns how many records of this consumer's partitions are not yet committed by its group.
    ///
    /// # Errors
    /// See [`BusError`].
    fn lag(&mut self) -> impl Future<Output = Result<u64, BusError>> + Send;
}
