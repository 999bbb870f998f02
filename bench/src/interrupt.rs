//! Ctrl-C and SIGTERM: whatever is measured is given up, and what was made for it is removed as at any other end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::ensure;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// One flag for the whole process, as its signals are.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes both signals from now on. By handlers, not by a mask: a mask would be inherited by what is measured, and then
/// nothing could tell it to end.
///
/// # Errors
/// If the system refuses.
pub(crate) fn watch() -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::Relaxed);
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
