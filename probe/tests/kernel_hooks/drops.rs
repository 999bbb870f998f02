use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use flow::Protocol;
use probe::kernel::event::DropEvent;

use crate::lab::{A4, A6, B4, B6, Pair, ROUTED_A, ROUTED_B, Routed, addr, ready};
use crate::probe_run::ProbeRun;

fn filter(hook: &str, rule: &str) -> String {
    format!("table inet t {{\n chain c {{ type filter hook {hook} priority 0; policy accept;\n {rule}\n }}\n}}\n")
}

fn is_drop(d: &DropEvent, protocol: Protocol, from: &str, to: &str, port: u16) -> bool {
    d.protocol == protocol && d.source_ip == addr(from) && d.dest_ip == addr(to) && d.dest_port == port
}

#[test]
fn each_filter_hook_names_reason_and_namespace() {
    if !ready() {
        return;
    }
    let lab = Routed::new();
    let places = [("output", &lab.a, 90), ("forward", &lab.router, 91), ("input", &lab.b, 92)];
    for (hook, place, port) in places {
        place.nft(&filter(hook, &format!("meta l4proto {{ tcp, udp }} th dport {port} drop")));
    }
    let mut run = ProbeRun::start();
    for (hook, place, port) in places {
        let to = SocketAddr::new(addr(ROUTED_B), port);
        lab.a.run(|| {
            TcpStream::connect_timeout(&to, Duration::from_millis(100)).unwrap_err();
            let socket = UdpSocket::bind((ROUTED_A, 0)).unwrap();
            let _ = socket.send_to(b"x", to); // an output filter makes the call fail
        });
        for protocol in [Protocol::TCP, Protocol::UDP] {
            let found = |d: &&DropEvent| is_drop(d, protocol, ROUTED_A, ROUTED_B, port);
            run.until(&format!("{protocol} dropped at {hook}"), |r| r.drops(place.inode).iter().any(&found));
            let drops: Vec<_> = run.drops(place.inode).into_iter().filter(found).collect();
            assert_eq!(drops.len(), 1);
            assert_eq!(drops[0].reason.0, "NETFILTER_DROP");
            assert!(drops[0].first && drops[0].source_port != 0 && drops[0].original.is_none(), "{:#?}", drops[0]);
        }
    }
}

#[test]
fn a_repeated_packet_is_told_once_until_it_is_forgotten() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(&filter("input", "udp dport 93 drop"));
    let mut run = ProbeRun::start();
    let socket = pair.a.run(|| UdpSocket::bind((A4, 0))).unwrap();
    for _ in 0..5 {
        socket.send_to(b"x", (B4, 93)).unwrap();
    }
    let ns = pair.b.inode;
    run.until("the drop", |r| !r.drops(ns).is_empty());
    run.settle();
    assert_eq!(run.drops(ns).len(), 1);
    assert_eq!(run.kernel.forget_drops(Duration::from_secs(130)).unwrap().forgotten, 0);
    let sweep = run.kernel.forget_drops(Duration::ZERO).unwrap();
    assert!(sweep.forgotten >= 1 && sweep.packets >= 5, "{sweep:?}");
    socket.send_to(b"x", (B4, 93)).unwrap();
    run.until("the drop again", |r| r.drops(ns).len() == 2);
}

#[test]
fn every_attempt_from_one_port_is_told_and_its_retries_are_not() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(&filter("input", "tcp dport 89 drop"));
    pair.a.run(|| std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40001 40001").unwrap());
    let mut run = ProbeRun::start();
    let to = SocketAddr::new(addr(B4), 89);
    for patience in [1_500, 50, 50] {
        let attempt = || pair.a.run(|| TcpStream::connect_timeout(&to, Duration::from_millis(patience))).unwrap_err();
        // The port may need a moment until it is free again.
        let tries = (0..100).map(|_| run.during(attempt));
        let sent =
            tries.inspect(|_| std::thread::sleep(Duration::from_millis(5))).find(|e| e.kind() == ErrorKind::TimedOut);
        assert!(sent.is_some());
    }
    let ns = pair.b.inode;
    run.until("three drops", |r| r.drops(ns).len() >= 3);
    run.settle();
    let drops = run.drops(ns);
    assert_eq!(drops.iter().map(|d| (d.source_port, d.first)).collect::<Vec<_>>(), [(40001, true); 3]);
}

#[test]
fn a_filter_in_mid_course_is_told_but_begins_nothing() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut client = pair.a.run(|| TcpStream::connect(to)).unwrap();
    let _server = listener.accept().unwrap();
    pair.b.nft(&filter("input", &format!("tcp dport {} drop", to.port())));
    let mut run = ProbeRun::start();
    std::io::Write::write_all(&mut client, b"late").unwrap();
    let ns = pair.b.inode;
    run.until("the drop", |r| !r.drops(ns).is_empty());
    assert!(!run.drops(ns)[0].first);
}

#[test]
fn ipv6_and_icmp_drops_carry_their_headers() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(&filter("input", "tcp dport 94 drop\n icmp type echo-request drop\n icmpv6 type echo-request drop"));
    let mut run = ProbeRun::start();
    let to = SocketAddr::new(addr(B6), 94);
    pair.a.run(|| TcpStream::connect_timeout(&to, Duration::from_millis(100))).unwrap_err();
    pair.a.run(|| crate::datagrams::ping(A4, B4, 8, b"ping"));
    pair.a.run(|| crate::datagrams::ping(A6, B6, 8, b"ping"));
    let ns = pair.b.inode;
    run.until("three drops", |r| r.drops(ns).iter().filter(|d| d.reason.0 == "NETFILTER_DROP").count() == 3);
    let drops = run.drops(ns);
    assert!(drops.iter().any(|d| is_drop(d, Protocol::TCP, A6, B6, 94) && d.first && d.icmp.is_none()));
    assert!(drops.iter().any(|d| is_drop(d, Protocol::ICMP, A4, B4, 0) && d.icmp == Some((8, 0))));
    assert!(drops.iter().any(|d| is_drop(d, Protocol::ICMPV6, A6, B6, 0) && d.icmp == Some((128, 0))));
}

#[test]
fn a_drop_behind_address_translation_knows_where_it_was_sent() {
    if !ready() {
        return;
    }
    let lab = Routed::new();
    lab.router.nft(&format!(
        "table ip n {{\n chain p {{ type nat hook prerouting priority -100; policy accept;\n ip daddr 10.96.0.1 tcp dport 80 dnat to {ROUTED_B}:8080\n }}\n chain f {{ type filter hook forward priority 0; policy accept;\n tcp dport 8080 drop\n }}\n}}\n"
    ));
    let mut run = ProbeRun::start();
    let service = SocketAddr::new(addr("10.96.0.1"), 80);
    lab.a.run(|| TcpStream::connect_timeout(&service, Duration::from_millis(100))).unwrap_err();
    let ns = lab.router.inode;
    run.until("the drop", |r| !r.drops(ns).is_empty());
    let drop = run.drops(ns)[0];
    assert!(is_drop(drop, Protocol::TCP, ROUTED_A, ROUTED_B, 8080), "{drop:#?}");
    assert_eq!(drop.original, Some((addr("10.96.0.1"), 80)));
}
