//! A metric for each value of a closed set of labels, all there from the start: a reason that never occurred shows as 0,
//! and none can be added by input.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A closed set of label values.
pub trait Label: Copy + PartialEq + Send + Sync + 'static {
    /// The name of the label, such as `reason`.
    const NAME: &'static str;
    /// All values there are.
    const ALL: &'static [Self];

    /// Returns the value as it is written in metrics.
    fn label(&self) -> &'static str;
}

/// One metric of kind `M` for each value of `L`. Clones are the same metrics; counting takes no lock.
pub struct ByLabel<L, M> {
    metrics: Arc<[(L, M)]>,
    /// Stands in for a value that is missing from [`Label::ALL`]; it is not registered.
    stray: M,
}

impl<L: Copy, M: Clone> Clone for ByLabel<L, M> {
    fn clone(&self) -> Self {
        Self { metrics: Arc::clone(&self.metrics), stray: self.stray.clone() }
    }
}

impl<L: Label, M: fmt::Debug> fmt::Debug for ByLabel<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.metrics.iter().map(|(label, metric)| (label.label(), metric))).finish()
    }
}

impl<L, M> ByLabel<L, M>
where
    L: Label,
    M: EncodeMetric + TypedMetric + Default + Clone + fmt::Debug + Send + Sync + 'static,
{
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family: Family<[(&'static str, &'static str); 1], M> = Family::default();
        let metrics =
            L::ALL.iter().map(|label| (*label, family.get_or_create_owned(&[(L::NAME, label.label())]))).collect();
        registry.register(name, help, family);
        Self { metrics, stray: M::default() }
    }
}

impl<L: Label, M> ByLabel<L, M> {
    /// Returns the metric of one value.
    pub fn of(&self, label: L) -> &M {
        self.metrics.iter().find(|(known, _)| *known == label).map_or(&self.stray, |(_, metric)| metric)
    }
}
