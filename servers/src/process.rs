//! Starting a server so that it cannot outlive us, and ending it with all that it started.
//!
//! Each server is a process group of its own, and asks the kernel to be killed when its parent ends, by `setpriv`. The
//! kernel means the parent's *thread*, and tests run on threads that come and go: so one thread that never ends starts
//! them all.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::account::Account;

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Variables besides our own.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The working folder.
    pub(crate) folder: PathBuf,
    /// The user to become.
    pub(crate) account: Option<Account>,
    /// The file that takes both outputs.
    pub(crate) log: PathBuf,
}

/// A process group that we started; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts the group.
    pub(crate) fn start(launch: &Launch) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(account) = launch.account {
            command.args([&format!("--reuid={}", account.user), &format!("--regid={}", account.group)]);
            command.arg("--clear-groups");
        }
        command.arg("--").args(&launch.command).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&launch.folder).process_group(0);
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn(command)?;
        let group = Pid::from_raw(child.id().cast_signed());
        Ok(Self { child, group })
    }

    /// Returns how it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        killpg(self.group, signal).map_err(io::Error::from)
    }

    /// Asks it to end, and kills it if it has not after `limit`.
    pub(crate) fn stop(mut self, limit: Duration) {
        // A group that is gone already needs no signal; one that was paused must run to hear it.
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.signal(Signal::SIGCONT);
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            pause(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        // Others of the group belong to init now; a moment later they are gone, with their ports and file locks.
        let deadline = Instant::now() + Duration::from_secs(10);
        while killpg(self.group, None) != Err(Errno::ESRCH) && Instant::now() < deadline {
            pause(Duration::from_millis(10));
        }
    }
}

/// Waits on this thread.
#[expect(clippy::disallowed_methods, reason = "servers are started and awaited on threads that may block")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a command from the thread that never ends.
fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Nobody is left to hear it only if the caller's thread died meanwhile.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let gone = || io::Error::other("the thread that starts servers has ended");
    let (answer, result) = channel();
    starter.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
