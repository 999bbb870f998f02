//! The scan: sockets older than the probe, and the totals of connections that stay open.

use std::sync::Arc;

use flow::{Outcome, Protocol};

use super::admit::admit;
use super::entry::{Attempt, Kind, State};
use super::tcp::translated;
use super::{Attempts, Desk};
use crate::kernel::event::ScannedSocket;
use crate::window::Delta;

/// Listening ports kept, to tell the side of connections older than the probe.
const MAX_LISTENERS: usize = 65_536;

impl Attempts {
    /// Takes in a scan. The first one makes attempts of the connections that it finds older than the probe; one made
    /// between the hooks and the scan has its event in the ring. Later scans only bring totals: what they find and the
    /// table does not hold was left out, or its events are still on their way.
    pub fn scanned(&mut self, sockets: &[ScannedSocket], first: bool, desk: &mut Desk<'_>) {
        for socket in sockets {
            desk.identities.learn(&socket.place, socket.tuple.local_ip, socket.at);
            let listens = first && socket.listening && socket.tuple.protocol == Protocol::TCP;
            if listens && self.listeners.len() < MAX_LISTENERS {
                self.listeners.insert((socket.place.netns, socket.tuple.local_port));
            }
        }
        let connections = sockets
            .iter()
            .filter(|s| s.tuple.protocol == Protocol::TCP && !s.listening && !s.tuple.remote_ip.is_unspecified());
        for socket in connections {
            match self.by_cookie.get(&socket.place.cookie).copied() {
                Some(id) => {
                    if let Some(attempt) = self.table.get_mut(id) {
                        attempt.last = attempt.last.max(socket.at);
                    }
                    self.total(id, &socket.totals, desk);
                }
                None if first && socket.preexisting => self.found(socket, desk),
                None => {}
            }
        }
    }

    fn found(&mut self, socket: &ScannedSocket, desk: &mut Desk<'_>) {
        let ScannedSocket { at, place, tuple, side, owner, totals, listening: _, preexisting: _ } = socket;
        let Ok(local) = admit(&self.rules, desk.identities, place, tuple, owner.as_ref()) else { return };
        let side = self.side_of(*side, true, place, tuple);
        let attempt = Attempt {
            kind: Kind::Tcp,
            tuple: *tuple,
            cookie: place.cookie,
            netns: place.netns,
            cgroup: place.cgroup,
            side,
            local,
            translated: translated(side, tuple, desk),
            owner: owner.clone().map(Arc::new),
            icmp: None,
            started: *at,
            start_wall: desk.clock.wall(*at),
            account: None,
            state: State::Undecided,
            stalled: false,
            over: false,
            shown: false,
            drop: None,
            seen: *totals,
            owed: Delta::default(),
            packets_in: false,
            packets_out: false,
            sample: None,
            last: *at,
            idle_since: None,
            key: None,
            deadline: None,
        };
        if let Some(id) = self.insert(attempt, desk) {
            self.decide(id, Outcome::Preexisting, desk);
            self.plan(id, desk.now);
        }
    }
}
