//! Sending: checks the batch, then appends it, waiting for room where there is none.

use std::pin::pin;
use std::sync::Arc;

use tokio::task::coop::consume_budget;

use super::Shared;
use super::topic::{Append, Batch, Topic};
use crate::{BusError, MAX_RECORD_BYTES, Producer, Record};

/// A producer of an in-process bus. Clones share it.
#[derive(Debug, Clone)]
pub struct InProcessProducer {
    shared: Arc<Shared>,
}

impl InProcessProducer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn check(&self, records: &[Record]) -> Result<(), BusError> {
        for (index, record) in records.iter().enumerate() {
            self.shared.topic(&record.topic)?;
            let size = record.size();
            if size > MAX_RECORD_BYTES {
                let topic = Arc::clone(&record.topic);
                return Err(BusError::TooLarge { topic, index, size, limit: MAX_RECORD_BYTES });
            }
        }
        Ok(())
    }
}

impl Producer for InProcessProducer {
    async fn send(&self, records: Vec<Record>) -> Result<(), BusError> {
        self.check(&records)?;
        let mut records = records.into_iter().peekable();
        while let Some(first) = records.peek() {
            let topic = Arc::clone(self.shared.topic(&first.topic)?);
            let _turn = topic.turn.lock().await;
            append(&topic, &mut records).await?;
        }
        // A topic may always have room; other tasks of the runtime must get their turn all the same.
        consume_budget().await;
        Ok(())
    }
}

/// Appends the records up to the first for another topic, waiting for room where there is none.
async fn append(topic: &Topic, records: &mut Batch) -> Result<(), BusError> {
    loop {
        let mut room = pin!(topic.room.notified());
        // Listen before looking, or room that is made in between would go unnoticed.
        room.as_mut().enable();
        let appended = topic.state().append(records);
        match appended {
            Append::Done => return Ok(()),
            Append::Closed => return Err(BusError::Closed),
            Append::Full => room.await,
        }
    }
}
