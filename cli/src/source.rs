//! Where attempts come from: the arguments that `run` and `probe` share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use probe::pipeline::Place;
use service::shutdown::Shutdown;
use tokio::task::JoinHandle;

use crate::settings::{Flag, Settings};

/// The arguments that choose and bound the source.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where attempts come from")]
pub(crate) struct SourceArguments {
    /// Read raw records from this file of JSON lines instead of the kernel; no root needed
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Only sockets below this directory of the cgroup2 tree are this node's [default: all]
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub(crate) cgroup_root: Option<PathBuf>,
    /// File of the node's own network namespace [default: that of process 1]
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) host_netns: Option<PathBuf>,
}

impl SourceArguments {
    /// Returns the settings that the arguments stand for.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        vec![
            ("probe.replay", "--replay", path(&self.replay)),
            ("probe.cgroup_root", "--cgroup-root", path(&self.cgroup_root)),
            ("probe.host_netns", "--host-netns", path(&self.host_netns)),
        ]
    }
}

/// Returns who the probe is and where it keeps its state.
pub(crate) fn place(settings: &Settings) -> Place {
    Place { cluster: settings.cluster.clone(), node: settings.node.clone(), data_dir: settings.data_dir.clone() }
}

/// Asks for the end after a while.
pub(crate) fn end_after(run_for: Duration, shutdown: &Shutdown) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::time::sleep(run_for).await;
        shutdown.request();
    })
}
