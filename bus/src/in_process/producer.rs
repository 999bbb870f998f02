//! Sending: checks the batch, then appends it, waiting for room where there is none.

use std::pin::pin;
use std::sync::Arc;

use super::Shared;
use super::topic::{Append, Topic};
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
            while let Some(record) = records.next_if(|record| record.topic == topic.name) {
                append(&topic, record).await?;
            }
        }
        Ok(())
    }
}

/// Appends one record as soon as there is room for it.
async fn append(topic: &Topic, mut record: Record) -> Result<(), BusError> {
    loop {
        let mut room = pin!(topic.room.notified());
        // Listen before looking, or room that is made in between would go unnoticed.
        room.as_mut().enable();
        match { topic.state().append(record) } {
            Append::Done => return Ok(()),
            Append::Closed => return Err(BusError::Closed),
            Append::Full(back) => record = back,
        }
        room.await;
    }
}
