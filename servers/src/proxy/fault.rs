//! What goes wrong with bulk requests, which items are meant, and what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::bulk::Item;

/// A fault, for some or all of the coming bulk requests.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What goes wrong.
    pub what: What,
    /// How many requests it hits; none: all. One of items counts a request only if it hit an item of it.
    pub times: Option<u64>,
}

impl Fault {
    /// Hits every request.
    #[must_use]
    pub fn always(what: What) -> Self {
        Self { what, times: None }
    }

    /// Hits the next requests.
    #[must_use]
    pub fn times(times: u64, what: What) -> Self {
        Self { what, times: Some(times) }
    }
}

/// What goes wrong with a bulk request.
#[derive(Debug, Clone)]
pub enum What {
    /// The server never sees the request; the answer has this HTTP status.
    Refuse(u16),
    /// The server never sees the chosen items; the answer tells this status and type of error for them.
    Items {
        /// Which.
        choose: Choose,
        /// The item's status, such as 429.
        status: u16,
        /// The type of its error, such as `es_rejected_execution_exception`.
        error: String,
    },
    /// The request is applied; the answer has this HTTP status.
    Status(u16),
    /// The request is applied; the connection is closed without an answer.
    LoseAnswer,
    /// The request is applied; items of the answer come in reverse order.
    Reorder,
    /// The request is applied; the answer's last item is missing.
    DropItem,
    /// The request is applied; the answer ends in the middle of its JSON.
    Truncate,
    /// The request is applied; the answer is that of the bulk request before it (the first gets its own).
    Repeat,
}

/// Which items of a bulk request are meant.
#[derive(Clone)]
pub enum Choose {
    /// All.
    All,
    /// A share in thousandths, drawn anew in each request: a retry may pass.
    Share {
        /// Of a thousand.
        per_mille: u32,
        /// Seed of the draw.
        seed: u64,
    },
    /// A share in thousandths, drawn by document id: the same ids whenever they come.
    SameIds {
        /// Of a thousand.
        per_mille: u32,
        /// Seed of the draw.
        seed: u64,
    },
    /// Those for which this is true.
    Where(Arc<dyn Fn(&Item<'_>) -> bool + Send + Sync>),
}

impl Choose {
    /// Chooses by a function.
    pub fn by(predicate: impl Fn(&Item<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::Where(Arc::new(predicate))
    }

    /// Says whether an item of a request, counted from 0, is meant.
    pub(super) fn takes(&self, item: &Item<'_>, request: u64) -> bool {
        match self {
            Self::All => true,
            Self::Share { per_mille, seed } => {
                draw(*seed, &[request.to_le_bytes(), (item.position as u64).to_le_bytes()].concat()) < *per_mille
            }
            Self::SameIds { per_mille, seed } => draw(*seed, item.id.unwrap_or_default().as_bytes()) < *per_mille,
            Self::Where(predicate) => predicate(item),
        }
    }
}

impl fmt::Debug for Choose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Share { per_mille, seed } => write!(f, "Share({per_mille}‰, seed {seed})"),
            Self::SameIds { per_mille, seed } => write!(f, "SameIds({per_mille}‰, seed {seed})"),
            Self::Where(_) => f.write_str("Where(…)"),
        }
    }
}

/// A number below 1000 that depends on nothing but its arguments (FNV-1a, then a finish that mixes the high bits).
fn draw(seed: u64, bytes: &[u8]) -> u32 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut hash = bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from((hash ^ (hash >> 33)) % 1000).unwrap_or(0)
}

/// What a bulk proxy did so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Injected {
    /// Bulk requests seen.
    pub requests: u64,
    /// Bulk requests that could not be read (compressed, or no bulk lines), so that no item of them was touched.
    pub unreadable: u64,
    /// Requests that never reached the server.
    pub refused: u64,
    /// Answers whose HTTP status was rewritten.
    pub statuses: u64,
    /// Answers that were lost.
    pub lost: u64,
    /// Answers whose items were put in another order.
    pub reordered: u64,
    /// Items left out of answers.
    pub dropped: u64,
    /// Answers that ended early.
    pub truncated: u64,
    /// Answers that were those of a request before.
    pub repeated: u64,
    /// Item results, by status.
    pub items: BTreeMap<u16, u64>,
    /// Document ids of those, by status.
    pub ids: BTreeMap<u16, BTreeSet<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(position: usize, id: &str) -> Item<'_> {
        Item { position, action: "create", index: None, id: Some(id), source: b"{}" }
    }

    #[test]
    fn a_share_is_about_what_it_says_and_drawn_anew() {
        let choose = Choose::Share { per_mille: 300, seed: 5 };
        let taken = |request| (0..1000).map(|at| choose.takes(&item(at, "x"), request)).collect::<Vec<_>>();
        let count = taken(0).iter().filter(|taken| **taken).count();
        assert!((250..350).contains(&count), "{count}");
        assert_eq!(taken(0), taken(0));
        assert_ne!(taken(0), taken(1));
    }

    #[test]
    fn the_same_ids_are_chosen_whenever_they_come() {
        let choose = Choose::SameIds { per_mille: 300, seed: 5 };
        let mut count = 0;
        for number in 0..1000 {
            let id = format!("id-{number}");
            assert_eq!(choose.takes(&item(0, &id), 0), choose.takes(&item(9, &id), 7));
            count += usize::from(choose.takes(&item(0, &id), 0));
        }
        assert!((250..350).contains(&count), "{count}");
    }

    #[test]
    fn a_function_sees_the_item() {
        let choose = Choose::by(|item| item.id == Some("b") && item.source == b"{}");
        assert!(choose.takes(&item(0, "b"), 0));
        assert!(!choose.takes(&item(0, "a"), 0));
    }
}
