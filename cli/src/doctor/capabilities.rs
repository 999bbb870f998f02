//! The rights of this process, by name.

use super::{Check, Host};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A capability that the probe uses.
struct Needed {
    name: &'static str,
    number: u32,
    /// `CAP_SYS_ADMIN` contains it.
    in_sys_admin: bool,
    lost: &'static str,
}

const NEEDED: [Needed; 3] = [
    Needed { name: "CAP_BPF", number: CAP_BPF, in_sys_admin: true, lost: "the probe loads nothing" },
    Needed { name: "CAP_PERFMON", number: CAP_PERFMON, in_sys_admin: true, lost: "TCP and drops are not seen" },
    Needed {
        name: "CAP_NET_ADMIN",
        number: CAP_NET_ADMIN,
        in_sys_admin: false,
        lost: "UDP, other protocols and original destinations are not seen",
    },
];

pub(super) fn check(host: &Host) -> Vec<Check> {
    let status = host.read("/proc/self/status").unwrap_or_default();
    let (effective, bounding) = (set(&status, "CapEff:"), set(&status, "CapBnd:"));
    NEEDED.iter().map(|needed| judge(needed, effective, bounding)).collect()
}

fn set(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn judge(needed: &Needed, effective: Option<u64>, bounding: Option<u64>) -> Check {
    let has = |set: u64, number: u32| set & (1 << number) != 0;
    let Some(effective) = effective else {
        return Check::warn(needed.name, "/proc/self/status does not show it", "mount /proc");
    };
    if has(effective, needed.number) {
        return Check::ok(needed.name, "present");
    }
    if needed.in_sys_admin && has(effective, CAP_SYS_ADMIN) {
        return Check::ok(needed.name, "contained in CAP_SYS_ADMIN");
    }
    let fix = match bounding {
        Some(bounding) if !has(bounding, needed.number) => format!(
            "the container or unit takes it away: add {} (`securityContext.capabilities.add`, --cap-add, CapabilityBoundingSet=)",
            needed.name.trim_start_matches("CAP_")
        ),
        _ => "run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin+ep $(command -v millrace)".to_owned(),
    };
    Check::fail(needed.name, format!("missing: {}", needed.lost), fix)
}
