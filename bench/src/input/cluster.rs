//! The cluster: 10 nodes, 10 namespaces of 20 deployments of 5 pods.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::random::Random;

const NODES: usize = 10;
const NAMESPACES: usize = 10;
const DEPLOYMENTS: usize = 20;
const REPLICAS: usize = 5;
/// All objects are older than any of the traffic.
const CREATED: &str = "2026-01-05T08:00:00Z";

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Names of the nodes.
    pub(crate) nodes: Vec<String>,
    /// The pods.
    pub(crate) pods: Vec<Pod>,
    objects: Vec<Value>,
}

/// A pod, as its traffic shows it.
#[derive(Debug)]
pub(crate) struct Pod {
    /// Its name, which no other pod of the cluster has.
    pub(crate) name: String,
    /// Its UID, which its cgroup carries.
    pub(crate) uid: String,
    /// Its container, as the runtime names it.
    pub(crate) container: String,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// Index of its node.
    pub(crate) node: usize,
    /// Inode of its network namespace.
    pub(crate) netns: u32,
    /// The port that it serves.
    pub(crate) port: u16,
}

impl Cluster {
    /// Makes the cluster.
    pub(crate) fn generate(random: &mut Random) -> Self {
        let nodes: Vec<String> = (0..NODES).map(|n| format!("worker-{n}")).collect();
        let mut cluster = Self { nodes, pods: Vec::new(), objects: Vec::new() };
        for n in 0..NODES {
            let mut node = object("v1", "Node", None, &cluster.nodes[n], &random.uid());
            node["metadata"]["labels"] = json!({ "topology.kubernetes.io/zone": format!("zone-{}", n % 3) });
            node["status"] = json!({ "addresses": [{ "type": "InternalIP", "address": format!("10.0.0.{}", n + 1) }] });
            cluster.objects.push(node);
        }
        for n in 0..NAMESPACES {
            let namespace = format!("team-{n}");
            cluster.objects.push(object("v1", "Namespace", None, &namespace, &random.uid()));
            for d in 0..DEPLOYMENTS {
                cluster.deploy(&namespace, &format!("service-{n}-{d}"), random);
            }
        }
        cluster
    }

    fn deploy(&mut self, namespace: &str, name: &str, random: &mut Random) {
        let hash = format!("{:09x}", random.next() & 0xf_ffff_ffff);
        let (set, deployment_uid, set_uid) = (format!("{name}-{hash}"), random.uid(), random.uid());
        self.objects.push(object("apps/v1", "Deployment", Some(namespace), name, &deployment_uid));
        let mut replica_set = object("apps/v1", "ReplicaSet", Some(namespace), &set, &set_uid);
        replica_set["metadata"]["ownerReferences"] = owner("Deployment", name, &deployment_uid);
        self.objects.push(replica_set);
        let port = u16::try_from(8_000 + random.below(100)).unwrap_or(8_000);
        for replica in 0..REPLICAS {
            let number = self.pods.len();
            let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
            let pod = Pod {
                name: format!("{set}-{replica}{:04x}", random.next() & 0xffff),
                uid: random.uid(),
                container: format!(
                    "{:016x}{:016x}{:016x}{:016x}",
                    random.next(),
                    random.next(),
                    random.next(),
                    random.next()
                ),
                ip: Ipv4Addr::new(10, 64 + high, low, 10),
                node: number % NODES,
                netns: 4_026_532_000 + u32::try_from(number).unwrap_or(0),
                port,
            };
            let mut written = object("v1", "Pod", Some(namespace), &pod.name, &pod.uid);
            written["metadata"]["labels"] = json!({
                "app.kubernetes.io/name": name,
                "app.kubernetes.io/part-of": namespace,
                "app.kubernetes.io/version": "1.4.2",
                "pod-template-hash": hash,
                "tier": if number.is_multiple_of(3) { "backend" } else { "frontend" },
            });
            written["metadata"]["generateName"] = json!(format!("{set}-"));
            written["metadata"]["ownerReferences"] = owner("ReplicaSet", &set, &set_uid);
            written["spec"] = json!({
                "nodeName": self.nodes[pod.node],
                "containers": [{ "name": "main", "ports": [{ "name": "http", "containerPort": pod.port, "protocol": "TCP" }] }],
            });
            written["status"] = json!({
                "phase": "Running",
                "startTime": CREATED,
                "podIP": pod.ip.to_string(),
                "podIPs": [{ "ip": pod.ip.to_string() }],
            });
            self.objects.push(written);
            self.pods.push(pod);
        }
    }

    /// Returns all objects as one file: JSON is YAML.
    pub(crate) fn manifests(&self) -> String {
        let documents: Vec<String> = self.objects.iter().map(Value::to_string).collect();
        documents.join("\n---\n") + "\n"
    }
}

fn object(version: &str, kind: &str, namespace: Option<&str>, name: &str, uid: &str) -> Value {
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "name": name, "uid": uid, "resourceVersion": "1", "creationTimestamp": CREATED },
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_thousand_pods_that_can_be_told_apart() {
        let cluster = Cluster::generate(&mut Random::new(1));
        assert_eq!(cluster.pods.len(), 1_000);
        assert_eq!(cluster.pods.iter().map(|pod| &pod.name).collect::<BTreeSet<_>>().len(), 1_000);
        assert_eq!(cluster.pods.iter().map(|pod| pod.ip).collect::<BTreeSet<_>>().len(), 1_000);
        assert_eq!(cluster.pods.iter().map(|pod| &pod.uid).collect::<BTreeSet<_>>().len(), 1_000);
    }
}
