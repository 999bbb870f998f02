//! Network namespaces by name: made, entered, configured, removed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sched::{CloneFlags, setns};
use thiserror::Error;

/// Why the system did not do what a namespace needs.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// A tool could not be started.
    #[error("cannot run `{tool}`: is it installed?")]
    Start {
        /// The tool.
        tool: String,
        /// What the system said.
        source: io::Error,
    },
    /// A tool said no.
    #[error("`{tool}` failed in namespace `{namespace}`: {message}")]
    Tool {
        /// The tool.
        tool: String,
        /// The namespace that it worked on.
        namespace: String,
        /// What it wrote to its standard error.
        message: String,
    },
    /// The namespace could not be entered.
    #[error("cannot enter network namespace `{0}`")]
    Enter(String, #[source] io::Error),
    /// A kernel setting could not be written.
    #[error("cannot set `{key}` in namespace `{namespace}`")]
    Setting {
        /// The setting, as a path below `/proc/sys`.
        key: String,
        /// The namespace.
        namespace: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Returns where a named network namespace is found.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Lists all named network namespaces.
///
/// # Errors
/// If their directory is there but cannot be read.
pub fn list() -> io::Result<Vec<String>> {
    let entries = match fs::read_dir("/run/netns") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Makes a named network namespace.
///
/// # Errors
/// If `ip` is missing or refuses.
pub fn add(name: &str) -> Result<(), NetnsError> {
    check("ip", name, &run(Command::new("ip").args(["netns", "add", name]), "ip", "")?)
}

/// Removes a named network namespace; its links go with it once no process is left in it.
///
/// # Errors
/// If `ip` is missing or refuses.
pub fn remove(name: &str) -> Result<(), NetnsError> {
    check("ip", name, &run(Command::new("ip").args(["netns", "del", name]), "ip", "")?)
}

/// Gives `ip` a batch of commands to run inside a namespace.
///
/// # Errors
/// If one of the commands fails; those before it have been carried out.
pub fn ip_batch(name: &str, commands: &str) -> Result<(), NetnsError> {
    check("ip", name, &run(Command::new("ip").args(["-n", name, "-batch", "-"]), "ip", commands)?)
}

/// Loads a ruleset into a namespace, in one transaction.
///
/// # Errors
/// If `nft` is missing or refuses the text.
pub fn nft(name: &str, ruleset: &str) -> Result<(), NetnsError> {
    let output = within(name, || run(Command::new("nft").args(["-f", "-"]), "nft", ruleset))??;
    check("nft", name, &output)
}

/// Writes kernel settings, each a path below `/proc/sys` and a value, inside a namespace.
///
/// # Errors
/// If one cannot be written, unless it starts with `?` and this kernel does not have it.
pub fn settings(name: &str, values: &[(&str, &str)]) -> Result<(), NetnsError> {
    within(name, || {
        for (key, value) in values {
            let (key, optional) = key.strip_prefix('?').map_or((*key, false), |key| (key, true));
            match fs::write(Path::new("/proc/sys").join(key), value) {
                Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(NetnsError::Setting { key: key.to_owned(), namespace: name.to_owned(), source });
                }
                Ok(()) => {}
            }
        }
        Ok(())
    })?
}

/// Has the packets that come in over the namespace's links worked on by kernel threads, where the kernel can.
///
/// Else they are worked on in the middle of whatever runs, and some sandboxes run no tracing programs in the middle of
/// their own processes: events of the laboratory's traffic would go untold there, and nothing would say so.
///
/// # Errors
/// If `ip` is missing.
pub fn thread_links(name: &str) -> Result<(), NetnsError> {
    let script = "for link in /sys/class/net/*; do
        [ \"${link##*/}\" = lo ] && continue
        ethtool -K \"${link##*/}\" gro on && echo 1 > \"$link/threaded\"
    done 2>/dev/null; true";
    check("ip", name, &run(Command::new("ip").args(["netns", "exec", name, "sh", "-c", script]), "ip", "")?)
}

/// Moves the calling thread into a namespace for good.
///
/// # Errors
/// If there is no such namespace or it may not be entered.
pub fn enter(name: &str) -> Result<(), NetnsError> {
    let file = File::open(path(name)).map_err(|error| NetnsError::Enter(name.to_owned(), error))?;
    setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| NetnsError::Enter(name.to_owned(), errno.into()))
}

/// Runs a function on a thread of its own inside a namespace; processes that it starts are born there.
fn within<T: Send>(name: &str, function: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    let joined = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                enter(name)?;
                Ok(function())
            })
            .join()
    });
    match joined {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run(command: &mut Command, tool: &str, input: &str) -> Result<Output, NetnsError> {
    let failed = |source| NetnsError::Start { tool: tool.to_owned(), source };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input.as_bytes())
        // It has ended early, and says why on its standard error.
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(failed(error));
    }
    child.wait_with_output().map_err(failed)
}

fn check(tool: &str, namespace: &str, output: &Output) -> Result<(), NetnsError> {
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetnsError::Tool { tool: tool.to_owned(), namespace: namespace.to_owned(), message })
}
