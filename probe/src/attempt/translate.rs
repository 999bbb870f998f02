//! Where connections really go: what the node's connection tracking said of those whose destination it translated.
//!
//! A connection that is not found here is *unknown*, not untranslated: it may be translated in another namespace, or
//! without connection tracking. Its record then carries what the socket asked for and nothing else.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use flow::{Destination, Protocol};

use crate::kernel::event::{KernelNs, SocketTuple};

/// How long a translation waits for the socket's own event: a SYN that is dropped after translation shows its socket a
/// second later.
const KEEP_MS: u64 = 10_000;
/// Translations kept at most, the newest: those of ten seconds at six thousand connections a second.
const MAX_TRANSLATIONS: usize = 65_536;

type Ends = (Protocol, SocketAddr, SocketAddr);

/// The translations of late, by protocol, source and original destination.
#[derive(Debug, Default)]
pub struct Translations {
    known: HashMap<Ends, (SocketAddr, KernelNs)>,
    order: VecDeque<(KernelNs, Ends)>,
}

impl Translations {
    /// Takes in that a connection from `source` to `original` goes to `translated`.
    pub fn learn(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        original: SocketAddr,
        translated: SocketAddr,
        at: KernelNs,
    ) {
        let ends = (protocol, source, original);
        self.known.insert(ends, (translated, at));
        self.order.push_back((at, ends));
        while let Some((learnt, ends)) = self.order.front().copied()
            && (self.order.len() > MAX_TRANSLATIONS || at.ms_since(learnt) >= KEEP_MS)
        {
            self.order.pop_front();
            // The same ends may have been learnt anew.
            if self.known.get(&ends).is_some_and(|(_, newest)| *newest == learnt) {
                self.known.remove(&ends);
            }
        }
    }

    /// Returns where an initiator's packets go, if they were translated.
    #[must_use]
    pub fn of(&self, tuple: &SocketTuple) -> Option<Destination> {
        let SocketTuple { protocol, local_ip, local_port, remote_ip, remote_port } = *tuple;
        let ends = (protocol, SocketAddr::new(local_ip, local_port), SocketAddr::new(remote_ip, remote_port));
        let (translated, _) = self.known.get(&ends)?;
        Some(Destination { ip: translated.ip(), port: Some(translated.port()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{ms, tuple};

    fn learn(table: &mut Translations, port: u16, to: &str, at: KernelNs) {
        let address = |text: &str| text.parse().unwrap();
        let source = SocketAddr::new("10.0.0.1".parse().unwrap(), port);
        table.learn(Protocol::TCP, source, address("10.96.0.1:443"), address(to), at);
    }

    fn of(table: &Translations, port: u16) -> Option<u16> {
        table.of(&tuple(Protocol::TCP, "10.0.0.1", port, "10.96.0.1", 443)).and_then(|d| d.port)
    }

    #[test]
    fn the_newest_counts_and_old_ones_go() {
        let mut table = Translations::default();
        learn(&mut table, 1, "10.0.0.2:8443", ms(0));
        learn(&mut table, 1, "10.0.0.2:8444", ms(6_000));
        assert_eq!((of(&table, 1), of(&table, 2)), (Some(8444), None));
        learn(&mut table, 2, "10.0.0.2:1", ms(11_000));
        assert_eq!(of(&table, 1), Some(8444), "only its first self was old");
        learn(&mut table, 3, "10.0.0.2:1", ms(16_000));
        assert_eq!((of(&table, 1), of(&table, 2)), (None, Some(1)));
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut table = Translations::default();
        for n in 0..70_000u32 {
            learn(&mut table, u16::try_from(n % 60_000).unwrap(), "10.0.0.2:1", ms(u64::from(n / 10_000)));
        }
        assert!(table.known.len() <= MAX_TRANSLATIONS && table.order.len() <= MAX_TRANSLATIONS);
        assert_eq!(of(&table, 9_999), Some(1));
    }
}
