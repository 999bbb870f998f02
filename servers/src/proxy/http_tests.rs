//! A small engine behind the proxy: it creates every document that it sees.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use super::*;
use crate::proxy::Choose;

/// Answers bulk requests with one `201` a document, and everything else with its path.
fn engine() -> BulkProxy {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (path, body) = receive(&mut BufReader::new(&stream));
            let answer = if path.ends_with("/_bulk") {
                let created =
                    |operation: &Operation<'_>| json!({ "create": { "_id": operation.item(0).id, "status": 201 } });
                let items: Vec<Value> = bulk::parse(&body).unwrap().iter().map(created).collect();
                json!({ "took": 1, "errors": false, "items": items })
            } else {
                json!({ "path": path })
            };
            respond(&mut stream, &answer.to_string());
        }
    });
    BulkProxy::to(address).unwrap()
}

fn receive(reader: &mut impl std::io::BufRead) -> (String, Vec<u8>) {
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first.split(' ').nth(1).unwrap_or_default().to_owned(), body)
}

fn respond(stream: &mut impl std::io::Write, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
}

/// Sends documents with these ids and returns status and body.
fn send(proxy: &BulkProxy, ids: &[&str]) -> (String, String) {
    let body: String = ids.iter().map(|id| format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n{{}}\n")).collect();
    post(proxy, "/i/_bulk", &body)
}

fn post(proxy: &BulkProxy, path: &str, body: &str) -> (String, String) {
    let mut stream = std::net::TcpStream::connect(proxy.address()).unwrap();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

/// Statuses of the items of an answer, with their ids.
fn items(body: &str) -> Vec<(String, u64)> {
    let body: Value = serde_json::from_str(body).unwrap();
    let item =
        |item: &Value| (item["create"]["_id"].as_str().unwrap().to_owned(), item["create"]["status"].as_u64().unwrap());
    body["items"].as_array().unwrap().iter().map(item).collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

#[test]
fn without_faults_everything_passes() {
    let proxy = engine();
    let (status, body) = send(&proxy, &["a", "b"]);
    assert_eq!((status.as_str(), items(&body)), ("200", pairs(&[("a", 201), ("b", 201)])));
    assert_eq!(post(&proxy, "/_search", "{}").1, r#"{"path":"/_search"}"#);
    assert_eq!(proxy.injected(), Injected { requests: 1, ..Injected::default() });
}

#[test]
fn chosen_items_are_refused_at_their_places_and_counted() {
    let proxy = engine();
    let refuse = |id: &'static str, status, error: &str| What::Items {
        choose: Choose::by(move |item| item.id == Some(id)),
        status,
        error: error.to_owned(),
    };
    proxy.set(vec![
        Fault::times(1, refuse("b", 429, "es_rejected_execution_exception")),
        Fault::always(refuse("c", 400, "mapper_parsing_exception")),
    ]);
    let (_, body) = send(&proxy, &["a", "b", "c", "d"]);
    assert_eq!(items(&body), pairs(&[("a", 201), ("b", 429), ("c", 400), ("d", 201)]));
    assert!(body.contains(r#""errors":true"#) && body.contains("mapper_parsing_exception"), "{body}");
    let (_, body) = send(&proxy, &["b", "c"]);
    assert_eq!(items(&body), pairs(&[("b", 201), ("c", 400)]), "the first fault was for one request");
    assert_eq!(items(&send(&proxy, &["c"]).1), pairs(&[("c", 400)]), "the server saw nothing of this request");
    let injected = proxy.injected();
    assert_eq!(injected.items, BTreeMap::from([(400, 3), (429, 1)]));
    assert_eq!(injected.ids[&400].iter().collect::<Vec<_>>(), ["c"]);
    proxy.heal();
    assert_eq!(items(&send(&proxy, &["c"]).1), pairs(&[("c", 201)]));
}

#[test]
fn whole_requests_are_refused_and_statuses_rewritten() {
    let proxy = engine();
    proxy.set(vec![Fault::times(1, What::Refuse(429)), Fault::times(1, What::Status(503))]);
    assert_eq!(send(&proxy, &["a"]).0, "429");
    assert_eq!(send(&proxy, &["a"]).0, "503");
    assert_eq!(send(&proxy, &["a"]).0, "200");
    let injected = proxy.injected();
    assert_eq!((injected.requests, injected.refused, injected.statuses), (3, 1, 1));
}

#[test]
fn answers_are_lost_reordered_shortened_and_repeated() {
    let proxy = engine();
    proxy.set(vec![Fault::times(1, What::LoseAnswer)]);
    assert_eq!(send(&proxy, &["a"]), (String::new(), String::new()));
    proxy.set(vec![Fault::times(1, What::Reorder)]);
    assert_eq!(items(&send(&proxy, &["a", "b"]).1), pairs(&[("b", 201), ("a", 201)]));
    proxy.set(vec![Fault::times(1, What::DropItem)]);
    assert_eq!(items(&send(&proxy, &["a", "b"]).1), pairs(&[("a", 201)]));
    proxy.set(vec![Fault::times(1, What::Truncate)]);
    let (status, body) = send(&proxy, &["a", "b"]);
    assert_eq!(status, "200");
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    send(&proxy, &["old"]);
    proxy.set(vec![Fault::times(1, What::Repeat)]);
    assert_eq!(items(&send(&proxy, &["new"]).1), pairs(&[("old", 201)]));
    assert_eq!(items(&send(&proxy, &["new"]).1), pairs(&[("new", 201)]));
    let injected = proxy.injected();
    let counts = [injected.lost, injected.reordered, injected.dropped, injected.truncated, injected.repeated];
    assert_eq!(counts, [1; 5]);
}
