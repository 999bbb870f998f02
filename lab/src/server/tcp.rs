//! TCP ports: one that sends everything back, and one that never takes a call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flow::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Book, Entry, now};

/// Longer than any burst that a scenario makes; the kernel cuts it to `somaxconn`.
const BACKLOG: u32 = 65_535;

/// A port whose queue is full for good: SYNs to it vanish without answer and without a drop event.
pub(super) struct Jam {
    _listener: TcpListener,
    _caller: TcpStream,
}

/// Listens, and echoes on every connection until the peer closes.
pub(super) fn echo(address: SocketAddr, book: Arc<Book>) -> io::Result<()> {
    let listener = listen(address, BACKLOG)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    book.open.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, peer, Arc::clone(&book)));
                }
                // Out of files: those that are open end soon.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    });
    Ok(())
}

/// Listens with room for one, and takes that place itself.
pub(super) async fn jam(address: SocketAddr) -> io::Result<Jam> {
    let listener = listen(address, 0)?;
    let caller = TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, address.port())).await?;
    Ok(Jam { _listener: listener, _caller: caller })
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, book: Arc<Book>) {
    let start = now();
    let local = stream.local_addr().ok();
    let (mut buffer, mut received, mut sent) = ([0; 16_384], 0, 0);
    let aborted = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break false,
            Ok(length) => {
                received += length as u64;
                if stream.write_all(&buffer[..length]).await.is_err() {
                    break true;
                }
                sent += length as u64;
            }
            Err(_) => break true,
        }
    };
    drop(stream);
    book.enter(&Entry {
        protocol: Protocol::TCP,
        local: (local.map(|address| address.ip()), local.map_or(0, |address| address.port())),
        peer,
        start,
        end: now(),
        bytes_received: received,
        bytes_sent: sent,
        aborted,
    });
    book.open.fetch_sub(1, Ordering::Relaxed);
}
