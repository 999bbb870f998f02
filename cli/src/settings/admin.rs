//! Section `admin`: where liveness, readiness and metrics are served.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::admin::DEFAULT_ADDRESS;
use service::settings::Problems;

/// The section `admin` as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAdminSettings {
    /// Address and port, or `off`; port 0 takes any that is free. It has no authentication: keep it on loopback, or where
    /// only scrapers reach it. Default: `127.0.0.1:9700`.
    listen: Option<String>,
}

/// The section `admin`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminSettings {
    /// Where to listen; absent where nothing listens.
    pub(crate) listen: Option<SocketAddr>,
}

impl Serialize for AdminSettings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let listen = self.listen.map_or_else(|| "off".to_owned(), |address| address.to_string());
        RawAdminSettings { listen: Some(listen) }.serialize(serializer)
    }
}

impl AdminSettings {
    pub(super) fn resolve(raw: &RawAdminSettings, problems: &mut Problems) -> Self {
        let listen = match raw.listen.as_deref() {
            None => Some(DEFAULT_ADDRESS),
            Some("off") => None,
            Some(text) => {
                let address = text.parse().map_err(|_| {
                    format!("`{text}` is no address with a port, such as 127.0.0.1:9700 or [::1]:9700, and not `off`")
                });
                problems.take("admin.listen", address)
            }
        };
        Self { listen }
    }
}
