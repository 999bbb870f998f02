//! The commands: one file each, with its arguments and what it does.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod flows;
pub(crate) mod man;
pub(crate) mod probe;
pub(crate) mod reconcile;
pub(crate) mod run;
pub(crate) mod summary;
