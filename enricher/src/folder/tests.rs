//! The folder as it lives: changes appear, broken files do not take names away, reports are said once.

use std::fs;
use std::net::IpAddr;

use cluster::Holder;
use prometheus_client::registry::Registry;
use service::shutdown::Shutdown;

use super::*;

fn settings(dir: Option<PathBuf>) -> FolderSettings {
    FolderSettings { dir, interval: Duration::from_millis(50), private_ranges: PrivateRanges::Full }
}

fn metrics() -> EnricherMetrics {
    EnricherMetrics::register(&mut Registry::default())
}

fn pod(name: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, status: {{podIP: 10.0.0.1}}}}\n")
}

fn name(history: &History) -> String {
    let address: IpAddr = "10.0.0.1".parse().unwrap();
    match history.at(now()).address(address) {
        Holder::Pod(entry) => entry.pod.meta.name.as_ref().to_owned(),
        other => format!("{other:?}"),
    }
}

async fn until(histories: &mut watch::Receiver<Arc<History>>, expected: &str) {
    let waiting = histories.wait_for(|history| name(history) == expected);
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(expected).unwrap();
}

#[tokio::test]
async fn changes_appear_and_broken_files_take_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pods.yaml");
    fs::write(&file, pod("one")).unwrap();
    let metrics = metrics();
    let folder = Folder::open(settings(Some(dir.path().to_owned())), metrics.clone());
    assert!(folder.invalid().is_empty());
    let mut histories = folder.histories();
    assert_eq!(name(&histories.borrow()), "one");
    let shutdown = Shutdown::new();
    let running = tokio::spawn(folder.run(shutdown.token()));

    fs::write(&file, pod("two")).unwrap();
    until(&mut histories, "two").await;

    fs::write(&file, "{apiVersion: v1, kind: Pod, metadata: {na").unwrap();
    for _ in 0..2_000 {
        if metrics.invalid_manifests.get() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(name(&histories.borrow()), "two");

    fs::write(&file, pod("three")).unwrap();
    until(&mut histories, "three").await;
    // The gauge is set before the new history is.
    assert_eq!(metrics.invalid_manifests.get(), 0);
    assert_eq!(metrics.snapshots.get(), 3);
    shutdown.request();
    running.await.unwrap();
}

#[tokio::test]
async fn without_a_folder_there_is_an_empty_history() {
    let folder = Folder::open(settings(None), metrics());
    let histories = folder.histories();
    let shutdown = Shutdown::new();
    shutdown.request();
    folder.run(shutdown.token()).await;
    assert!(histories.borrow().latest().objects().is_empty());
}

#[test]
fn a_folder_that_is_not_there_is_reported_and_not_fatal() {
    let metrics = metrics();
    let folder = Folder::open(settings(Some("/nowhere/at/all".into())), metrics.clone());
    assert_eq!(folder.invalid().len(), 1);
    assert_eq!(metrics.invalid_manifests.get(), 1);
}
