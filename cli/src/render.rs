//! How answers look: tables, flow records in each output format, quantities.

pub(crate) mod csv;
pub(crate) mod flow;
pub(crate) mod json;
pub(crate) mod quantity;
pub(crate) mod table;
