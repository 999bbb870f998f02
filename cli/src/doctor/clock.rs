//! The clock: records of several nodes are only comparable if their clocks agree.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Check, Host};

/// Further apart than this, the hardware clock and the system clock disagree in earnest.
const APART_SECONDS: u64 = 120;
/// Programs that keep a clock right, as the kernel names them (15 bytes).
const KEEPERS: [&str; 7] = ["chronyd", "ntpd", "openntpd", "systemd-timesyn", "ptp4l", "phc2sys", "VBoxService"];

pub(super) fn check(host: &Host) -> Check {
    const NAME: &str = "clock";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let hardware: Option<u64> = host.read("/sys/class/rtc/rtc0/since_epoch").and_then(|text| text.parse().ok());
    if let Some(hardware) = hardware
        && hardware.abs_diff(now) > APART_SECONDS
    {
        return Check::warn(
            NAME,
            format!("{} s apart from the hardware clock: one of the two is wrong", hardware.abs_diff(now)),
            "start a time service (chrony, systemd-timesyncd), then: hwclock --systohc",
        );
    }
    match keeper(host) {
        Some(keeper) => Check::ok(NAME, format!("kept by {keeper}")),
        None => Check::warn(
            NAME,
            "no time service was found (it may run outside this namespace): times of several nodes may not agree",
            "start one: chrony, systemd-timesyncd or ptp4l; a single host works without",
        ),
    }
}

fn keeper(host: &Host) -> Option<&'static str> {
    let processes = std::fs::read_dir(host.path("/proc")).ok()?;
    let names = processes.flatten().filter_map(|entry| {
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if is_process { super::read_short(&entry.path().join("comm")) } else { None }
    });
    let found = names.into_iter().find_map(|name| KEEPERS.into_iter().find(|keeper| *keeper == name));
    // Virtual machines may be kept right by the kernel itself, from a clock of the hypervisor.
    found.or_else(|| host.path("/run/systemd/timesync/synchronized").exists().then_some("systemd-timesyncd"))
}
