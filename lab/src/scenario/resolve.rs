//! From the names of a scenario to addresses, containers and ports.

use std::collections::BTreeMap;

use flow::Protocol;

use super::{Scenario, ScenarioError, TaskSpec, Transport};
use crate::plan::Task;
use crate::world::{self, Container, Family, Node, OutsidePlace, Pod};

/// Who makes attempts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// A container of a pod.
    Pod(&'static Pod, &'static Container),
    /// The kubelet of a node.
    Node(&'static Node),
    /// A host outside, in the namespace `outside`.
    Outside(&'static world::Outside),
}

impl Asker {
    fn find(name: &str) -> Option<Self> {
        let (app, container) = name.split_once('/').map_or((name, None), |(app, container)| (app, Some(container)));
        if let Some(pod) = world::pod(app) {
            let container = match container {
                Some(container) => pod.containers.iter().find(|c| c.name == container)?,
                None => pod.containers.first()?,
            };
            return Some(Self::Pod(pod, container));
        }
        if let Some(node) = world::node(name) {
            return Some(Self::Node(node));
        }
        world::outside_host(name).filter(|host| host.place == OutsidePlace::Outside).map(Self::Outside)
    }

    /// Returns a name that is unique among all askers.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Pod(pod, container) => format!("{}.{}", pod.app, container.name),
            Self::Node(node) => node.name.to_owned(),
            Self::Outside(host) => host.name.to_owned(),
        }
    }

    /// Returns the part of its network namespace's name that tells it from others.
    pub(crate) fn netns(self) -> &'static str {
        match self {
            Self::Pod(pod, _) => pod.netns(),
            Self::Node(node) => node.name,
            Self::Outside(_) => "outside",
        }
    }
}

/// Hands out UDP source ports, so that within a network namespace and family none comes again before all others were
/// used.
#[derive(Debug, Default)]
pub(crate) struct SourcePorts(BTreeMap<(&'static str, Family), u16>);

impl SourcePorts {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 64_999;

    /// Returns the next `wanted` ports of a namespace in one piece, or nothing if there are not so many.
    fn take(&mut self, netns: &'static str, family: Family, wanted: u64) -> Option<(u16, u16)> {
        let wanted = u16::try_from(wanted.max(1)).ok().filter(|wanted| *wanted <= Self::LAST - Self::FIRST)?;
        let next = self.0.entry((netns, family)).or_insert(Self::FIRST);
        if Self::LAST - *next < wanted {
            *next = Self::FIRST;
        }
        let range = (*next, *next + wanted - 1);
        *next += wanted;
        Some(range)
    }
}

/// Returns the tasks of each asker. `count` is for tasks without a count of their own; without it the traffic is
/// steady, at `rate` attempts a second for a task with share 1.
pub(crate) fn resolve(
    scenario: &Scenario,
    count: Option<u64>,
    rate: f64,
    ports: &mut SourcePorts,
) -> Result<BTreeMap<String, (Asker, Vec<Task>)>, ScenarioError> {
    let mut askers = BTreeMap::<String, (Asker, Vec<Task>)>::new();
    let mut next_id = 0;
    for spec in &scenario.tasks {
        let unknown = |name: &str| ScenarioError::Unknown { task: spec.name.clone(), name: name.to_owned() };
        let asker = Asker::find(&spec.from).ok_or_else(|| unknown(&spec.from))?;
        for family in &spec.families {
            let mut task = task(spec, asker, *family, count, rate, ports)?;
            task.first_id = next_id;
            // Steady tasks count on without end; a million numbers are more than any of them lives to use.
            next_id += task.count.unwrap_or(1_000_000);
            askers.entry(asker.key()).or_insert_with(|| (asker, Vec::new())).1.push(task);
        }
    }
    Ok(askers)
}

fn task(
    spec: &TaskSpec,
    asker: Asker,
    family: u8,
    count: Option<u64>,
    rate: f64,
    ports: &mut SourcePorts,
) -> Result<Task, ScenarioError> {
    let wrong = |reason| ScenarioError::Task { task: spec.name.clone(), reason };
    let address_family = match family {
        4 => Family::V4,
        6 => Family::V6,
        _ => return Err(wrong("a family is 4 or 6")),
    };
    if spec.port.is_none() != (spec.transport == Transport::Echo) {
        return Err(wrong("tcp and udp need a port, echo has none"));
    }
    let count = spec.count.or(count);
    if spec.gate && count.is_none() {
        return Err(wrong("a gate needs a count"));
    }
    if spec.spread && count.is_some_and(|count| count > 60_000) {
        return Err(wrong("a range has at most 60000 addresses"));
    }
    let unknown = || ScenarioError::Unknown { task: spec.name.clone(), name: spec.to.clone() };
    let rate = count.is_none().then_some(rate * spec.share).filter(|rate| *rate > 0.0);
    let protocol = spec.transport.protocol(family);
    let source_ports = match protocol {
        // Steady traffic comes back to a port after more than the minute of silence that ends a UDP flow.
        Protocol::UDP => {
            let wanted = count.unwrap_or_else(|| (rate.unwrap_or(1.0) * 90.0).ceil().clamp(100.0, 50_000.0) as u64);
            Some(
                ports
                    .take(asker.netns(), address_family, wanted)
                    .ok_or_else(|| wrong("more UDP attempts than a pod has ports"))?,
            )
        }
        _ => None,
    };
    Ok(Task {
        name: spec.name.clone(),
        first_id: 0,
        protocol,
        source: match asker {
            Asker::Outside(host) => Some(host.address.of(address_family)),
            Asker::Pod(..) | Asker::Node(_) => None,
        },
        source_ports,
        destination: world::address(&spec.to).ok_or_else(unknown)?.of(address_family),
        port: spec.port,
        spread: spec.spread,
        count,
        concurrency: spec.concurrency.max(1),
        rate,
        timeout_ms: spec.timeout_ms,
        rounds: spec.rounds,
        bytes: spec.bytes,
        pause_ms: spec.pause_ms,
        close: spec.close,
        gate: spec.gate,
        expected: spec.expect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_resolves() {
        for (name, _) in super::super::BUILT_IN {
            let scenario = Scenario::load(name).unwrap();
            assert!(!resolve(&scenario, Some(3), 1.0, &mut SourcePorts::default()).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn ids_are_unique_in_a_run() {
        let scenario = Scenario::load("everything").unwrap();
        let askers = resolve(&scenario, Some(7), 1.0, &mut SourcePorts::default()).unwrap();
        let mut ranges: Vec<_> = askers.values().flat_map(|(_, tasks)| tasks).map(|t| (t.first_id, t.count)).collect();
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].0 + pair[0].1.unwrap() <= pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn source_ports_come_round_late() {
        let mut ports = SourcePorts::default();
        assert_eq!(ports.take("a", Family::V4, 10_000), Some((10_000, 19_999)));
        assert_eq!(ports.take("a", Family::V4, 10_000), Some((20_000, 29_999)));
        assert_eq!(ports.take("a", Family::V6, 1), Some((10_000, 10_000)));
        assert_eq!(ports.take("b", Family::V4, 1), Some((10_000, 10_000)));
        assert_eq!(ports.take("a", Family::V4, 40_000), Some((10_000, 49_999)));
        assert_eq!(ports.take("a", Family::V4, 60_000), None);
    }

    fn refuse(task: &str, message: &str) {
        let scenario = Scenario::parse("test", &format!("tasks:\n- {task}\n")).unwrap();
        let error = resolve(&scenario, None, 1.0, &mut SourcePorts::default()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn wrong_tasks_are_refused_by_name() {
        refuse(
            "{name: a, from: nobody, to: backend, transport: tcp, port: 1, expect: refused}",
            "task `a`: there is no `nobody` in the laboratory",
        );
        refuse(
            "{name: b, from: rogue, to: backend, transport: tcp, expect: refused}",
            "task `b`: tcp and udp need a port, echo has none",
        );
        refuse(
            "{name: c, from: rogue, to: backend, transport: tcp, port: 1, gate: true, expect: preexisting}",
            "task `c`: a gate needs a count",
        );
        let unknown_key = Scenario::parse("d", "tasks:\n- {name: d, colour: red}\n");
        assert!(matches!(unknown_key, Err(ScenarioError::Parse { .. })));
    }
}
