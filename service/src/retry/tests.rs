use std::cell::{Cell, RefCell};

use super::*;
use crate::shutdown::Shutdown;

const POLICY: RetryPolicy = RetryPolicy::endless();

/// Fails until a number of tries, and counts them.
struct Flaky {
    tries: Cell<u64>,
    succeeds_at: u64,
}

impl Flaky {
    fn until(succeeds_at: u64) -> Self {
        Self { tries: Cell::new(0), succeeds_at }
    }

    async fn attempt(&self) -> Result<u64, &'static str> {
        self.tries.set(self.tries.get() + 1);
        if self.tries.get() >= self.succeeds_at { Ok(self.tries.get()) } else { Err("busy") }
    }
}

fn retryable(_: &&'static str) -> Fate {
    Fate::Retryable
}

#[tokio::test(start_paused = true)]
async fn it_tries_until_it_succeeds_and_tells_of_each_failure() {
    let flaky = Flaky::until(5);
    let seen = RefCell::new(Vec::new());
    let token = Shutdown::new();
    let answer =
        retry(POLICY, &token.token(), retryable, |_, failed| seen.borrow_mut().push(failed.tries), || flaky.attempt())
            .await;
    assert_eq!(answer, Ok(5));
    assert_eq!(seen.into_inner(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_ends_it_at_once() {
    let flaky = Flaky::until(5);
    let shutdown = Shutdown::new();
    let answer = retry(POLICY, &shutdown.token(), |_| Fate::Permanent, |_, _| {}, || flaky.attempt()).await;
    assert_eq!(answer, Err(GaveUp::Permanent("busy")));
    assert_eq!(flaky.tries.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_breaks_a_pause_but_not_a_try() {
    let flaky = Flaky::until(u64::MAX);
    let shutdown = Shutdown::new();
    let observe = |_: &&'static str, failed: Failed| {
        if failed.tries == 3 {
            shutdown.request();
        }
    };
    let answer = retry(POLICY, &shutdown.token(), retryable, observe, || flaky.attempt()).await;
    assert_eq!(answer, Err(GaveUp::Stopped("busy")));
    assert_eq!(flaky.tries.get(), 3);
    // Asked to end before the first try, it is still made: what is at hand is finished.
    let once = Flaky::until(1);
    assert_eq!(retry(POLICY, &shutdown.token(), retryable, |_, _| {}, || once.attempt()).await, Ok(1));
}

#[tokio::test]
async fn a_bounded_policy_gives_up() {
    let flaky = Flaky::until(u64::MAX);
    let shutdown = Shutdown::new();
    let policy = RetryPolicy {
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(4),
        give_up_after: Some(Duration::from_millis(60)),
    };
    let answer = retry(policy, &shutdown.token(), retryable, |_, _| {}, || flaky.attempt()).await;
    let Err(GaveUp::TimeOver { error: "busy", tries }) = answer else { panic!("{answer:?}") };
    assert!(tries > 3, "{tries}");
    assert_eq!(answer.unwrap_err().to_string(), format!("gave up after {tries} tries"));
}

#[test]
fn pauses_grow_at_random_up_to_the_longest() {
    let policy = RetryPolicy {
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(1),
        give_up_after: None,
    };
    let mut longest = [Duration::ZERO; 8];
    for _ in 0..500 {
        let mut pauses = policy.pauses();
        for (place, longest) in longest.iter_mut().enumerate() {
            let pause = pauses.next_backoff().unwrap();
            let allowed = Duration::from_millis(100 * (1 << place)).min(policy.longest_pause);
            assert!(pause <= allowed + Duration::from_millis(1), "pause {place}: {pause:?}");
            *longest = pause.max(*longest);
        }
    }
    // All of the span is used, not only its middle.
    assert!(longest[0] > Duration::from_millis(80) && longest[7] > Duration::from_millis(900), "{longest:?}");
}

#[test]
fn an_endless_policy_never_gives_up() {
    let mut pauses = POLICY.pauses();
    assert!((0..10_000).all(|_| pauses.next_backoff().is_some_and(|pause| pause <= POLICY.longest_pause)));
}
