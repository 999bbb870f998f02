//! The shared words of Millrace: streams, outcomes, verdicts, records, the field table, policy strings, the wire format.
//!
//! Everything here is a value or a pure function: no IO, no async, no clock. A record's type says how far it has come:
//! [`RawFlow`] → [`JoinedFlow`] → [`JudgedFlow`] → [`FlowRecord`].

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_imports, reason = "a test may fail where it likes")
)]

pub mod account;
pub mod assess;
pub mod contract;
pub mod digest;
pub mod document_id;
pub mod fields;
pub mod joined;
pub mod outcome;
pub mod policy_hit;
mod printable;
pub mod protocol;
pub mod raw;
pub mod record;
pub mod schema;
pub mod stream;
#[cfg(feature = "test-support")]
pub mod test_support;
pub mod time;
pub mod validate;
pub mod verdict;
pub mod wire;

pub use account::{AttemptAccount, Direction, FilterReason, LedgerRecord, LossReason, Predecessor};
pub use assess::{Assessment, Seen, assess};
pub use document_id::document_id;
pub use joined::{Endpoint, EndpointType, JoinedFlow, JudgedFlow, Judgement, ServiceRef};
pub use outcome::{DropReason, Outcome};
pub use policy_hit::{Grammar, HitAction, InvalidPolicyHit, PolicyHit, PolicyKind, Rule};
pub use printable::printable;
pub use protocol::Protocol;
pub use raw::{Counters, Destination, Identity, LocalIdentity, Process, RawFlow, Reporter, TcpStatistics};
pub use record::FlowRecord;
pub use schema::Schema;
pub use stream::{RecordId, Stream};
pub use time::UnixMs;
pub use validate::InvalidRecord;
pub use verdict::{Action, Enforcement, Evidence, Unknown, Verdict};
