//! Runs: clients started by a scenario, told to go on or to stop, and what they and the servers wrote.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Lab, LabError, PATIENCE, make_folder, servers};
use crate::cgroup;
use crate::child::{Child, ChildError};
use crate::ledger::{Attempt, Ledger, Party, Receipt, read_lines};
use crate::plan::{Plan, Work};
use crate::scenario::{Asker, Scenario, resolve};
use crate::sweep::SweepError;

/// How many attempts a run makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many for each task and family that has no count of its own.
    Count(u64),
    /// So many a second for each task and family with share 1, until stopped.
    PerSecond(f64),
}

/// Traffic under way; it is killed when dropped.
#[derive(Debug)]
pub struct Running {
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    child: Child,
    ledger: PathBuf,
    /// A container's cgroup that is there for clients only, and goes with the last of them.
    passing: Option<PathBuf>,
}

impl Lab {
    /// Runs a scenario to its end and returns its ledger.
    ///
    /// # Errors
    /// If the scenario does not fit, or a process does not do its part.
    pub fn run(&mut self, scenario: &Scenario, count: u64) -> Result<Ledger, LabError> {
        let mut running = self.start(scenario, Amount::Count(count))?;
        running.release()?;
        self.finish(running)
    }

    /// Starts a scenario. Gated connections wait for [`Running::release`].
    ///
    /// # Errors
    /// If the scenario does not fit, or a client does not come up.
    pub fn start(&mut self, scenario: &Scenario, amount: Amount) -> Result<Running, LabError> {
        let (count, rate) = match amount {
            Amount::Count(count) => (Some(count), 0.0),
            Amount::PerSecond(rate) => (None, rate),
        };
        self.runs += 1;
        let mut running = Running { clients: Vec::new() };
        for (key, (asker, tasks)) in resolve(scenario, count, rate, &mut self.source_ports)? {
            let ledger = self.folder.join(format!("attempts-{}-{key}.jsonl", self.runs));
            let (cgroup, party, container, node, comm) = self.describe(asker);
            let passing = (!cgroup.exists() || self.passing.contains_key(&cgroup)).then(|| cgroup.clone());
            if let Some(cgroup) = &passing {
                *self.passing.entry(cgroup.clone()).or_default() += 1;
            }
            make_folder(&cgroup)?;
            let plan = Plan {
                netns: self.id.netns(asker.netns()),
                cgroup,
                comm,
                party,
                container,
                node,
                ledger: ledger.clone(),
                work: Work::Ask(tasks),
            };
            let child = self.spawn(&format!("client-{}-{key}", self.runs), &plan)?;
            running.clients.push(Client { child, ledger, passing });
        }
        Ok(running)
    }

    /// Waits until the clients have made all their attempts and the servers written all they received.
    ///
    /// The ledger has the attempts of this run, and all receipts since those of the last one: runs at the same time
    /// share receipts.
    ///
    /// # Errors
    /// If a process fails or takes longer than an hour.
    pub fn finish(&mut self, mut running: Running) -> Result<Ledger, LabError> {
        // Those that come and go are seen off first, so that they are gone as soon as their work is done.
        running.clients.sort_by_key(|client| client.passing.is_none());
        let mut ledger = Ledger::default();
        for client in &mut running.clients {
            client.child.end(Duration::from_secs(3600))?;
            if let Some(cgroup) = client.passing.take() {
                self.leave(cgroup)?;
            }
            ledger.attempts.extend(read_lines::<Attempt>(&client.ledger, 0)?.0);
        }
        ledger.attempts.sort_by_key(|attempt| attempt.id);
        for server in &mut self.servers {
            server.tell("flush")?;
        }
        for server in &self.servers {
            server.hear("flushed", PATIENCE)?;
        }
        for (path, offset) in &mut self.receipts {
            let (receipts, end) = read_lines::<Receipt>(path, *offset)?;
            ledger.receipts.extend(receipts);
            *offset = end;
        }
        Ok(ledger)
    }

    /// Removes a cgroup that is there for clients only if this was the last of them.
    fn leave(&mut self, cgroup: PathBuf) -> Result<(), LabError> {
        if let Some(clients) = self.passing.get_mut(&cgroup)
            && *clients > 1
        {
            *clients -= 1;
            return Ok(());
        }
        self.passing.remove(&cgroup);
        if let Err(error) = cgroup::remove(&cgroup) {
            return Err(LabError::Remove(self.id.clone(), Box::new(SweepError::Cgroup(cgroup, error))));
        }
        // The pod goes with its last container.
        if let Some(pod) = cgroup.parent() {
            let _ = fs::remove_dir(pod);
        }
        Ok(())
    }

    fn describe(&self, asker: Asker) -> (PathBuf, Party, Option<String>, Option<String>, String) {
        match asker {
            Asker::Pod(pod, container) => (
                self.cgroup.join(pod.node.name).join(cgroup::container_path(pod, container)),
                servers::party(pod),
                Some(container.name.to_owned()),
                Some(pod.node.name.to_owned()),
                container.name.to_owned(),
            ),
            Asker::Node(node) => (
                self.cgroup.join(node.name).join(cgroup::KUBELET),
                Party::Node { name: node.name.to_owned() },
                None,
                Some(node.name.to_owned()),
                "kubelet".to_owned(),
            ),
            Asker::Outside(host) => (
                self.cgroup.join("outside"),
                Party::Outside { name: host.name.to_owned() },
                None,
                None,
                host.name.to_owned(),
            ),
        }
    }
}

impl Running {
    /// Waits until all gated connections are open.
    ///
    /// # Errors
    /// If a client ends early or takes too long.
    pub fn all_open(&self) -> Result<(), LabError> {
        for client in &self.clients {
            client.child.hear("ready", Duration::from_secs(300))?;
        }
        Ok(())
    }

    /// Lets gated connections go on.
    ///
    /// # Errors
    /// If a client does not hear.
    pub fn release(&mut self) -> Result<(), LabError> {
        self.tell("release")
    }

    /// Ends steady traffic: nothing new is begun.
    ///
    /// # Errors
    /// If a client does not hear.
    pub fn stop(&mut self) -> Result<(), LabError> {
        self.tell("stop")
    }

    fn tell(&mut self, word: &str) -> Result<(), LabError> {
        for client in &mut self.clients {
            match client.child.tell(word) {
                // A client that has nothing left to do has ended, and needs no word.
                Err(ChildError::Tell(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                told => told?,
            }
        }
        Ok(())
    }
}
