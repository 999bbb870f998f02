//! Namespaces, veth pairs, packet filters and cgroups, made for one test and removed with it.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

/// True if this machine can run the test; else says so, or fails in CI.
pub fn ready() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let btf = fs::metadata("/sys/kernel/btf/vmlinux").is_ok();
    if root && btf {
        return true;
    }
    let why = if root { "no /sys/kernel/btf/vmlinux" } else { "not root" };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "kernel tests must run in CI: {why}");
    println!("SKIPPED: {why}");
    false
}

/// A network namespace with its name.
pub struct Namespace {
    pub name: String,
    pub inode: u32,
}

impl Namespace {
    fn new(name: String) -> Self {
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let inode = fs::metadata(path(&name)).unwrap().ino();
        Self { name, inode: u32::try_from(inode).unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        path(&self.name)
    }

    /// Runs `work` on a thread inside the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let file = File::open(path(&self.name)).unwrap();
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|e| std::panic::resume_unwind(e))
    }

    /// Runs `ip` inside the namespace.
    pub fn ip(&self, words: &str) {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(words.split(' '));
        run("ip", &all);
    }

    /// Loads a packet filter inside the namespace.
    pub fn nft(&self, rules: &str) {
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.name, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refused: {rules}");
    }

    /// Has packets that come in worked on by all CPUs, each of which is interrupted for it.
    pub fn steer_to_all_cpus(&self) {
        let cpus = std::thread::available_parallelism().unwrap().get().min(32);
        let script = format!("echo {:x} > /sys/class/net/eth0/queues/rx-0/rps_cpus", (1_u64 << cpus) - 1);
        run("ip", &["netns", "exec", &self.name, "sh", "-c", &script]);
    }

    /// Runs a shell script inside the namespace and the cgroup.
    pub fn shell(&self, cgroup: &Cgroup, script: &str) -> Child {
        let procs = cgroup.path.join("cgroup.procs");
        let enter = format!(
            "echo $$ > {}; exec nsenter --net={} bash -c '{script}'",
            procs.display(),
            path(&self.name).display()
        );
        Command::new("sh").args(["-c", &enter]).spawn().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Two namespaces joined by a veth pair: `a` has 10.91.0.1 and fd91::1, `b` has 10.91.0.2 and fd91::2.
pub struct Pair {
    pub a: Namespace,
    pub b: Namespace,
}

pub const A4: &str = "10.91.0.1";
pub const B4: &str = "10.91.0.2";
pub const A6: &str = "fd91::1";
pub const B6: &str = "fd91::2";

impl Pair {
    pub fn new() -> Self {
        let tag = unique();
        let (a, b) = (Namespace::new(format!("{tag}a")), Namespace::new(format!("{tag}b")));
        run("ip", &["-n", &a.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &b.name]);
        for (ns, v4, v6) in [(&a, A4, A6), (&b, B4, B6)] {
            ns.ip("link set eth0 up");
            ns.ip(&format!("addr add {v4}/24 dev eth0"));
            ns.ip(&format!("addr add {v6}/64 dev eth0 nodad"));
        }
        Self { a, b }
    }
}

/// `a` (10.92.1.2) and `b` (10.92.2.2), routed by `router`, which has .1 in both nets.
pub struct Routed {
    pub a: Namespace,
    pub router: Namespace,
    pub b: Namespace,
}

pub const ROUTED_A: &str = "10.92.1.2";
pub const ROUTED_B: &str = "10.92.2.2";

impl Routed {
    pub fn new() -> Self {
        let tag = unique();
        let make = |which: &str| Namespace::new(format!("{tag}{which}"));
        let (a, router, b) = (make("a"), make("r"), make("b"));
        for (ns, net) in [(&a, 1), (&b, 2)] {
            let near = format!("to{net}");
            run(
                "ip",
                &["-n", &router.name, "link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns", &ns.name],
            );
            router.ip(&format!("link set {near} up"));
            router.ip(&format!("addr add 10.92.{net}.1/24 dev {near}"));
            ns.ip("link set eth0 up");
            ns.ip(&format!("addr add 10.92.{net}.2/24 dev eth0"));
            ns.ip(&format!("route add default via 10.92.{net}.1"));
        }
        router.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        Self { a, router, b }
    }
}

/// A directory of the cgroup2 tree.
pub struct Cgroup {
    pub path: PathBuf,
    pub id: u64,
}

impl Cgroup {
    pub fn new() -> Self {
        Self::named(&unique())
    }

    pub fn named(name: &str) -> Self {
        let path = probe::kernel::cgroup2_mount().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        let id = fs::metadata(&path).unwrap().ino();
        Self { path, id }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Returns a name that no other test uses.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mrt{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap();
    assert!(status.success(), "{program} {} failed", words.join(" "));
}
