//! The compiled programs, their sizes set and loaded: tables exist afterwards, programs only when attached.

use aya::{Btf, Ebpf, EbpfLoader};

use super::KernelError;
use super::drop_reason::DropReasons;
use super::options::KernelOptions;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe.bpf.o"));

/// Creates the tables and rings, and prepares the programs for this kernel's types and drop reasons.
pub(super) fn load(options: &KernelOptions, btf: &Btf, reasons: &DropReasons) -> Result<Ebpf, KernelError> {
    EbpfLoader::new()
        .btf(Some(btf))
        .override_global("policy_reasons", &reasons.policy, true)
        .override_global("other_reasons", &reasons.other, true)
        .override_global("policy_subsystems", &reasons.policy_subsystems, true)
        .override_global("other_subsystems", &reasons.other_subsystems, true)
        .map_max_entries("ring", options.ring_bytes)
        .map_max_entries("drop_ring", options.drop_ring_bytes)
        .map_max_entries("cgroup_ring", options.cgroup_ring_bytes)
        .map_max_entries("flows", options.flows_max)
        .map_max_entries("drops", options.drops_max)
        .load(OBJECT)
        .map_err(KernelError::Load)
}
