use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use flow::Protocol;
use probe::kernel::conntrack::Conntrack;

use crate::lab::{ROUTED_A, ROUTED_B, Routed, addr, ready};

#[test]
fn a_translated_connection_is_told_and_dumped() {
    if !ready() {
        return;
    }
    let lab = Routed::new();
    lab.router.nft(&format!(
        "table ip n {{\n chain p {{ type nat hook prerouting priority -100; policy accept;\n ip daddr 10.96.0.1 tcp dport 80 dnat to {ROUTED_B}:8080\n }}\n}}\n"
    ));
    let listener = lab.b.run(|| TcpListener::bind((ROUTED_B, 8080))).unwrap();
    let mut conntrack = Conntrack::open(&lab.router.path()).unwrap();
    let service = SocketAddr::new(addr("10.96.0.1"), 80);
    let backend = SocketAddr::new(addr(ROUTED_B), 8080);
    let client = lab.a.run(|| TcpStream::connect(service)).unwrap();
    let _plain = lab.a.run(|| TcpStream::connect(backend)).unwrap();
    let source = client.local_addr().unwrap();
    assert_eq!(source.ip(), addr(ROUTED_A));
    let _accepted = (listener.accept().unwrap(), listener.accept().unwrap());

    let mut told = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while told.is_empty() && Instant::now() < end {
        let heard = conntrack.poll(|t| told.push(t)).unwrap();
        assert!(!heard.overrun);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((told[0].protocol, told[0].source), (Protocol::TCP, source));
    assert_eq!((told[0].original, told[0].translated), (service, backend));

    // One opened later hears no event of it, but can ask; and again.
    let mut late = Conntrack::open(&lab.router.path()).unwrap();
    assert_eq!(late.poll(|_| {}).unwrap().translations, 0);
    for _ in 0..2 {
        let mut all = Vec::new();
        late.dump(|t| all.push(t)).unwrap();
        assert_eq!(all, told);
    }
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let error = Conntrack::open(std::path::Path::new("/run/netns/no-such-namespace")).unwrap_err();
    assert!(error.to_string().contains("no-such-namespace"));
}
