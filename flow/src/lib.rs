//! The shared words of Millrace: streams, outcomes, verdicts, records, the field table, policy strings, the wire format.
//!
//! Everything here is a value or a pure function: no IO, no async, no clock. A record's type says how far it has come:
//! [`RawFlow`] → [`JoinedFlow`] → [`JudgedFlow`] → [`FlowRecord`].

pub mod account;
pub mod joined;
pub mod outcome;
pub mod protocol;
pub mod raw;
pub mod record;
pub mod stream;
pub mod time;
pub mod verdict;

pub use account::{AttemptAccount, Direction, FilterReason, LedgerRecord, LossReason, Predecessor};
pub use joined::{Endpoint, EndpointType, JoinedFlow, JudgedFlow, Judgement, ServiceRef};
pub use outcome::{DropReason, Outcome};
pub use protocol::Protocol;
pub use raw::{Counters, Destination, Identity, LocalIdentity, Process, RawFlow, Reporter, TcpStatistics};
pub use record::FlowRecord;
pub use stream::{RecordId, Stream};
pub use time::UnixMs;
pub use verdict::{Action, Enforcement, Evidence, Unknown, Verdict};
