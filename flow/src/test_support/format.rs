//! The files of cases: what stands in them, and how it becomes the types of this crate.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::world::World;
use super::{Case, CaseEndpoint, CaseLedger, CaseRecord, CaseService, InvalidCases, yaml};
use crate::{JoinedFlow, Judgement, LedgerRecord, RawFlow, Unknown, Verdict};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    name: String,
    covers: Vec<String>,
    events: Vec<String>,
    #[serde(default)]
    endpoints: BTreeMap<String, CaseEndpoint>,
    #[serde(default)]
    services: BTreeMap<String, CaseService>,
    #[serde(default)]
    records: Vec<ToldRecord>,
    #[serde(default)]
    ledgers: Vec<ToldLedger>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldRecord {
    source: String,
    dest: String,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    join_unknown: Vec<Unknown>,
    raw: Map<String, Value>,
    #[serde(default)]
    judgement: Option<ToldJudgement>,
    record: Map<String, Value>,
    #[serde(default)]
    complete: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldJudgement {
    egress: String,
    ingress: String,
    #[serde(default)]
    decided_by: Vec<String>,
    #[serde(default)]
    denied_by: Vec<String>,
    #[serde(default)]
    enforced_egress: Vec<String>,
    #[serde(default)]
    enforced_ingress: Vec<String>,
    #[serde(default)]
    pending: Vec<String>,
    #[serde(default)]
    ruleset: Option<String>,
    #[serde(default)]
    settling: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldLedger {
    ledger: Map<String, Value>,
    unexplained: BTreeMap<String, i64>,
    #[serde(default)]
    digest_of_records: bool,
}

/// A message as it lies in a topic, and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The topic.
    pub topic: Topic,
    /// The headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The value.
    pub value: String,
    /// What becomes of it.
    pub fate: Fate,
    /// The identity that it keeps, as `stream#seq`; absent for a foreign message.
    #[serde(default)]
    pub id: Option<String>,
    /// What the error says, in part.
    #[serde(default)]
    pub error: Option<String>,
}

/// The topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Raw records and ledgers.
    Raw,
    /// Flow records and ledgers.
    Enriched,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is read as a flow.
    Flow,
    /// It is read as a ledger.
    Ledger,
    /// It cannot be read and keeps its identity.
    DeadLetter,
    /// It has no identity and is outside the balance.
    Foreign,
}

pub(super) fn load(path: &Path, world: &World) -> Result<Vec<Case>, InvalidCases> {
    let topic = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let file: File = yaml(path)?;
    let told = |case: Told| {
        let name = case.name.clone();
        read(&topic, case, world).map_err(|reason| InvalidCases::Case { path: path.to_owned(), case: name, reason })
    };
    file.cases.into_iter().map(told).collect()
}

fn read(topic: &str, told: Told, world: &World) -> Result<Case, String> {
    let Told { name, covers, events, endpoints, services, records, ledgers, messages } = told;
    let mut all_endpoints = world.endpoints.clone();
    all_endpoints.extend(endpoints);
    let mut all_services = world.services.clone();
    all_services.extend(services);
    let records = records.into_iter().enumerate().map(|(at, told)| {
        record(told, world, &all_endpoints, &all_services).map_err(|reason| format!("record {at}: {reason}"))
    });
    let ledgers = ledgers
        .into_iter()
        .enumerate()
        .map(|(at, told)| ledger(told, world).map_err(|reason| format!("ledger {at}: {reason}")));
    Ok(Case {
        topic: topic.to_owned(),
        name,
        covers,
        events,
        records: records.collect::<Result<_, _>>()?,
        ledgers: ledgers.collect::<Result<_, _>>()?,
        endpoints: all_endpoints,
        services: all_services,
        messages,
    })
}

fn record(
    told: ToldRecord,
    world: &World,
    endpoints: &BTreeMap<String, CaseEndpoint>,
    services: &BTreeMap<String, CaseService>,
) -> Result<CaseRecord, String> {
    let ToldRecord { source, dest, service, join_unknown, raw, judgement, record, complete } = told;
    let raw: RawFlow = serde_json::from_value(over(&world.raw, raw)).map_err(|error| format!("raw: {error}"))?;
    let end = |name: &str| endpoints.get(name).ok_or_else(|| format!("no endpoint `{name}`"));
    let service_ref = match &service {
        Some(name) => Some(services.get(name).ok_or_else(|| format!("no service `{name}`"))?.reference()),
        None => None,
    };
    let joined = JoinedFlow {
        source: end(&source)?.endpoint(Some(raw.source_ip)),
        dest: end(&dest)?.endpoint(raw.destination().map(|d| d.ip)),
        service: service_ref,
        snapshot: world.snapshot.as_str().into(),
        unknown_because: join_unknown,
        raw: raw.clone(),
    };
    let judgement = judgement.map_or_else(|| Ok(Judgement::no_policy_engine()), self::judgement)?;
    Ok(CaseRecord { source, dest, service, raw, joined, judgement, record, complete })
}

fn judgement(told: ToldJudgement) -> Result<Judgement, String> {
    Ok(Judgement {
        egress: verdict(&told.egress)?,
        ingress: verdict(&told.ingress)?,
        decided_by: told.decided_by,
        denied_by: told.denied_by,
        enforced_egress: told.enforced_egress,
        enforced_ingress: told.enforced_ingress,
        pending: told.pending,
        ruleset: told.ruleset.map(Into::into),
        settling: told.settling,
    })
}

/// Reads `allow`, `deny`, `none`, or `unknown:` and the reason.
fn verdict(text: &str) -> Result<Verdict, String> {
    match (text, text.strip_prefix("unknown:")) {
        ("allow", _) => Ok(Verdict::Allow),
        ("deny", _) => Ok(Verdict::Deny),
        ("none", _) => Ok(Verdict::None),
        (_, Some(why)) => serde_json::from_value::<Unknown>(Value::from(why))
            .map(Verdict::Unknown)
            .map_err(|error| format!("verdict `{text}`: {error}")),
        (_, None) => Err(format!("verdict `{text}` is not allow, deny, none or unknown:reason")),
    }
}

fn ledger(told: ToldLedger, world: &World) -> Result<CaseLedger, String> {
    let ToldLedger { ledger, unexplained, digest_of_records } = told;
    let ledger: LedgerRecord =
        serde_json::from_value(over(&world.ledger, ledger)).map_err(|error| error.to_string())?;
    let unexplained = unexplained.into_iter().map(|(account, left)| (account, i128::from(left))).collect();
    Ok(CaseLedger { ledger, unexplained, digest_of_records })
}

/// Lays what a case says over what the world says, objects by their fields.
fn over(base: &Map<String, Value>, top: Map<String, Value>) -> Value {
    let mut merged = base.clone();
    for (name, value) in top {
        match (merged.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => below.extend(above),
            (_, value) => {
                merged.insert(name, value);
            }
        }
    }
    Value::Object(merged)
}
