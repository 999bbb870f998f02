use super::*;
use flow::DropReason;

/// Bytes of an event in the making, written where the layout says.
struct Crafted(Vec<u8>);

impl Crafted {
    fn new(size: usize, kind: u8) -> Self {
        let mut bytes = vec![0; size];
        bytes[0] = kind;
        Self(bytes)
    }

    fn put(mut self, at: usize, what: &[u8]) -> Self {
        self.0[at..at + what.len()].copy_from_slice(what);
        self
    }

    fn socket(size: usize, kind: u8, flags: u8) -> Self {
        Self::new(size, kind)
            .put(offset_of!(SocketEventBytes, side), &[1])
            .put(offset_of!(SocketEventBytes, flags), &[flags])
            .put(offset_of!(SocketEventBytes, protocol), &[6])
            .put(offset_of!(SocketEventBytes, error), &111_u16.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, at), &2_000_u64.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, cookie), &42_u64.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, cgroup), &9_u64.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, started), &1_000_u64.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, netns), &7_u32.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, pid), &123_u32.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, local_port), &50_000_u16.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, remote_port), &443_u16.to_ne_bytes())
            .put(offset_of!(SocketEventBytes, local), &address_bytes("10.0.0.1".parse().unwrap()))
            .put(offset_of!(SocketEventBytes, remote), &address_bytes("fd00::2".parse().unwrap()))
            .put(offset_of!(SocketEventBytes, command), b"curl\0garbage")
    }
}

fn read(bytes: &Crafted) -> Result<KernelEvent, UnreadableEvent> {
    event(&bytes.0, &DropReasons::default())
}

fn tcp_of(bytes: &Crafted) -> TcpEvent {
    match read(bytes) {
        Ok(KernelEvent::Tcp(event)) => event,
        other => panic!("a TCP event was expected: {other:?}"),
    }
}

const SOCKET: usize = size_of::<SocketEventBytes>();
const REPORT: usize = size_of::<SocketReportBytes>();

#[test]
fn every_field_of_a_socket_event_lands_in_its_place() {
    let event = tcp_of(&Crafted::socket(SOCKET, TCP_ESTABLISHED, OWNER));
    assert_eq!(
        event,
        TcpEvent {
            at: KernelNs(2_000),
            change: TcpChange::Established,
            side: Side::Initiator,
            place: SocketPlace { cookie: 42, netns: 7, cgroup: 9 },
            tuple: SocketTuple {
                protocol: Protocol::TCP,
                local_ip: "10.0.0.1".parse().unwrap(),
                local_port: 50_000,
                remote_ip: "fd00::2".parse().unwrap(),
                remote_port: 443,
            },
            owner: Some(Owner { pid: 123, name: "curl".into() }),
            started: KernelNs(1_000),
            reported_before: false,
            preexisting: false,
            totals: TcpTotals::default(),
        }
    );
}

#[test]
fn kinds_and_flags_make_the_change() {
    let check = |kind, flags, expected| assert_eq!(tcp_of(&Crafted::socket(REPORT, kind, flags)).change, expected);
    check(TCP_STALLED, 0, TcpChange::Stalled);
    check(TCP_CLOSED, 0, TcpChange::Closed { aborted: false });
    check(TCP_CLOSED, ABORTED, TcpChange::Closed { aborted: true });
    check(TCP_GAVE_UP, RESET, TcpChange::GaveUp { errno: 111, reset: true });
    check(TCP_GAVE_UP, 0, TcpChange::GaveUp { errno: 111, reset: false });
    check(TCP_NEVER_SENT, 0, TcpChange::NeverSent { errno: 111 });
    let old = tcp_of(&Crafted::socket(REPORT, TCP_CLOSED, PREEXISTING | REPORTED_BEFORE));
    assert!(old.preexisting && old.reported_before);
}

#[test]
fn totals_are_read_behind_the_event() {
    let at = |field: usize| offset_of!(SocketReportBytes, totals) + field;
    let event = tcp_of(
        &Crafted::socket(REPORT, TCP_CLOSED, 0)
            .put(at(offset_of!(TcpTotalsBytes, bytes_out)), &100_u64.to_ne_bytes())
            .put(at(offset_of!(TcpTotalsBytes, packets_in)), &6_u32.to_ne_bytes())
            .put(at(offset_of!(TcpTotalsBytes, congestion_window)), &10_u32.to_ne_bytes()),
    );
    assert_eq!(
        event.totals,
        TcpTotals { bytes_out: 100, packets_in: 6, congestion_window: 10, ..TcpTotals::default() }
    );
}

#[test]
fn drops_carry_names_and_the_original_destination_only_where_it_is_set() {
    let crafted = || {
        Crafted::new(size_of::<DropEventBytes>(), DROP)
            .put(offset_of!(DropEventBytes, protocol), &[1])
            .put(offset_of!(DropEventBytes, flags), &[FIRST])
            .put(offset_of!(DropEventBytes, icmp_type), &[8])
            .put(offset_of!(DropEventBytes, reason), &0x7_0002_u32.to_ne_bytes())
            .put(offset_of!(DropEventBytes, source), &address_bytes("10.0.0.1".parse().unwrap()))
            .put(offset_of!(DropEventBytes, dest), &address_bytes("10.0.0.2".parse().unwrap()))
    };
    let of = |bytes: Crafted| match read(&bytes) {
        Ok(KernelEvent::Drop(event)) => event,
        other => panic!("a drop was expected: {other:?}"),
    };
    let plain = of(crafted());
    assert_eq!((plain.reason, plain.original), (DropReason("SUBSYS_7_2".into()), None));
    assert_eq!((plain.first, plain.icmp), (true, Some((8, 0))));
    let translated = of(crafted()
        .put(offset_of!(DropEventBytes, original), &address_bytes("10.96.0.1".parse().unwrap()))
        .put(offset_of!(DropEventBytes, original_port), &80_u16.to_ne_bytes()));
    assert_eq!(translated.original, Some(("10.96.0.1".parse().unwrap(), 80)));
}

#[test]
fn a_path_is_as_long_as_it_says_and_never_longer_than_the_bytes() {
    let crafted = |length: u32| {
        Crafted::new(size_of::<CgroupEventBytes>(), CGROUP_MADE)
            .put(offset_of!(CgroupEventBytes, id), &12_u64.to_ne_bytes())
            .put(offset_of!(CgroupEventBytes, length), &length.to_ne_bytes())
            .put(offset_of!(CgroupEventBytes, path), b"/kubepods/pod\xff")
    };
    let expected = |path: &str| Ok(KernelEvent::Cgroup(CgroupEvent { id: 12, path: path.into(), made: true }));
    assert_eq!(read(&crafted(9)), expected("/kubepods"));
    assert_eq!(read(&crafted(14)), expected("/kubepods/pod\u{fffd}"));
    assert_eq!(read(&crafted(1025)), Err(UnreadableEvent::Value("length of a path")));
    assert_eq!(read(&crafted(u32::MAX)), Err(UnreadableEvent::Value("length of a path")));
}

#[test]
fn bytes_of_any_kind_and_length_never_panic() {
    for kind in 0..=u8::MAX {
        for length in 0..200 {
            let _ = event(&vec![kind; length], &DropReasons::default());
            let _ = scanned(&vec![kind; length]);
        }
    }
    assert_eq!(event(&[], &DropReasons::default()), Err(UnreadableEvent::Short { have: 0, need: 1 }));
    assert_eq!(event(&[200], &DropReasons::default()), Err(UnreadableEvent::Kind(200)));
    assert_eq!(
        read(&Crafted::socket(SOCKET, TCP_ESTABLISHED, 0).put(offset_of!(SocketEventBytes, side), &[3])),
        Err(UnreadableEvent::Value("side"))
    );
    assert!(matches!(read(&Crafted::socket(SOCKET, TCP_CLOSED, 0)), Err(UnreadableEvent::Short { .. })));
}
