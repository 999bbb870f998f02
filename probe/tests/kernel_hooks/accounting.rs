use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use flow::{Direction, LossReason, Protocol};
use probe::kernel::event::{KernelCounters, KernelEvent, TcpChange};
use probe::kernel::{Hook, KernelOptions};

use crate::lab::{A4, B4, Pair, addr, ready};
use crate::probe_run::ProbeRun;

fn seen_and_reported(counters: &KernelCounters, protocol: Protocol, direction: Direction) -> (u64, u64) {
    let found = counters.attempts.iter().find(|a| (a.protocol, a.direction) == (protocol, direction));
    found.map_or((0, 0), |a| (a.seen, a.reported))
}

fn lost(counters: &KernelCounters, protocol: Protocol, direction: Direction) -> u64 {
    let of = counters.lost.iter().filter(|l| (l.protocol, l.direction) == (protocol, direction));
    of.map(|l| l.attempts).sum()
}

/// Connections that are refused: each is one attempt with one event, decided at once.
fn knock(pair: &Pair, times: usize) {
    pair.a.run(|| {
        for _ in 0..times {
            TcpStream::connect(SocketAddr::new(addr(B4), 97)).unwrap_err();
        }
    });
}

/// What came through the ring, by class and direction, of any process on the machine.
fn told(run: &ProbeRun, direction: Direction) -> u64 {
    let speaks = |e: &&KernelEvent| match e {
        KernelEvent::Tcp(e) => {
            let way = if e.side == probe::kernel::event::Side::Receiver { Direction::In } else { Direction::Out };
            !e.reported_before && !e.preexisting && way == direction
        }
        _ => false,
    };
    run.events.iter().filter(speaks).count() as u64
}

#[test]
fn a_full_ring_loses_exactly_what_it_counts() {
    if !ready() {
        return;
    }
    // Attempts of others that are still open when the hooks go are undecided: look for a quiet moment.
    let undecided: Vec<u64> = (0..4).map(|_| overflow()).take_while(|&open| open > 0).collect();
    if undecided.len() == 4 {
        println!("others kept attempts open each time: {undecided:?}");
    }
}

/// Overflows both rings, checks what can be checked on a busy machine, and returns the attempts still undecided.
fn overflow() -> u64 {
    let pair = Pair::new();
    let options = KernelOptions { ring_bytes: 16 << 10, drop_ring_bytes: 4096, ..KernelOptions::default() };
    let mut run = ProbeRun::with(&options);
    knock(&pair, 2_000); // nobody reads meanwhile
    run.kernel.detach();
    run.poll();
    let counters = run.counters();
    let (seen, reported) = seen_and_reported(&counters, Protocol::TCP, Direction::Out);
    let lost_out = lost(&counters, Protocol::TCP, Direction::Out);
    assert_eq!(reported, told(&run, Direction::Out));
    let ours = run.tcp(pair.a.inode).len() as u64;
    assert!(ours < 200 && lost_out >= 2_000 - ours, "{ours} of ours told: {counters:#?}");
    assert!(reported + lost_out <= seen, "counted twice: {counters:#?}");

    let (seen_drops, reported_drops) = seen_and_reported(&counters, Protocol::TCP, Direction::Drop);
    let lost_drops = lost(&counters, Protocol::TCP, Direction::Drop);
    assert!(seen_drops >= 2_000);
    assert_eq!(seen_drops, reported_drops + lost_drops);
    let drops = run.events.iter().filter(|e| matches!(e, KernelEvent::Drop(d) if d.protocol == Protocol::TCP)).count();
    assert_eq!(reported_drops, drops as u64);
    assert!(counters.lost.iter().any(|l| l.reason == LossReason::DropRingFull));
    seen - reported - lost_out
}

#[test]
fn an_end_speaks_for_an_attempt_whose_beginning_found_the_ring_full() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let mut run = ProbeRun::with(&KernelOptions { ring_bytes: 4096, ..KernelOptions::default() });
    knock(&pair, 100);
    let client = pair.a.run(|| TcpStream::connect(to)).unwrap();
    let server = listener.accept().unwrap();
    run.poll(); // makes room
    run.events.clear();
    drop(client);
    drop(server);
    let ns = pair.a.inode;
    run.until("the end", |r| !r.tcp(ns).is_empty());
    let events = run.tcp(ns);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].change, events[0].reported_before), (TcpChange::Closed { aborted: false }, false));
    assert!(run.counters().lost_events.iter().any(|(reason, n)| *reason == LossReason::RingFull && *n > 0));
}

#[test]
fn a_full_table_of_flows_loses_each_flow_once() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let hooks = [Hook::DatagramIn, Hook::DatagramOut, Hook::SocketCreated];
    let mut run = ProbeRun::with(&KernelOptions { flows_max: 8, ..KernelOptions::with_hooks(hooks) });
    pair.a.run(|| {
        for i in 0..100 {
            let socket = UdpSocket::bind((A4, 20_000 + i)).unwrap();
            for _ in 0..3 {
                socket.send_to(b"x", (B4, 98)).unwrap();
            }
        }
    });
    run.kernel.detach();
    run.poll();
    let counters = run.counters();
    let (seen, reported) = seen_and_reported(&counters, Protocol::UDP, Direction::Out);
    let lost_out = lost(&counters, Protocol::UDP, Direction::Out);
    assert_eq!(seen, reported + lost_out, "{counters:#?}");
    // Three packets each: 276 lost would be the packets. Some room for datagrams of others on this machine.
    assert!((100..200).contains(&seen) && lost_out >= 92, "{counters:#?}");
    let ours = run.datagrams(pair.a.inode).len() as u64;
    assert!(ours <= 8 && reported >= ours);
}

#[test]
fn a_hundred_drops_survive_a_flood_of_allowed_connections() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    pair.b.nft(
        "table inet t {\n chain i { type filter hook input priority 0; policy accept;\n udp dport 99 drop\n }\n}\n",
    );
    let mut run = ProbeRun::with(&KernelOptions { ring_bytes: 16 << 10, ..KernelOptions::default() });
    let socket = pair.a.run(|| UdpSocket::bind((A4, 0))).unwrap();
    for i in 0..100 {
        knock(&pair, 10);
        let from = pair.a.run(|| UdpSocket::bind((A4, 20_000 + i))).unwrap();
        from.send_to(b"x", (B4, 99)).unwrap();
    }
    drop(socket);
    let ns = pair.b.inode;
    run.until("all drops", |r| {
        r.drops(ns).iter().filter(|d| d.reason.0 == "NETFILTER_DROP" && d.dest_port == 99).count() == 100
    });
}

#[test]
fn at_rest_everything_seen_was_reported() {
    if !ready() {
        return;
    }
    let pair = Pair::new();
    let mut run = ProbeRun::start();
    let before = run.counters();
    let listener = pair.b.run(|| TcpListener::bind((B4, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..500).for_each(|_| drop(listener.accept().unwrap())));
        pair.a.run(|| (0..500).for_each(|_| drop(TcpStream::connect(to).unwrap())));
    });
    let ns = pair.b.inode;
    run.until("all accepted ones ended", |r| r.tcp_ended(ns).len() == 500);
    std::thread::sleep(Duration::from_millis(200));
    run.kernel.detach();
    run.poll();
    for (ns, way) in [(pair.a.inode, Direction::Out), (pair.b.inode, Direction::In)] {
        let first = run.tcp(ns).into_iter().filter(|e| !e.reported_before).count();
        assert_eq!(first, 500);
        let (counters, earlier) = (run.counters(), &before);
        let (seen, reported) = seen_and_reported(&counters, Protocol::TCP, way);
        let (seen_before, _) = seen_and_reported(earlier, Protocol::TCP, way);
        assert!(seen - seen_before >= 500);
        assert_eq!(reported, told(&run, way));
        assert_eq!(lost(&counters, Protocol::TCP, way), 0);
    }
}

#[test]
fn the_empty_program_runs_alone_for_benchmarks() {
    if !ready() {
        return;
    }
    let run = ProbeRun::with(&KernelOptions::with_hooks([Hook::Empty]));
    assert_eq!(run.kernel.run_statistics().len(), 1);
}
