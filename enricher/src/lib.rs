//! From raw records to flow records: both ends named by the metadata of their time, policy asked, one record out for one
//! record in.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod join;
pub mod judge;
