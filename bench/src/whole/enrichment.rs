//! The pure middle of the enricher, without a bus: what the limits write must be what the product writes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, ensure};
use bus::{Delivered, Header, Record};
use cluster::History;
use enricher::enrich::{Outcome, Rules, enrich};
use enricher::{EnricherMetrics, EnricherSettings, Folder, RawEnricherSettings};
use flow::wire::{Headers, RawValue};
use service::metrics::MetricsBuilder;
use service::settings::Problems;

use crate::input::unix_now;

/// The metadata of a folder of manifests, and the enricher's rules.
pub(super) struct Enrichment {
    history: Arc<History>,
    rules: Rules,
    topic: Arc<str>,
}

impl Enrichment {
    /// Reads the manifests.
    pub(super) fn of(manifests: &Path) -> anyhow::Result<Self> {
        let mut problems = Problems::default();
        let raw = RawEnricherSettings { manifests: Some(manifests.to_owned()), ..RawEnricherSettings::default() };
        let settings = EnricherSettings::resolve(raw, &mut problems);
        let mut metrics = MetricsBuilder::new(env!("CARGO_PKG_VERSION"), "bench".to_owned());
        let metrics = EnricherMetrics::register(metrics.component(enricher::metrics::COMPONENT));
        let (rules, topic) = (settings.rules(), Arc::clone(&settings.raw_topic));
        let folder = Folder::open(settings.folder, metrics);
        ensure!(folder.invalid().is_empty(), "the generated manifests are not valid: {:?}", folder.invalid().first());
        let history = Arc::clone(&folder.histories().borrow());
        Ok(Self { history, rules, topic })
    }

    /// Puts a raw value into a message, as the probe does.
    pub(super) fn message(&self, value: &RawValue, bytes: Vec<u8>) -> Delivered {
        let headers = value.headers();
        let key = headers.stream.to_string();
        let record = Record {
            topic: Arc::clone(&self.topic),
            key: key.into(),
            headers: pairs(&headers),
            value: bytes.into(),
            timestamp_ms: i64::try_from(unix_now().0).unwrap_or(i64::MAX),
        };
        Delivered { partition: 0, offset: headers.seq, record }
    }

    /// Makes the enriched message of a raw one.
    pub(super) fn enrich(&self, message: &Delivered) -> anyhow::Result<Delivered> {
        match enrich(message, &self.history, &self.rules) {
            (record, Outcome::Flow(_)) => Ok(Delivered { partition: 0, offset: message.offset, record }),
            (_, other) => Err(anyhow!("a generated record became {other:?}")),
        }
    }
}

fn pairs(headers: &Headers) -> Vec<Header> {
    headers.pairs().into_iter().map(|(name, value)| Header::new(name, value)).collect()
}
