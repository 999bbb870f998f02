//! A shared server outlives the test that asked for it first.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::TcpStream;
use std::thread;

use servers::{Product, shared};

#[test]
fn a_shared_broker_outlives_the_thread_that_started_it() {
    if !servers::can_run("a_shared_broker_outlives", &[Product::Kafka]) {
        return;
    }
    let first = thread::spawn(|| shared::kafka().unwrap().bootstrap()).join().unwrap();
    let second = shared::kafka().unwrap().bootstrap();
    assert_eq!(first, second);
    assert!(TcpStream::connect(second).is_ok(), "the broker ended with a thread");
}
