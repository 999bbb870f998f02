use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::MetricsBuilder;
use crate::shutdown::Shutdown;

struct Running {
    address: SocketAddr,
    health: Health,
    shutdown: Shutdown,
    served: JoinHandle<io::Result<()>>,
}

async fn running() -> Running {
    let admin = Admin::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, health, shutdown) = (admin.address(), Health::new(), Shutdown::new());
    let metrics = MetricsBuilder::new("0.1.0", "test".to_owned()).build();
    let served = tokio::spawn(admin.serve(health.clone(), metrics, shutdown.token()));
    Running { address, health, shutdown, served }
}

impl Running {
    /// Returns the status line's code, the headers and the body.
    async fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, head.to_lowercase(), body.to_owned())
    }
}

#[tokio::test]
async fn readiness_lists_what_is_missing() {
    let running = running().await;
    assert_eq!(running.get("/readyz").await.0, 200);
    let store = running.health.condition("store");
    let (code, _, body) = running.get("/readyz").await;
    assert_eq!((code, body.as_str()), (503, "store: not ready: starting\n"));
    store.degraded("slow");
    let (code, _, body) = running.get("/readyz").await;
    assert_eq!((code, body.as_str()), (200, "store: degraded: slow\n"));
    // Readiness is nothing to restart for.
    store.not_ready("gone");
    assert_eq!(running.get("/livez").await.0, 200);
}

#[tokio::test]
async fn liveness_fails_when_a_heartbeat_stays_out() {
    let running = running().await;
    let beat = running.health.liveness("reader", std::time::Duration::from_millis(50));
    assert_eq!(running.get("/livez").await.0, 200);
    tokio::time::sleep(std::time::Duration::from_millis(80)).await;
    assert_eq!(running.get("/livez").await.0, 503);
    beat.beat();
    assert_eq!(running.get("/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let (code, head, body) = running().await.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("millrace_build_info{version=\"0.1.0\"") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn anything_else_is_not_found() {
    assert_eq!(running().await.get("/").await.0, 404);
}

#[tokio::test]
async fn it_ends_when_asked_to_even_with_a_connection_open() {
    let running = running().await;
    let _open = TcpStream::connect(running.address).await.unwrap();
    running.shutdown.request();
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Admin::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let error = Admin::bind(first.address()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {} for the admin server", first.address()));
}
