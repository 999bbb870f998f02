//! A cluster that misbehaves, by script: what is stored, what is tried again, what blocks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use store::opensearch::templates::VERSION;
use store::{Answer, Document, Fate, FlowStore, OpenSearchSettings, OpenSearchStore, StoreError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the scripted cluster does with a bulk request: given the ids, a status and a body; none cuts the connection.
type Bulk = Box<dyn Fn(&[(String, String)]) -> Option<(u16, String)> + Send + Sync>;

struct Script {
    bulk: Bulk,
    template_version: Option<u64>,
    /// Items of each bulk request seen.
    seen: Mutex<Vec<usize>>,
}

/// Starts a cluster that answers everything rightly but for what the script says.
async fn cluster(template_version: Option<u64>, bulk: Bulk) -> (OpenSearchStore, Arc<Script>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(Script { bulk, template_version, seen: Mutex::default() });
    let shared = Arc::clone(&script);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, Arc::clone(&shared)));
        }
    });
    (OpenSearchStore::new(OpenSearchSettings::at([url])).unwrap(), script)
}

async fn serve(socket: TcpStream, script: Arc<Script>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            socket.read_line(&mut header).await?;
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        let Some((status, answer)) = script.answer(&method, &path, &String::from_utf8_lossy(&body)) else {
            return Ok(());
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        socket.write_all(format!("{head}{answer}").as_bytes()).await?;
    }
}

impl Script {
    fn answer(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let ok = |value: Value| Some((200, value.to_string()));
        if path == "/" {
            return ok(json!({"version": {"number": "3.8.0", "distribution": "opensearch"}}));
        }
        if path.starts_with("/_index_template/") {
            return match self.template_version {
                Some(version) => ok(json!({"index_templates": [{"index_template": {"version": version}}]})),
                None => Some((404, json!({"error": {"type": "resource_not_found_exception"}}).to_string())),
            };
        }
        if let Some(index) = path.strip_suffix("/_mapping") {
            let index = index.trim_start_matches('/');
            return ok(json!({index: {"mappings": {"_meta": {"millrace_version": VERSION}}}}));
        }
        if method == "PUT" {
            return ok(json!({"acknowledged": true}));
        }
        assert!(path.starts_with("/_bulk"), "{method} {path}");
        let items: Vec<(String, String)> = body
            .lines()
            .step_by(2)
            .map(|line| {
                let action: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| action["create"][name].as_str().unwrap().to_owned();
                (text("_index"), text("_id"))
            })
            .collect();
        self.seen.lock().unwrap().push(items.len());
        (self.bulk)(&items)
    }
}

fn created(item: &(String, String)) -> Value {
    json!({"create": {"_index": item.0, "_id": item.1, "status": 201}})
}

fn failed(item: &(String, String), status: u16, kind: &str, reason: &str) -> Value {
    json!({"create": {"_index": item.0, "_id": item.1, "status": status, "error": {"type": kind, "reason": reason}}})
}

fn records(count: u64) -> Arc<[Document]> {
    let now = 1_795_564_800_000;
    (0..count).map(|seq| Document::Flow(Box::new(store::contract::sample::minimal(seq, now)))).collect()
}

async fn fails(bulk: Bulk) -> StoreError {
    let (store, _) = cluster(Some(VERSION), bulk).await;
    store.write(records(3)).await.unwrap_err()
}

#[tokio::test]
async fn each_item_of_a_mixed_answer_has_its_own_class() {
    let bulk: Bulk = Box::new(|items| {
        let answers = json!([
            created(&items[0]),
            failed(&items[1], 429, "rejected_execution_exception", "busy"),
            failed(&items[2], 503, "unavailable_shards_exception", "primary"),
            failed(&items[3], 400, "mapper_parsing_exception", "failed to parse field"),
            failed(&items[4], 404, "index_not_found_exception", "no such index"),
            failed(&items[5], 403, "security_exception", "no permissions"),
        ]);
        Some((200, json!({ "items": answers }).to_string()))
    });
    let (store, _) = cluster(Some(VERSION), bulk).await;
    let answers = store.write(records(6)).await.unwrap();
    let labels: Vec<_> = answers.iter().map(Answer::label).collect();
    assert_eq!(labels, ["created", "transient", "transient", "rejected", "blocked", "blocked"]);
    let Answer::Blocked(fix) = &answers[4] else { panic!("{:?}", answers[4]) };
    assert!(fix.contains("millrace templates apply"), "{fix}");
}

#[tokio::test]
async fn answers_in_another_order_are_told_by_id() {
    let bulk: Bulk = Box::new(|items| {
        let mut answers: Vec<Value> = items.iter().map(created).collect();
        answers[0] = failed(&items[0], 429, "rejected_execution_exception", "busy");
        answers.reverse();
        Some((200, json!({ "items": answers }).to_string()))
    });
    let (store, _) = cluster(Some(VERSION), bulk).await;
    let labels: Vec<_> = store.write(records(3)).await.unwrap().iter().map(Answer::label).collect();
    assert_eq!(labels, ["transient", "created", "created"]);
}

#[tokio::test]
async fn a_request_that_fails_as_a_whole_has_a_fate() {
    let status = |status: u16, kind: &'static str| -> Bulk {
        Box::new(move |_| Some((status, json!({"error": {"type": kind, "reason": ""}}).to_string())))
    };
    for (code, kind, fate) in [
        (429, "rejected_execution_exception", Fate::Transient),
        (503, "", Fate::Transient),
        (502, "", Fate::Transient),
        (401, "security_exception", Fate::Blocked),
        (403, "security_exception", Fate::Blocked),
        (403, "cluster_block_exception", Fate::Blocked),
        (400, "illegal_argument_exception", Fate::Blocked),
    ] {
        assert_eq!(fails(status(code, kind)).await.fate(), fate, "{code} {kind}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_or_torn_leaves_all_unknown() {
    assert_eq!(fails(Box::new(|_| None)).await.fate(), Fate::Transient, "answer lost");
    assert_eq!(fails(Box::new(|_| Some((200, "{\"items\":[{".into())))).await.fate(), Fate::Transient, "torn");
    let short: Bulk = Box::new(|items| Some((200, json!({"items": [created(&items[0])]}).to_string())));
    assert_eq!(fails(short).await.fate(), Fate::Blocked, "another count");
    let strange: Bulk = Box::new(|items| {
        let other = ("other".to_owned(), "x".to_owned());
        Some((200, json!({"items": [created(&items[0]), created(&items[1]), created(&other)]}).to_string()))
    });
    assert_eq!(fails(strange).await.fate(), Fate::Blocked, "another id");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_cut_until_one_item_is_left() {
    let large = store::contract::sample::minimal(5, 1_795_564_800_000);
    let id = flow::document_id(&large.stream, large.seq);
    let bulk: Bulk = Box::new(move |items| {
        if items.iter().any(|item| item.1 == id) {
            return Some((413, String::new()));
        }
        Some((200, json!({"items": items.iter().map(created).collect::<Vec<_>>()}).to_string()))
    });
    let (store, script) = cluster(Some(VERSION), bulk).await;
    let answers = store.write(records(8)).await.unwrap();
    let labels: Vec<_> = answers.iter().map(Answer::label).collect();
    let expected = ["created", "created", "created", "created", "created", "rejected", "created", "created"];
    assert_eq!(labels, expected);
    assert_eq!(*script.seen.lock().unwrap(), [8, 4, 4, 2, 1, 1, 2]);
}

#[tokio::test]
async fn nothing_is_written_where_the_templates_are_missing_or_older() {
    for version in [None, Some(0)] {
        let (store, script) = cluster(version, Box::new(|_| None)).await;
        for error in [store.check().await.unwrap_err(), store.write(records(1)).await.unwrap_err()] {
            assert_eq!(error.fate(), Fate::Blocked);
            assert!(error.to_string().contains("millrace templates apply"), "{error}");
        }
        assert!(script.seen.lock().unwrap().is_empty(), "no bulk request was sent");
    }
}
