//! The way into a secured cluster: TLS, users, and a password that changes while we run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::sync::Arc;

use servers::{Product, Search, SearchOptions};
use store::contract::sample::{MIDNIGHT, minimal};
use store::opensearch::{ClientCertificate, Login, templates};
use store::{Answer, Document, Fate, FlowStore, OpenSearchSettings, OpenSearchStore};

fn batch(seq: u64) -> Arc<[Document]> {
    [Document::Flow(Box::new(minimal(seq, MIDNIGHT)))].into()
}

async fn lets_in_whom_it_should(test: &str, product: Product) {
    if !servers::can_run(test, &[product]) {
        return;
    }
    let server = Search::start(product, &SearchOptions::default().secured()).unwrap();
    let secured = server.secured().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    std::fs::copy(&secured.password_file, &password_file).unwrap();
    let login = Login::Basic { user: secured.user.clone(), password_file: password_file.clone() };
    let settings =
        OpenSearchSettings { ca_file: Some(secured.ca.clone()), login, ..OpenSearchSettings::at([server.url()]) };
    let store = OpenSearchStore::new(settings.clone()).unwrap();
    templates::apply(&store).await.unwrap();
    assert_eq!(store.write(batch(0)).await.unwrap(), [Answer::Created]);

    // The password changed at the cluster and not yet here: nothing is lost, nothing is dead.
    std::fs::write(&password_file, "another password").unwrap();
    let error = store.write(batch(1)).await.unwrap_err();
    assert_eq!(error.fate(), Fate::Blocked, "{error}");
    assert!(error.to_string().contains("password file"), "{error}");
    assert!(!error.to_string().contains("another password"), "{error}");
    std::fs::copy(&secured.password_file, &password_file).unwrap();
    assert_eq!(store.write(batch(1)).await.unwrap(), [Answer::Created]);

    let without_ca = OpenSearchStore::new(OpenSearchSettings { ca_file: None, ..settings.clone() }).unwrap();
    assert!(without_ca.product().await.is_err(), "a certificate of nobody that we trust");

    if product == Product::OpenSearch2 {
        let client = &secured.client;
        let certificate =
            ClientCertificate { certificate_file: client.certificate.clone(), key_file: client.key.clone() };
        let by_certificate =
            OpenSearchSettings { login: Login::Anonymous, client_certificate: Some(certificate), ..settings };
        let store = OpenSearchStore::new(by_certificate).unwrap();
        assert_eq!(store.write(batch(0)).await.unwrap(), [Answer::Duplicate]);
    }
}

#[tokio::test]
async fn a_secured_opensearch_lets_in_whom_it_should() {
    lets_in_whom_it_should("a_secured_opensearch_lets_in_whom_it_should", Product::OpenSearch2).await;
}

#[tokio::test]
async fn a_secured_elasticsearch_lets_in_whom_it_should() {
    lets_in_whom_it_should("a_secured_elasticsearch_lets_in_whom_it_should", Product::Elasticsearch9).await;
}
