//! Reading as a member of a group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use super::assign::MemberId;
use super::topic::Topic;
use crate::{BusError, Consumer, Delivered, Resume};

/// What one poll waits at most: a year.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A member of a group of an in-process bus. Dropping it leaves the group.
pub struct InProcessConsumer {
    group: String,
    member: MemberId,
    topics: Vec<Arc<Topic>>,
    /// Told when there is something new for this member. It keeps one permit, so that nothing is missed between looking
    /// and waiting.
    wake: Arc<Notify>,
    /// Where the next poll begins to look, so that a busy partition does not starve the others.
    turn: usize,
}

impl fmt::Debug for InProcessConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics: Vec<_> = self.topics.iter().map(|topic| &topic.name).collect();
        f.debug_struct("InProcessConsumer")
            .field("group", &self.group)
            .field("member", &self.member)
            .field("topics", &topics)
            .finish_non_exhaustive()
    }
}

impl InProcessConsumer {
    pub(super) fn join(group: &str, member: MemberId, topics: Vec<Arc<Topic>>) -> Self {
        let wake = Arc::new(Notify::new());
        for topic in &topics {
            topic.state().join(group, member, &wake);
        }
        Self { group: group.to_owned(), member, topics, wake, turn: 0 }
    }

    /// Takes what is there; none if that is nothing.
    fn take(&mut self, max: usize) -> Vec<Delivered> {
        let mut taken = Vec::new();
        self.turn = self.turn.wrapping_add(1);
        for step in 0..self.topics.len() {
            let Some(topic) = self.topics.get(self.turn.wrapping_add(step) % self.topics.len()) else { continue };
            topic.state().deliver(&self.group, self.member, self.turn, max, &mut taken);
        }
        taken
    }

    fn is_drained(&self) -> bool {
        self.topics.iter().all(|topic| topic.state().is_drained(&self.group, self.member))
    }
}

impl Consumer for InProcessConsumer {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivered>, BusError> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        // There may always be more to take; other tasks of the runtime must get their turn all the same.
        consume_budget().await;
        loop {
            // Nothing is awaited between taking records and returning them: a poll that is dropped has taken none.
            let taken = self.take(max.max(1));
            if !taken.is_empty() {
                return Ok(taken);
            }
            if self.is_drained() {
                return Err(BusError::Closed);
            }
            if timeout_at(deadline, self.wake.notified()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn commit(&mut self, positions: &[Resume]) -> Result<Vec<Resume>, BusError> {
        let mut lost = Vec::new();
        for position in positions {
            let topic = self.topics.iter().find(|topic| topic.name == position.topic);
            let topic = topic.ok_or_else(|| BusError::UnknownTopic { topic: Arc::clone(&position.topic) })?;
            if !topic.commit(&self.group, self.member, position)? {
                lost.push(position.clone());
            }
        }
        Ok(lost)
    }

    async fn lag(&mut self) -> Result<u64, BusError> {
        Ok(self.topics.iter().map(|topic| topic.state().lag(&self.group, self.member)).sum())
    }
}

impl Drop for InProcessConsumer {
    fn drop(&mut self) {
        for topic in &self.topics {
            topic.state().leave(&self.group, self.member);
        }
    }
}
