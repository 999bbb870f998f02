//! A process that is measured: its CPU time by the kernel's own account, and the most memory that it ever held.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::interrupt;

/// How often a running process is looked at: its memory may grow unseen only between the last look and its end.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Ticks a second of the times in `/proc/PID/stat`: `USER_HZ`, 100 on every architecture that the probe runs on.
const TICKS_PER_SECOND: u64 = 100;

/// A process under measurement. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    begun: Instant,
    peak_bytes: u64,
}

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// CPU time of all its threads, user and system.
    pub(crate) cpu: Duration,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// The most resident memory.
    pub(crate) peak_bytes: u64,
}

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child, begun, peak_bytes: 0 })
    }

    /// Returns the process behind it, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns the CPU time that it has taken so far.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        cpu_of(&text).with_context(|| format!("`{path}` is not of the form we know"))
    }

    /// Looks at its memory, and says whether it has ended.
    ///
    /// # Errors
    /// If the kernel does not tell, or the end of everything was asked for.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        interrupt::check()?;
        // It is left a zombie, so that its account can still be read.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::Pid(self.pid()?), flags)? != WaitStatus::StillAlive {
            return Ok(true);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        self.peak_bytes = self.peak_bytes.max(peak_of(&status).unwrap_or(0));
        Ok(false)
    }

    /// Asks it to end in order.
    ///
    /// # Errors
    /// If it is gone already.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        kill(self.pid()?, Signal::SIGTERM).context("it has ended before it was told to")
    }

    /// Waits for its end and returns what it took.
    ///
    /// # Errors
    /// If it does not end in that time; it is killed then.
    pub(crate) fn end(mut self, within: Duration) -> anyhow::Result<Cost> {
        let last = Instant::now() + within;
        while !self.has_ended()? {
            if Instant::now() > last {
                bail!("it did not end within {within:?}");
            }
            pause(LOOK_EVERY);
        }
        let (wall, cpu) = (self.begun.elapsed(), self.cpu()?);
        let status = self.child.wait()?;
        Ok(Cost { status, cpu, wall, peak_bytes: self.peak_bytes })
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing to a process that was waited for.
        let _: io::Result<()> = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits on the calling thread.
#[expect(
    clippy::disallowed_methods,
    reason = "threads of a benchmark wait by themselves; no runtime's thread comes here"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Returns the CPU time of this process so far.
pub(crate) fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Reads `utime` and `stime`, the 14th and 15th field. The second field, a name in brackets, may hold anything.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Reads `VmHWM`, the most resident memory, in bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_tells() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 500 0 0 0 150 50 7 7 20 0 4 0 100 0 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_of("42 (x"), None);
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_is_measured_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3"]);
        let cost = Process::start(&mut command).unwrap().end(Duration::from_secs(60)).unwrap();
        assert_eq!(cost.status.code(), Some(3));
        assert!(cost.cpu > Duration::ZERO && cost.peak_bytes > 0, "{cost:?}");
    }
}
