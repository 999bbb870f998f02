//! Addresses to listen on: `127.0.0.1:9700`, `[::1]:9700`.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::size::TextOrNumber;

/// An address with its port; port 0 is any that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenAddress(SocketAddr);

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// An address alone.
    #[error("`{0}` needs a port, such as `127.0.0.1:9700` or `[::1]:9700`")]
    NoPort(String),
    /// A port alone. Which address was meant decides who can connect, so it is not guessed.
    #[error("`{0}` needs an address: `127.0.0.1:{1}` for this host alone, `0.0.0.0:{1}` for everybody")]
    NoAddress(String, u16),
    /// Something else.
    #[error("`{0}` is no address with a port, such as `127.0.0.1:9700` or `[::1]:9700`")]
    Malformed(String),
}

impl From<ListenAddress> for SocketAddr {
    fn from(address: ListenAddress) -> Self {
        address.0
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let trimmed = text.trim();
        if let Ok(address) = trimmed.parse() {
            return Ok(Self(address));
        }
        if let Ok(port) = trimmed.strip_prefix(':').unwrap_or(trimmed).parse() {
            return Err(InvalidAddress::NoAddress(text.to_owned(), port));
        }
        if trimmed.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Err(InvalidAddress::NoPort(text.to_owned()));
        }
        Err(InvalidAddress::Malformed(text.to_owned()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber {
            expected: "an address with a port, such as `127.0.0.1:9700`",
            text: |text| text.parse().map_err(|error: InvalidAddress| error.to_string()),
            number: |number| number.to_string().parse().map_err(|error: InvalidAddress| error.to_string()),
        })
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ListenAddress {
    fn schema_name() -> Cow<'static, str> {
        "ListenAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An address with its port; port 0 is any that is free.",
            "examples": ["127.0.0.1:9700", "[::1]:9700"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port() {
        for good in ["127.0.0.1:9700", "0.0.0.0:0", "[::1]:9700", " 10.0.0.1:80 "] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good.trim());
        }
    }

    #[test]
    fn what_is_no_address_says_what_is_missing() {
        let refuse = |text: &str| text.parse::<ListenAddress>().unwrap_err().to_string();
        assert_eq!(refuse("::1"), "`::1` needs a port, such as `127.0.0.1:9700` or `[::1]:9700`");
        assert_eq!(refuse("10.0.0.1"), "`10.0.0.1` needs a port, such as `127.0.0.1:9700` or `[::1]:9700`");
        assert_eq!(
            refuse(":9700"),
            "`:9700` needs an address: `127.0.0.1:9700` for this host alone, `0.0.0.0:9700` for everybody"
        );
        for malformed in ["localhost:9700", "", "127.0.0.1:99999", "a b"] {
            let expected = format!("`{malformed}` is no address with a port, such as `127.0.0.1:9700` or `[::1]:9700`");
            assert_eq!(refuse(malformed), expected);
        }
    }

    #[test]
    fn a_bare_port_in_a_file_is_explained_too() {
        let error = serde_json::from_str::<ListenAddress>("9700").unwrap_err().to_string();
        assert!(error.contains("needs an address"), "{error}");
    }
}
