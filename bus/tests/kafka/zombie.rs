//! K10: a member that was frozen past its session comes back and commits. It runs in a process of its own, which is this
//! test binary again, so that it can be frozen whole.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bus::kafka::KafkaBus;
use bus::kafka::topics::TopicSpec;
use bus::{Consumer, Producer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{after, can_run, create, firsts, numbered, quick, read_until, unique};

const BOOTSTRAP: &str = "ZOMBIE_BOOTSTRAP";
const TOPIC: &str = "ZOMBIE_TOPIC";

/// The member that is frozen; nothing where it was not started by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_member_that_is_frozen() {
    let (Ok(bootstrap), Ok(topic)) = (std::env::var(BOOTSTRAP), std::env::var(TOPIC)) else { return };
    let bus = KafkaBus::new(quick(&bootstrap)).unwrap();
    let mut consumer = bus.consumer("group", &[&topic]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 100).await;
    println!("\nZOMBIE read");
    std::io::stdin().lines().next().unwrap().unwrap();
    let lost = loop {
        match consumer.commit(&[after(&read[99])]).await {
            Ok(lost) => break lost,
            Err(error) => assert_eq!(error.fate(), bus::Fate::Retryable, "{error}"),
        }
    };
    println!("\nZOMBIE lost {}", lost.len());
}

struct Frozen {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Frozen {
    fn start(bootstrap: &str, topic: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "zombie::the_member_that_is_frozen"])
            .envs([(BOOTSTRAP, bootstrap), (TOPIC, topic)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn says(&mut self) -> String {
        let lines = self.output.by_ref().lines().map(Result::unwrap);
        lines.filter_map(|line| line.strip_prefix("ZOMBIE ").map(str::to_owned)).next().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_a_member_that_was_frozen_are_refused() {
    if !can_run("commits_of_a_member_that_was_frozen_are_refused") {
        return;
    }
    let settings = quick(&servers::shared::kafka().unwrap().bootstrap());
    let name = format!("zombie.{}", unique());
    create(&settings, TopicSpec::named(&name, 1)).await;
    let bus = KafkaBus::new(settings.clone()).unwrap();
    bus.producer().send(numbered(&name, "key", 0, 100)).await.unwrap();
    let bootstrap = settings.bootstrap_servers[0].clone();
    let topic = name.clone();
    let mut zombie = tokio::task::spawn_blocking(move || {
        let mut zombie = Frozen::start(&bootstrap, &topic);
        assert_eq!(zombie.says(), "read");
        zombie
    })
    .await
    .unwrap();
    zombie.signal(Signal::SIGSTOP);
    // Its session passes, and another has the partition.
    let mut heir = bus.consumer("group", &[&name]).await.unwrap();
    let read = read_until(&mut heir, |read| read.len() >= 100).await;
    assert_eq!(firsts(&read), (0..100).collect::<Vec<_>>());
    assert_eq!(heir.commit(&[after(&read[29])]).await, Ok(vec![]));
    zombie.signal(Signal::SIGCONT);
    let lost = tokio::task::spawn_blocking(move || {
        zombie.input.write_all(b"commit\n").unwrap();
        zombie.says()
    })
    .await
    .unwrap();
    assert_eq!(lost, "lost 1");
    // What the heir committed is what counts.
    assert_eq!(heir.lag().await, Ok(70));
    drop(heir);
    let mut next = bus.consumer("group", &[&name]).await.unwrap();
    let read = read_until(&mut next, |read| read.len() >= 70).await;
    assert_eq!(firsts(&read), (30..100).collect::<Vec<_>>());
}
