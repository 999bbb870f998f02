//! A process of the laboratory, from the builder's side: started with a plan, told things, listened to.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use thiserror::Error;

/// Why a process of the laboratory does not do its part.
#[derive(Debug, Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot start `{0}`")]
    Start(String, #[source] io::Error),
    /// It does not hear.
    #[error("cannot tell `{0}` anything")]
    Tell(String, #[source] io::Error),
    /// It ended before it said what was awaited.
    #[error("`{name}` ended before it was `{awaited}`")]
    Ended {
        /// The process.
        name: String,
        /// The awaited word.
        awaited: &'static str,
    },
    /// It did not get there in time.
    #[error("`{name}` was not `{awaited}` within {seconds} s")]
    Late {
        /// The process.
        name: String,
        /// The awaited word.
        awaited: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// It failed; its own message is on standard error.
    #[error("`{name}` failed with {status}")]
    Failed {
        /// The process.
        name: String,
        /// How.
        status: ExitStatus,
    },
}

/// A running process; it is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: Process,
    stdin: Option<ChildStdin>,
    words: Receiver<String>,
}

impl Child {
    /// Starts the laboratory's binary with arguments, in a process group of its own, so that Ctrl-C reaches only the
    /// builder.
    pub(crate) fn start(name: &str, binary: &Path, arguments: &[&str]) -> Result<Self, ChildError> {
        let failed = |error| ChildError::Start(name.to_owned(), error);
        let mut process = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let (sender, words) = channel();
        if let Some(stdout) = stdout {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { name: name.to_owned(), process, stdin, words })
    }

    /// Tells the process a word.
    pub(crate) fn tell(&mut self, word: &str) -> Result<(), ChildError> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        writeln!(stdin, "{word}").map_err(|error| ChildError::Tell(self.name.clone(), error))
    }

    /// Waits until the process says a word.
    pub(crate) fn hear(&self, awaited: &'static str, limit: Duration) -> Result<(), ChildError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.words.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(word) if word == awaited => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.late(awaited, limit)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ChildError::Ended { name: self.name.clone(), awaited });
                }
            }
        }
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn end(&mut self, limit: Duration) -> Result<(), ChildError> {
        match self.hear("gone", limit) {
            // The end of its output is the end of the process.
            Err(ChildError::Ended { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        let status = self.process.wait().map_err(|error| ChildError::Tell(self.name.clone(), error))?;
        if status.success() { Ok(()) } else { Err(ChildError::Failed { name: self.name.clone(), status }) }
    }

    /// Closes the process's input, which asks it to end, and waits for it.
    pub(crate) fn dismiss(&mut self, limit: Duration) -> Result<(), ChildError> {
        drop(self.stdin.take());
        self.end(limit)
    }

    fn late(&self, awaited: &'static str, limit: Duration) -> ChildError {
        ChildError::Late { name: self.name.clone(), awaited, seconds: limit.as_secs() }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has most likely ended; nothing can be done about a process that cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
