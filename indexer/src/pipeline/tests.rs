//! The pipelines between a real bus and a store that fails on command.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Header, InProcessBus, TopicSettings};
use flow::wire;
use service::health::Health;
use service::metrics::MetricsBuilder;
use service::settings::Problems;
use service::shutdown::Shutdown;
use store::sqlite::Options;
use store::{
    AggregateAnswer, AggregateQuery, DeadLetterPage, DeadLetterQuery, EntryPage, EntryQuery, Fate, FlowPage, FlowQuery,
    SqliteStore, StoreError, StoreState, StreamList,
};
use tempfile::TempDir;

use super::*;
use crate::settings::RawIndexerSettings;
use crate::test_support::Story;

const ENRICHED: &str = flow::contract::ENRICHED_TOPIC;
const DEAD_LETTER_TOPIC: &str = flow::contract::DEAD_LETTER_TOPIC;

/// A store in front of which faults can be put.
#[derive(Clone)]
struct Faulty {
    store: SqliteStore,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

/// What happens to one write.
#[derive(Clone)]
enum Fault {
    /// The whole request fails.
    Fails(Fate),
    /// It is stored, but the answer is lost.
    AnswerLost,
    /// These items are answered so, the others are stored.
    Items(Vec<(usize, Answer)>),
    /// It is stored, and answered with one answer too few.
    TooFewAnswers,
}

fn failure(fate: Fate) -> StoreError {
    StoreError::Engine { action: "write", place: "test".to_owned(), fate, source: "on command".into() }
}

impl FlowStore for Faulty {
    async fn write(&self, batch: Arc<[Document]>) -> Result<Vec<Answer>, StoreError> {
        self.sizes.lock().unwrap().push(batch.len());
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.store.write(batch).await,
            Some(Fault::Fails(fate)) => Err(failure(fate)),
            Some(Fault::AnswerLost) => {
                self.store.write(batch).await?;
                Err(failure(Fate::Transient))
            }
            Some(Fault::TooFewAnswers) => {
                let mut answers = self.store.write(batch).await?;
                answers.pop();
                Ok(answers)
            }
            Some(Fault::Items(items)) => {
                let is_hit = |at: &usize| items.iter().any(|(hit, _)| hit == at);
                let rest: Vec<usize> = (0..batch.len()).filter(|at| !is_hit(at)).collect();
                let stored = self.store.write(rest.iter().map(|at| batch[*at].clone()).collect()).await?;
                let mut answers = vec![Answer::Created; batch.len()];
                rest.into_iter().zip(stored).for_each(|(at, answer)| answers[at] = answer);
                items.into_iter().for_each(|(at, answer)| answers[at] = answer);
                Ok(answers)
            }
        }
    }

    async fn flows(&self, query: &FlowQuery) -> Result<FlowPage, StoreError> {
        self.store.flows(query).await
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<AggregateAnswer, StoreError> {
        self.store.aggregate(query).await
    }

    async fn streams(&self) -> Result<StreamList, StoreError> {
        self.store.streams().await
    }

    async fn entries(&self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        self.store.entries(query).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
        self.store.dead_letters(query).await
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        self.store.state().await
    }
}

struct Rig {
    _dir: TempDir,
    bus: InProcessBus,
    store: Faulty,
    settings: IndexerSettings,
    metrics: IndexerMetrics,
    health: Health,
    shutdown: Shutdown,
}

fn rig(faults: impl IntoIterator<Item = Fault>) -> Rig {
    let dir = TempDir::new().unwrap();
    let mut problems = Problems::default();
    let settings = IndexerSettings::resolve(RawIndexerSettings::default(), &mut problems);
    let topics = [ENRICHED, DEAD_LETTER_TOPIC].map(TopicSettings::named);
    let bus = InProcessBus::new(topics).unwrap();
    bus.register(&settings.group, &[ENRICHED]).unwrap();
    bus.register(&settings.dead_letter_group, &[DEAD_LETTER_TOPIC]).unwrap();
    let store = Faulty {
        store: SqliteStore::open(Options::in_dir(dir.path())).unwrap(),
        faults: Arc::new(Mutex::new(faults.into_iter().collect())),
        sizes: Arc::default(),
    };
    let mut builder = MetricsBuilder::new("0", "indexer".to_owned());
    let metrics = IndexerMetrics::register(builder.component(crate::metrics::COMPONENT));
    let settings = IndexerSettings { probe_interval: Duration::from_millis(100), ..settings };
    Rig { _dir: dir, bus, store, settings, metrics, health: Health::new(), shutdown: Shutdown::new() }
}

impl Rig {
    async fn send(&self, documents: &[Document]) {
        let records = documents.iter().map(message).collect();
        self.bus.producer().send(records).await.unwrap();
    }

    /// Runs both pipelines until everything sent is done.
    async fn run(&self) -> Result<Indexed, Stopped> {
        self.bus.close_topic(ENRICHED).unwrap();
        let indexed = self.indexer().run(self.shutdown.token()).await;
        self.bus.close_topic(DEAD_LETTER_TOPIC).unwrap();
        let consumer = self.bus.subscribe(&self.settings.dead_letter_group, &[DEAD_LETTER_TOPIC]).unwrap();
        let condition = self.health.condition("dead letters");
        DeadLetterIndexer::new(&self.settings, consumer, self.store.clone(), self.metrics.clone(), condition)
            .run(self.shutdown.token())
            .await?;
        indexed
    }

    fn indexer(&self) -> Indexer<impl Consumer + use<>, impl Producer + use<>, Faulty> {
        let consumer = self.bus.subscribe(&self.settings.group, &[ENRICHED]).unwrap();
        let condition = self.health.condition("store");
        let (store, metrics) = (self.store.clone(), self.metrics.clone());
        Indexer::new(&self.settings, consumer, self.bus.producer(), store, metrics, condition)
    }

    fn lag(&self) -> u64 {
        self.bus.backlog(ENRICHED, &self.settings.group).unwrap().lag
    }

    async fn exit_code(&self) -> u8 {
        crate::reconcile(&self.store, unix_now()).await.unwrap().exit_code()
    }

    async fn reasons(&self) -> Vec<String> {
        let page = self.store.dead_letters(&DeadLetterQuery::default()).await.unwrap();
        page.letters.into_iter().map(|letter| letter.reason).collect()
    }
}

fn message(document: &Document) -> Record {
    let (value, schema) = match document {
        Document::Flow(record) => (wire::encode_flow(record).unwrap(), flow::Schema::Flow),
        Document::Ledger(ledger) => (wire::encode_ledger(ledger).unwrap(), flow::Schema::Ledger),
        Document::DeadLetter(_) => panic!("not on this topic"),
    };
    let id = document.id().unwrap();
    let pairs = wire::Headers::new(&id.stream, id.seq, schema).pairs();
    Record {
        topic: ENRICHED.into(),
        key: id.stream.to_string().into(),
        headers: pairs.into_iter().map(|(name, value)| Header::new(name, value)).collect(),
        value: value.into(),
        timestamp_ms: i64::try_from(unix_now().0).unwrap(),
    }
}

fn story() -> Story {
    Story::begins(unix_now().0 - 60_000).records(40).ledger().records(20).closes()
}

#[tokio::test]
async fn stores_everything_and_commits() {
    let rig = rig([]);
    rig.send(&story().documents).await;
    let indexed = rig.run().await.unwrap();
    assert_eq!(indexed, Indexed { created: 62, ..Indexed::default() });
    assert_eq!((rig.lag(), rig.exit_code().await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn goes_on_through_every_trouble_of_the_store() {
    let items = |items: &[(usize, Answer)]| Fault::Items(items.to_vec());
    let transient = || Answer::Transient("busy".to_owned());
    let blocked = || Answer::Blocked("read-only".to_owned());
    let troubles: [&[Fault]; 7] = [
        &[Fault::Fails(Fate::Transient), Fault::Fails(Fate::Transient), Fault::Fails(Fate::Transient)],
        &[Fault::Fails(Fate::Blocked), Fault::Fails(Fate::Blocked)],
        &[Fault::AnswerLost],
        &[Fault::TooFewAnswers],
        &[items(&[(0, transient()), (61, transient())]), items(&[(1, transient())])],
        &[items(&[(5, blocked()), (7, blocked())]), items(&[(0, blocked())])],
        &[items(&[(5, blocked()), (7, transient())]), Fault::Fails(Fate::Transient), Fault::Fails(Fate::Blocked)],
    ];
    for (number, faults) in troubles.iter().enumerate() {
        let rig = rig(faults.iter().cloned());
        rig.send(&story().documents).await;
        let indexed = rig.run().await.unwrap();
        assert_eq!(indexed.created + indexed.duplicates, 62, "trouble {number}");
        assert_eq!((rig.lag(), rig.exit_code().await), (0, 0), "trouble {number}");
        assert_eq!(rig.metrics.blocked.get(), 0, "trouble {number}: it is over");
        assert!(rig.health.readiness().is_ready(), "trouble {number}: it is over");
        assert!(rig.store.faults.lock().unwrap().is_empty(), "trouble {number} was met");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_tried_with_one_item() {
    let rig = rig([Fault::Fails(Fate::Blocked), Fault::Fails(Fate::Blocked)]);
    rig.send(&story().documents).await;
    rig.run().await.unwrap();
    assert_eq!(*rig.store.sizes.lock().unwrap(), [62, 1, 1, 61]);
}

#[tokio::test]
async fn what_can_never_be_stored_becomes_a_dead_letter_and_stays_in_the_balance() {
    let rejected = Answer::Rejected("no".to_owned());
    let rig = rig([Fault::Items(vec![(3, rejected.clone()), (8, rejected)])]);
    let story = story();
    let mut records: Vec<Record> = story.documents.iter().map(message).collect();
    // One that cannot be read, and one that is not ours.
    records[12].value = records[12].value.slice(..100);
    let mut foreign = records[0].clone();
    foreign.headers.clear();
    records.insert(0, foreign);
    rig.bus.producer().send(records).await.unwrap();
    let indexed = rig.run().await.unwrap();
    assert_eq!((indexed.created, indexed.dead_letters), (59, 4));
    let mut reasons = rig.reasons().await;
    reasons.sort_unstable();
    assert_eq!(reasons, ["foreign", "form", "rejected", "rejected"]);
    let report = crate::reconcile(&rig.store, unix_now()).await.unwrap();
    assert_eq!((report.totals.unexplained, report.totals.dead_lettered), (0, 3));
    assert_eq!(report.exit_code(), 4, "the one that cannot be read leaves its interval undecided");
}

#[tokio::test]
async fn a_replay_doubles_nothing_and_another_record_under_an_identity_is_a_conflict() {
    let rig = rig([]);
    let story = story();
    rig.send(&story.documents).await;
    rig.send(&story.documents).await;
    let Document::Flow(record) = &story.documents[4] else { panic!() };
    let mut other = record.clone();
    other.bytes_in += 1;
    rig.send(&[Document::Flow(other)]).await;
    let indexed = rig.run().await.unwrap();
    assert_eq!(indexed, Indexed { created: 62, duplicates: 62, dead_letters: 1 });
    assert_eq!(rig.reasons().await, ["conflict"]);
    let report = crate::reconcile(&rig.store, unix_now()).await.unwrap();
    assert_eq!(report.streams[0].findings, [crate::balance::report::Finding::Conflict { seq: 4 }]);
}

#[tokio::test]
async fn a_stop_while_the_store_refuses_commits_nothing() {
    let rig = rig(std::iter::repeat_n(Fault::Fails(Fate::Blocked), 10_000));
    rig.send(&story().documents).await;
    let token = rig.shutdown.token();
    let running = tokio::spawn(rig.indexer().run(token));
    while rig.metrics.blocked.get() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!rig.health.readiness().is_ready());
    rig.shutdown.request();
    let stopped = running.await.unwrap().unwrap_err();
    assert!(matches!(stopped, Stopped::Store(GaveUp::Stopped(Trouble::Blocked(_)))), "{stopped}");
    assert_eq!(rig.lag(), 62, "all of it will be read again");
}

#[tokio::test]
async fn a_batch_ends_with_its_records_or_bytes() {
    let mut rig = rig([]);
    rig.settings.batch.records = 10;
    rig.send(&story().documents).await;
    rig.run().await.unwrap();
    assert_eq!(rig.store.sizes.lock().unwrap().iter().max(), Some(&10));
    let mut rig = self::rig([]);
    rig.settings.batch = crate::settings::BatchLimits { records: 5, bytes: 1, age: Duration::from_secs(60) };
    rig.send(&story().documents).await;
    rig.run().await.unwrap();
    assert!(rig.store.sizes.lock().unwrap().iter().all(|size| *size <= 5));
}
