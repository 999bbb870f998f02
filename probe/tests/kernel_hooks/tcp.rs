use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, getsockopt, setsockopt, socket, sockopt,
};
use probe::kernel::event::{Side, TcpChange, TcpEvent};

use crate::lab::{A4, A6, B4, B6, Cgroup, Pair, addr, ready};
use crate::probe_run::ProbeRun;

/// How the two ends part.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Parting {
    ClientFirst,
    ServerFirst,
    ClientHalf,
    ClientResets,
    ServerUnread,
}

/// One connection from `a` to `b` that carries `up` bytes there and `down` back.
fn talk(pair: &Pair, ip: &str, up: usize, down: usize, parting: Parting) {
    let listener = pair.b.run(|| TcpListener::bind(SocketAddr::new(addr(ip), 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut client = pair.a.run(|| TcpStream::connect(to)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let sending = std::thread::spawn({
        let mut client = client.try_clone().unwrap();
        move || client.write_all(&vec![1; up]).unwrap()
    });
    let mut got = vec![0; if parting == Parting::ServerUnread { 0 } else { up }];
    server.read_exact(&mut got).unwrap();
    sending.join().unwrap();
    if parting == Parting::ServerUnread {
        std::thread::sleep(Duration::from_millis(100));
        drop(server);
        let _ = client.read(&mut [0; 1]);
        return;
    }
    let answering = std::thread::spawn({
        let mut server = server.try_clone().unwrap();
        move || server.write_all(&vec![2; down]).unwrap()
    });
    let mut got = vec![0; down];
    client.read_exact(&mut got).unwrap();
    answering.join().unwrap();
    match parting {
        Parting::ClientFirst => {
            drop(client);
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        }
        Parting::ServerFirst => {
            drop(server);
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
        Parting::ClientHalf => {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
            drop(server);
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
        Parting::ClientResets => {
            std::thread::sleep(Duration::from_millis(100)); // let the last data be acknowledged
            setsockopt(&client, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
            drop(client);
            let _ = server.read(&mut [0; 1]);
        }
        Parting::ServerUnread => {}
    }
}

fn only<'a>(events: &[&'a TcpEvent], what: &str) -> &'a TcpEvent {
    assert_eq!(events.len(), 1, "{what}: {events:#?}");
    events[0]
}

#[test]
fn both_ends_tell_a_connection_with_exact_bytes_however_it_ends() {
    if !ready() {
        return;
    }
    let orderly = [Parting::ClientFirst, Parting::ServerFirst, Parting::ClientHalf];
    for parting in orderly.into_iter().chain([Parting::ClientResets, Parting::ServerUnread]) {
        for ((up, down), (a, b)) in [((100, 2_000_000), (A4, B4)), ((300_000, 1), (A6, B6)), ((0, 0), (A4, B4))] {
            if parting == Parting::ServerUnread && up == 0 {
                continue;
            }
            let pair = Pair::new();
            let mut run = ProbeRun::start();
            let (sent, back) = if parting == Parting::ServerUnread { (5_000, 0) } else { (up, down) };
            talk(&pair, b, sent, back, parting);
            let (a_ns, b_ns) = (pair.a.inode, pair.b.inode);
            run.until("both ends closed", |r| !r.tcp_ended(a_ns).is_empty() && !r.tcp_ended(b_ns).is_empty());
            let what = format!("{parting:?} {sent}/{back} over {b}");
            for (ns, side, local, remote, out, back) in [
                (a_ns, Side::Initiator, a, b, sent as u64, back as u64),
                (b_ns, Side::Receiver, b, a, back as u64, sent as u64),
            ] {
                let all = run.tcp(ns);
                assert_eq!(all.len(), 2, "{what}: {all:#?}");
                assert_eq!(all[0].change, TcpChange::Established);
                assert!(!all[0].reported_before && all[1].reported_before, "{what}");
                let aborted = !orderly.contains(&parting);
                assert_eq!(all[1].change, TcpChange::Closed { aborted }, "{what}");
                for event in &all {
                    assert_eq!(event.side, side);
                    assert_eq!((event.tuple.local_ip, event.tuple.remote_ip), (addr(local), addr(remote)));
                    assert!(event.tuple.local_port != 0 && event.tuple.remote_port != 0, "{event:#?}");
                    assert!(event.owner.is_some() && !event.preexisting && event.place.cookie != 0);
                    assert!(event.started <= event.at);
                }
                assert_eq!(all[0].tuple, all[1].tuple);
                let totals = all[1].totals;
                assert_eq!((totals.bytes_out, totals.bytes_in), (out, back), "{what} {side:?}: {totals:?}");
                assert!(
                    totals.mss > 500 && totals.congestion_window > 0 && totals.packets_out > 0 && totals.packets_in > 0,
                    "{totals:?}"
                );
                if out > 0 {
                    assert!(totals.smooth_rtt_us > 0, "{what}: {totals:?}");
                }
            }
        }
    }
}

#[test]
fn a_closed_port_refuses_over_both_families() {
    if !ready() {
        return;
    }
    for ip in [B4, B6] {
        let pair = Pair::new();
        let mut run = ProbeRun::start();
        pair.a.run(|| TcpStream::connect(SocketAddr::new(addr(ip), 81))).unwrap_err();
        let ns = pair.a.inode;
        run.until("the refusal", |r| !r.tcp(ns).is_empty());
        run.settle();
        let events = run.tcp(ns);
        let event = only(&events, "refused");
        assert_eq!(event.change, TcpChange::GaveUp { errno: 111, reset: true });
        assert_eq!((event.tuple.remote_ip, event.tuple.remote_port), (addr(ip), 81));
        assert!(!event.reported_before);
        assert!(run.tcp(pair.b.inode).is_empty());
        let drops = run.drops(pair.b.inode);
        assert_eq!((drops.len(), drops[0].reason.0.as_str()), (1, "NO_SOCKET"));
    }
}

#[test]
fn no_route_is_told_as_never_sent_once_for_each_connect() {
    if !ready() {
        return;
    }
    for (ip, family) in
        [("192.0.2.9", nix::sys::socket::AddressFamily::Inet), ("2001:db8::9", nix::sys::socket::AddressFamily::Inet6)]
    {
        let pair = Pair::new();
        let mut run = ProbeRun::start();
        pair.a.run(|| {
            use nix::sys::socket::{SockFlag, SockType, SockaddrStorage, connect, socket};
            use std::os::fd::AsRawFd;
            let fd = socket(family, SockType::Stream, SockFlag::empty(), None).unwrap();
            let to = SockaddrStorage::from(SocketAddr::new(addr(ip), 80));
            connect(fd.as_raw_fd(), &to).unwrap_err();
            connect(fd.as_raw_fd(), &to).unwrap_err();
        });
        let ns = pair.a.inode;
        run.until("two attempts", |r| r.tcp(ns).len() == 2);
        for event in run.tcp(ns) {
            assert!(matches!(event.change, TcpChange::NeverSent { .. }), "{event:#?}");
            assert_eq!((event.tuple.remote_ip, event.tuple.remote_port), (addr(ip), 80));
            assert!(event.owner.is_some() && !event.reported_before && event.place.cookie != 0);
        }
    }
}

#[test]
fn a_connect_after_a_refusal_on_the_same_socket_is_a_new_attempt() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind(SocketAddr::new(addr(B4), 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut run = ProbeRun::start();
    pair.a.run(|| {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
        use std::os::fd::AsRawFd;
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        let to = |port| SockaddrStorage::from(SocketAddr::new(addr(B4), port));
        connect(fd.as_raw_fd(), &to(82)).unwrap_err();
        connect(fd.as_raw_fd(), &to(port)).unwrap();
    });
    let ns = pair.a.inode;
    run.until("three events", |r| r.tcp(ns).len() == 3);
    let events = run.tcp(ns);
    assert!(matches!(events[0].change, TcpChange::GaveUp { errno: 111, reset: true }));
    assert_eq!(events[1].change, TcpChange::Established);
    assert_eq!(events.iter().map(|e| e.reported_before).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(events[0].place.cookie, events[1].place.cookie);
    assert!(events[1].started >= events[0].at);
}

#[test]
fn silence_shows_as_a_stall_after_a_second_and_as_given_up_at_the_end() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(
        "table inet t {\n chain i { type filter hook input priority 0; policy accept;\n tcp dport 83 drop\n }\n}\n",
    );
    let mut run = ProbeRun::start();
    let to = SocketAddr::new(addr(B4), 83);
    run.during(|| pair.a.run(|| TcpStream::connect_timeout(&to, Duration::from_millis(2_500)))).unwrap_err();
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp_ended(ns).is_empty());
    let events = run.tcp(ns);
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!((events[0].change, events[0].reported_before), (TcpChange::Stalled, false));
    assert_eq!((events[1].change, events[1].reported_before), (TcpChange::GaveUp { errno: 0, reset: false }, true));
    assert!(events[1].totals.retransmissions >= 1);
    let waited = events[0].at.0 - events[0].started.0;
    assert!((900_000_000..3_000_000_000).contains(&waited), "stalled after {waited} ns");
    assert_ne!(events[0].tuple.local_port, 0);
}

#[test]
fn an_unreachable_neighbour_gives_its_error() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let mut run = ProbeRun::start();
    run.during(|| pair.a.run(|| TcpStream::connect(SocketAddr::new(addr("10.91.0.77"), 80)))).unwrap_err();
    let ns = pair.a.inode;
    run.until("the error", |r| !r.tcp_ended(ns).is_empty());
    assert_eq!(run.tcp_ended(ns)[0].change, TcpChange::GaveUp { errno: 113, reset: false });
    // The kernel tells the socket first and throws the packet away then.
    run.until("the drop", |r| r.drops(ns).iter().any(|d| d.reason.0.starts_with("NEIGH_") && d.first));
}

#[test]
fn a_filter_that_rejects_is_a_refusal_wherever_it_stands() {
    if !ready() {
        return;
    }
    let rules = |hook: &str, with: &str| {
        format!(
            "table inet t {{\n chain c {{ type filter hook {hook} priority 0; policy accept;\n tcp dport 84 reject with {with}\n }}\n}}\n"
        )
    };
    for (hook, with, reset) in [
        ("input", "tcp reset", true),
        ("input", "icmpx port-unreachable", false),
        ("output", "icmpx port-unreachable", false),
    ] {
        let pair = Pair::new();
        if hook == "input" { &pair.b } else { &pair.a }.nft(&rules(hook, with));
        let mut run = ProbeRun::start();
        pair.a.run(|| TcpStream::connect(SocketAddr::new(addr(B4), 84))).unwrap_err();
        let (ns, dropper) = (pair.a.inode, if hook == "input" { pair.b.inode } else { pair.a.inode });
        run.until("the refusal and the drop", |r| !r.tcp_ended(ns).is_empty() && !r.drops(dropper).is_empty());
        let change = run.tcp_ended(ns)[0].change;
        assert_eq!(change, TcpChange::GaveUp { errno: 111, reset }, "{hook} {with}");
        assert_eq!(run.drops(dropper)[0].reason.0, "NETFILTER_DROP");
    }
}

#[test]
fn an_icmp_error_is_told_though_the_process_took_it_away() {
    if !ready() {
        return;
    }
    for (with, errno) in [("host-unreachable", 113), ("admin-prohibited", 113), ("port-unreachable", 111)] {
        let pair = Pair::new();
        pair.b.nft(&format!(
            "table inet t {{\n chain c {{ type filter hook input priority 0; policy accept;\n tcp dport 84 reject with icmpx {with}\n }}\n}}\n"
        ));
        let mut run = ProbeRun::start();
        // The answer comes while connect still holds the socket; asking for the error takes it away.
        pair.a.run(|| {
            let flags = SockFlag::SOCK_NONBLOCK;
            let client = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
            let to = SocketAddrV4::new(B4.parse().unwrap(), 84);
            connect(client.as_raw_fd(), &SockaddrIn::from(to)).unwrap_err();
            getsockopt(&client, sockopt::SocketError).unwrap()
        });
        let ns = pair.a.inode;
        run.until("the end", |r| !r.tcp_ended(ns).is_empty());
        assert_eq!(run.tcp_ended(ns)[0].change, TcpChange::GaveUp { errno, reset: false }, "{with}");
    }
}

#[test]
fn a_socket_names_its_cgroup_and_its_process() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let cgroup = Cgroup::new();
    let listener = pair.b.run(|| TcpListener::bind(SocketAddr::new(addr(B4), 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut run = ProbeRun::start();
    let mut child = pair.a.shell(&cgroup, &format!("exec 3<>/dev/tcp/{B4}/{port}; printf hello >&3"));
    let (mut server, _) = listener.accept().unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    drop(server);
    assert!(child.wait().unwrap().success());
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp_ended(ns).is_empty());
    let end = run.tcp_ended(ns)[0];
    assert_eq!((end.place.cgroup, end.totals.bytes_out), (cgroup.id, 5));
    let owner = end.owner.as_ref().unwrap();
    assert_eq!((owner.pid, owner.name.as_str()), (child.id(), "bash"));
}
