//! Which product answers.

use opensearch::http::Method;
use serde_json::Value;

use super::connection::{Body, Connection};
use super::templates::Flavour;
use crate::error::{Fate, StoreError};

/// A product that the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductKind {
    /// OpenSearch.
    OpenSearch,
    /// Elasticsearch.
    Elasticsearch,
}

/// What answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Which one.
    pub kind: ProductKind,
    /// Its version: `3.8.0`.
    pub version: String,
}

impl Product {
    /// Returns the dialect of its templates.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        match self.kind {
            ProductKind::Elasticsearch => Flavour::Elasticsearch,
            ProductKind::OpenSearch if numbers(&self.version) >= (3, 2) => Flavour::OpenSearch3,
            ProductKind::OpenSearch => Flavour::OpenSearch2,
        }
    }

    /// Returns the engine's name.
    pub(super) fn engine(&self) -> &'static str {
        match self.kind {
            ProductKind::OpenSearch => "opensearch",
            ProductKind::Elasticsearch => "elasticsearch",
        }
    }
}

fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Asks `GET /`; where that is not there, a node.
pub(super) async fn ask(connection: &Connection) -> Result<Product, StoreError> {
    let reply = connection.send(Method::Get, "", Body::None).await?;
    // A minimal distribution of Elasticsearch has no such page.
    let product = if matches!(reply.status, 404 | 405) {
        let nodes = connection.json(Method::Get, "_nodes/_local?filter_path=nodes.*.version", Body::None).await?;
        let version = nodes["nodes"].as_object().and_then(|nodes| nodes.values().next());
        version
            .and_then(|node| node["version"].as_str())
            .map(|version| Product { kind: ProductKind::Elasticsearch, version: version.to_owned() })
    } else {
        of_root(&connection.accepted(&reply, "ask")?)
    };
    let product = product
        .ok_or_else(|| connection.error("ask", Fate::Blocked, "neither OpenSearch nor Elasticsearch".to_owned()))?;
    let oldest = match product.kind {
        ProductKind::OpenSearch => (2, 11),
        ProductKind::Elasticsearch => (8, 0),
    };
    if numbers(&product.version) < oldest {
        let text = format!("{} {} is too old: {}.{} or newer", product.engine(), product.version, oldest.0, oldest.1);
        return Err(connection.error("ask", Fate::Blocked, text));
    }
    Ok(product)
}

fn of_root(root: &Value) -> Option<Product> {
    let version = root["version"]["number"].as_str()?.to_owned();
    let kind = match root["version"]["distribution"].as_str() {
        Some("opensearch") => ProductKind::OpenSearch,
        Some(_) => return None,
        None => ProductKind::Elasticsearch,
    };
    Some(Product { kind, version })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn products_are_told_apart() {
        let of = |root| of_root(&root).map(|product| (product.engine(), product.flavour()));
        let opensearch = |number: &str| json!({"version": {"number": number, "distribution": "opensearch"}});
        assert_eq!(of(opensearch("3.8.0")), Some(("opensearch", Flavour::OpenSearch3)));
        assert_eq!(of(opensearch("3.1.0")), Some(("opensearch", Flavour::OpenSearch2)));
        assert_eq!(of(opensearch("2.19.4")), Some(("opensearch", Flavour::OpenSearch2)));
        let elasticsearch = json!({"version": {"number": "9.5.3", "build_flavor": "default"}});
        assert_eq!(of(elasticsearch), Some(("elasticsearch", Flavour::Elasticsearch)));
        assert_eq!(of(json!({"version": {"number": "1", "distribution": "other"}})), None);
        assert_eq!(of(json!({})), None);
    }
}
