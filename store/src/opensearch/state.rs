//! What the store holds.

use std::collections::BTreeSet;

use serde_json::json;

use super::search::search;
use super::{Inner, following, names};
use crate::error::StoreError;
use crate::query::StoreState;

pub(super) async fn state(inner: &Inner) -> Result<StoreState, StoreError> {
    let product = inner.product().await?;
    let prefix = inner.prefix();
    let path = format!("{prefix}-*/_stats/store?filter_path=indices.*.total.store.size_in_bytes");
    let stats = inner.get(&path).await?;
    let (mut bytes, mut days) = (0, BTreeSet::new());
    for (index, value) in stats["indices"].as_object().into_iter().flatten() {
        let day = names::Kind::ALL.into_iter().find_map(|kind| names::day_of(prefix, kind, index));
        if let Some(day) = day {
            days.insert(day.to_string());
            bytes += value["total"]["store"]["size_in_bytes"].as_u64().unwrap_or(0);
        }
    }
    let body = json!({"size": 0, "aggs": {"records": {"sum": {"field": "records"}}}});
    let removed = search(inner, &names::control_index(prefix), &body, &mut Vec::new()).await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, below 2^53")]
    let removed_records = removed["aggregations"]["records"]["value"].as_f64().unwrap_or(0.0) as u64;
    Ok(StoreState {
        engine: product.engine(),
        place: inner.connection.place.clone(),
        bytes,
        cap_bytes: None,
        cap_days: None,
        days: days.into_iter().collect(),
        removed_records,
        set_aside: Vec::new(),
        end: following::end(inner).await?,
    })
}
