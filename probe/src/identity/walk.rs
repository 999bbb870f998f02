//! A look at the cgroup tree and at the processes in it: who is there already when the probe starts, and which network
//! namespace and addresses a new pod has. The only IO of this module; what it finds is told to
//! [`super::Identities`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::path;

/// Directories looked at in one walk; a tree larger than this is somebody's loop of `mkdir`.
const MAX_DIRECTORIES: usize = 100_000;
/// Depth to which is walked: kubelet's names end five levels below its root.
const MAX_DEPTH: usize = 24;
/// The most that is read of one file below `/proc` or the cgroup tree.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A directory of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCgroup {
    /// Its id: the inode of the directory.
    pub id: u64,
    /// Its path from the root of the hierarchy, with a leading slash.
    pub path: String,
}

/// Where a pod's process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPod {
    /// UID of the pod.
    pub pod_uid: String,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Addresses of the namespace.
    pub addresses: Vec<IpAddr>,
}

/// Lists the directories below the mount point of the cgroup2 tree.
///
/// # Errors
/// Returns an error if the mount point itself cannot be looked at; directories that vanish meanwhile are passed over.
pub fn cgroups(mount: &Path) -> io::Result<Vec<FoundCgroup>> {
    let mut found = vec![FoundCgroup { id: fs::metadata(mount)?.ino(), path: "/".to_owned() }];
    let mut open: Vec<(PathBuf, String, usize)> = vec![(mount.to_owned(), String::new(), 0)];
    while let Some((directory, path, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if found.len() >= MAX_DIRECTORIES || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let path = format!("{path}/{name}");
            found.push(FoundCgroup { id: metadata.ino(), path: path.clone() });
            if depth < MAX_DEPTH {
                open.push((entry.path(), path, depth + 1));
            }
        }
    }
    Ok(found)
}

/// Looks at the first living process of a cgroup; `None` if it is no pod's, or holds no process yet.
#[must_use]
pub fn pod(mount: &Path, cgroup: &str) -> Option<FoundPod> {
    let pod = path::parse(cgroup)?;
    let procs = read(&mount.join(cgroup.trim_start_matches('/')).join("cgroup.procs"))?;
    procs.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0).take(16).find_map(|pid| {
        let netns = netns_of(format!("/proc/{pid}/ns/net"))?;
        Some(FoundPod { pod_uid: pod.pod_uid.clone(), netns, addresses: addresses_of(pid) })
    })
}

/// Returns the inode of a namespace by its file, such as `/proc/1/ns/net` or `/run/netns/name`.
#[must_use]
pub fn netns_of(file: impl AsRef<Path>) -> Option<u32> {
    fs::metadata(file).ok().and_then(|metadata| u32::try_from(metadata.ino()).ok())
}

/// Returns the addresses of the network namespace that a process lives in.
#[must_use]
pub fn addresses_of(pid: u32) -> Vec<IpAddr> {
    let v4 = read(Path::new(&format!("/proc/{pid}/net/fib_trie"))).map(|text| local_ipv4(&text)).unwrap_or_default();
    let v6 = read(Path::new(&format!("/proc/{pid}/net/if_inet6"))).map(|text| local_ipv6(&text)).unwrap_or_default();
    v4.into_iter().map(IpAddr::V4).chain(v6.into_iter().map(IpAddr::V6)).collect()
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = BufReader::new(fs::File::open(path).ok()?).take(MAX_FILE_BYTES);
    for line in file.lines() {
        text.push_str(&line.ok()?);
        text.push('\n');
    }
    Some(text)
}

/// Reads the kernel's trie of routes: an address is local if the line after it says `/32 host LOCAL`.
fn local_ipv4(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in fib_trie.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.take()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// Reads the kernel's list of IPv6 addresses: 32 hexadecimal digits, then what it is bound to.
fn local_ipv6(if_inet6: &str) -> Vec<Ipv6Addr> {
    let addresses = if_inet6.lines().filter_map(|line| line.split_whitespace().next());
    addresses
        .filter(|hex| hex.len() == 32)
        .filter_map(|hex| u128::from_str_radix(hex, 16).ok())
        .map(Ipv6Addr::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_local_addresses() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.77.0.0/24 2 0 2\n        |-- 10.77.0.0\n           /24 link UNICAST\n        |-- 10.77.0.2\n           /32 host LOCAL\n        |-- 10.77.0.255\n           /32 link BROADCAST\nLocal:\n        |-- 10.77.0.2\n           /32 host LOCAL\n";
        assert_eq!(local_ipv4(trie), [Ipv4Addr::new(10, 77, 0, 2)]);
        let inet6 = "fd770000000000000000000000000002 02 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\nnonsense\n";
        assert_eq!(local_ipv6(inet6), ["fd77::2".parse::<Ipv6Addr>().unwrap(), Ipv6Addr::LOCALHOST]);
    }

    #[test]
    fn lists_directories_with_their_inodes() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "").unwrap();
        let mut found = cgroups(dir.path()).unwrap();
        found.sort_by(|x, y| x.path.cmp(&y.path));
        assert_eq!(found.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/", "/a", "/a/b"]);
        assert_eq!(found[2].id, fs::metadata(dir.path().join("a/b")).unwrap().ino());
        assert!(cgroups(&dir.path().join("none")).is_err());
    }

    #[test]
    fn finds_the_namespace_and_addresses_of_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = "/kubepods/pod0123456789abcdef0123456789abcdef";
        let place = dir.path().join(cgroup.trim_start_matches('/'));
        fs::create_dir_all(&place).unwrap();
        assert_eq!(pod(dir.path(), cgroup), None);
        fs::write(place.join("cgroup.procs"), format!("0\n{}\n", std::process::id())).unwrap();
        let found = pod(dir.path(), cgroup).unwrap();
        assert_eq!(Some(found.netns), netns_of("/proc/self/ns/net"));
        assert_eq!(pod(dir.path(), "/system.slice"), None);
    }
}
