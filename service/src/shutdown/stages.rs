//! The stages of a pipeline, ended in their order.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Shutdown, Token};

/// Whatever a stage fails with.
type BoxError = Box<dyn Error + Send + Sync>;

/// Tasks in the order in which they end: sources first, what others write to last.
#[derive(Debug, Default)]
pub struct Stages {
    stages: Vec<Stage>,
    /// Told by each stage that ends, however it ends.
    ended: Arc<Notify>,
}

#[derive(Debug)]
struct Stage {
    name: &'static str,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), BoxError>>,
}

/// How the stages ended.
#[derive(Debug)]
pub struct Ended {
    /// The stages that failed, in the order of the stages, and why.
    pub failed: Vec<(&'static str, BoxError)>,
    /// The stages that were given up: not done at the deadline, or the end was asked for at once.
    pub given_up: Vec<&'static str>,
}

impl Ended {
    /// Returns true if every stage ended by itself and without a failure.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.given_up.is_empty()
    }
}

impl Stages {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the next stage. Its token tells it when those before it have ended and it is to finish.
    ///
    /// A stage may end before it is told to: that ends the stages after it as well, each in its turn. Dropping
    /// `Stages` gives all of them up.
    pub fn start<F, E>(&mut self, name: &'static str, stage: impl FnOnce(Token) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let shutdown = Shutdown::new();
        let future = stage(shutdown.token());
        let told = Tell(Arc::clone(&self.ended));
        let task = tokio::spawn(async move {
            let _told = told;
            future.await.map_err(Into::into)
        });
        self.stages.push(Stage { name, shutdown, task });
    }

    /// Runs until the end is asked for or one of the stages ends, then ends the others in their order within the
    /// deadline, which counts from then on.
    pub async fn run(mut self, stop: Token, deadline: Duration) -> Ended {
        if !self.stages.is_empty() {
            tokio::select! {
                () = stop.requested() => {}
                () = self.ended.notified() => {}
            }
        }
        let deadline = Instant::now() + deadline;
        let mut ended = Ended { failed: Vec::new(), given_up: Vec::new() };
        for stage in &mut self.stages {
            stage.shutdown.request();
            let outcome = tokio::select! {
                outcome = timeout_at(deadline, &mut stage.task) => outcome.ok(),
                () = stop.requested_now() => None,
            };
            match outcome {
                Some(Ok(Ok(()))) => tracing::debug!(stage = stage.name, "stage ended"),
                Some(Ok(Err(error))) => ended.failed.push((stage.name, error)),
                Some(Err(panic)) => ended.failed.push((stage.name, Box::new(panic))),
                None => {
                    tracing::warn!(stage = stage.name, "stage given up before it was done");
                    stage.shutdown.request_now();
                    stage.task.abort();
                    ended.given_up.push(stage.name);
                }
            }
        }
        ended
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        for stage in &self.stages {
            stage.task.abort();
        }
    }
}

/// Tells that a stage ended, also when it panicked.
struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
