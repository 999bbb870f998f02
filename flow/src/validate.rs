//! What holds of every record, whoever wrote it. Only what really always holds is here: a record that breaks one of
//! these becomes a dead letter.

use std::net::IpAddr;

use crate::{AttemptAccount, Counters, FlowRecord, LedgerRecord, Outcome, Protocol, RawFlow, Schema, UnixMs};

/// The most source ports that a merged record lists.
pub const MAX_SOURCE_PORTS: usize = 8;
/// The longest keyword in bytes: Lucene refuses a longer term, and with it the whole document.
pub const MAX_KEYWORD_BYTES: usize = 32_766;

/// What a record says that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// The time ends before it begins.
    #[error("`{end}` lies before `{start}`")]
    Backwards {
        /// Field of the begin.
        start: &'static str,
        /// Field of the end.
        end: &'static str,
    },
    /// Two fields that say the same thing differ.
    #[error("`{field}` does not agree with `{other}`")]
    Disagree {
        /// The field.
        field: &'static str,
        /// The field it must agree with.
        other: &'static str,
    },
    /// A raw record has no destination at all.
    #[error("`translated` and `original` are both absent")]
    NoDestination,
    /// A field belongs to another protocol.
    #[error("`{field}` does not belong to protocol {protocol}")]
    NotOfProtocol {
        /// The field.
        field: &'static str,
        /// The protocol.
        protocol: Protocol,
    },
    /// Source ports are too many, unsorted or repeated.
    #[error("`source_ports` must be at most {MAX_SOURCE_PORTS} ports, ascending, each once")]
    SourcePorts,
    /// An IPv4 address is written as IPv6.
    #[error("`{0}` is an IPv4-mapped IPv6 address")]
    MappedAddress(&'static str),
    /// A count is greater than the count it is a part of.
    #[error("`{part}` is greater than `{whole}`")]
    PartExceedsWhole {
        /// The part.
        part: &'static str,
        /// The whole.
        whole: &'static str,
    },
    /// An outcome that starts nothing starts something.
    #[error("outcome `{}` must not count `flows_started`", .0.as_str())]
    Started(Outcome),
    /// A digest is no SHA-256 in lower-case hexadecimal.
    #[error("`digest` is not 64 lower-case hexadecimal digits")]
    Digest,
    /// Two accounts of one protocol and direction.
    #[error("`attempts` has two accounts of protocol {protocol} direction {direction}")]
    TwoAccounts {
        /// The protocol.
        protocol: Protocol,
        /// The direction's label.
        direction: &'static str,
    },
    /// A stream names itself as the incarnation before.
    #[error("`predecessor` is the stream itself")]
    OwnPredecessor,
    /// A flow record is of another format.
    #[error("`schema` is not {}", Schema::Flow)]
    Schema,
    /// A keyword is empty, which no keyword ever is (`-` is "not applicable").
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// A keyword is longer than an index takes.
    #[error("`{0}` has a keyword of more than {MAX_KEYWORD_BYTES} bytes")]
    LongKeyword(&'static str),
}

impl RawFlow {
    /// Says whether the record holds what every raw record holds: times run forward; there is a destination; addresses are
    /// in their shortest family; ports and ICMP fields belong to the protocol; source ports are few and ascending;
    /// completed and started attempts are among the active ones and aborted among the completed; `pending` and
    /// `preexisting` start nothing.
    ///
    /// # Errors
    /// Returns the first [`InvalidRecord`].
    pub fn validate(&self) -> Result<(), InvalidRecord> {
        forward("start_time", self.start_time, "end_time", self.end_time)?;
        forward("oldest_start", self.oldest_start, "newest_start", self.newest_start)?;
        self.validate_ends()?;
        self.validate_protocol()?;
        let ascending = self.source_ports.windows(2).all(|pair| pair[0] < pair[1]);
        if self.source_ports.len() > MAX_SOURCE_PORTS || !ascending {
            return Err(InvalidRecord::SourcePorts);
        }
        if matches!(self.outcome, Outcome::Pending | Outcome::Preexisting) && self.counters.flows_started > 0 {
            return Err(InvalidRecord::Started(self.outcome));
        }
        self.counters.validate()
    }

    fn validate_ends(&self) -> Result<(), InvalidRecord> {
        if self.translated.is_none() && self.original.is_none() {
            return Err(InvalidRecord::NoDestination);
        }
        shortest("source_ip", Some(self.source_ip))?;
        shortest("translated.ip", self.translated.map(|d| d.ip))?;
        shortest("original.ip", self.original.map(|d| d.ip))
    }

    fn validate_protocol(&self) -> Result<(), InvalidRecord> {
        let icmp = matches!(self.protocol, Protocol::ICMP | Protocol::ICMPV6);
        let ports = self.protocol.has_ports();
        let port_of = |end: Option<crate::Destination>| end.and_then(|d| d.port).is_some();
        for (field, given, fits) in [
            ("source_port", self.source_port.is_some(), ports),
            ("source_ports", !self.source_ports.is_empty(), ports),
            ("translated.port", port_of(self.translated), ports),
            ("original.port", port_of(self.original), ports),
            ("icmp_type", self.icmp_type.is_some(), icmp),
            ("icmp_code", self.icmp_code.is_some(), icmp),
            ("tcp", self.tcp.is_some(), self.protocol == Protocol::TCP),
        ] {
            if given && !fits {
                return Err(InvalidRecord::NotOfProtocol { field, protocol: self.protocol });
            }
        }
        Ok(())
    }
}

impl Counters {
    /// Says whether the parts fit in their wholes.
    ///
    /// # Errors
    /// Returns [`InvalidRecord::PartExceedsWhole`] if not.
    pub fn validate(&self) -> Result<(), InvalidRecord> {
        part("flows_started", self.flows_started, "flows", self.flows)?;
        part("flows_completed", self.flows_completed, "flows", self.flows)?;
        part("flows_aborted", self.flows_aborted, "flows_completed", self.flows_completed)
    }
}

impl LedgerRecord {
    /// Says whether the record holds what every ledger record holds: times run forward, `from_seq` is not above `seq`,
    /// the digest is one, and no two accounts are of the same protocol and direction. Whether the accounts *close* is no
    /// matter of form: see [`AttemptAccount::unexplained`].
    ///
    /// # Errors
    /// Returns the first [`InvalidRecord`].
    pub fn validate(&self) -> Result<(), InvalidRecord> {
        forward("start_time", self.start_time, "end_time", self.end_time)?;
        part("from_seq", self.from_seq, "seq", self.seq)?;
        if !crate::digest::is_digest(&self.digest) {
            return Err(InvalidRecord::Digest);
        }
        if self.predecessor.as_ref().is_some_and(|p| p.stream == self.stream) {
            return Err(InvalidRecord::OwnPredecessor);
        }
        let mut keys: Vec<_> = self.attempts.iter().map(AttemptAccount::key).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let (protocol, direction) = pair[0];
                Err(InvalidRecord::TwoAccounts { protocol, direction: direction.label() })
            }
            None => Ok(()),
        }
    }
}

impl FlowRecord {
    /// Says whether the record holds what every flow record holds: it is of our format, its copies of the stream's parts
    /// and of the end time agree, times run forward, attempts are parts of their wholes, and no keyword is empty or longer
    /// than an index takes.
    ///
    /// # Errors
    /// Returns the first [`InvalidRecord`].
    pub fn validate(&self) -> Result<(), InvalidRecord> {
        if Schema::parse(&self.schema) != Some(Schema::Flow) {
            return Err(InvalidRecord::Schema);
        }
        for (same, field, other) in [
            (self.cluster == self.stream.cluster(), "cluster", "stream"),
            (self.host == self.stream.node(), "host", "stream"),
            (self.end_time == self.timestamp.seconds(), "end_time", "@timestamp"),
        ] {
            if !same {
                return Err(InvalidRecord::Disagree { field, other });
            }
        }
        forward("start_time", UnixMs(self.start_time), "end_time", UnixMs(self.end_time))?;
        forward("oldest_start", self.oldest_start, "newest_start", self.newest_start)?;
        part("num_flows_started", self.num_flows_started, "num_flows", self.num_flows)?;
        part("num_flows_completed", self.num_flows_completed, "num_flows", self.num_flows)?;
        part("num_flows_aborted", self.num_flows_aborted, "num_flows_completed", self.num_flows_completed)?;
        for (field, keyword) in self.keywords() {
            if keyword.is_empty() {
                return Err(InvalidRecord::Empty(field));
            }
            if keyword.len() > MAX_KEYWORD_BYTES {
                return Err(InvalidRecord::LongKeyword(field));
            }
        }
        Ok(())
    }

    fn keywords(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("reporter", &self.reporter),
            ("action", &self.action),
            ("proto", &self.proto),
            ("source_name", &self.source_name),
            ("source_name_aggr", &self.source_name_aggr),
            ("source_namespace", &self.source_namespace),
            ("source_type", &self.source_type),
            ("dest_name", &self.dest_name),
            ("dest_name_aggr", &self.dest_name_aggr),
            ("dest_namespace", &self.dest_namespace),
            ("dest_type", &self.dest_type),
            ("dest_service_name", &self.dest_service_name),
            ("dest_service_namespace", &self.dest_service_namespace),
            ("dest_service_port", &self.dest_service_port),
            ("process_name", &self.process_name),
            ("process_id", &self.process_id),
            ("outcome", &self.outcome),
            ("verdict", &self.verdict),
            ("verdict_egress", &self.verdict_egress),
            ("verdict_ingress", &self.verdict_ingress),
            ("enforcement", &self.enforcement),
            ("evidence", &self.evidence),
            ("identity", &self.identity),
            ("snapshot", &self.snapshot),
        ];
        let sometimes = [
            ("source_owner_kind", &self.source_owner_kind),
            ("source_owner_name", &self.source_owner_name),
            ("source_node", &self.source_node),
            ("source_zone", &self.source_zone),
            ("dest_owner_kind", &self.dest_owner_kind),
            ("dest_owner_name", &self.dest_owner_name),
            ("dest_node", &self.dest_node),
            ("dest_zone", &self.dest_zone),
            ("drop_reason", &self.drop_reason),
            ("ruleset", &self.ruleset),
        ];
        let source_labels = self.source_labels.as_ref().map_or(&[][..], |l| &l.labels);
        let dest_labels = self.dest_labels.as_ref().map_or(&[][..], |l| &l.labels);
        let policies = &self.policies;
        let lists: [(&str, &[String]); 13] = [
            ("source_labels", source_labels),
            ("dest_labels", dest_labels),
            ("dest_domains", &self.dest_domains),
            ("process_args", &self.process_args),
            ("policies.all_policies", &policies.all_policies),
            ("policies.enforced_policies", &policies.enforced_policies),
            ("policies.pending_policies", &policies.pending_policies),
            ("policies.transit_policies", &policies.transit_policies),
            ("policies.egress", &policies.egress),
            ("policies.ingress", &policies.ingress),
            ("decided_by", &self.decided_by),
            ("denied_by", &self.denied_by),
            ("unknown_because", &self.unknown_because),
        ];
        let listed = lists.into_iter().flat_map(|(field, list)| list.iter().map(move |k| (field, k.as_str())));
        let sometimes = sometimes.into_iter().filter_map(|(field, k)| k.as_deref().map(|k| (field, k)));
        always.into_iter().map(|(field, k)| (field, k.as_str())).chain(sometimes).chain(listed)
    }
}

fn forward(start: &'static str, from: UnixMs, end: &'static str, to: UnixMs) -> Result<(), InvalidRecord> {
    if from <= to { Ok(()) } else { Err(InvalidRecord::Backwards { start, end }) }
}

fn part(part: &'static str, value: u64, whole: &'static str, of: u64) -> Result<(), InvalidRecord> {
    if value <= of { Ok(()) } else { Err(InvalidRecord::PartExceedsWhole { part, whole }) }
}

fn shortest(field: &'static str, ip: Option<IpAddr>) -> Result<(), InvalidRecord> {
    match ip {
        Some(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => Err(InvalidRecord::MappedAddress(field)),
        _ => Ok(()),
    }
}
