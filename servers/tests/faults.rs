//! The fault proxy in front of real servers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use servers::proxy::{BulkProxy, Choose, Fault, TcpProxy, What};
use servers::{Kafka, KafkaOptions, Product, Search, SearchOptions};

/// Metadata request, version 4, for all topics (see `kafka/ready.rs`).
const METADATA: &[u8] = b"\0\0\0\x11\0\x03\0\x04\0\0\0\x01\0\x02mr\xff\xff\xff\xff\0";

#[test]
fn a_broker_tells_its_clients_the_address_of_the_proxy() {
    if !servers::can_run("a_broker_tells_its_clients", &[Product::Kafka]) {
        return;
    }
    let proxy = TcpProxy::start().unwrap();
    let kafka = Kafka::start(&KafkaOptions { advertised: Some(proxy.address()), ..KafkaOptions::default() }).unwrap();
    proxy.forward_to(kafka.address());
    assert_eq!(kafka.bootstrap(), proxy.address().to_string());
    let mut stream = connect(proxy.address());
    stream.write_all(METADATA).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    let mut told = b"127.0.0.1".to_vec();
    told.extend(u32::from(proxy.address().port()).to_be_bytes());
    assert!(answer.windows(told.len()).any(|window| window == told), "{answer:?}");
    assert_eq!(proxy.counts().connections, 1);
}

#[test]
fn a_refused_item_is_not_in_the_index_until_it_is_sent_again() {
    if !servers::can_run("a_refused_item_is_not_in_the_index", &[Product::OpenSearch3]) {
        return;
    }
    let search = Search::start(Product::OpenSearch3, &SearchOptions::default()).unwrap();
    let proxy = BulkProxy::to(search.address()).unwrap();
    let bulk = "{\"create\":{\"_id\":\"a\"}}\n{\"n\":1}\n{\"create\":{\"_id\":\"b\"}}\n{\"n\":2}\n";
    proxy.set(vec![Fault::times(
        1,
        What::Items {
            choose: Choose::by(|item| item.id == Some("b")),
            status: 429,
            error: "rejected_execution_exception".to_owned(),
        },
    )]);
    let first = ask(proxy.address(), "POST", "/docs/_bulk?refresh=true", bulk);
    assert_eq!(statuses(&first), [201, 429], "{first}");
    assert!(ask(proxy.address(), "GET", "/docs/_doc/b", "").starts_with("HTTP/1.1 404"));
    let second = ask(proxy.address(), "POST", "/docs/_bulk?refresh=true", bulk);
    assert_eq!(statuses(&second), [409, 201], "{second}");
    assert!(ask(proxy.address(), "GET", "/docs/_doc/b", "").starts_with("HTTP/1.1 200"));
    assert_eq!(proxy.injected().items.get(&429), Some(&1));

    // The proxy outlives its server, and finds it again.
    search.kill();
    assert_eq!(ask(proxy.address(), "GET", "/", ""), "", "a proxy without server must close the connection");
    search.restart().unwrap();
    assert!(ask(proxy.address(), "GET", "/docs/_doc/a", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_paused_node_answers_once_it_is_resumed() {
    if !servers::can_run("a_paused_node_answers", &[Product::OpenSearch3]) {
        return;
    }
    let search = Search::start(Product::OpenSearch3, &SearchOptions::default()).unwrap();
    search.pause().unwrap();
    // The kernel takes the connection, nobody answers.
    let mut stream = connect(search.address());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    search.resume().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = connect(address);
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Statuses of the items of a bulk answer.
fn statuses(answer: &str) -> Vec<u64> {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["items"].as_array().unwrap().iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect()
}
