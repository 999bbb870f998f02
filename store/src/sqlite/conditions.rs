//! The typed filter as SQL over a flow row `f`: the text is made of constants alone, every value is bound.
//!
//! Conditions on what repeats are answered in the dictionary first, once a question, so that a flow row that is not
//! meant costs a look into a set of numbers.

use ipnet::IpNet;
use rusqlite::types::Value;

use super::dictionary::ip_bytes;
use crate::filter::{EndTest, Filter, Keyword, Side, Text};

/// A condition with its values, in order.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// SQL of the form `(…) AND (…)`; never empty.
    pub(super) text: String,
    /// What its question marks stand for.
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Starts with a filter.
    pub(super) fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        conditions.filter(filter);
        conditions
    }

    /// Adds a condition of constant text with one number.
    pub(super) fn and(&mut self, text: &str, value: i64) {
        self.text.push_str(" AND ");
        self.text.push_str(text);
        self.values.push(Value::Integer(value));
    }

    fn filter(&mut self, filter: &Filter) {
        match filter {
            Filter::All(parts) => self.joined(parts, " AND ", "1"),
            Filter::Any(parts) => self.joined(parts, " OR ", "0"),
            Filter::Not(part) => {
                self.text.push_str("NOT ");
                self.filter(part);
            }
            Filter::End(Side::Source, tests) => self.end(&SOURCE, tests),
            Filter::End(Side::Dest, tests) => self.end(&DEST, tests),
            Filter::End(Side::Either, tests) => {
                self.text.push('(');
                self.end(&SOURCE, tests);
                self.text.push_str(" OR ");
                self.end(&DEST, tests);
                self.text.push(')');
            }
            Filter::Keyword(keyword, text) => {
                let place = place_of(*keyword);
                self.text.push_str(place.open);
                self.text(place.column, text);
                self.text.push_str("))");
            }
        }
    }

    fn joined(&mut self, parts: &[Filter], between: &str, empty: &str) {
        self.text.push('(');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.push_str(between);
            }
            self.filter(part);
        }
        if parts.is_empty() {
            self.text.push_str(empty);
        }
        self.text.push(')');
    }

    fn end(&mut self, end: &EndColumns, tests: &[EndTest]) {
        self.text.push_str("(1");
        for test in tests {
            if let EndTest::Port(port) = test {
                self.text.push_str(" AND ");
                self.text.push_str(end.port);
                self.values.push(Value::Integer(i64::from(*port)));
            }
        }
        let mut of_endpoint = tests.iter().filter(|test| !matches!(test, EndTest::Port(_))).peekable();
        if of_endpoint.peek().is_some() {
            self.text.push_str(" AND ");
            self.text.push_str(end.endpoint);
            for test in of_endpoint {
                self.text.push_str(" AND ");
                self.endpoint_test(test);
            }
            self.text.push(')');
        }
        self.text.push(')');
    }

    /// Adds a test on a row `e` of the endpoints.
    fn endpoint_test(&mut self, test: &EndTest) {
        match test {
            EndTest::Namespace(text) => self.text("e.namespace", text),
            EndTest::Name(text) => {
                self.text.push('(');
                self.text("e.name", text);
                self.text.push_str(" OR ");
                self.text("e.name_aggr", text);
                self.text.push(')');
            }
            EndTest::Type(text) => self.text("e.type", text),
            EndTest::Address(net) => self.network(*net),
            EndTest::Port(_) => self.text.push('1'),
            EndTest::Label(text) => {
                self.text.push_str("e.labels IN (SELECT label_set FROM set_labels WHERE ");
                self.text("label", text);
                self.text.push(')');
            }
            EndTest::OwnerKind(text) => self.text("e.owner_kind", text),
            EndTest::OwnerName(text) => self.text("e.owner_name", text),
            EndTest::Node(text) => self.text("e.node", text),
            EndTest::Zone(text) => self.text("e.zone", text),
        }
    }

    /// Compares bytes: collation and the end of text at a zero byte have no part in it.
    fn text(&mut self, column: &str, text: &Text) {
        match text {
            Text::Exact(exact) => {
                self.text.push_str(column);
                self.text.push_str(" = ?");
                self.values.push(Value::Text(exact.clone()));
            }
            Text::Prefix(prefix) => {
                self.text.push_str("substr(CAST(");
                self.text.push_str(column);
                self.text.push_str(" AS BLOB), 1, ?) = ?");
                self.values.push(Value::Integer(i64::try_from(prefix.len()).unwrap_or(i64::MAX)));
                self.values.push(Value::Blob(prefix.as_bytes().to_vec()));
            }
        }
    }

    fn network(&mut self, net: IpNet) {
        let (first, last) = (ip_bytes(net.network()), ip_bytes(net.broadcast()));
        self.text.push_str("(length(e.ip) = ? AND e.ip BETWEEN ? AND ?)");
        self.values.push(Value::Integer(i64::try_from(first.len()).unwrap_or(i64::MAX)));
        self.values.push(Value::Blob(first));
        self.values.push(Value::Blob(last));
    }
}

/// The columns of a flow row that lead to one end.
struct EndColumns {
    endpoint: &'static str,
    port: &'static str,
}

const SOURCE: EndColumns =
    EndColumns { endpoint: "f.source IN (SELECT e.id FROM endpoints e WHERE 1", port: "f.source_port IS ?" };
const DEST: EndColumns =
    EndColumns { endpoint: "f.dest IN (SELECT e.id FROM endpoints e WHERE 1", port: "f.dest_port IS ?" };

/// Where a keyword is kept.
struct Place {
    open: &'static str,
    column: &'static str,
}

fn place_of(keyword: Keyword) -> Place {
    const CONTEXT: &str = "(f.context IN (SELECT k.id FROM contexts k WHERE ";
    const JUDGEMENT: &str = "(f.judgement IN (SELECT k.id FROM judgements k WHERE ";
    let (open, column) = match keyword {
        Keyword::Cluster => (CONTEXT, "k.cluster"),
        Keyword::Host => (CONTEXT, "k.host"),
        Keyword::Reporter => (CONTEXT, "k.reporter"),
        Keyword::Action => (JUDGEMENT, "k.action"),
        Keyword::Protocol => (CONTEXT, "k.proto"),
        Keyword::Outcome => (CONTEXT, "k.outcome"),
        Keyword::DropReason => (CONTEXT, "k.drop_reason"),
        Keyword::Verdict => (JUDGEMENT, "k.verdict"),
        Keyword::VerdictEgress => (JUDGEMENT, "k.verdict_egress"),
        Keyword::VerdictIngress => (JUDGEMENT, "k.verdict_ingress"),
        Keyword::Enforcement => (JUDGEMENT, "k.enforcement"),
        Keyword::Evidence => (JUDGEMENT, "k.evidence"),
        Keyword::Identity => (CONTEXT, "k.identity"),
        Keyword::ServiceName => (CONTEXT, "k.dest_service_name"),
        Keyword::ServiceNamespace => (CONTEXT, "k.dest_service_namespace"),
        Keyword::ProcessName => (CONTEXT, "k.process_name"),
    };
    Place { open, column }
}
