//! The metrics of a process: one registry, filled by the roles, read by the admin server.
//!
//! Each crate has a `metrics.rs` with all its metrics; it registers them in the sub-registry of its component, which
//! puts `millrace_<component>_` in front of the names. Counters get `_total` behind theirs.

mod by_label;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use by_label::{ByLabel, Label};
pub use prometheus_client;

/// The first word of all names.
const PREFIX: &str = "millrace";

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that is being filled.
#[derive(Debug)]
pub struct MetricsBuilder {
    registry: Registry,
}

/// A filled registry. Clones are the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
}

impl MetricsBuilder {
    /// Makes a registry with `millrace_build_info`.
    pub fn new(version: &'static str, roles: String) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let info = Info::new([("version", version.to_owned()), ("roles", roles)]);
        registry.register("build", "What this process is", info);
        Self { registry }
    }

    /// Returns the registry of one component, such as `probe`; its name is put in front of what is registered there.
    pub fn component(&mut self, name: &str) -> &mut Registry {
        self.registry.sub_registry_with_prefix(name)
    }

    /// Ends the filling.
    pub fn build(self) -> Metrics {
        Metrics { registry: Arc::new(self.registry) }
    }
}

impl Metrics {
    /// Returns all metrics as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only if a metric's own encoding does; what was written until then is of use.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("cannot encode all metrics");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Reason {
        RingFull,
        Shed,
    }

    impl Label for Reason {
        const NAME: &'static str = "reason";
        const ALL: &'static [Self] = &[Self::RingFull, Self::Shed];

        fn label(&self) -> &'static str {
            match self {
                Self::RingFull => "ring_full",
                Self::Shed => "shed",
            }
        }
    }

    #[test]
    fn names_carry_product_and_component_and_labels_are_there_from_the_start() {
        let mut builder = MetricsBuilder::new("0.1.0", "probe".to_owned());
        let registry = builder.component("probe");
        let lost: ByLabel<Reason, Counter> = ByLabel::register(registry, "lost_events", "Events lost");
        let depth: Gauge = Gauge::default();
        registry.register("queue_records", "Records that wait", depth.clone());
        let metrics = builder.build();
        lost.of(Reason::Shed).inc_by(3);
        depth.set(7);

        let text = metrics.render();
        for expected in [
            "# TYPE millrace_build info\nmillrace_build_info{version=\"0.1.0\",roles=\"probe\"} 1\n",
            "# HELP millrace_probe_lost_events Events lost.\n# TYPE millrace_probe_lost_events counter\n",
            "\nmillrace_probe_lost_events_total{reason=\"ring_full\"} 0\n",
            "\nmillrace_probe_lost_events_total{reason=\"shed\"} 3\n",
            "# TYPE millrace_probe_queue_records gauge\nmillrace_probe_queue_records 7\n",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }
}
