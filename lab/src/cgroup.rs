//! Control groups: the mount, the directories that kubelet would make, and how they end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::world::{Container, Driver, Pod, Qos, Runtime};

/// The directory of a node's own processes below its cgroup root.
pub const KUBELET: &str = "system.slice/kubelet.service";

/// Reads where cgroup2 is mounted from the text of `/proc/mounts`.
#[must_use]
pub fn mount_in(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// Returns where cgroup2 is mounted on this machine.
///
/// # Errors
/// If the mounts cannot be read, or none is cgroup2.
pub fn mount() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    mount_in(&mounts).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "cgroup2 is not mounted"))
}

/// Returns a container's directory below its node's cgroup root, named as kubelet and the runtime name it.
#[must_use]
pub fn container_path(pod: &Pod, container: &Container) -> PathBuf {
    let id = pod.container_id(container.name);
    let leaf = match (pod.runtime, pod.driver) {
        (Runtime::Containerd, Driver::Systemd) => format!("cri-containerd-{id}.scope"),
        (Runtime::Crio, Driver::Systemd) => format!("crio-{id}.scope"),
        (Runtime::Containerd, Driver::Cgroupfs) => id,
        (Runtime::Crio, Driver::Cgroupfs) => format!("crio-{id}"),
    };
    pod_path(pod).join(leaf)
}

/// Returns a pod's directory below its node's cgroup root.
#[must_use]
pub fn pod_path(pod: &Pod) -> PathBuf {
    let uid = pod.uid();
    match pod.driver {
        Driver::Systemd => {
            // A systemd unit's name repeats its parents', and `-` in it means a level: hence `_` in the UID.
            let uid = uid.replace('-', "_");
            match pod.qos {
                Qos::Guaranteed => format!("kubepods.slice/kubepods-pod{uid}.slice").into(),
                Qos::Burstable => {
                    format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice").into()
                }
                Qos::BestEffort => {
                    format!("kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice").into()
                }
            }
        }
        Driver::Cgroupfs => match pod.qos {
            Qos::Guaranteed => format!("kubepods/pod{uid}").into(),
            Qos::Burstable => format!("kubepods/burstable/pod{uid}").into(),
            Qos::BestEffort => format!("kubepods/besteffort/pod{uid}").into(),
        },
    }
}

/// Kills every process below a directory and removes the directory with all below it.
///
/// # Errors
/// If processes or directories are still there after ten seconds.
pub fn remove(root: &Path) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if !root.exists() {
            return Ok(());
        }
        kill(root)?;
        match remove_directories(root) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            // A killed process leaves its cgroup some moments later.
            Err(_) => thread::park_timeout(Duration::from_millis(20)),
        }
    }
}

fn kill(root: &Path) -> io::Result<()> {
    match fs::write(root.join("cgroup.kill"), "1") {
        // Before Linux 5.14 there is no such file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => kill_each(root),
        done => done,
    }
}

fn kill_each(root: &Path) -> io::Result<()> {
    for directory in directories(root)? {
        kill_each(&directory)?;
    }
    let processes = fs::read_to_string(root.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        // It may have gone meanwhile; whoever stays is met again in the next round.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    Ok(())
}

fn remove_directories(root: &Path) -> io::Result<()> {
    for directory in directories(root)? {
        remove_directories(&directory)?;
    }
    match fs::remove_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn directories(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;

    fn check(app: &str, begins: &str, ends: impl Fn(&str) -> String) {
        let pod = world::pod(app).unwrap();
        let container = &pod.containers[0];
        let path = container_path(pod, container).display().to_string();
        assert!(path.starts_with(begins), "{path}");
        assert!(path.ends_with(&ends(&pod.container_id(container.name))), "{path}");
    }

    #[test]
    fn paths_have_the_shapes_of_runtimes_and_drivers() {
        let uid = |app: &str| world::pod(app).unwrap().uid();
        let systemd = |app: &str| uid(app).replace('-', "_");
        check(
            "frontend",
            &format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/", systemd("frontend")),
            |id| format!("/cri-containerd-{id}.scope"),
        );
        check("catalog-b", &format!("kubepods.slice/kubepods-pod{}.slice/", systemd("catalog-b")), |id| {
            format!("/crio-{id}.scope")
        });
        check("backend", &format!("kubepods/burstable/pod{}/", uid("backend")), |id| format!("/crio-{id}"));
        check("logging", &format!("kubepods/besteffort/pod{}/", uid("logging")), |id| format!("/{id}"));
    }

    #[test]
    fn the_mount_is_found_among_others() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_in(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_in("proc /proc proc rw 0 0"), None);
    }
}
