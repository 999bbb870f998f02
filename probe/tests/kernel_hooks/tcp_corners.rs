//! Ways for a TCP socket to live that are rare and yet must not upset the account.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, sendto, socket,
};
use probe::kernel::event::{Side, TcpChange};

use crate::lab::{A4, B4, Pair, addr, ready};
use crate::probe_run::ProbeRun;

fn tcp_socket(flags: SockFlag) -> OwnedFd {
    socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap()
}

#[test]
fn a_socket_connected_to_itself_is_one_attempt_outwards() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let mut run = ProbeRun::start();
    let mut stream = pair.a.run(|| {
        let fd = tcp_socket(SockFlag::empty());
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(addr(A4), 0))).unwrap();
        let own: SockaddrStorage = getsockname(fd.as_raw_fd()).unwrap();
        connect(fd.as_raw_fd(), &own).unwrap(); // a simultaneous open: SYN_SENT, SYN_RECV, ESTABLISHED
        TcpStream::from(fd)
    });
    stream.write_all(&[7; 1000]).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp_ended(ns).is_empty());
    let events = run.tcp(ns);
    assert_eq!(events.iter().map(|e| e.reported_before).collect::<Vec<_>>(), [false, true], "{events:#?}");
    assert_eq!(events[0].change, TcpChange::Established);
    assert!(matches!(events[1].change, TcpChange::Closed { .. }));
    assert!(events.iter().all(|e| e.side == Side::Initiator));
    assert_eq!((events[1].totals.bytes_out, events[1].totals.bytes_in), (1000, 1000));
}

#[test]
fn data_in_the_first_packet_counts_like_any_other() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    // Fast open on both sides, without cookies and for every listener.
    for ns in [&pair.a, &pair.b] {
        ns.run(|| fs::write("/proc/sys/net/ipv4/tcp_fastopen", "1543").unwrap());
    }
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut run = ProbeRun::start();
    let mut client = pair.a.run(|| {
        let fd = tcp_socket(SockFlag::empty());
        let fast_open = MsgFlags::from_bits_retain(nix::libc::MSG_FASTOPEN);
        assert_eq!(sendto(fd.as_raw_fd(), &[1; 500], &SockaddrStorage::from(to), fast_open), Ok(500));
        TcpStream::from(fd)
    });
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0; 500]).unwrap();
    server.write_all(&[2; 900]).unwrap();
    client.read_exact(&mut [0; 900]).unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    drop(server);
    let (a_ns, b_ns) = (pair.a.inode, pair.b.inode);
    run.until("both ends closed", |r| !r.tcp_ended(a_ns).is_empty() && !r.tcp_ended(b_ns).is_empty());
    for (ns, side, out, back) in [(a_ns, Side::Initiator, 500, 900), (b_ns, Side::Receiver, 900, 500)] {
        let events = run.tcp(ns);
        assert_eq!(events.iter().map(|e| e.reported_before).collect::<Vec<_>>(), [false, true], "{events:#?}");
        assert_eq!((events[1].side, events[1].change), (side, TcpChange::Closed { aborted: false }));
        assert_eq!((events[1].totals.bytes_out, events[1].totals.bytes_in), (out, back), "{side:?}");
    }
}

#[test]
fn an_attempt_closed_before_its_answer_is_given_up_without_an_error() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(
        "table inet t {\n chain i { type filter hook input priority 0; policy accept;\n tcp dport 85 drop\n }\n}\n",
    );
    let mut run = ProbeRun::start();
    pair.a.run(|| {
        let fd = tcp_socket(SockFlag::SOCK_NONBLOCK);
        let to = SockaddrStorage::from(SocketAddr::new(addr(B4), 85));
        assert_eq!(connect(fd.as_raw_fd(), &to), Err(Errno::EINPROGRESS));
    });
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp(ns).is_empty());
    run.settle();
    let events = run.tcp(ns);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0].change, TcpChange::GaveUp { errno: 0, reset: false });
    assert!(!events[0].reported_before);
}

#[test]
fn a_listener_that_no_scan_found_still_accepts_counted_attempts() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let mut run = ProbeRun::start();
    let client = pair.a.run(|| TcpStream::connect(listener.local_addr().unwrap())).unwrap();
    drop(listener.accept().unwrap());
    drop(client);
    let ns = pair.b.inode;
    run.until("the end", |r| !r.tcp_ended(ns).is_empty());
    let events = run.tcp(ns);
    assert_eq!(
        events.iter().map(|e| (e.reported_before, e.preexisting)).collect::<Vec<_>>(),
        [(false, false), (true, false)]
    );
    assert!(events.iter().all(|e| e.side == Side::Receiver && e.owner.is_none()));
}

#[test]
fn no_free_port_is_told_as_never_sent() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.a.run(|| fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000").unwrap());
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut run = ProbeRun::start();
    let first = pair.a.run(|| TcpStream::connect(to)).unwrap();
    pair.a.run(|| TcpStream::connect(to)).unwrap_err();
    let ns = pair.a.inode;
    run.until("the failure", |r| !r.tcp_ended(ns).is_empty());
    let failed = run.tcp_ended(ns)[0];
    assert!(matches!(failed.change, TcpChange::NeverSent { .. }), "{failed:#?}");
    assert_eq!((failed.tuple.remote_ip, failed.tuple.remote_port, failed.reported_before), (to.ip(), to.port(), false));
    drop(first);
}

/// Opens many sockets at once, none of which waits, to a port that refuses them or one that takes them.
fn burst(to: SocketAddr, sockets: usize) {
    let open = |_| {
        let fd = tcp_socket(SockFlag::SOCK_NONBLOCK);
        let _ = connect(fd.as_raw_fd(), &SockaddrStorage::from(to));
        fd
    };
    let open: Vec<OwnedFd> = (0..sockets).map(open).collect();
    for fd in &open {
        poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(5_000_u16)).unwrap();
    }
}

/// The kernel skips a program that is under way, and an interrupt may bring a batch of packets, each of which ends an
/// attempt: what the first program was not run for, the second one or the release of the socket must have told.
#[test]
fn every_end_is_told_however_often_programs_are_skipped() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 25;
    const SOCKETS: usize = 100;
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.a.steer_to_all_cpus();
    pair.b.steer_to_all_cpus();
    let mut run = ProbeRun::start();
    let refuses = SocketAddr::new(addr(B4), 84);
    run.during(|| {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| pair.a.run(|| (0..ROUNDS).for_each(|_| burst(refuses, SOCKETS))));
            }
        });
    });
    let (ns, attempts) = (pair.a.inode, THREADS * ROUNDS * SOCKETS);
    run.until("all ends", |r| r.tcp_ended(ns).len() >= attempts);
    run.settle();
    assert_eq!(run.tcp_ended(ns).len(), attempts);
    let skipped: u64 = run.kernel.run_statistics().iter().map(|hook| hook.skipped).sum();
    let refused = TcpChange::GaveUp { errno: 111, reset: true };
    let at_release = run.tcp_ended(ns).iter().filter(|event| event.change != refused).count();
    println!("{attempts} attempts, {skipped} runs skipped, {at_release} ends told at the release");
}
