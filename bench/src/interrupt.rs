//! Ctrl-C and SIGTERM: whatever is measured is given up, and what was made for it is removed as at any other end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use nix::sys::signal::{SigSet, Signal};

/// One flag for the whole process, as its signals are.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes both signals from now on. To be called before any other thread is made; processes started later do not inherit
/// it.
///
/// # Errors
/// If the system refuses.
pub(crate) fn watch() -> anyhow::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().context("cannot take signals")?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.wait().is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(())
}

/// Says whether the end was asked for.
pub(crate) fn happened() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Fails if the end was asked for.
///
/// # Errors
/// As said.
pub(crate) fn check() -> anyhow::Result<()> {
    ensure!(!happened(), "interrupted");
    Ok(())
}
