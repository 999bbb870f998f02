//! The flow key: what two attempts must share to be counted in one record.

use std::net::IpAddr;
use std::sync::Arc;

use flow::{Destination, Direction, DropReason, Identity, LocalIdentity, Outcome, Protocol, Reporter};

use crate::overload::Detail;

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Which part of the path this node is.
    pub reporter: Reporter,
    /// False if it cannot be told who began.
    pub initiator_known: bool,
    /// The IP protocol.
    pub protocol: Protocol,
    /// Address of the initiator.
    pub source_ip: IpAddr,
    /// Port of the initiator; only with `aggregation: none`.
    pub source_port: Option<u16>,
    /// What the packet carried.
    pub translated: Option<Destination>,
    /// What the socket asked for.
    pub original: Option<Destination>,
    /// The local end.
    pub local: Arc<LocalIdentity>,
    /// How the attempts went.
    pub outcome: Outcome,
    /// Why the kernel dropped them.
    pub drop_reason: Option<Arc<DropReason>>,
}

impl FlowKey {
    /// Returns the direction under which attempts of this key are accounted: what a reader of the record can tell too.
    #[must_use]
    pub fn direction(&self) -> Direction {
        Direction::of_record(self.reporter, self.outcome)
    }

    /// Takes away what a level of the overload ladder sheds.
    #[must_use]
    pub fn shed(mut self, detail: Detail) -> Self {
        if detail >= Detail::WithoutPorts {
            self.source_port = None;
        }
        if detail >= Detail::WithoutContainers && (self.local.container_id.is_some() || self.local.netns != 0) {
            self.local = Arc::new(LocalIdentity { container_id: None, netns: 0, ..(*self.local).clone() });
        }
        if detail >= Detail::Plain {
            if self.translated.is_some() {
                self.original = None;
            }
            if self.local.pod_uid.is_none() && self.local.identity != Identity::None {
                self.local = Arc::new(LocalIdentity::none());
            }
        }
        self
    }
}
