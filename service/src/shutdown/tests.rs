use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

type Log = Arc<Mutex<Vec<&'static str>>>;

const LONG: Duration = Duration::from_secs(60);

/// A stage that ends when it is told to, and takes a while for it.
async fn orderly(name: &'static str, token: Token, log: Log) -> Result<(), Infallible> {
    token.requested().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    log.lock().unwrap().push(name);
    Ok(())
}

fn pipeline(log: &Log) -> Stages {
    let mut stages = Stages::new();
    for name in ["source", "middle", "sink"] {
        stages.start(name, |token| orderly(name, token, Arc::clone(log)));
    }
    stages
}

#[tokio::test(start_paused = true)]
async fn stages_end_in_their_order() {
    let (log, shutdown) = (Log::default(), Shutdown::new());
    let running = tokio::spawn(pipeline(&log).run(shutdown.token(), LONG));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(log.lock().unwrap().is_empty());
    shutdown.request();
    assert!(running.await.unwrap().is_clean());
    assert_eq!(*log.lock().unwrap(), ["source", "middle", "sink"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_by_itself_ends_the_others() {
    let (log, shutdown) = (Log::default(), Shutdown::new());
    let mut stages = Stages::new();
    stages.start("source", async |_| Ok::<_, Infallible>(()));
    let sink = Arc::clone(&log);
    stages.start("sink", |token| orderly("sink", token, sink));
    assert!(stages.run(shutdown.token(), LONG).await.is_clean());
    assert_eq!(*log.lock().unwrap(), ["sink"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_others_and_is_named() {
    let (log, shutdown) = (Log::default(), Shutdown::new());
    let mut stages = pipeline(&log);
    stages.start("store", async |_| Err("disk full"));
    stages.start("last", async |token: Token| -> Result<(), Infallible> {
        token.requested().await;
        panic!("a bug");
    });
    let ended = stages.run(shutdown.token(), LONG).await;
    let failed: Vec<_> = ended.failed.iter().map(|(name, _)| *name).collect();
    assert_eq!((failed.as_slice(), ended.given_up.as_slice()), (&["store", "last"][..], &[][..]));
    assert_eq!(ended.failed[0].1.to_string(), "disk full");
    assert_eq!(log.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_at_the_deadline_is_given_up_by_name() {
    let (log, shutdown) = (Log::default(), Shutdown::new());
    let mut stages = pipeline(&log);
    stages.start("stuck", async |_| std::future::pending::<Result<(), Infallible>>().await);
    shutdown.request();
    // The deadline is one for all: the first two stages take two of the 2.5 seconds.
    let ended = stages.run(shutdown.token(), Duration::from_millis(2500)).await;
    assert_eq!(ended.given_up, ["sink", "stuck"]);
    assert!(!ended.is_clean());
}

#[tokio::test(start_paused = true)]
async fn asking_twice_gives_up_at_once() {
    let (log, shutdown) = (Log::default(), Shutdown::new());
    let running = tokio::spawn(pipeline(&log).run(shutdown.token(), LONG));
    shutdown.request();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    shutdown.request_now();
    let ended = running.await.unwrap();
    assert_eq!(ended.given_up, ["middle", "sink"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_stages_gives_them_up() {
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    let mut stages = Stages::new();
    stages.start("held", async move |_| {
        let _held = held;
        std::future::pending::<Result<(), Infallible>>().await
    });
    tokio::task::yield_now().await;
    drop(stages);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[tokio::test(start_paused = true)]
async fn no_stages_are_done_at_once() {
    assert!(Stages::new().run(Shutdown::new().token(), LONG).await.is_clean());
}

#[tokio::test]
async fn a_token_learns_what_was_asked_before_and_after() {
    let shutdown = Shutdown::new();
    let token = shutdown.token();
    assert!(!token.is_requested());
    assert_eq!(token.unless_requested(async { 7 }).await, Some(7));
    shutdown.request();
    token.requested().await;
    assert!(token.is_requested() && !token.is_requested_now() && shutdown.token().is_requested());
    assert_eq!(token.unless_requested(async { 7 }).await, None);
    shutdown.request_now();
    shutdown.request();
    assert!(token.is_requested_now());
    let orphan = Shutdown::new().token();
    orphan.requested().await;
}

#[tokio::test]
async fn signals_ask_once_and_then_at_once() {
    let shutdown = Shutdown::new();
    let listening = shutdown.on_signals().unwrap();
    let token = shutdown.token();
    let kill = |signal: &str| {
        let status = std::process::Command::new("kill").args([signal, &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
    };
    kill("-TERM");
    token.requested().await;
    assert!(!token.is_requested_now());
    kill("-INT");
    token.requested_now().await;
    listening.abort();
}
