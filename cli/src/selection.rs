//! Which flow records are meant: the arguments of `flows` and `summary`, and the store's question they become.
//!
//! Values of one option are alternatives; different options must all hold. Options without `from` or `to` hold for one
//! end, the same for all of them.

use std::net::IpAddr;

use clap::Args;
use flow::{Action, Enforcement, Outcome, Protocol, Reporter, UnixMs};
use ipnet::IpNet;
use jiff::Zoned;
use store::{Counting, EndTest, Filter, Keyword, Side, Text};

use crate::failure::Failure;
use crate::when::When;

/// The arguments that select flow records.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which flows (values of one option are alternatives, options must all hold)")]
pub(crate) struct SelectionArguments {
    /// Namespace of either end; a star at the end makes a prefix
    #[arg(long, short = 'n', value_name = "NAMESPACE", value_delimiter = ',')]
    pub(crate) namespace: Vec<String>,
    /// Namespace of the initiator
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub(crate) from_namespace: Vec<String>,
    /// Namespace of the receiver
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub(crate) to_namespace: Vec<String>,
    /// Pod, network set or host of either end, by its name or aggregated name; a star at the end makes a prefix
    #[arg(long, value_name = "[NAMESPACE/]NAME", value_delimiter = ',')]
    pub(crate) pod: Vec<String>,
    /// Pod, network set or host of the initiator
    #[arg(long, value_name = "[NAMESPACE/]NAME", value_delimiter = ',')]
    pub(crate) from_pod: Vec<String>,
    /// Pod, network set or host of the receiver
    #[arg(long, value_name = "[NAMESPACE/]NAME", value_delimiter = ',')]
    pub(crate) to_pod: Vec<String>,
    /// Address or network of either end
    #[arg(long, visible_aliases = ["cidr", "ip"], value_name = "ADDRESS[/BITS]", value_delimiter = ',', value_parser = network)]
    pub(crate) address: Vec<IpNet>,
    /// Address or network of the initiator
    #[arg(long, visible_alias = "from-ip", value_name = "ADDRESS[/BITS]", value_delimiter = ',', value_parser = network)]
    pub(crate) from_address: Vec<IpNet>,
    /// Address or network of the receiver
    #[arg(long, visible_alias = "to-ip", value_name = "ADDRESS[/BITS]", value_delimiter = ',', value_parser = network)]
    pub(crate) to_address: Vec<IpNet>,
    /// Port of either end (the initiator's is merged away by default)
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub(crate) port: Vec<u16>,
    /// Port of the receiver
    #[arg(long, value_name = "PORT", value_delimiter = ',')]
    pub(crate) to_port: Vec<u16>,
    /// Label of either end: `key=value`, `key=val*` or `key`
    #[arg(long, short = 'l', value_name = "KEY[=VALUE]", value_delimiter = ',', value_parser = label)]
    pub(crate) label: Vec<String>,
    /// Label of the initiator
    #[arg(long, value_name = "KEY[=VALUE]", value_delimiter = ',', value_parser = label)]
    pub(crate) from_label: Vec<String>,
    /// Label of the receiver
    #[arg(long, value_name = "KEY[=VALUE]", value_delimiter = ',', value_parser = label)]
    pub(crate) to_label: Vec<String>,
    /// What the initiator is: wep (pod), hep (host), ns (network set), net (any other address)
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = ["wep", "hep", "ns", "net"])]
    pub(crate) from_type: Vec<String>,
    /// What the receiver is
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = ["wep", "hep", "ns", "net"])]
    pub(crate) to_type: Vec<String>,
    /// Service that was asked for
    #[arg(long, value_name = "[NAMESPACE/]NAME", value_delimiter = ',')]
    pub(crate) service: Vec<String>,
    /// Protocol by name or number
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',', value_parser = protocol)]
    pub(crate) protocol: Vec<Protocol>,
    /// What happened to the traffic
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = [Action::Allow.as_str(), Action::Deny.as_str()])]
    pub(crate) action: Vec<String>,
    /// What policy says
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_parser = ["allow", "deny", "unknown", "none"])]
    pub(crate) verdict: Vec<String>,
    /// How the attempts went
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', value_parser = Outcome::ALL.map(Outcome::as_str))]
    pub(crate) outcome: Vec<String>,
    /// Whether verdict and kernel agree
    #[arg(long, value_name = "ENFORCEMENT", value_delimiter = ',', value_parser = [Enforcement::Consistent.as_str(), Enforcement::Unenforced.as_str(), Enforcement::Unexplained.as_str(), Enforcement::Unknown.as_str()])]
    pub(crate) enforcement: Vec<String>,
    /// Why the kernel dropped, such as NETFILTER_DROP
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    pub(crate) drop_reason: Vec<String>,
    /// Command that owns the local socket
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) process: Vec<String>,
    /// Which end reported; without it each attempt is counted once: src, and dst where the initiator is no pod
    #[arg(long, value_name = "REPORTER", value_delimiter = ',', value_parser = [Reporter::Src.as_str(), Reporter::Dst.as_str(), Reporter::Fwd.as_str()])]
    pub(crate) reporter: Vec<String>,
    /// Node that reported
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) node: Vec<String>,
    /// Cluster that reported
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) cluster: Vec<String>,
    /// Records of both ends, also where both tell of the same attempts: sums over them double
    #[arg(long)]
    pub(crate) all: bool,
    /// From then on: 15m (ago), 2026-11-25T02:00:00Z, `2026-11-25 02:00`, today, yesterday
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<When>,
    /// Up to then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<When>,
}

/// What was selected, as the store understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Records whose end is at this time or later.
    pub(crate) from: Option<UnixMs>,
    /// Records whose end is before this time.
    pub(crate) to: Option<UnixMs>,
    /// What must hold.
    pub(crate) filter: Filter,
    /// Which records take part.
    pub(crate) counting: Counting,
}

impl SelectionArguments {
    /// Turns the arguments into the store's question.
    ///
    /// # Errors
    /// Returns a usage failure if a time is out of range, the times are in the wrong order, or there is too much of it.
    pub(crate) fn resolve(&self, now: &Zoned) -> Result<Selection, Failure> {
        let time =
            |when: &Option<When>| when.as_ref().map(|when| when.resolve(now)).transpose().map_err(Failure::usage);
        let (from, to) = (time(&self.since)?, time(&self.until)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Failure::usage(anyhow::anyhow!("--since is not before --until: nothing lies between them")));
        }
        // Asking for a reporter by name is asking for its records, also where the other end counts.
        let every_record = self.all || !self.reporter.is_empty();
        let counting = if every_record { Counting::Records } else { Counting::Attempts };
        let filter = self.filter();
        filter.check_size().map_err(|why| Failure::usage(anyhow::anyhow!(why)).fix("give fewer values"))?;
        Ok(Selection { from, to, filter, counting })
    }

    fn filter(&self) -> Filter {
        let mut all = Vec::new();
        let either = self.either();
        if !either.is_empty() {
            let on = |side| Filter::All(either.iter().map(|alternatives| any_end(side, alternatives)).collect());
            all.push(Filter::Any(vec![on(Side::Source), on(Side::Dest)]));
        }
        all.extend(self.source().iter().map(|alternatives| any_end(Side::Source, alternatives)));
        all.extend(self.dest().iter().map(|alternatives| any_end(Side::Dest, alternatives)));
        let mut keyword = |keyword, values: &[String]| {
            if !values.is_empty() {
                all.push(Filter::Any(values.iter().map(|v| Filter::Keyword(keyword, Text::parse(v))).collect()));
            }
        };
        keyword(Keyword::Action, &self.action);
        keyword(Keyword::Verdict, &self.verdict);
        keyword(Keyword::Outcome, &self.outcome);
        keyword(Keyword::Enforcement, &self.enforcement);
        keyword(Keyword::DropReason, &self.drop_reason);
        keyword(Keyword::ProcessName, &self.process);
        keyword(Keyword::Reporter, &self.reporter);
        keyword(Keyword::Host, &self.node);
        keyword(Keyword::Cluster, &self.cluster);
        keyword(Keyword::Protocol, &self.protocol.iter().map(ToString::to_string).collect::<Vec<_>>());
        if !self.service.is_empty() {
            all.push(Filter::Any(self.service.iter().map(|service| service_filter(service)).collect()));
        }
        Filter::All(all)
    }

    /// For each option that was given, its alternatives; each alternative is tests that must all hold for the end.
    fn either(&self) -> Vec<Vec<Vec<EndTest>>> {
        options([
            namespaces(&self.namespace),
            names(&self.pod),
            networks(&self.address),
            ports(&self.port),
            labels(&self.label),
        ])
    }

    fn source(&self) -> Vec<Vec<Vec<EndTest>>> {
        options([
            namespaces(&self.from_namespace),
            names(&self.from_pod),
            networks(&self.from_address),
            labels(&self.from_label),
            types(&self.from_type),
        ])
    }

    fn dest(&self) -> Vec<Vec<Vec<EndTest>>> {
        options([
            namespaces(&self.to_namespace),
            names(&self.to_pod),
            networks(&self.to_address),
            ports(&self.to_port),
            labels(&self.to_label),
            types(&self.to_type),
        ])
    }
}

fn options<const N: usize>(given: [Vec<Vec<EndTest>>; N]) -> Vec<Vec<Vec<EndTest>>> {
    given.into_iter().filter(|alternatives| !alternatives.is_empty()).collect()
}

fn any_end(side: Side, alternatives: &[Vec<EndTest>]) -> Filter {
    Filter::Any(alternatives.iter().map(|tests| Filter::End(side, tests.clone())).collect())
}

fn namespaces(values: &[String]) -> Vec<Vec<EndTest>> {
    values.iter().map(|value| vec![EndTest::Namespace(Text::parse(value))]).collect()
}

fn names(values: &[String]) -> Vec<Vec<EndTest>> {
    let name = |value: &String| match value.split_once('/') {
        Some((namespace, name)) => vec![EndTest::Namespace(Text::parse(namespace)), EndTest::Name(Text::parse(name))],
        None => vec![EndTest::Name(Text::parse(value))],
    };
    values.iter().map(name).collect()
}

fn networks(values: &[IpNet]) -> Vec<Vec<EndTest>> {
    values.iter().map(|net| vec![EndTest::Address(*net)]).collect()
}

fn ports(values: &[u16]) -> Vec<Vec<EndTest>> {
    values.iter().map(|port| vec![EndTest::Port(*port)]).collect()
}

fn labels(values: &[String]) -> Vec<Vec<EndTest>> {
    let text =
        |value: &String| if value.contains('=') { Text::parse(value) } else { Text::Prefix(format!("{value}=")) };
    values.iter().map(|value| vec![EndTest::Label(text(value))]).collect()
}

fn types(values: &[String]) -> Vec<Vec<EndTest>> {
    values.iter().map(|value| vec![EndTest::Type(Text::Exact(value.clone()))]).collect()
}

fn service_filter(value: &str) -> Filter {
    match value.split_once('/') {
        Some((namespace, name)) => Filter::All(vec![
            Filter::Keyword(Keyword::ServiceNamespace, Text::parse(namespace)),
            Filter::Keyword(Keyword::ServiceName, Text::parse(name)),
        ]),
        None => Filter::Keyword(Keyword::ServiceName, Text::parse(value)),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let net = text.parse::<IpNet>();
    net.map(|net| net.trunc()).map_err(|_| "give an address (10.0.0.1, fd00::1) or a network (10.0.0.0/8)".to_owned())
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::parse(text).ok_or_else(|| "give tcp, udp, icmp, icmpv6, sctp, udplite or a number up to 255".to_owned())
}

fn label(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        None | Some("") => Err("give `key=value`, `key=val*` or `key`".to_owned()),
        Some(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
