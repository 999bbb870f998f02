//! Which addresses are private: the `pvt` and `pub` of an end that nothing else names.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};

/// Whose idea of a private address is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivateRanges {
    /// RFC 1918, loopback, link-local, carrier-grade NAT, and IPv6's unique local, link-local and loopback addresses.
    #[default]
    Full,
    /// RFC 1918 alone, as Calico has it: every IPv6 address is public.
    Calico,
}

const RFC_1918: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 168, 0, 0), 16),
];
const FURTHER_V4: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(100, 64, 0, 0), 10),
];
const FURTHER_V6: [Ipv6Net; 3] = [
    Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128),
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

impl PrivateRanges {
    /// Says whether an address is private. IPv4 written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contain(self, address: IpAddr) -> bool {
        match (address.to_canonical(), self) {
            (IpAddr::V4(address), Self::Calico) => RFC_1918.iter().any(|net| net.contains(&address)),
            (IpAddr::V4(address), Self::Full) => RFC_1918.iter().chain(&FURTHER_V4).any(|net| net.contains(&address)),
            (IpAddr::V6(_), Self::Calico) => false,
            (IpAddr::V6(address), Self::Full) => FURTHER_V6.iter().any(|net| net.contains(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, full: bool, calico: bool) {
        let parsed: IpAddr = address.parse().unwrap();
        assert_eq!(PrivateRanges::Full.contain(parsed), full, "{address}");
        assert_eq!(PrivateRanges::Calico.contain(parsed), calico, "{address} as calico has it");
    }

    #[test]
    fn private_by_rfc_1918_in_both_ways() {
        for address in ["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "::ffff:10.1.2.3"]
        {
            check(address, true, true);
        }
    }

    #[test]
    fn private_beyond_rfc_1918_only_in_ours() {
        for address in
            ["100.64.0.1", "100.127.255.255", "169.254.1.1", "127.0.0.1", "::1", "fd00::1", "fcff::", "fe80::1"]
        {
            check(address, true, false);
        }
    }

    #[test]
    fn public_in_both_ways() {
        for address in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.0.1",
            "172.32.0.0",
            "192.169.0.0",
            "100.63.0.1",
            "100.128.0.0",
            "8.8.8.8",
        ] {
            check(address, false, false);
        }
        for address in ["2001:db8::1", "fec0::1", "::", "::ffff:8.8.8.8"] {
            check(address, false, false);
        }
    }
}
