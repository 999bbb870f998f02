//! Transport protocols: numbers on the raw wire, names in the flow record.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An IP protocol by its IANA number. On the raw wire it is the number; flow records show the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite.
    pub const UDP_LITE: Self = Self(136);

    /// Returns the lower-case name, if the protocol has one that flow logs use.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::ICMP => Some("icmp"),
            Self::TCP => Some("tcp"),
            Self::UDP => Some("udp"),
            Self::ICMPV6 => Some("icmpv6"),
            Self::SCTP => Some("sctp"),
            Self::UDP_LITE => Some("udplite"),
            _ => None,
        }
    }

    /// Returns the protocol of a name in any case, or of a decimal number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let named = [Self::ICMP, Self::TCP, Self::UDP, Self::ICMPV6, Self::SCTP, Self::UDP_LITE];
        let found = named.into_iter().find(|p| p.name().is_some_and(|n| n.eq_ignore_ascii_case(text)));
        found.or_else(|| if text.starts_with('+') { None } else { text.parse().ok().map(Self) })
    }

    /// Returns the protocol class of the accounts: TCP, UDP, SCTP and both ICMP stand for themselves, 255 for the rest.
    #[must_use]
    pub fn class(self) -> Self {
        match self {
            Self::TCP | Self::UDP | Self::SCTP | Self::ICMP | Self::ICMPV6 => self,
            _ => Self(255),
        }
    }

    /// Says whether the protocol has ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP | Self::UDP_LITE)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}
