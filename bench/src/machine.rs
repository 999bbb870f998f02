//! What this machine is, and what it can be asked.

use std::fs;
use std::path::Path;

/// Describes the machine in a few lines: figures mean nothing without it.
pub(crate) fn describe() -> Vec<String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model_of(&text)).unwrap_or_default();
    let load = read("/proc/loadavg");
    let busy = load.split(' ').next().and_then(|text| text.parse::<f64>().ok()).is_some_and(|load| load > 0.5);
    let mut lines = vec![format!("{cpus} CPUs ({model}), kernel {kernel}, load average {load}")];
    if busy {
        lines.push("WARNING: this machine has other work; trust ratios and CPU time, not wall clock".to_owned());
    }
    if cfg!(debug_assertions) {
        lines.push("WARNING: this is no release build; trust no figure".to_owned());
    }
    lines
}

/// Returns what the parts that watch the kernel lack here, if they lack something.
pub(crate) fn missing_for_capture() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("root");
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("a kernel with BTF (/sys/kernel/btf/vmlinux)");
    }
    None
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn model_of(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}
