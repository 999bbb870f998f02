//! Names and identifiers: fixed for objects that the manifests describe, fresh for each laboratory.
//!
//! UIDs and container ids are a hash of the object's name, so that the table, the manifests and the cgroup directories
//! agree without being kept in step by hand. Everything that a laboratory makes in the system starts with
//! `mr-<lab>-`, so that leftovers can be found and belong to exactly one laboratory.

use std::fmt;

/// What every network namespace and cgroup of any laboratory begins with.
pub const PREFIX: &str = "mr-";

/// Identifies one laboratory on this machine: five lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabId(String);

impl LabId {
    /// Returns the id if the text is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 5 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the id that a seed gives; different seeds give different ids but for chance.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut rest = fnv1a(seed, b"lab");
        let text = (0..5).map(|_| {
            let digit = DIGITS[(rest % 36) as usize];
            rest /= 36;
            char::from(digit)
        });
        Self(text.collect())
    }

    /// Returns the name of one of the laboratory's network namespaces.
    #[must_use]
    pub fn netns(&self, part: &str) -> String {
        format!("{PREFIX}{}-{part}", self.0)
    }

    /// Returns the name of the laboratory's cgroup below the cgroup2 mount.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// Returns the laboratory that a namespace or cgroup name belongs to, if it belongs to one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        Self::parse(rest.split('-').next()?)
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the UID of an object, in the form of a version 4 UUID.
#[must_use]
pub fn uid(kind: &str, namespace: &str, name: &str) -> String {
    let text = format!("{kind}/{namespace}/{name}");
    let (high, low) = (fnv1a(1, text.as_bytes()), fnv1a(2, text.as_bytes()));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// Returns a container's id as runtimes write it: 64 hexadecimal digits.
#[must_use]
pub fn container_id(namespace: &str, pod: &str, container: &str) -> String {
    let text = format!("{namespace}/{pod}/{container}");
    (1..=4).map(|seed| format!("{:016x}", fnv1a(seed, text.as_bytes()))).collect()
}

/// FNV-1a with a finishing mix, so that ids of similar names do not look alike.
fn fnv1a(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_fixed_uuid() {
        let uid = uid("pod", "storefront", "backend-6cfbdd589f-xxlkn");
        let parts: Vec<usize> = uid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{uid}");
        assert_eq!(uid.as_bytes()[14], b'4');
        assert!(matches!(uid.as_bytes()[19], b'8'..=b'9' | b'a'..=b'b'), "{uid}");
    }

    #[test]
    fn container_ids_are_64_digits_and_differ() {
        let (one, two) = (container_id("a", "b", "c"), container_id("a", "b", "d"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }

    #[test]
    fn a_laboratory_finds_its_own_names() {
        let id = LabId::from_seed(7);
        assert_eq!(LabId::of_name(&id.netns("node-a")), Some(id.clone()));
        assert_eq!(LabId::of_name(&id.cgroup()), Some(id));
        assert_eq!(LabId::of_name("mr-x"), None);
        assert_eq!(LabId::of_name("docker"), None);
        assert_eq!(LabId::parse("ABCDE"), None);
    }
}
