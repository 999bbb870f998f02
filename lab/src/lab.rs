//! The laboratory as a whole: built, run, taken down.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::child::{Child, ChildError};
use crate::ledger::LedgerError;
use crate::names::LabId;
use crate::netns::{self, NetnsError};
use crate::network;
use crate::scenario::{ScenarioError, SourcePorts};
use crate::sweep::{self, Claim};
use crate::world::{self, NODES, PODS};
use crate::{cgroup, plan};

mod servers;
mod traffic;

pub use traffic::{Amount, Running};

/// What every node enforces and translates.
const NODE_RULES: &str = include_str!("../nft/node.nft");

/// How long a process may take to come up or to finish writing.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be chosen of a laboratory.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its id; otherwise one that is free.
    pub id: Option<LabId>,
    /// Where plans and ledgers go, and stay; otherwise to a folder that goes with the laboratory.
    pub folder: Option<PathBuf>,
    /// The `lab` binary, which is what servers and clients run; otherwise it is looked for beside this program.
    pub binary: Option<PathBuf>,
}

/// Why the laboratory does not come up, or does not finish a run.
#[derive(Debug, Error)]
pub enum LabError {
    /// Namespaces and cgroups are root's.
    #[error("the laboratory needs root")]
    NotRoot,
    /// There is no binary to run in the pods.
    #[error("there is no `lab` binary at `{0}`: build it with `cargo build -p lab`")]
    NoBinary(PathBuf),
    /// The id is taken.
    #[error("laboratory `{0}` is already there")]
    Taken(LabId),
    /// A file, folder or cgroup cannot be made.
    #[error("cannot make `{0}`")]
    Make(PathBuf, #[source] io::Error),
    /// cgroup2 is not there.
    #[error("cannot find the cgroup2 mount")]
    Cgroup(#[source] io::Error),
    /// A namespace is not as it should be.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A process does not do its part.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The scenario does not fit the laboratory.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The ledger cannot be read back.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something is left behind.
    #[error("cannot remove what laboratory `{0}` made")]
    Remove(LabId, #[source] Box<sweep::SweepError>),
}

/// Where a node is, for whoever starts a probe on it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NodePlace {
    /// The node's name.
    pub name: String,
    /// Its network namespace.
    pub netns: PathBuf,
    /// Its cgroup subtree: below it is what kubelet would have made.
    pub cgroup_root: PathBuf,
}

/// Where a pod is, for whoever compares identities.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PodPlace {
    /// Its network namespace, or its node's.
    pub netns: PathBuf,
    /// The cgroup of each of its containers, in order. Containers that serve nothing have one only while a client runs.
    pub cgroups: Vec<PathBuf>,
}

/// A laboratory. Dropping it takes it down, and so does the death of the process that holds it.
#[derive(Debug)]
pub struct Lab {
    id: LabId,
    folder: PathBuf,
    keep_folder: bool,
    binary: PathBuf,
    cgroup: PathBuf,
    servers: Vec<Child>,
    /// Where each server's receipts are, and how far they have been read.
    receipts: BTreeMap<PathBuf, u64>,
    source_ports: SourcePorts,
    /// Cgroups that are there for clients only, and how many clients each has.
    passing: BTreeMap<PathBuf, usize>,
    runs: u32,
    /// Sweeps when this process dies, however it dies.
    guard: Option<Child>,
    claim: Option<Claim>,
}

impl Lab {
    /// Builds a laboratory: namespaces, links, routes, rules, cgroups, and servers that listen.
    ///
    /// # Errors
    /// If anything cannot be made; what was made by then is removed.
    pub fn new(options: Options) -> Result<Self, LabError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        let binary = find_binary(options.binary)?;
        let claim = claim(options.id)?;
        let id = claim.id().clone();
        let keep_folder = options.folder.is_some();
        let folder = options.folder.unwrap_or_else(|| sweep::folder(&id));
        let cgroup = cgroup::mount().map_err(LabError::Cgroup)?.join(id.cgroup());
        let mut lab = Self {
            guard: Some(Child::start("guard", &binary, &["guard", &id.to_string()])?),
            id,
            folder,
            keep_folder,
            binary,
            cgroup,
            servers: Vec::new(),
            receipts: BTreeMap::new(),
            source_ports: SourcePorts::default(),
            passing: BTreeMap::new(),
            runs: 0,
            claim: Some(claim),
        };
        lab.build()?;
        Ok(lab)
    }

    /// Returns the laboratory's id.
    #[must_use]
    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// Returns the folder of plans and ledgers.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns where a node is.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodePlace> {
        world::node(name).map(|node| NodePlace {
            name: node.name.to_owned(),
            netns: netns::path(&self.id.netns(node.name)),
            cgroup_root: self.cgroup.join(node.name),
        })
    }

    /// Returns where the pod with a short name is.
    #[must_use]
    pub fn pod(&self, app: &str) -> Option<PodPlace> {
        let pod = world::pod(app)?;
        let root = self.cgroup.join(pod.node.name);
        Some(PodPlace {
            netns: netns::path(&self.id.netns(pod.netns())),
            cgroups: pod.containers.iter().map(|container| root.join(cgroup::container_path(pod, container))).collect(),
        })
    }

    /// Takes the laboratory down and says if anything could not be removed.
    ///
    /// # Errors
    /// If a namespace or cgroup stays.
    pub fn down(mut self) -> Result<(), LabError> {
        self.take_down()
    }

    fn build(&mut self) -> Result<(), LabError> {
        make_folder(&self.folder)?;
        for name in network::namespaces(&self.id) {
            netns::add(&name)?;
            netns::settings(&name, network::COMMON_SETTINGS)?;
        }
        for router in NODES.iter().map(|node| node.name).chain(["outside"]) {
            netns::settings(&self.id.netns(router), network::ROUTER_SETTINGS)?;
        }
        netns::settings(&self.id.netns("mute"), network::MUTE_SETTINGS)?;
        for step in network::build(&self.id) {
            netns::ip_batch(&step.namespace, &step.commands)?;
        }
        netns::settings(&self.id.netns("outside"), network::OUTSIDE_SETTINGS)?;
        for name in network::namespaces(&self.id) {
            netns::thread_links(&name)?;
        }
        for node in NODES {
            let name = self.id.netns(node.name);
            netns::nft(&name, NODE_RULES)?;
            netns::settings(&name, network::CONNTRACK_SETTINGS)?;
            make_folder(&self.cgroup.join(node.name).join(cgroup::KUBELET))?;
        }
        make_folder(&self.cgroup.join("outside"))?;
        for pod in PODS {
            // Containers that serve nothing exist only while a client runs in them, as a Job's would.
            for container in pod.containers.iter().filter(|container| !container.ports.is_empty()) {
                make_folder(&self.cgroup.join(pod.node.name).join(cgroup::container_path(pod, container)))?;
            }
        }
        self.start_servers()
    }

    fn start_servers(&mut self) -> Result<(), LabError> {
        for (key, plan) in servers::plans(&self.id, &self.cgroup, &self.folder) {
            self.receipts.insert(plan.ledger.clone(), 0);
            let server = self.spawn(&format!("server-{key}"), &plan)?;
            self.servers.push(server);
        }
        for server in &self.servers {
            server.hear("ready", PATIENCE)?;
        }
        Ok(())
    }

    fn spawn(&self, name: &str, plan: &plan::Plan) -> Result<Child, LabError> {
        let path = self.folder.join(format!("plan-{name}.json"));
        let text = serde_json::to_vec(plan).map_err(|error| LabError::Make(path.clone(), error.into()))?;
        fs::write(&path, text).map_err(|error| LabError::Make(path.clone(), error))?;
        Ok(Child::start(name, &self.binary, &["process", &path.to_string_lossy()])?)
    }

    fn take_down(&mut self) -> Result<(), LabError> {
        self.servers.clear();
        let swept = sweep::sweep(&self.id);
        if !self.keep_folder {
            let _ = fs::remove_dir_all(&self.folder);
        }
        if let Some(claim) = self.claim.take() {
            claim.release();
        }
        if let Some(mut guard) = self.guard.take() {
            guard.dismiss(PATIENCE)?;
        }
        swept.map_err(|error| LabError::Remove(self.id.clone(), Box::new(error)))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.claim.is_some() {
            // Whoever wants to know why calls `down`; what is left is found by `lab clean`.
            let _ = self.take_down();
        }
    }
}

fn claim(id: Option<LabId>) -> Result<Claim, LabError> {
    let failed = |error| LabError::Make(PathBuf::from(sweep::CLAIMS), error);
    if let Some(id) = id {
        return Claim::take(&id).map_err(failed)?.ok_or(LabError::Taken(id));
    }
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut seed = time.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40);
    loop {
        if let Some(claim) = Claim::take(&LabId::from_seed(seed)).map_err(failed)? {
            return Ok(claim);
        }
        seed = seed.wrapping_add(1);
    }
}

/// Finds the binary: as given, this program itself, or where cargo puts it beside a test.
fn find_binary(given: Option<PathBuf>) -> Result<PathBuf, LabError> {
    if let Some(path) = given {
        return if path.is_file() { Ok(path) } else { Err(LabError::NoBinary(path)) };
    }
    let own = std::env::current_exe().map_err(|error| LabError::Make(PathBuf::from("/proc/self/exe"), error))?;
    let beside: Vec<PathBuf> = own.ancestors().skip(1).take(2).map(|folder| folder.join("lab")).collect();
    let found = beside.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| LabError::NoBinary(beside.into_iter().next_back().unwrap_or(own)))
}

fn make_folder(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|error| LabError::Make(path.to_owned(), error))
}
