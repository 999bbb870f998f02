//! The store as a sink: a batch is written until every item has its last answer. Transient: again, without limit, only
//! those items. Blocked: wait, say so, and try one item from time to time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service::health::Condition;
use service::retry::{self, GaveUp, RetryPolicy};
use service::shutdown::Token;
use store::{Answer, Document, FlowStore};

use crate::metrics::IndexerMetrics;
use crate::pipeline::Stopped;

/// The store with what it takes to insist.
#[derive(Debug)]
pub(crate) struct Sink<S> {
    store: S,
    probe_interval: Duration,
    metrics: IndexerMetrics,
    condition: Condition,
}

/// Why not all items have their last answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The store may take them later.
    #[error("the store cannot take them now: {0}")]
    Transient(String),
    /// The store refuses until somebody acts.
    #[error("the store refuses: {0}")]
    Blocked(String),
}

/// A batch on its way: what is not yet answered, and what is.
struct Pending {
    /// Places in the batch that have no last answer.
    open: Vec<usize>,
    documents: Arc<[Document]>,
    answers: Vec<Answer>,
}

impl<S: FlowStore> Sink<S> {
    pub(crate) fn new(store: S, probe_interval: Duration, metrics: IndexerMetrics, condition: Condition) -> Self {
        Self { store, probe_interval, metrics, condition }
    }

    /// Writes a batch; returns the last answer of each item.
    pub(crate) async fn write(&self, documents: Vec<Document>, stop: &Token) -> Result<Vec<Answer>, Stopped> {
        let count = documents.len();
        let answers = vec![Answer::Transient("not sent yet".to_owned()); count];
        let pending = Mutex::new(Pending { open: (0..count).collect(), documents: documents.into(), answers });
        let mut most = usize::MAX;
        loop {
            match self.insist(&pending, most, stop).await {
                Ok(()) if is_done(&pending) => break,
                // One item went through: the others may.
                Ok(()) => most = usize::MAX,
                Err(GaveUp::Permanent(trouble)) => {
                    self.refused(&trouble);
                    most = 1;
                    if stop.unless_requested(tokio::time::sleep(self.probe_interval)).await.is_none() {
                        return Err(Stopped::Store(GaveUp::Stopped(trouble)));
                    }
                }
                Err(gave_up) => return Err(Stopped::Store(gave_up)),
            }
        }
        self.condition.ready();
        self.metrics.blocked.set(0);
        let pending = pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        pending.answers.iter().for_each(|answer| self.metrics.count(answer));
        Ok(pending.answers)
    }

    async fn insist(&self, pending: &Mutex<Pending>, most: usize, stop: &Token) -> Result<(), GaveUp<Trouble>> {
        let classify = |trouble: &Trouble| match trouble {
            Trouble::Transient(_) => retry::Fate::Retryable,
            Trouble::Blocked(_) => retry::Fate::Permanent,
        };
        let observe = |trouble: &Trouble, failed: retry::Failed| {
            self.metrics.store_retries.inc();
            self.condition.not_ready(trouble.to_string());
            tracing::warn!(%trouble, tries = failed.tries, "cannot store a batch; trying again");
        };
        retry::retry(RetryPolicy::endless(), stop, classify, observe, || self.attempt(pending, most)).await
    }

    /// Sends what has no last answer, `most` items at most.
    async fn attempt(&self, pending: &Mutex<Pending>, most: usize) -> Result<(), Trouble> {
        let (sent, batch) = {
            let pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
            let sent: Vec<usize> = pending.open.iter().copied().take(most).collect();
            let whole = sent.len() == pending.documents.len();
            // The usual case sends the batch as it is.
            let batch: Arc<[Document]> = if whole {
                Arc::clone(&pending.documents)
            } else {
                sent.iter().map(|at| pending.documents[*at].clone()).collect()
            };
            (sent, batch)
        };
        if sent.is_empty() {
            return Ok(());
        }
        let answers = match self.store.write(batch).await {
            Ok(answers) => answers,
            Err(error) => {
                return Err(match error.fate() {
                    store::Fate::Transient => Trouble::Transient(error.to_string()),
                    store::Fate::Blocked | store::Fate::Invalid => Trouble::Blocked(error.to_string()),
                });
            }
        };
        if answers.len() != sent.len() {
            let reason = format!("{} answers for {} items: none of them is believed", answers.len(), sent.len());
            return Err(Trouble::Blocked(reason));
        }
        let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worst = Ok(());
        let mut settled = Vec::with_capacity(sent.len());
        for (at, answer) in sent.into_iter().zip(answers) {
            match &answer {
                Answer::Transient(reason) if worst.is_ok() => worst = Err(Trouble::Transient(reason.clone())),
                Answer::Blocked(reason) => worst = Err(Trouble::Blocked(reason.clone())),
                Answer::Transient(_) => {}
                Answer::Created | Answer::Duplicate | Answer::Conflict | Answer::Rejected(_) => settled.push(at),
            }
            pending.answers[at] = answer;
        }
        // Both lists ascend.
        pending.open.retain(|at| settled.binary_search(at).is_err());
        worst
    }

    fn refused(&self, trouble: &Trouble) {
        self.metrics.blocked.set(1);
        self.metrics.store_retries.inc();
        self.condition.not_ready(trouble.to_string());
        tracing::error!(%trouble, again_in = ?self.probe_interval, "nothing is stored until this is put right");
    }
}

fn is_done(pending: &Mutex<Pending>) -> bool {
    pending.lock().unwrap_or_else(PoisonError::into_inner).open.is_empty()
}
