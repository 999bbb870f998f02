//! Index templates, made from the field table. `index-templates/` holds what this gives for the default prefix.

use flow::fields::{self, Field, FieldType, Role};
use opensearch::http::Method;
use serde_json::{Map, Value, json};

use super::connection::Body;
use super::{Inner, OpenSearchStore, names};
use crate::error::{Fate, StoreError};

/// Version of the templates; raised by every change, which may only add.
pub const VERSION: u64 = 1;

/// Which dialect of templates a cluster takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// OpenSearch from 3.2 on: derived source.
    OpenSearch3,
    /// OpenSearch before 3.2.
    OpenSearch2,
    /// Elasticsearch.
    Elasticsearch,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenSearch3, Self::OpenSearch2, Self::Elasticsearch];

    /// Returns the folder of its files in `index-templates/`.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::OpenSearch3 => "opensearch-3.2",
            Self::OpenSearch2 => "opensearch-2",
            Self::Elasticsearch => "elasticsearch",
        }
    }
}

/// One template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// `_component_template` or `_index_template`.
    pub endpoint: &'static str,
    /// Its name.
    pub name: String,
    /// Its body.
    pub body: Value,
}

/// What applying would do to one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is not there and will be made.
    Create,
    /// It is older or was changed, and will be replaced.
    Update,
    /// It is as it should be.
    Keep,
    /// It is newer than ours and is left alone.
    LeaveNewer,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The template.
    pub template: Template,
    /// What would be done.
    pub step: Step,
}

/// Returns all templates of a flavour in the order in which they must be put.
#[must_use]
pub fn all(flavour: Flavour, prefix: &str) -> Vec<Template> {
    let component = |name: &str, template: Value| Template {
        endpoint: "_component_template",
        name: format!("{prefix}-{name}"),
        body: json!({"version": VERSION, "_meta": meta(), "template": template}),
    };
    let settings = json!({"settings": {"index": {
        "number_of_shards": "1",
        "auto_expand_replicas": "0-1",
        "refresh_interval": "1s",
        "codec": "best_compression",
    }}});
    let mut flow_settings = json!({
        "mapping": {"total_fields": {"limit": "200"}},
        // Like beside like compresses; new records first within an end is of no use to anybody.
        "sort": {"field": ["stream", "@timestamp"], "order": ["asc", "asc"]},
    });
    if flavour == Flavour::OpenSearch3 {
        flow_settings["derived_source"] = json!({"enabled": "true"});
    }
    let mut templates = vec![
        component("settings", settings),
        component(
            "flows-mappings",
            json!({"settings": {"index": flow_settings}, "mappings": strict(&flow_properties())}),
        ),
        component("ledger-mappings", json!({"mappings": strict(&ledger_properties())})),
        component("dead-letters-mappings", json!({"mappings": strict(&letter_properties())})),
        component("removed-mappings", json!({"mappings": strict(&removed_properties())})),
    ];
    let kinds = names::Kind::ALL.map(|kind| (kind.word(), names::pattern(prefix, kind)));
    for (word, pattern) in kinds.into_iter().chain([("removed", names::control_index(prefix))]) {
        templates.push(Template {
            endpoint: "_index_template",
            name: format!("{prefix}-{word}"),
            body: json!({
                "index_patterns": [pattern],
                "composed_of": [format!("{prefix}-settings"), format!("{prefix}-{word}-mappings")],
                // Above what comes with the products, below what an operator puts over it on purpose.
                "priority": 300,
                "version": VERSION,
                "_meta": meta(),
            }),
        });
    }
    templates
}

fn meta() -> Value {
    json!({"made_by": "millrace", "version": VERSION})
}

/// An unknown field is refused, and the version can be read from every index.
fn strict(properties: &Map<String, Value>) -> Value {
    json!({"dynamic": "strict", "_meta": {"millrace_version": VERSION}, "properties": properties})
}

fn flow_properties() -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields::FIELDS {
        match field.name.split_once('.') {
            Some((object, inner)) => {
                properties[object]["properties"][inner] = property(field);
            }
            None => {
                properties.insert(field.name.to_owned(), property(field));
            }
        }
    }
    properties
}

fn property(field: &Field) -> Value {
    let mut property = json!({"type": field.kind.index_type()});
    if field.kind == FieldType::Object {
        return json!({"properties": {}});
    }
    if let Some(format) = field.kind.date_format() {
        property["format"] = json!(format);
    }
    // Numbers that are summed and hardly searched for: a range still finds them, in the columns.
    let quantity = matches!(field.role, Role::Volume | Role::Tcp) || field.name.starts_with("num_");
    if quantity && field.kind == FieldType::Long {
        property["index"] = json!(false);
    }
    property
}

fn common_properties() -> Map<String, Value> {
    let mut properties = Map::new();
    for name in ["@timestamp", "cluster", "host", "stream", "seq"] {
        if let Some(field) = fields::field(name) {
            properties.insert(name.to_owned(), property(field));
        }
    }
    properties
}

fn ledger_properties() -> Map<String, Value> {
    let mut properties = common_properties();
    properties.insert("from_seq".to_owned(), json!({"type": "long"}));
    properties.insert("closing".to_owned(), json!({"type": "boolean"}));
    // Read whole, never searched.
    properties.insert("ledger".to_owned(), json!({"type": "object", "enabled": false}));
    properties
}

fn letter_properties() -> Map<String, Value> {
    let mut properties = common_properties();
    for name in ["key", "stage", "reason", "topic"] {
        properties.insert(name.to_owned(), json!({"type": "keyword"}));
    }
    for name in ["partition", "offset"] {
        properties.insert(name.to_owned(), json!({"type": "long"}));
    }
    // Of any length.
    properties.insert("detail".to_owned(), json!({"type": "keyword", "index": false, "doc_values": false}));
    for name in ["value", "large_value"] {
        properties.insert(name.to_owned(), json!({"type": "binary"}));
    }
    properties
}

fn removed_properties() -> Map<String, Value> {
    let mut properties = Map::new();
    for name in ["stream", "day", "kind"] {
        properties.insert(name.to_owned(), json!({"type": "keyword"}));
    }
    for name in ["first", "last", "records"] {
        properties.insert(name.to_owned(), json!({"type": "long"}));
    }
    properties
}

/// Returns what [`apply`] would do.
///
/// # Errors
/// Returns [`StoreError`] if the cluster cannot be asked.
pub async fn plan(store: &OpenSearchStore) -> Result<Vec<Planned>, StoreError> {
    let inner = &store.inner;
    let flavour = inner.product().await?.flavour();
    let mut planned = Vec::new();
    for template in all(flavour, inner.prefix()) {
        let found = inner.connection.find(Method::Get, &format!("{}/{}", template.endpoint, template.name)).await?;
        let step = match found.and_then(|found| version_in(&found)) {
            None => Step::Create,
            Some(version) if version > VERSION => Step::LeaveNewer,
            Some(version) if version < VERSION => Step::Update,
            Some(_) => Step::Keep,
        };
        planned.push(Planned { template, step });
    }
    Ok(planned)
}

/// Puts every template that is missing or older; returns what was done.
///
/// # Errors
/// Returns [`StoreError`] if the cluster refuses one; those before it are put.
pub async fn apply(store: &OpenSearchStore) -> Result<Vec<Planned>, StoreError> {
    let planned = plan(store).await?;
    for Planned { template, step } in &planned {
        if matches!(step, Step::Create | Step::Update) {
            let path = format!("{}/{}", template.endpoint, template.name);
            store.inner.connection.json(Method::Put, &path, Body::Json(&template.body)).await?;
        }
    }
    store.inner.forget_indices();
    Ok(planned)
}

/// Checks that every index template is there and not older than ours.
pub(super) async fn check(inner: &Inner) -> Result<(), StoreError> {
    let words = names::Kind::ALL.map(names::Kind::word).into_iter().chain(["removed"]);
    for word in words {
        let name = format!("{}-{word}", inner.prefix());
        let found = inner.connection.find(Method::Get, &format!("_index_template/{name}")).await?;
        let problem = match found.as_ref().and_then(version_in) {
            None => "is missing".to_owned(),
            Some(version) if version < VERSION => format!("has version {version}, this build needs {VERSION}"),
            Some(_) => continue,
        };
        let text = format!("index template `{name}` {problem}: run `millrace templates apply`");
        return Err(inner.connection.error("write", Fate::Blocked, text));
    }
    Ok(())
}

fn version_in(answer: &Value) -> Option<u64> {
    let list = answer["index_templates"].as_array().or_else(|| answer["component_templates"].as_array())?;
    let entry = list.first()?;
    let version =
        entry["index_template"]["version"].as_u64().or_else(|| entry["component_template"]["version"].as_u64());
    // One that somebody made without a version is older than all of ours.
    Some(version.unwrap_or(0))
}
