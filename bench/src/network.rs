//! Two network namespaces with a cable between them, gone again when dropped.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process;

use anyhow::Context as _;
use lab::netns;

/// Addresses that the server's end has: `10.94.0.1` onwards, one each 256 behind another.
pub(crate) const MAX_ADDRESSES: u32 = 250;

/// Before the process id of its maker, in the name of a namespace.
const PREFIX: &str = "mrb";

/// The client's and the server's namespace.
#[derive(Debug)]
pub(crate) struct Network {
    /// Where connections begin.
    pub(crate) client: Namespace,
    /// Where they end.
    pub(crate) server: Namespace,
}

/// A network namespace of this run.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Its name below `/run/netns`.
    pub(crate) name: String,
    /// What the kernel knows it by.
    pub(crate) inode: u32,
}

impl Network {
    /// Makes both ends. The server's has [`MAX_ADDRESSES`] addresses.
    ///
    /// # Errors
    /// If `ip` is missing or refuses.
    pub(crate) fn new() -> anyhow::Result<Self> {
        remove_orphans()?;
        let tag = format!("{PREFIX}{}", process::id());
        let (client, server) = (Namespace::new(format!("{tag}c"))?, Namespace::new(format!("{tag}s"))?);
        let cable = format!("link add eth0 type veth peer name eth0 netns {}\n", server.name);
        netns::ip_batch(&client.name, &cable)?;
        netns::ip_batch(&client.name, "link set lo up\nlink set eth0 up\naddr add 10.94.255.1/16 dev eth0\n")?;
        let addresses: String =
            (1..=MAX_ADDRESSES).map(|n| format!("addr add {} dev eth0\n", address(n, "/16"))).collect();
        netns::ip_batch(&server.name, &format!("link set lo up\nlink set eth0 up\n{addresses}"))?;
        // An orderly close leaves the client's port waiting for a minute: at this rate it has to be used again earlier.
        let ports = [("net/ipv4/ip_local_port_range", "1024 65535"), ("net/ipv4/tcp_tw_reuse", "1")];
        netns::settings(&client.name, &ports)?;
        netns::settings(&server.name, &[("?net/core/somaxconn", "4096")])?;
        Ok(Self { client, server })
    }
}

/// Returns the server's n-th address, with something behind it.
pub(crate) fn address(n: u32, behind: &str) -> String {
    format!("10.94.{n}.1{behind}")
}

/// Removes what a run left behind that was killed.
fn remove_orphans() -> anyhow::Result<()> {
    for name in netns::list().context("cannot list network namespaces")? {
        if maker(&name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            netns::remove(&name)?;
        }
    }
    Ok(())
}

/// Returns the process id in the name of a namespace of ours.
fn maker(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.strip_suffix(['c', 's'])?.parse().ok()
}

impl Namespace {
    fn new(name: String) -> anyhow::Result<Self> {
        netns::add(&name)?;
        let mut made = Self { name, inode: 0 };
        let path = netns::path(&made.name);
        let inode = fs::metadata(&path).with_context(|| format!("cannot look at `{}`", path.display()))?.ino();
        made.inode = u32::try_from(inode).context("the kernel numbers namespaces with 32 bits")?;
        Ok(made)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left has its maker's process id in its name.
        let _ = netns::remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        assert_eq!(maker("mrb42c"), Some(42));
        assert_eq!(maker("mrb42s"), Some(42));
        for other in ["mrb42", "mrbc", "mr-b42c", "mrbx2c", "mrt42c"] {
            assert_eq!(maker(other), None, "{other}");
        }
    }
}
