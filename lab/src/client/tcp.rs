//! TCP attempts: connect, exchange bytes, close in order or with a reset.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::gate::Gate;
use super::{Course, errno, payload};
use crate::ledger::Saw;
use crate::plan::{Close, Task};

/// How long an established connection may take for one round or for closing, beside the pauses that were asked for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn attempt(task: &Task, destination: IpAddr, begin: Instant, gate: &Gate) -> Course {
    let mut course = Course {
        source: None,
        connected: None,
        closed: Duration::ZERO,
        saw: Saw::GaveUp,
        bytes_sent: 0,
        bytes_received: 0,
    };
    match timeout(Duration::from_millis(task.timeout_ms), connect(task, destination)).await {
        Err(_) => {}
        Ok(Err(error)) => course.saw = Saw::Error { errno: errno(&error) },
        Ok(Ok(mut stream)) => {
            course.connected = Some(begin.elapsed());
            course.source = stream.local_addr().ok().map(|local| (local.ip(), local.port()));
            if task.gate {
                gate.opened();
                gate.released().await;
            }
            course.saw = match converse(task, &mut stream, &mut course).await {
                Ok(()) => Saw::Connected,
                Err(error) => Saw::Broken { errno: errno(&error) },
            };
        }
    }
    if task.gate && course.connected.is_none() {
        gate.opened();
    }
    course.closed = begin.elapsed();
    course
}

async fn connect(task: &Task, destination: IpAddr) -> io::Result<TcpStream> {
    let socket = if destination.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = task.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(SocketAddr::new(destination, task.port.unwrap_or(0))).await
}

async fn converse(task: &Task, stream: &mut TcpStream, course: &mut Course) -> io::Result<()> {
    let sent = payload(task.bytes);
    let mut back = vec![0; task.bytes];
    for round in 0..task.rounds {
        if round > 0 {
            sleep(Duration::from_millis(task.pause_ms)).await;
        }
        patiently(async {
            stream.write_all(&sent).await?;
            course.bytes_sent += sent.len() as u64;
            stream.read_exact(&mut back).await?;
            course.bytes_received += back.len() as u64;
            Ok(())
        })
        .await?;
    }
    match task.close {
        Close::Fin => patiently(async {
            stream.shutdown().await?;
            stream.read(&mut back).await
        })
        .await
        .map(|_| ()),
        Close::Reset => stream.set_zero_linger(),
    }
}

async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::Error::from_raw_os_error(Errno::ETIMEDOUT as i32)))
}
