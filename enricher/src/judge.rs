//! Asks policy about a joined record, and sets the answer beside what the kernel showed.
//!
//! No engine judges policies in this build: where one would have to, the verdict is `unknown: no_policy_engine`. What
//! needs no policy is told all the same: that nothing judges at an end, and what every implementation lets through.

use flow::{JudgedFlow, Judgement, Unknown, Verdict};

use crate::join::{Joined, Party};

/// The keyword for a node that reaches a pod of its own, which no implementation denies: probes depend on it.
pub const NODE_TO_OWN_POD: &str = "node_to_own_pod";

/// Judges a joined record.
#[must_use]
pub fn judge(joined: Joined) -> JudgedFlow {
    let judgement = judgement(&joined);
    JudgedFlow::new(joined.flow, judgement)
}

fn judgement(joined: &Joined) -> Judgement {
    let mut judgement = Judgement::no_policy_engine();
    if !joined.flow.raw.initiator_known {
        // Which end's egress and which end's ingress it was, nobody saw.
        let unknown = Verdict::Unknown(Unknown::InitiatorUnknown);
        (judgement.egress, judgement.ingress) = (unknown, unknown);
        return judgement;
    }
    if is_hairpin(joined) {
        // The APIs disagree on whether a pod that reaches itself through a service is subject to policy.
        let unknown = Verdict::Unknown(Unknown::Hairpin);
        (judgement.egress, judgement.ingress) = (unknown, unknown);
        return judgement;
    }
    judgement.egress = at_end(&joined.source);
    judgement.ingress = at_end(&joined.dest);
    if is_node_to_own_pod(joined) {
        judgement.ingress = Verdict::Allow;
        judgement.decided_by.push(NODE_TO_OWN_POD.to_owned());
    }
    judgement
}

/// Says what policy says at one end, as far as that needs no policy.
fn at_end(party: &Party) -> Verdict {
    match party {
        Party::Pod { .. } | Party::Host { host_endpoint: true, .. } => Verdict::Unknown(Unknown::NoPolicyEngine),
        Party::Host { host_endpoint: false, .. } | Party::Outside => Verdict::None,
        Party::Unclear(why) => Verdict::Unknown(*why),
    }
}

fn is_hairpin(joined: &Joined) -> bool {
    let same = match (&joined.source, &joined.dest) {
        (
            Party::Pod { uid, namespace, name, .. },
            Party::Pod { uid: other_uid, namespace: other_namespace, name: other_name, .. },
        ) => uid == other_uid && namespace == other_namespace && name == other_name,
        _ => false,
    };
    same && joined.flow.service.is_some()
}

fn is_node_to_own_pod(joined: &Joined) -> bool {
    match (&joined.source, &joined.dest) {
        (Party::Host { node: Some(host), .. }, Party::Pod { node: Some(node), .. }) => host == node,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
