//! What a cgroup path says: the pod and the container, by the names that kubelet and the container runtimes give.
//!
//! | driver | path below the hierarchy's root |
//! |---|---|
//! | systemd | `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope` |
//! | systemd, CRI-O | `…/crio-<id>.scope`, its monitor `…/crio-conmon-<id>.scope` |
//! | systemd, Docker | `…/docker-<id>.scope` |
//! | cgroupfs | `/kubepods/burstable/pod<uid>/<id>` |
//! | cgroupfs, CRI-O | `/kubepods/burstable/pod<uid>/crio-<id>` |
//! | mixed | `/system.slice/containerd.service/kubepods-pod<uid with _>.slice:cri-containerd:<id>` |
//!
//! kubelet may put a prefix in front (`/kubelet/kubepods/…`, `kubelet-kubepods-…`), and a container may make cgroups of
//! its own below; both are read. With kubelets inside a pod, the outermost pod is the one this cluster knows.

/// The pod, and where known the container, that a cgroup belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodContainer {
    /// UID of the pod as the API server writes it.
    pub pod_uid: String,
    /// The container as its runtime names it; absent for the pod's own directory.
    pub container_id: Option<String>,
}

/// Reads a cgroup path; `None` for a process of the host.
#[must_use]
pub fn parse(path: &str) -> Option<PodContainer> {
    let mut below_kubepods = false;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        let mut pieces = part.split(':');
        let slice = pieces.next().unwrap_or_default();
        below_kubepods |= slice.contains("kubepods");
        let Some(pod_uid) = below_kubepods.then(|| pod_uid(slice)).flatten() else { continue };
        let container_id = match (pieces.next(), pieces.next()) {
            (Some(_runtime), Some(id)) => container_id(id),
            _ => parts.next().and_then(container_id),
        };
        return Some(PodContainer { pod_uid, container_id });
    }
    None
}

/// Reads `pod<uid>` or `…-pod<uid>.slice`.
fn pod_uid(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(slice) => slice.rsplit('-').next()?.strip_prefix("pod")?.replace('_', "-"),
        None => part.strip_prefix("pod")?.to_owned(),
    };
    is_uid(&uid).then_some(uid)
}

/// Says whether a text is a UUID, or the 32 hexadecimal digits that static pods have instead.
fn is_uid(text: &str) -> bool {
    let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    let mut parts = text.split('-');
    let uuid = [8, 4, 4, 4, 12].into_iter().all(|len| parts.next().is_some_and(|part| hex(part, len)));
    (uuid && parts.next().is_none()) || hex(text, 32)
}

/// Reads the directory of a container; `None` for a runtime's own monitor and for unknown names.
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let named = ["cri-containerd-", "crio-", "docker-", "libpod-"].into_iter().find_map(|p| name.strip_prefix(p));
    let id = named.unwrap_or(name);
    let hex = (12..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "6f1d3c7a-0b6e-4c11-9a57-2f6f0b1c9d3e";
    const ID: &str = "0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a";

    fn check(path: &str, expected: Option<(&str, Option<&str>)>) {
        let path = path.replace("{u}", &UID.replace('-', "_")).replace("{uid}", UID).replace("{id}", ID);
        let found = parse(&path);
        let found = found.as_ref().map(|p| (p.pod_uid.as_str(), p.container_id.as_deref()));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn reads_the_names_of_kubelet_and_the_runtimes() {
        let both = Some((UID, Some(ID)));
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u}.slice/cri-containerd-{id}.scope",
            both,
        );
        check("/kubepods.slice/kubepods-pod{u}.slice/crio-{id}.scope", both);
        check("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{u}.slice/docker-{id}.scope", both);
        check("/kubepods/burstable/pod{uid}/{id}", both);
        check("/kubepods/pod{uid}/{id}", both);
        check("/kubepods/besteffort/pod{uid}/crio-{id}", both);
        check("/system.slice/containerd.service/kubepods-burstable-pod{u}.slice:cri-containerd:{id}", both);
        check("/kubelet/kubepods/burstable/pod{uid}/{id}", both);
        check(
            "/docker/0123456789ab/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{u}.slice/cri-containerd-{id}.scope",
            both,
        );
        check("/lab/node-a/kubepods/burstable/pod{uid}/{id}", both);
    }

    #[test]
    fn reads_cgroups_that_a_container_made() {
        check("/kubepods/burstable/pod{uid}/{id}/init.scope", Some((UID, Some(ID))));
        check("/kubepods/pod{uid}/{id}/kubepods/pod11111111-2222-3333-4444-555555555555/{id}", Some((UID, Some(ID))));
    }

    #[test]
    fn names_the_pod_where_the_container_is_unknown() {
        check("/kubepods/burstable/pod{uid}", Some((UID, None)));
        check("/kubepods.slice/kubepods-pod{u}.slice/crio-conmon-{id}.scope", Some((UID, None)));
        check("/kubepods/burstable/pod{uid}/init", Some((UID, None)));
    }

    #[test]
    fn reads_static_pods() {
        check(
            "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/{id}",
            Some(("0123456789abcdef0123456789abcdef", Some(ID))),
        );
    }

    #[test]
    fn leaves_the_host_alone() {
        check("/", None);
        check("", None);
        check("/system.slice/sshd.service", None);
        check("/user.slice/user-0.slice/session-1.scope", None);
        check("/docker/{id}", None);
        check("/pod{uid}/{id}", None);
        check("/kubepods/burstable/podsomething/{id}", None);
        check("/kubepods/burstable/pod{uid}0/{id}", None);
        check("/kubepods.slice/kubepods-pod.slice", None);
    }
}
