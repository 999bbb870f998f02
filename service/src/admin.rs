//! The admin server: `/livez`, `/readyz`, `/metrics`, for supervisors and Prometheus.
//!
//! It has no authentication and shows no flow, no label and no setting; it listens on loopback unless told otherwise.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::health::{Health, Report};
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::settings::ListenAddress;
use crate::shutdown::Token;

/// Where it listens by default.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9700);

/// The section `admin` as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdminSettings {
    /// Where `/livez`, `/readyz` and `/metrics` are served. Whoever can connect can read the metrics.
    pub address: Option<ListenAddress>,
}

/// The section `admin`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminSettings {
    /// Where it listens.
    pub address: ListenAddress,
}

impl AdminSettings {
    /// Fills in what the section leaves open; every address that can be read is a good one.
    pub fn resolve(raw: &RawAdminSettings) -> Self {
        Self { address: raw.address.unwrap_or(DEFAULT_ADDRESS.into()) }
    }
}

/// An admin server that has its address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

/// It cannot listen there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin server")]
pub struct CannotListen {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

#[derive(Clone)]
struct Shown {
    health: Health,
    metrics: Metrics,
}

impl Admin {
    /// Takes the address; port 0 takes any that is free.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn bind(address: impl Into<SocketAddr>) -> Result<Self, CannotListen> {
        let address = address.into();
        let failed = |source| CannotListen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Returns the address that it has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the end is asked for.
    ///
    /// # Errors
    /// If the system no longer lets it listen.
    pub async fn serve(self, health: Health, metrics: Metrics, stop: Token) -> io::Result<()> {
        tracing::info!(address = %self.address, "admin server listens");
        let app = router(health, metrics);
        // Open connections are kept alive by scrapers and have nothing to finish: the end is not waited for.
        tokio::select! {
            served = axum::serve(self.listener, app).into_future() => served,
            () = stop.requested() => Ok(()),
        }
    }
}

fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(async |State(shown): State<Shown>| answer(&shown.health.liveness_report(), "alive\n")))
        .route("/readyz", get(async |State(shown): State<Shown>| answer(&shown.health.readiness(), "ready\n")))
        .route(
            "/metrics",
            get(async |State(shown): State<Shown>| ([(header::CONTENT_TYPE, CONTENT_TYPE)], shown.metrics.render())),
        )
        .with_state(Shown { health, metrics })
}

/// Answers 200 or 503, with the list either way.
fn answer(report: &Report, well: &'static str) -> impl IntoResponse + use<> {
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = if report.states.is_empty() { well.to_owned() } else { report.to_string() };
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}

#[cfg(test)]
mod tests;
