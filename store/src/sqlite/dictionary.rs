//! What repeats from record to record is stored once a day file and referred to by number.

use std::collections::HashMap;
use std::net::IpAddr;

use flow::FlowRecord;
use flow::record::{Labels, Policies};
use rusqlite::{Connection, ToSql, params};
use serde::{Deserialize, Serialize};

use super::content::{ContentHasher, ContentKey};

/// The most entries that a cache keeps before it starts anew: about 3 MiB for all caches of a file.
const CACHED: usize = 32_768;

/// The numbers of a flow record's repeating parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct References {
    pub(super) context: i64,
    pub(super) source: i64,
    pub(super) dest: i64,
    pub(super) judgement: i64,
}

/// The lists of a judgement, stored as one text.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Lists {
    #[serde(default)]
    pub(super) policies: Policies,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) decided_by: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) denied_by: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unknown_because: Vec<String>,
}

/// Numbers by content key, bounded. What was learnt in a transaction that failed must be forgotten.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    streams: HashMap<String, i64>,
    label_sets: HashMap<ContentKey, i64>,
    endpoints: HashMap<ContentKey, i64>,
    contexts: HashMap<ContentKey, i64>,
    judgements: HashMap<ContentKey, i64>,
}

impl Dictionaries {
    /// Forgets everything: after a rollback the numbers are not in the file.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of a stream.
    pub(super) fn stream(&mut self, file: &Connection, stream: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.streams.get(stream) {
            return Ok(*id);
        }
        file.prepare_cached("INSERT OR IGNORE INTO streams (stream) VALUES (?1)")?.execute([stream])?;
        let id =
            file.prepare_cached("SELECT id FROM streams WHERE stream = ?1")?.query_row([stream], |row| row.get(0))?;
        bound(&mut self.streams);
        self.streams.insert(stream.to_owned(), id);
        Ok(id)
    }

    /// Returns the numbers of a record's repeating parts, and stores those that are new.
    pub(super) fn references(&mut self, file: &Connection, record: &FlowRecord) -> rusqlite::Result<References> {
        let source = self.endpoint(file, &Side::source(record))?;
        let dest = self.endpoint(file, &Side::dest(record))?;
        Ok(References { context: self.context(file, record)?, source, dest, judgement: self.judgement(file, record)? })
    }

    fn labels(&mut self, file: &Connection, labels: &Labels) -> rusqlite::Result<i64> {
        let key = ContentHasher::new().list(&labels.labels).finish();
        if let Some(id) = self.label_sets.get(&key) {
            return Ok(*id);
        }
        let text = json(&labels.labels)?;
        let (id, new) = number(file, &LABEL_SET, &key, &[&key, &text])?;
        if new {
            let mut insert =
                file.prepare_cached("INSERT OR IGNORE INTO set_labels (label, label_set) VALUES (?1, ?2)")?;
            for label in &labels.labels {
                insert.execute(params![label, id])?;
            }
        }
        bound(&mut self.label_sets);
        self.label_sets.insert(key, id);
        Ok(id)
    }

    fn endpoint(&mut self, file: &Connection, side: &Side<'_>) -> rusqlite::Result<i64> {
        let ip = side.ip.map(ip_bytes);
        let hasher = match &ip {
            Some(ip) => ContentHasher::new().bytes(ip),
            None => ContentHasher::new().option(None),
        };
        let hasher = hasher.text(side.name).text(side.name_aggr).text(side.namespace).text(side.kind);
        let hasher = hasher.option(side.owner_kind).option(side.owner_name).option(side.node).option(side.zone);
        let key = match side.labels {
            Some(labels) => hasher.list(&labels.labels).finish(),
            None => hasher.option(None).finish(),
        };
        if let Some(id) = self.endpoints.get(&key) {
            return Ok(*id);
        }
        let labels = side.labels.map(|labels| self.labels(file, labels)).transpose()?;
        let values: &[&dyn ToSql] = &[
            &key,
            &ip,
            &side.name,
            &side.name_aggr,
            &side.namespace,
            &side.kind,
            &side.owner_kind,
            &side.owner_name,
            &side.node,
            &side.zone,
            &labels,
        ];
        let (id, _) = number(file, &ENDPOINT, &key, values)?;
        bound(&mut self.endpoints);
        self.endpoints.insert(key, id);
        Ok(id)
    }

    fn context(&mut self, file: &Connection, record: &FlowRecord) -> rusqlite::Result<i64> {
        let port = record.dest_service_port_num;
        let key = ContentHasher::new()
            .text(&record.schema)
            .text(&record.cluster)
            .text(&record.host)
            .text(&record.reporter)
            .text(&record.proto)
            .text(&record.outcome)
            .option(record.drop_reason.as_deref())
            .text(&record.identity)
            .text(&record.snapshot)
            .text(&record.dest_service_name)
            .text(&record.dest_service_namespace)
            .text(&record.dest_service_port)
            .bytes(&port.map_or([0xff; 4], |port| u32::from(port).to_le_bytes()))
            .text(&record.process_name)
            .finish();
        if let Some(id) = self.contexts.get(&key) {
            return Ok(*id);
        }
        let values: &[&dyn ToSql] = &[
            &key,
            &record.schema,
            &record.cluster,
            &record.host,
            &record.reporter,
            &record.proto,
            &record.outcome,
            &record.drop_reason,
            &record.identity,
            &record.snapshot,
            &record.dest_service_name,
            &record.dest_service_namespace,
            &record.dest_service_port,
            &port,
            &record.process_name,
        ];
        let (id, _) = number(file, &CONTEXT, &key, values)?;
        bound(&mut self.contexts);
        self.contexts.insert(key, id);
        Ok(id)
    }

    fn judgement(&mut self, file: &Connection, record: &FlowRecord) -> rusqlite::Result<i64> {
        let policies = &record.policies;
        let key = ContentHasher::new()
            .text(&record.action)
            .text(&record.verdict)
            .text(&record.verdict_egress)
            .text(&record.verdict_ingress)
            .text(&record.enforcement)
            .text(&record.evidence)
            .option(record.ruleset.as_deref())
            .list(&policies.all_policies)
            .list(&policies.enforced_policies)
            .list(&policies.pending_policies)
            .list(&policies.transit_policies)
            .list(&policies.egress)
            .list(&policies.ingress)
            .list(&record.decided_by)
            .list(&record.denied_by)
            .list(&record.unknown_because)
            .finish();
        if let Some(id) = self.judgements.get(&key) {
            return Ok(*id);
        }
        let lists = json(&Lists {
            policies: policies.clone(),
            decided_by: record.decided_by.clone(),
            denied_by: record.denied_by.clone(),
            unknown_because: record.unknown_because.clone(),
        })?;
        let values: &[&dyn ToSql] = &[
            &key,
            &record.action,
            &record.verdict,
            &record.verdict_egress,
            &record.verdict_ingress,
            &record.enforcement,
            &record.evidence,
            &record.ruleset,
            &lists,
        ];
        let (id, _) = number(file, &JUDGEMENT, &key, values)?;
        bound(&mut self.judgements);
        self.judgements.insert(key, id);
        Ok(id)
    }
}

/// How a dictionary is asked and how it grows.
struct Table {
    find: &'static str,
    insert: &'static str,
}

const LABEL_SET: Table = Table {
    find: "SELECT id FROM label_sets WHERE key = ?1",
    insert: "INSERT INTO label_sets (key, labels) VALUES (?1, ?2)",
};
const ENDPOINT: Table = Table {
    find: "SELECT id FROM endpoints WHERE key = ?1",
    insert:
        "INSERT INTO endpoints (key, ip, name, name_aggr, namespace, type, owner_kind, owner_name, node, zone, labels)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
};
const CONTEXT: Table = Table {
    find: "SELECT id FROM contexts WHERE key = ?1",
    insert:
        "INSERT INTO contexts (key, schema, cluster, host, reporter, proto, outcome, drop_reason, identity, snapshot,
               dest_service_name, dest_service_namespace, dest_service_port, dest_service_port_num, process_name)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
};
const JUDGEMENT: Table = Table {
    find: "SELECT id FROM judgements WHERE key = ?1",
    insert: "INSERT INTO judgements (key, action, verdict, verdict_egress, verdict_ingress, enforcement, evidence,
               ruleset, lists)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
};

/// Finds the number of a content, or stores it; says whether it is new.
fn number(file: &Connection, table: &Table, key: &ContentKey, values: &[&dyn ToSql]) -> rusqlite::Result<(i64, bool)> {
    let mut find = file.prepare_cached(table.find)?;
    let mut rows = find.query([key])?;
    if let Some(row) = rows.next()? {
        return Ok((row.get(0)?, false));
    }
    file.prepare_cached(table.insert)?.execute(values)?;
    Ok((file.last_insert_rowid(), true))
}

fn bound<K, V>(cache: &mut HashMap<K, V>) {
    if cache.len() >= CACHED {
        cache.clear();
    }
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Returns an address as 4 or 16 bytes, in an order in which a network is a range.
pub(super) fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Returns the address of 4 or 16 bytes.
pub(super) fn ip_of_bytes(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// One end of a record as it is stored.
struct Side<'a> {
    ip: Option<IpAddr>,
    name: &'a str,
    name_aggr: &'a str,
    namespace: &'a str,
    kind: &'a str,
    owner_kind: Option<&'a str>,
    owner_name: Option<&'a str>,
    node: Option<&'a str>,
    zone: Option<&'a str>,
    labels: Option<&'a Labels>,
}

impl<'a> Side<'a> {
    fn source(record: &'a FlowRecord) -> Self {
        Self {
            ip: record.source_ip,
            name: &record.source_name,
            name_aggr: &record.source_name_aggr,
            namespace: &record.source_namespace,
            kind: &record.source_type,
            owner_kind: record.source_owner_kind.as_deref(),
            owner_name: record.source_owner_name.as_deref(),
            node: record.source_node.as_deref(),
            zone: record.source_zone.as_deref(),
            labels: record.source_labels.as_ref(),
        }
    }

    fn dest(record: &'a FlowRecord) -> Self {
        Self {
            ip: record.dest_ip,
            name: &record.dest_name,
            name_aggr: &record.dest_name_aggr,
            namespace: &record.dest_namespace,
            kind: &record.dest_type,
            owner_kind: record.dest_owner_kind.as_deref(),
            owner_name: record.dest_owner_name.as_deref(),
            node: record.dest_node.as_deref(),
            zone: record.dest_zone.as_deref(),
            labels: record.dest_labels.as_ref(),
        }
    }
}
