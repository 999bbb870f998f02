//! The formats as others read them: JSON Schema for each kind of value, and AsyncAPI 3 for the topics.
//!
//! The files under `docs/reference/schemas/` are what these functions return; a test compares them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::wire::Headers;
use crate::{FlowRecord, LedgerRecord, RawFlow, Schema};

/// Topic of raw records and ledgers, by default.
pub const RAW_TOPIC: &str = "millrace.flows.raw.v1";
/// Topic of flow records and ledgers, by default.
pub const ENRICHED_TOPIC: &str = "millrace.flows.enriched.v1";
/// Topic of dead letters, by default.
pub const DEAD_LETTER_TOPIC: &str = "millrace.dead-letters.v1";

/// Returns the JSON Schema (draft 2020-12) of a format.
#[must_use]
pub fn json_schema(schema: Schema) -> Value {
    match schema {
        Schema::RawFlow => schema_of::<RawFlow>(schema),
        Schema::Ledger => schema_of::<LedgerRecord>(schema),
        Schema::Flow => schema_of::<FlowRecord>(schema),
    }
}

/// Returns the name of the file that holds the JSON Schema of a format.
#[must_use]
pub fn file_name(schema: Schema) -> String {
    format!("{}.schema.json", schema.as_str().replace('/', ".v"))
}

fn schema_of<T: JsonSchema>(schema: Schema) -> Value {
    // What a writer puts there, not what a reader would bear: a field with a default is still always written, or absent.
    let generated = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut value = generated.to_value();
    // Every value says its format, which the types of raw records and ledgers leave to the wire.
    value["properties"]["schema"] = json!({
        "description": "Format of the record.",
        "type": "string",
        "const": schema.as_str(),
    });
    if let Some(required) = value["required"].as_array_mut()
        && !required.iter().any(|name| name == "schema")
    {
        required.insert(0, json!("schema"));
    }
    value
}

/// Returns the AsyncAPI 3 document of both topics.
#[must_use]
pub fn async_api() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace topics",
            "version": "1.0.0",
            "description": "What Millrace writes to Kafka. The key of every message is the stream, so that a stream lies in one \
                partition, in order. Topic names are settings; these are the defaults. Readers skip fields that they do not \
                know: additions are no new format.",
            "license": { "name": "Apache-2.0" },
        },
        "channels": {
            "raw": channel(RAW_TOPIC, "Raw records and ledgers, from probes.", &[Schema::RawFlow, Schema::Ledger]),
            "enriched": channel(
                ENRICHED_TOPIC,
                "Flow records and ledgers, from the enricher. One raw record gives one flow record; ledgers pass through \
                    untouched, in their place.",
                &[Schema::Flow, Schema::Ledger],
            ),
        },
        "operations": {
            "publishRaw": operation("send", "raw", "A probe publishes what it saw."),
            "publishEnriched": operation("send", "enriched", "The enricher publishes what it named and judged."),
            "readEnriched": operation("receive", "enriched", "The indexer, and anyone else, reads flow records."),
        },
        "components": {
            "messages": Schema::ALL.into_iter().map(|s| (message_name(s).to_owned(), message(s))).collect::<serde_json::Map<_, _>>(),
        },
    })
}

fn channel(address: &str, description: &str, schemas: &[Schema]) -> Value {
    let reference = |s: &Schema| {
        let name = message_name(*s);
        (name.to_owned(), json!({ "$ref": format!("#/components/messages/{name}") }))
    };
    json!({
        "address": address,
        "description": description,
        "messages": schemas.iter().map(reference).collect::<serde_json::Map<_, _>>(),
        "bindings": { "kafka": { "topic": address } },
    })
}

fn operation(action: &str, channel: &str, summary: &str) -> Value {
    json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") }, "summary": summary })
}

fn message(schema: Schema) -> Value {
    let header =
        |description: &str, pattern: &str| json!({ "type": "string", "description": description, "pattern": pattern });
    json!({
        "name": schema.as_str(),
        "contentType": "application/json",
        "summary": match schema {
            Schema::RawFlow => "What a probe saw of one flow key in one window.",
            Schema::Ledger => "What a stream accounts for.",
            Schema::Flow => "One raw record with names and a verdict.",
        },
        "headers": {
            "type": "object",
            "required": [Headers::STREAM, Headers::SEQ, Headers::SCHEMA],
            "properties": {
                Headers::STREAM: header("Who numbered the record: cluster/node/epoch.", "^[^/\\s]+/[^/\\s]+/[0-9]+$"),
                Headers::SEQ: header("Number of the record in its stream, in decimal digits.", "^[0-9]+$"),
                Headers::SCHEMA: { "type": "string", "const": schema.as_str() },
            },
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": { "$ref": format!("./{}", file_name(schema)) },
        },
        "bindings": { "kafka": { "key": { "type": "string", "description": "The stream." } } },
    })
}

fn message_name(schema: Schema) -> &'static str {
    match schema {
        Schema::RawFlow => "rawFlow",
        Schema::Ledger => "ledger",
        Schema::Flow => "flow",
    }
}
