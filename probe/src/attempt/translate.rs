//! Where a connection really goes: the address translation between the socket and the wire.

use flow::Destination;

use crate::kernel::event::{SocketPlace, SocketTuple};

/// What the node's connection tracking says of an initiator's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translation {
    /// Nobody could look: no access, no connection tracking, another namespace's affair.
    Unknown,
    /// It was looked, and they go where the socket asked.
    Untranslated,
    /// They go here instead.
    To(Destination),
}

/// Looks up translations.
pub trait Translate {
    /// Returns the translation of what an initiating socket sends.
    fn translate(&mut self, place: &SocketPlace, tuple: &SocketTuple) -> Translation;
}

/// Where connection tracking cannot be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTranslation;

impl Translate for NoTranslation {
    fn translate(&mut self, _: &SocketPlace, _: &SocketTuple) -> Translation {
        Translation::Unknown
    }
}

impl<F: FnMut(&SocketTuple) -> Translation> Translate for F {
    fn translate(&mut self, _: &SocketPlace, tuple: &SocketTuple) -> Translation {
        self(tuple)
    }
}
