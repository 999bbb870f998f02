//! One direction of a connection: bytes are read, treated by the rules of the moment, and written.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::rules::{End, Flow, Lane, Rules};
use super::tcp::{Orders, Shared};

/// The most that is read at once.
const CHUNK: usize = 64 * 1024;
/// With a bandwidth, pieces are so small that one takes this long, so that bytes trickle instead of jumping.
const PIECES_PER_SECOND: u64 = 20;

/// Which direction it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// The connection must be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// By a rule or an order.
    OnPurpose,
    /// As a peer was gone.
    ByPeer,
}

impl Way {
    fn lane(self, rules: &Rules) -> Lane {
        match self {
            Self::ToServer => rules.to_server,
            Self::ToClient => rules.to_client,
        }
    }
}

/// Moves bytes until an end.
pub(super) async fn run(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    shared: &Shared,
) -> Result<(), Broken> {
    let mut rules = shared.rules.subscribe();
    let mut orders = shared.orders.subscribe();
    let begun = orders.borrow_and_update().half_closes;
    let mut buffer = vec![0; CHUNK];
    let mut passed: u64 = 0;
    loop {
        let count = tokio::select! {
            read = from.read(&mut buffer) => read.map_err(|_| Broken::ByPeer)?,
            () = half_close(&mut orders, begun, way) => return end_early(from, to, buffer, shared).await,
        };
        if count == 0 {
            // The peer's orderly end is handed on; the other direction may go on.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let mut rest = buffer.get(..count).unwrap_or_default();
        let delay = way.lane(&rules.borrow()).delay;
        if !delay.is_zero() {
            shared.count(|counts| counts.delayed += 1);
            tokio::time::sleep(delay).await;
        }
        while !rest.is_empty() {
            let lane = way.lane(&rules.borrow_and_update());
            match lane.flow {
                Flow::Pass => {}
                Flow::Stall => {
                    shared.count(|counts| counts.stalls += 1);
                    tokio::select! {
                        // The proxy is gone if this fails, and so is this task.
                        _ = rules.changed() => continue,
                        () = half_close(&mut orders, begun, way) => return end_early(from, to, buffer, shared).await,
                    }
                }
                Flow::Swallow => {
                    shared.count(|counts| counts.swallowed_bytes += rest.len() as u64);
                    break;
                }
            }
            let (piece, pause) = piece(rest.len(), lane, passed);
            let (now, later) = rest.split_at(piece);
            // Counted before, so that whoever has received bytes finds them counted.
            shared.count(|counts| match way {
                Way::ToServer => counts.bytes_to_server += piece as u64,
                Way::ToClient => counts.bytes_to_client += piece as u64,
            });
            to.write_all(now).await.map_err(|_| Broken::ByPeer)?;
            passed += piece as u64;
            rest = later;
            if let Some(cut) = lane.cut.filter(|cut| passed >= cut.after) {
                match cut.by {
                    End::Reset => return Err(Broken::OnPurpose),
                    End::HalfClose => return end_early(from, to, buffer, shared).await,
                }
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// How many bytes go next, and how long to wait after them.
fn piece(available: usize, lane: Lane, passed: u64) -> (usize, Duration) {
    let mut most = available as u64;
    if let Some(cut) = lane.cut {
        most = most.min(cut.after.saturating_sub(passed));
    }
    let Some(speed) = lane.bytes_per_second else { return (to_usize(most), Duration::ZERO) };
    most = most.min((speed.get() / PIECES_PER_SECOND).max(1));
    (to_usize(most), Duration::from_micros(most.saturating_mul(1_000_000) / speed))
}

/// A number that came from a length in memory.
fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Waits for the order to half-close, which is about what the client sees.
async fn half_close(orders: &mut watch::Receiver<Orders>, begun: u64, way: Way) {
    let ordered = orders.wait_for(|orders| orders.half_closes > begun).await.is_ok();
    if way == Way::ToServer || !ordered {
        std::future::pending::<()>().await;
    }
}

/// Ends the direction for its receiver, and goes on reading so that the sender does not notice.
async fn end_early(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut buffer: Vec<u8>,
    shared: &Shared,
) -> Result<(), Broken> {
    shared.count(|counts| counts.half_closes += 1);
    let _ = to.shutdown().await;
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(count) => shared.count(|counts| counts.swallowed_bytes += count as u64),
            Err(_) => return Err(Broken::ByPeer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Cut;
    use std::num::NonZeroU64;

    #[test]
    fn pieces_end_at_the_cut_and_keep_the_bandwidth() {
        let free = Lane::default();
        assert_eq!(piece(1000, free, 0), (1000, Duration::ZERO));
        let cut = Lane { cut: Some(Cut { after: 700, by: End::Reset }), ..free };
        assert_eq!(piece(1000, cut, 0), (700, Duration::ZERO));
        assert_eq!(piece(1000, cut, 600), (100, Duration::ZERO));
        assert_eq!(piece(1000, cut, 900), (0, Duration::ZERO));
        let slow = Lane { bytes_per_second: NonZeroU64::new(2000), ..free };
        assert_eq!(piece(1000, slow, 0), (100, Duration::from_millis(50)));
        let crawl = Lane { bytes_per_second: NonZeroU64::new(1), ..free };
        assert_eq!(piece(1000, crawl, 0), (1, Duration::from_secs(1)));
    }
}
