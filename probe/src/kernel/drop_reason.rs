//! Drop reasons of the running kernel: which are told, and what they are called.
//!
//! Numbers differ between kernels and builds, names do not. The lists below are names; the masks handed to the programs
//! are made of the numbers that this kernel gives them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flow::DropReason;

use super::btf::{Enumeration, enumerations};

/// Told for every packet: somebody decided that it must not pass.
const POLICY: &[&str] =
    &["NETFILTER_DROP", "BPF_CGROUP_EGRESS", "SECURITY_HOOK", "TC_EGRESS", "TC_INGRESS", "XDP", "XFRM_POLICY"];

/// Told for packets that begin something: routing, neighbours, full buffers, broken packets, nobody there. For others
/// they are noise, or a retransmission mends them.
const OTHER: &[&str] = &[
    "CPU_BACKLOG",
    "FULL_RING",
    "IPV6DISABLED",
    "IP_CSUM",
    "IP_INADDRERRORS",
    "IP_INNOROUTES",
    "IP_INVALID_DEST",
    "IP_INVALID_SOURCE",
    "IP_LOCALNET",
    "IP_OUTNOROUTES",
    "IP_RPFILTER",
    "NEIGH_CREATEFAIL",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "NOMEM",
    "NOT_SPECIFIED",
    "NO_SOCKET",
    "PKT_TOO_BIG",
    "PROTO_MEM",
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "SOCKET_BACKLOG",
    "SOCKET_FILTER",
    "SOCKET_RCVBUFF",
    "TCP_AOFAILURE",
    "TCP_AONOTFOUND",
    "TCP_CSUM",
    "TCP_INVALID_SYN",
    "TCP_LISTEN_OVERFLOW",
    "TCP_MD5FAILURE",
    "TCP_MD5NOTFOUND",
    "UDP_CSUM",
    "UNHANDLED_PROTO",
];

const CORE_PREFIX: &str = "SKB_DROP_REASON_";
const SUBSYSTEM_PREFIX: &str = "SKB_DROP_REASON_SUBSYS_";
/// Modules that bring reasons of their own, with split BTF. Where built in, their enumerations are the kernel's.
const MODULES: &[&str] = &["openvswitch", "mac80211"];

/// The reasons of one kernel: names by number, and the masks for the programs.
#[derive(Debug, Clone, Default)]
pub(super) struct DropReasons {
    names: BTreeMap<u32, DropReason>,
    /// Bit n: core reason n is a policy's.
    pub(super) policy: [u64; 4],
    /// Bit n: core reason n is told for packets that begin something.
    pub(super) other: [u64; 4],
    /// Bit n: reasons of subsystem n are a policy's.
    pub(super) policy_subsystems: u32,
    /// Bit n: reasons of subsystem n are told for packets that begin something.
    pub(super) other_subsystems: u32,
}

impl DropReasons {
    /// Reads the reasons of the running kernel. A kernel without names for them (before 5.17) gives none: its drops
    /// then are not told.
    pub(super) fn of_running_kernel() -> Self {
        let folder = Path::new("/sys/kernel/btf");
        let Ok(base) = fs::read(folder.join("vmlinux")) else { return Self::default() };
        let wanted = |name: &str| name == "skb_drop_reason_subsys" || name.ends_with("_drop_reason");
        let mut found = enumerations(&base, None, wanted).unwrap_or_default();
        for module in MODULES {
            let of_module = fs::read(folder.join(module));
            found.extend(of_module.ok().and_then(|b| enumerations(&b, Some(&base), wanted).ok()).unwrap_or_default());
        }
        Self::of(&found)
    }

    fn of(found: &[Enumeration]) -> Self {
        let mut reasons = Self::default();
        for enumeration in found {
            for (value, name) in &enumeration.values {
                match enumeration.name.as_str() {
                    "skb_drop_reason" => reasons.add_core(*value, name),
                    "skb_drop_reason_subsys" => reasons.add_subsystem(*value, name),
                    _ => reasons.add_of_subsystem(*value, name),
                }
            }
        }
        reasons
    }

    /// Returns the name of a reason: `NETFILTER_DROP`, `OVS_LAST_ACTION`, or `SUBSYS_n_m` and `REASON_n` where this
    /// kernel does not tell.
    pub(super) fn name(&self, reason: u32) -> DropReason {
        self.names.get(&reason).cloned().unwrap_or_else(|| match (reason >> 16, reason & 0xffff) {
            (0, number) => DropReason(format!("REASON_{number}")),
            (subsystem, number) => DropReason(format!("SUBSYS_{subsystem}_{number}")),
        })
    }

    fn add_core(&mut self, value: u32, name: &str) {
        let name = name.strip_prefix(CORE_PREFIX).unwrap_or(name);
        let Some(word) = usize::try_from(value / 64).ok().filter(|&w| w < 4) else { return };
        let bit = 1 << (value % 64);
        if POLICY.contains(&name) {
            self.policy[word] |= bit;
        } else if OTHER.contains(&name) {
            self.other[word] |= bit;
        }
        self.names.insert(value, DropReason(name.to_owned()));
    }

    /// Open vSwitch decides by rules. The wireless stack drops frames before they are packets. Subsystems yet to come
    /// are told where a packet begins something.
    fn add_subsystem(&mut self, value: u32, name: &str) {
        let bit = 1_u32.checked_shl(value).unwrap_or(0);
        match name.strip_prefix(SUBSYSTEM_PREFIX).unwrap_or(name) {
            "CORE" | "NUM" => {}
            "OPENVSWITCH" => self.policy_subsystems |= bit,
            name if name.starts_with("MAC80211") => {}
            _ => self.other_subsystems |= bit,
        }
    }

    fn add_of_subsystem(&mut self, value: u32, name: &str) {
        if value >> 16 == 0 || name.starts_with("__") {
            return;
        }
        let name = name.strip_prefix("OVS_DROP_").map_or_else(|| name.to_owned(), |rest| format!("OVS_{rest}"));
        self.names.insert(value, DropReason(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enumeration(name: &str, values: &[(u32, &str)]) -> Enumeration {
        Enumeration { name: name.into(), values: values.iter().map(|(v, n)| (*v, (*n).into())).collect() }
    }

    fn sample() -> DropReasons {
        DropReasons::of(&[
            enumeration("skb_drop_reason", &[(3, "SKB_DROP_REASON_NO_SOCKET"), (72, "SKB_DROP_REASON_XDP")]),
            enumeration(
                "skb_drop_reason_subsys",
                &[
                    (0, "SKB_DROP_REASON_SUBSYS_CORE"),
                    (1, "SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE"),
                    (2, "SKB_DROP_REASON_SUBSYS_OPENVSWITCH"),
                    (3, "SKB_DROP_REASON_SUBSYS_NEW"),
                    (4, "SKB_DROP_REASON_SUBSYS_NUM"),
                ],
            ),
            enumeration("ovs_drop_reason", &[(0x2_0000, "__OVS_DROP_REASON"), (0x2_0001, "OVS_DROP_LAST_ACTION")]),
        ])
    }

    #[test]
    fn masks_follow_names_and_not_numbers() {
        let reasons = sample();
        assert_eq!(reasons.other, [1 << 3, 0, 0, 0]);
        assert_eq!(reasons.policy, [0, 1 << 8, 0, 0]);
        assert_eq!(reasons.policy_subsystems, 1 << 2);
        assert_eq!(reasons.other_subsystems, 1 << 3);
    }

    #[test]
    fn every_number_has_a_name() {
        let check = |number, expected: &str| assert_eq!(sample().name(number).0, expected);
        check(3, "NO_SOCKET");
        check(0x2_0001, "OVS_LAST_ACTION");
        check(0x2_0009, "SUBSYS_2_9");
        check(0x7_0001, "SUBSYS_7_1");
        check(250, "REASON_250");
        assert!(sample().name(0x2_0001).is_filter());
    }
}
