//! Sending: batches in turn into one idempotent client, and the wait for all their acknowledgements.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::blocking;
use super::client::{self, Complaint, Plain};
use super::credentials::Fingerprint;
use super::settings::KafkaSettings;
use crate::{BusError, MAX_RECORD_BYTES, Producer, Record};

/// How long a full queue is waited for before it is looked at again.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// How often, and how far apart, a topic that is not there is asked for: a broker that just made it may not know it yet.
const TOPIC_TRIES: u32 = 4;
const TOPIC_PAUSE: Duration = Duration::from_millis(250);

/// Sends records to Kafka. Clones share one client.
#[derive(Clone)]
pub struct KafkaProducer {
    settings: Arc<KafkaSettings>,
    /// Held while a batch is put into the client's queue, so that batches do not interleave.
    turn: Arc<tokio::sync::Mutex<Slot>>,
}

impl fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducer").field("brokers", &self.settings.bootstrap_servers).finish_non_exhaustive()
    }
}

/// The client of the moment.
#[derive(Default)]
struct Slot {
    client: Option<Arc<Client>>,
    /// Topics that were seen. One that vanishes for a while is waited for.
    known: BTreeSet<Arc<str>>,
}

impl KafkaProducer {
    pub(super) fn new(settings: Arc<KafkaSettings>) -> Self {
        Self { settings, turn: Arc::default() }
    }

    /// Returns the client, a new one if there is none that can work on.
    fn client(&self, slot: &mut Slot) -> Result<Arc<Client>, BusError> {
        if let Some(client) = &slot.client {
            if let Some((code, reason)) = client.producer().client().fatal_error() {
                tracing::warn!(%code, reason, "kafka producer cannot go on; making a new one");
            } else if client.files == Fingerprint::of(&self.settings) {
                return Ok(Arc::clone(client));
            } else {
                tracing::info!("credentials have changed; making a new kafka producer");
            }
        }
        let client = Arc::new(Client::new(&self.settings)?);
        slot.client = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Makes sure that the topics exist.
    async fn know(&self, slot: &mut Slot, client: &Arc<Client>, records: &[Record]) -> Result<(), BusError> {
        for record in records {
            if !slot.known.contains(&record.topic) {
                client.find(&record.topic, self.settings.request_timeout).await?;
                slot.known.insert(Arc::clone(&record.topic));
            }
        }
        Ok(())
    }
}

impl Producer for KafkaProducer {
    async fn send(&self, records: Vec<Record>) -> Result<(), BusError> {
        for (index, record) in records.iter().enumerate() {
            let size = record.size();
            if size > MAX_RECORD_BYTES {
                let topic = Arc::clone(&record.topic);
                return Err(BusError::TooLarge { topic, index, size, limit: MAX_RECORD_BYTES });
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let mut slot = self.turn.lock().await;
        let client = self.client(&mut slot)?;
        self.know(&mut slot, &client, &records).await?;
        let batch = Arc::new(Batch::default());
        let queued = client.queue(&records, &batch).await;
        drop(slot);
        // What was queued before a failure is waited for too: a copy sent later must not be overtaken by it.
        batch.all_answered().await;
        queued?;
        batch.outcome(&client.context.plain.complaint)
    }
}

/// One client of librdkafka with its thread.
struct Client {
    /// None only while it is dropped.
    producer: Option<ThreadedProducer<Context>>,
    context: Context,
    files: Fingerprint,
}

impl Client {
    fn new(settings: &KafkaSettings) -> Result<Self, BusError> {
        let files = Fingerprint::of(settings);
        let context = Context::default();
        let producer = ThreadedProducer::from_config_and_context(&client::producer(settings)?, context.clone())
            .map_err(|error| client::failure(&error, &context.plain.complaint))?;
        Ok(Self { producer: Some(producer), context, files })
    }

    fn producer(&self) -> &ThreadedProducer<Context> {
        self.producer.as_ref().expect("only `drop` takes it")
    }

    async fn find(self: &Arc<Self>, topic: &Arc<str>, wait: Duration) -> Result<(), BusError> {
        for again in 0..TOPIC_TRIES {
            if again > 0 {
                tokio::time::sleep(TOPIC_PAUSE).await;
            }
            let (client, name) = (Arc::clone(self), Arc::clone(topic));
            let found = blocking(move || super::topics::partitions(client.producer().client(), &name, wait)).await?;
            match found {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => (),
                Err(error) => return Err(client::failure(&error, &self.context.plain.complaint)),
            }
        }
        Err(BusError::UnknownTopic { topic: Arc::clone(topic) })
    }

    /// Puts a batch into the queue, waiting where it is full.
    async fn queue(&self, records: &[Record], batch: &Arc<Batch>) -> Result<(), BusError> {
        // One more than is out, so that the batch is not complete before all of it is queued.
        batch.out.store(1, Ordering::SeqCst);
        let mut failed = Ok(());
        for record in records {
            batch.out.fetch_add(1, Ordering::SeqCst);
            if let Err(error) = self.queue_one(record, batch).await {
                batch.answer();
                failed = Err(client::failure(&error, &self.context.plain.complaint));
                break;
            }
        }
        batch.answer();
        failed
    }

    async fn queue_one(&self, record: &Record, batch: &Arc<Batch>) -> Result<(), KafkaError> {
        let mut message = BaseRecord::<[u8], [u8], Arc<Batch>>::with_opaque_to(&record.topic, Arc::clone(batch))
            .payload(&record.value[..])
            .timestamp(record.timestamp_ms);
        // Records without a key are spread; a key that is there and empty would bind them all to one partition.
        if !record.key.is_empty() {
            message = message.key(&record.key[..]);
        }
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            message = message.headers(record.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader { key: &header.name, value: Some(&header.value[..]) })
            }));
        }
        loop {
            match self.producer().send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    // A record that leaves between looking and waiting is seen by the next look.
                    let _ = timeout(FULL_PAUSE, self.context.room.notified()).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// A batch on its way.
#[derive(Default)]
struct Batch {
    out: AtomicUsize,
    failed: Mutex<Option<(KafkaError, Option<BusError>)>>,
    done: Notify,
}

impl Batch {
    fn answer(&self) {
        if self.out.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Keeps a permit if nobody waits yet.
            self.done.notify_one();
        }
    }

    fn fail(&self, error: KafkaError, meaning: Option<BusError>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((error, meaning));
    }

    async fn all_answered(&self) {
        while self.out.load(Ordering::SeqCst) > 0 {
            self.done.notified().await;
        }
    }

    fn outcome(&self, complaint: &Complaint) -> Result<(), BusError> {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => {
                complaint.clear();
                Ok(())
            }
            Some((_, Some(meaning))) => Err(meaning),
            Some((error, None)) => Err(client::failure(&error, complaint)),
        }
    }
}

/// What the client tells us.
#[derive(Clone, Default)]
struct Context {
    plain: Plain,
    /// Told when a record has left the queue.
    room: Arc<Notify>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        if let Err((error, message)) = result {
            batch.fail(error.clone(), refused(error, message));
        }
        batch.answer();
        self.room.notify_one();
    }
}

/// Says more of a record that the broker refuses for its size than the broker does.
fn refused(error: &KafkaError, message: &impl rdkafka::Message) -> Option<BusError> {
    (error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)).then(|| BusError::Refused {
        reason: format!(
            "topic `{}` takes no batch with a record of {} bytes: set its max.message.bytes to {} or more",
            message.topic(),
            message.payload().map_or(0, <[u8]>::len),
            MAX_RECORD_BYTES + client::FRAMING_BYTES
        ),
    })
}

impl Drop for Client {
    fn drop(&mut self) {
        // librdkafka's own end waits for its thread; whoever drops a producer may be on an async thread.
        if let Some(producer) = self.producer.take() {
            std::thread::spawn(move || drop(producer));
        }
    }
}
