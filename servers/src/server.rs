//! What all servers have in common: a folder, a process, a way to tell that it answers, and the ways to hurt it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ServerError;
use crate::artifact::last_lines;
use crate::error::system;
use crate::place::RunFolder;
use crate::process::{Launch, Process, pause};

/// How long a start may take: Elasticsearch with security took 45 s on two busy cores.
const START_LIMIT: Duration = Duration::from_secs(240);
/// How long an orderly end may take before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Says whether the server answers by now.
pub(crate) type Ready = Box<dyn Fn() -> bool + Send + Sync>;

/// One server, running or not.
pub(crate) struct Server {
    name: String,
    launch: Launch,
    ready: Ready,
    process: Mutex<Option<Process>>,
    // After the process: fields are dropped in order, and the folder may go only when nothing writes to it.
    folder: RunFolder,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start(name: String, folder: RunFolder, launch: Launch, ready: Ready) -> Result<Self, ServerError> {
        let server = Self { name, launch, ready, process: Mutex::new(None), folder };
        server.launch()?;
        Ok(server)
    }

    fn launch(&self) -> Result<(), ServerError> {
        let mut process = Process::start(&self.launch).map_err(system(format!("start {} by `setpriv`", self.name)))?;
        let begun = Instant::now();
        while !(self.ready)() {
            if let Some(status) = process.ended() {
                let (log, tail) = (self.launch.log.clone(), self.tail());
                return Err(ServerError::Ended { name: self.name.clone(), status: status.to_string(), log, tail });
            }
            if begun.elapsed() > START_LIMIT {
                let (log, tail) = (self.launch.log.clone(), self.tail());
                return Err(ServerError::Late { name: self.name.clone(), seconds: START_LIMIT.as_secs(), log, tail });
            }
            pause(Duration::from_millis(100));
        }
        *self.process() = Some(process);
        Ok(())
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&self) {
        self.process().take();
    }

    /// Ends it in good order.
    pub(crate) fn stop(&self) {
        let process = self.process().take();
        if let Some(process) = process {
            process.stop(STOP_LIMIT);
        }
    }

    /// Starts it again with the data and ports it had; ends it in good order before, if it runs.
    pub(crate) fn restart(&self) -> Result<(), ServerError> {
        self.stop();
        self.launch()
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub(crate) fn pause(&self) -> Result<(), ServerError> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a frozen one go on.
    pub(crate) fn resume(&self) -> Result<(), ServerError> {
        self.signal(Signal::SIGCONT)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn signal(&self, signal: Signal) -> Result<(), ServerError> {
        match &*self.process() {
            Some(process) => process.signal(signal).map_err(system(format!("send {signal} to {}", self.name))),
            None => Err(ServerError::NotRunning(self.name.clone())),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.launch.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), 25)
    }
}
