//! Real sockets on both sides of the proxy.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::*;
use crate::proxy::{Cut, Flow, Lane};

/// A server that sends back what it gets, and a proxy in front of it.
fn echo() -> TcpProxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count) = stream.read(&mut buffer) {
                    if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    TcpProxy::to(address).unwrap()
}

fn connect(proxy: &TcpProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text)?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn to_client(lane: Lane) -> Rules {
    Rules { to_client: lane, ..Rules::default() }
}

#[test]
fn everything_passes_by_default() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, b"hello").unwrap(), b"hello");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "an orderly end must be handed on");
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.bytes_to_server, counts.bytes_to_client), (1, 5, 5));
}

#[test]
fn a_delay_holds_answers_back() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.set(to_client(Lane { delay: Duration::from_millis(120), ..Lane::default() }));
    let begun = Instant::now();
    ask(&mut stream, b"x").unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    assert_eq!(proxy.counts().delayed, 1);
}

#[test]
fn bandwidth_is_kept() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.set(to_client(Lane { bytes_per_second: NonZeroU64::new(10_000), ..Lane::default() }));
    let begun = Instant::now();
    ask(&mut stream, &[7; 3000]).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[test]
fn a_stall_lasts_until_the_rules_change() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.set(to_client(Lane { flow: Flow::Stall, ..Lane::default() }));
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    let error = ask(&mut stream, b"late").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    proxy.heal();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"late");
    assert_eq!(proxy.counts().stalls, 1);
}

#[test]
fn swallowed_answers_are_lost_though_requests_arrive() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    proxy.set(to_client(Lane { flow: Flow::Swallow, ..Lane::default() }));
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    ask(&mut stream, b"lost").unwrap_err();
    proxy.heal();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(ask(&mut stream, b"kept").unwrap(), b"kept");
    let counts = proxy.counts();
    assert_eq!((counts.swallowed_bytes, counts.bytes_to_server, counts.bytes_to_client), (4, 8, 4));
}

#[test]
fn a_cut_lets_so_many_bytes_through() {
    let proxy = echo();
    for (by, resets) in [(End::HalfClose, 0), (End::Reset, 1)] {
        proxy.set(to_client(Lane { cut: Some(Cut { after: 3, by }), ..Lane::default() }));
        let mut stream = connect(&proxy);
        stream.write_all(b"12345").unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        match by {
            End::HalfClose => assert_eq!((end.unwrap(), answer.as_slice()), (3, b"123".as_slice())),
            // A reset may overtake the bytes before it.
            End::Reset => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(proxy.counts().resets, resets);
    }
    assert_eq!(proxy.counts().half_closes, 1);
}

#[test]
fn open_connections_end_by_order() {
    let proxy = echo();
    let (mut reset, mut other) = (connect(&proxy), connect(&proxy));
    for stream in [&mut reset, &mut other] {
        ask(stream, b"x").unwrap();
    }
    proxy.end_all(End::Reset);
    for stream in [&mut reset, &mut other] {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let mut half = connect(&proxy);
    ask(&mut half, b"x").unwrap();
    proxy.end_all(End::HalfClose);
    assert_eq!(half.read(&mut [0; 1]).unwrap(), 0);
    half.write_all(b"still heard").unwrap();
    assert_eq!((proxy.counts().resets, proxy.counts().half_closes), (2, 1));
}

#[test]
fn new_connections_are_reset_by_rule_and_without_a_server() {
    let proxy = echo();
    proxy.set(Rules { accept: Accept::Reset, ..Rules::default() });
    assert!(ask(&mut connect(&proxy), b"x").is_err());
    let nowhere = TcpProxy::start().unwrap();
    assert!(ask(&mut connect(&nowhere), b"x").is_err());
    assert_eq!((proxy.counts().refused, nowhere.counts().refused), (1, 1));
}
