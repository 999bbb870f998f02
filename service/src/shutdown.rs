//! From a signal, or the end of a finite source, to an orderly end.
//!
//! A first SIGINT or SIGTERM asks for a graceful end, a second one for an immediate end. [`Stages`] stops a pipeline from
//! its source on: each stage is told to stop only when the one before it has ended, so that everything that is under way
//! is finished; what is not done at the deadline is given up, by name.

use std::future::Future;
use std::io;

use tokio::sync::watch;
use tokio::task::JoinHandle;

mod stages;

pub use stages::{Ended, Stages};

/// How urgently something has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Running,
    Graceful,
    Immediate,
}

/// Asks for the end. Clones ask the same tokens.
#[derive(Debug, Clone)]
pub struct Shutdown {
    level: watch::Sender<Level>,
}

/// Learns of the end. Cheap to clone, one for each task.
#[derive(Debug, Clone)]
pub struct Token {
    level: watch::Receiver<Level>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Makes a switch that is not yet pulled.
    pub fn new() -> Self {
        Self { level: watch::Sender::new(Level::Running) }
    }

    /// Returns a token that learns what is asked here.
    pub fn token(&self) -> Token {
        Token { level: self.level.subscribe() }
    }

    /// Asks to finish what was begun and end.
    pub fn request(&self) {
        self.raise(Level::Graceful);
    }

    /// Asks to end now.
    pub fn request_now(&self) {
        self.raise(Level::Immediate);
    }

    /// Listens for SIGINT and SIGTERM: once asks to end, twice asks to end now.
    ///
    /// # Errors
    /// If the process cannot listen for signals.
    pub fn on_signals(&self) -> io::Result<JoinHandle<()>> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        Ok(tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if *shutdown.level.borrow() == Level::Running {
                    tracing::info!(signal = name, "ending: finishing what was begun; a second signal ends at once");
                    shutdown.request();
                } else {
                    tracing::warn!(signal = name, "ending at once");
                    shutdown.request_now();
                }
            }
        }))
    }

    fn raise(&self, to: Level) {
        self.level.send_if_modified(|level| {
            let higher = to > *level;
            if higher {
                *level = to;
            }
            higher
        });
    }
}

impl Token {
    /// Returns true if the end was asked for.
    pub fn is_requested(&self) -> bool {
        *self.level.borrow() >= Level::Graceful
    }

    /// Returns true if the end was asked for at once.
    pub fn is_requested_now(&self) -> bool {
        *self.level.borrow() >= Level::Immediate
    }

    /// Resolves when the end is asked for, or was before, or nobody is left who could ask.
    pub async fn requested(&self) {
        self.reached(Level::Graceful).await;
    }

    /// Resolves when the end is asked for at once.
    pub async fn requested_now(&self) {
        self.reached(Level::Immediate).await;
    }

    /// Resolves with the future's output, or with none if the end is asked for first.
    pub async fn unless_requested<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            output = future => Some(output),
        }
    }

    async fn reached(&self, wanted: Level) {
        // An error means that the switch is gone; without it nothing more can be waited for.
        let _ = self.level.clone().wait_for(|level| *level >= wanted).await;
    }
}

#[cfg(test)]
mod tests;
