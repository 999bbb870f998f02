use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use probe::kernel::event::{ScannedSocket, Side, TcpChange};

use crate::lab::{A4, B4, Pair, addr, ready};
use crate::probe_run::ProbeRun;

fn of(sockets: &[ScannedSocket], netns: u32) -> Vec<&ScannedSocket> {
    sockets.iter().filter(|s| s.place.netns == netns).collect()
}

#[test]
fn a_connection_older_than_the_probe_is_found_and_never_counted() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut client = pair.a.run(|| TcpStream::connect(to)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[1; 700]).unwrap();
    server.read_exact(&mut [0; 700]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));

    let mut run = ProbeRun::start();
    let sockets = run.kernel.scan().unwrap();
    let ours = of(&sockets, pair.a.inode);
    assert_eq!(ours.len(), 1);
    assert_eq!((ours[0].side, ours[0].listening, ours[0].totals.bytes_out), (Side::Initiator, false, 700));
    assert_eq!(ours[0].owner.as_ref().unwrap().pid, std::process::id());
    let theirs = of(&sockets, pair.b.inode);
    assert!(theirs.iter().any(|s| s.listening && s.side == Side::Receiver));
    let accepted = theirs.iter().find(|s| !s.listening).unwrap();
    assert_eq!((accepted.side, accepted.totals.bytes_in), (Side::Receiver, 700));

    client.write_all(&[1; 300]).unwrap();
    server.read_exact(&mut [0; 300]).unwrap();
    let again = run.kernel.scan().unwrap();
    assert_eq!(of(&again, pair.b.inode).iter().find(|s| !s.listening).unwrap().totals.bytes_in, 1000);
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop(server);
    let (a_ns, b_ns) = (pair.a.inode, pair.b.inode);
    run.until("both ends closed", |r| !r.tcp(a_ns).is_empty() && !r.tcp(b_ns).is_empty());
    for (ns, out, back) in [(a_ns, 1000, 0), (b_ns, 0, 1000)] {
        let events = run.tcp(ns);
        assert_eq!(events.len(), 1);
        assert!(events[0].preexisting && events[0].reported_before);
        assert_eq!(events[0].change, TcpChange::Closed { aborted: false });
        assert_eq!((events[0].totals.bytes_out, events[0].totals.bytes_in), (out, back));
    }

    // A listener older than the probe accepts attempts like any other, with its owner.
    drop(pair.a.run(|| TcpStream::connect(to)).unwrap());
    run.until("the new connection", |r| r.tcp(b_ns).len() >= 2);
    let fresh = run.tcp(b_ns)[1];
    assert_eq!((fresh.change, fresh.side, fresh.preexisting), (TcpChange::Established, Side::Receiver, false));
    assert_eq!(fresh.owner.as_ref().unwrap().pid, std::process::id());
}

#[test]
fn without_a_scan_old_connections_still_are_not_counted() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let client = pair.a.run(|| TcpStream::connect(listener.local_addr().unwrap())).unwrap();
    let server = listener.accept().unwrap();
    let mut run = ProbeRun::start();
    drop(client);
    drop(server);
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp(ns).is_empty());
    assert!(run.tcp(ns)[0].preexisting);
    assert_eq!(run.tcp(ns)[0].side, Side::Unknown);
}

#[test]
fn an_old_bound_udp_socket_is_known_as_bound() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let server = pair.b.run(|| UdpSocket::bind((B4, 5354))).unwrap();
    let client = pair.a.run(|| UdpSocket::bind((A4, 0))).unwrap();
    let client_addr = client.local_addr().unwrap();
    let mut run = ProbeRun::start();
    let sockets = run.kernel.scan().unwrap();
    assert!(of(&sockets, pair.b.inode).iter().any(|s| s.listening && s.tuple.local_port == 5354));
    server.send_to(b"in mid-course", client_addr).unwrap();
    client.recv(&mut [0; 32]).unwrap();
    let ns = pair.b.inode;
    run.until("the datagram", |r| !r.datagrams(ns).is_empty());
    let event = run.datagrams(ns)[0];
    assert!(event.bound_before, "{event:#?}");
    assert_eq!((event.side, event.owner.as_ref().unwrap().pid), (Side::Receiver, std::process::id()));
    assert_eq!(
        SocketAddr::new(addr(A4), client_addr.port()),
        SocketAddr::new(event.tuple.remote_ip, event.tuple.remote_port)
    );
}
