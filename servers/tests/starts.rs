//! Each product starts, answers, survives a kill with its data, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use servers::{Kafka, KafkaOptions, Product, Search, SearchOptions};

#[test]
fn kafka_survives_a_kill_and_leaves_nothing_behind() {
    if !servers::can_run("kafka_survives_a_kill", &[Product::Kafka]) {
        return;
    }
    let kafka = Kafka::start(&KafkaOptions::default().property("message.max.bytes", "2000000")).unwrap();
    let (bootstrap, folder) = (kafka.bootstrap(), kafka.folder().to_owned());
    assert!(TcpStream::connect(&bootstrap).is_ok());
    assert!(owners(&folder) > 0);
    kafka.kill();
    assert!(TcpStream::connect(&bootstrap).is_err(), "it still listens after a kill");
    assert_eq!(owners(&folder), 0, "a process outlived the kill");
    kafka.restart().unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert!(TcpStream::connect(&bootstrap).is_ok());
    kafka.pause().unwrap();
    kafka.resume().unwrap();
    drop(kafka);
    assert!(!folder.exists(), "`{}` was left behind", folder.display());
    assert_eq!(owners(&folder), 0, "a process was left behind");
}

#[test]
fn opensearch_3_survives_a_kill_and_leaves_nothing_behind() {
    search_survives_a_kill(Product::OpenSearch3);
}

#[test]
fn opensearch_2_survives_a_kill_and_leaves_nothing_behind() {
    search_survives_a_kill(Product::OpenSearch2);
}

#[test]
fn elasticsearch_9_survives_a_kill_and_leaves_nothing_behind() {
    search_survives_a_kill(Product::Elasticsearch9);
}

fn search_survives_a_kill(product: Product) {
    if !servers::can_run("search_survives_a_kill", &[product]) {
        return;
    }
    let search = Search::start(product, &SearchOptions::default()).unwrap();
    let (url, folder) = (search.url(), search.folder().to_owned());
    let front = http(&search, "GET", "/", "");
    assert!(front.contains(&format!("\"number\":\"{}\"", product.version())), "{front}");
    let put = http(&search, "PUT", "/kept/_doc/1?refresh=true", r#"{"n":1}"#);
    assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    search.kill();
    assert!(TcpStream::connect(search.address()).is_err(), "it still listens after a kill");
    assert_eq!(owners(&folder), 0, "a process outlived the kill");
    search.restart().unwrap();
    assert_eq!(search.url(), url);
    let got = http(&search, "GET", "/kept/_doc/1", "");
    assert!(got.contains(r#""n":1"#), "the document is gone: {got}");
    drop(search);
    assert!(!folder.exists(), "`{}` was left behind", folder.display());
    assert_eq!(owners(&folder), 0, "a process was left behind");
}

fn http(search: &Search, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(search.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.replace(" : ", ":").replace("\": ", "\":")
}

/// The number of processes that name a folder on their command line.
fn owners(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
}
