//! Nodes with TLS and users let in whom they should, and nobody else.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use servers::{Product, Search, SearchOptions};

// `printf admin:wrong | base64`
const WRONG: &str = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n";

#[test]
fn opensearch_2_takes_users_and_the_administrators_certificate() {
    if !servers::can_run("opensearch_2_takes_users", &[Product::OpenSearch2]) {
        return;
    }
    let search = Search::start(Product::OpenSearch2, &SearchOptions::default().secured()).unwrap();
    only_users_come_in(&search);
    let client = &search.secured().unwrap().client;
    let pair = [client.certificate.to_str().unwrap(), client.key.to_str().unwrap()];
    let users = get(&search, "/_plugins/_security/api/internalusers", "", &["-cert", pair[0], "-key", pair[1]]);
    assert!(users.starts_with("HTTP/1.1 200"), "{users}");
}

#[test]
fn elasticsearch_9_takes_users() {
    if !servers::can_run("elasticsearch_9_takes_users", &[Product::Elasticsearch9]) {
        return;
    }
    let search = Search::start(Product::Elasticsearch9, &SearchOptions::default().secured()).unwrap();
    only_users_come_in(&search);
    // A secured node comes back as such.
    search.kill();
    search.restart().unwrap();
    only_users_come_in(&search);
}

#[test]
fn opensearch_3_says_that_it_has_no_security() {
    if !servers::can_run("opensearch_3_says", &[Product::OpenSearch3]) {
        return;
    }
    let error = Search::start(Product::OpenSearch3, &SearchOptions::default().secured()).unwrap_err();
    assert!(error.to_string().contains("no security plugin"), "{error}");
}

fn only_users_come_in(search: &Search) {
    assert!(search.url().starts_with("https://127.0.0.1:"));
    let secured = search.secured().unwrap();
    assert_eq!(std::fs::read_to_string(&secured.password_file).unwrap(), secured.password.reveal());
    for (headers, status) in [("", "401"), (WRONG, "401")] {
        let answer = get(search, "/", headers, &[]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

/// Asks over TLS, with the authority checked.
fn get(search: &Search, path: &str, headers: &str, options: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect", &search.address().to_string(), "-CAfile"])
        .arg(&search.secured().unwrap().ca)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    write!(stdin, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    child.wait().unwrap();
    answer
}
