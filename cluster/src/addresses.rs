//! Who held an address at a time.
//!
//! A pod holds its addresses from its start until it has finished; a node always. Two holders at one time mean that the
//! metadata cannot tell, and then nobody is named.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;

use flow::UnixMs;

/// How far the clocks of two nodes may be apart, in milliseconds. Around a start or an end the address belongs to both
/// holders for this long, so that a skewed clock gives `ambiguous_address` and not a wrong name. Start times are whole
/// seconds, NTP keeps nodes well within one.
pub const CLOCK_SKEW_MS: u64 = 2_000;

/// A place in the snapshot's list of pods or of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HolderIndex {
    Pod(u32),
    Host(u32),
}

/// One holder of an address, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) holder: HolderIndex,
    /// First moment; absent means always.
    pub(crate) from: Option<UnixMs>,
    /// Last moment; absent means still.
    pub(crate) to: Option<UnixMs>,
}

/// What the claims say of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// By one holder.
    By(HolderIndex),
    /// By several; true if a pod is among them.
    BySeveral { pods: bool },
    /// Only later: who held it at that moment is not known.
    Later,
    /// By nobody that is known.
    ByNobody,
}

/// All claims, found by address.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    claims: Vec<Claim>,
    ranges: HashMap<IpAddr, Range<u32>>,
}

impl Addresses {
    pub(crate) fn new(mut all: Vec<(IpAddr, Claim)>) -> Self {
        all.sort_unstable();
        all.dedup();
        let mut ranges: HashMap<IpAddr, Range<u32>> = HashMap::new();
        for (place, (address, _)) in (0_u32..).zip(&all) {
            ranges.entry(*address).and_modify(|range| range.end = place + 1).or_insert(place..place + 1);
        }
        Self { claims: all.into_iter().map(|(_, claim)| claim).collect(), ranges }
    }

    pub(crate) fn held(&self, address: IpAddr, at: UnixMs) -> Held {
        let Some(range) = self.ranges.get(&address) else { return Held::ByNobody };
        let claims = &self.claims[range.start as usize..range.end as usize];
        let mut found: Option<HolderIndex> = None;
        let mut several = false;
        let mut pods = false;
        let mut later = false;
        for claim in claims {
            if claim.from.is_some_and(|from| from.0 > at.0.saturating_add(CLOCK_SKEW_MS)) {
                later = true;
            } else if claim.to.is_none_or(|to| at.0 <= to.0.saturating_add(CLOCK_SKEW_MS)) {
                several |= found.is_some_and(|other| other != claim.holder);
                pods |= matches!(claim.holder, HolderIndex::Pod(_));
                found = Some(claim.holder);
            }
        }
        match found {
            Some(_) if several => Held::BySeveral { pods },
            Some(holder) => Held::By(holder),
            None if later => Held::Later,
            None => Held::ByNobody,
        }
    }
}
