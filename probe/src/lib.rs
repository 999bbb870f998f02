//! Kernel events → attempts → raw records. The only crate with `unsafe`, and only below [`kernel`].

pub mod kernel;
