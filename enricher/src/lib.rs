//! From raw records to flow records: both ends named by the metadata of their time, policy asked, one record out for one
//! record in.
//!
//! | module | for |
//! |---|---|
//! | [`pipeline`] | the stages, from the raw topic to the enriched one |
//! | [`enrich`] | what becomes of one message: the pure middle |
//! | [`join`] | names both ends and the service |
//! | [`judge`] | asks policy, and sets the answer beside what the kernel showed |
//! | [`dead_letter`] | what cannot become a record, with all that is needed to find out why |
//! | [`folder`] | the metadata, from a folder of manifests that is read again when it changes |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout))]

pub mod dead_letter;
pub mod enrich;
pub mod folder;
pub mod join;
pub mod judge;
pub mod metrics;
pub mod pipeline;
pub mod settings;
#[cfg(test)]
mod test_support;

pub use folder::{Folder, FolderSettings};
pub use metrics::EnricherMetrics;
pub use pipeline::{Enriched, Enricher, Stopped};
pub use settings::{EnricherSettings, RawEnricherSettings};
