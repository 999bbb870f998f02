//! Which attempts are reported at all.

use std::net::IpAddr;
use std::sync::Arc;

use flow::{FilterReason, LocalIdentity};

use crate::identity::{Identities, Located};
use crate::kernel::event::{Owner, SocketPlace, SocketTuple};

/// What the settings say of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmitRules {
    /// The probe's own process: its traffic is left out.
    pub own_pid: u32,
    /// Keep traffic within one host or pod.
    pub keep_loopback: bool,
    /// Keep the source port in the flow key.
    pub keep_source_ports: bool,
    /// How many attempts the table holds at most.
    pub max_attempts: usize,
}

/// Says whose socket it is, or why its attempts are left out.
pub(super) fn admit(
    rules: &AdmitRules,
    identities: &mut Identities,
    place: &SocketPlace,
    tuple: &SocketTuple,
    owner: Option<&Owner>,
) -> Result<Arc<LocalIdentity>, FilterReason> {
    let Located::Inside(local) = identities.locate(place, tuple) else { return Err(FilterReason::OutsideNode) };
    if owner.is_some_and(|owner| owner.pid == rules.own_pid) {
        return Err(FilterReason::OwnTraffic);
    }
    if !rules.keep_loopback
        && let Some(reason) = stays_within(identities, place, tuple, &local)
    {
        return Err(reason);
    }
    Ok(local)
}

fn stays_within(
    identities: &Identities,
    place: &SocketPlace,
    tuple: &SocketTuple,
    local: &LocalIdentity,
) -> Option<FilterReason> {
    let SocketTuple { local_ip, remote_ip, .. } = *tuple;
    // To connect to the unspecified address is to connect to oneself.
    if is_loopback(local_ip) || is_loopback(remote_ip) || remote_ip.is_unspecified() {
        return Some(FilterReason::Loopback);
    }
    let on_host = place.netns == identities.host_netns();
    let same_pod = !on_host
        && local.pod_uid.is_some()
        && (local_ip == remote_ip || identities.pod_of_address(remote_ip).as_deref() == local.pod_uid.as_deref());
    if same_pod {
        return Some(FilterReason::SamePod);
    }
    let same_host = on_host && place.netns != 0 && identities.netns_has(place.netns, remote_ip);
    (local_ip == remote_ip || same_host).then_some(FilterReason::Loopback)
}

pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}
