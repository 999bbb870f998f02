use clap::Parser;
use flow::FlowRecord;
use jiff::Zoned;

use super::*;
use crate::test_support::{Changed, flow_record};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    selection: SelectionArguments,
}

fn now() -> Zoned {
    "2026-11-25T10:30:00+01:00[+01:00]".parse().unwrap()
}

fn select(line: &str) -> Selection {
    let words = std::iter::once("flows").chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap().selection.resolve(&now()).unwrap()
}

fn check(line: &str, record: &FlowRecord, expected: bool) {
    assert_eq!(select(line).filter.matches(record), expected, "`{line}`");
}

#[test]
fn each_option_tells_records_apart() {
    let record = flow_record();
    let cases = [
        ("--namespace shop", "--namespace other"),
        ("--namespace da*", "--namespace dat"),
        ("--from-namespace shop", "--from-namespace data"),
        ("--to-namespace data", "--to-namespace shop"),
        ("--pod shop/frontend-*", "--pod data/frontend-*"),
        ("--pod backend-0", "--pod backend"),
        ("--from-pod frontend-7d9-*", "--from-pod backend-0"),
        ("--to-pod data/backend-0", "--to-pod shop/backend-0"),
        ("--address 10.0.0.0/24", "--address 10.0.2.0/24"),
        ("--cidr 10.0.1.2/32", "--ip 10.0.1.3"),
        ("--from-ip 10.0.0.1", "--from-address 10.0.1.2"),
        ("--to-ip 10.0.1.2", "--to-address fd00::/8"),
        ("--port 5432", "--port 80"),
        ("--to-port 80,5432", "--to-port 80"),
        ("--label app=frontend", "--label app=front"),
        ("--label app=front*", "--label ap"),
        ("--label app", "--label tier"),
        ("--from-label zone", "--to-label zone"),
        ("--from-type wep", "--from-type net"),
        ("--service data/db", "--service shop/db"),
        ("--service db", "--service d"),
        ("--protocol TCP", "--protocol udp"),
        ("--protocol 6", "--protocol 17"),
        ("--action allow", "--action deny"),
        ("--verdict unknown", "--verdict allow"),
        ("--outcome refused,established", "--outcome refused"),
        ("--enforcement unknown", "--enforcement unenforced"),
        ("--process nginx", "--process curl"),
        ("--reporter src", "--reporter dst,fwd"),
        ("--node node-a", "--node node-b"),
        ("--cluster local", "--cluster east"),
    ];
    for (yes, no) in cases {
        check(yes, &record, true);
        check(no, &record, false);
    }
}

#[test]
fn values_are_alternatives_and_options_hold_together() {
    let record = flow_record();
    check("--namespace other --namespace shop", &record, true);
    check("--from-namespace shop --to-namespace data --outcome established", &record, true);
    check("--from-namespace shop --to-namespace shop", &record, false);
}

#[test]
fn options_without_a_side_hold_for_the_same_end() {
    let record = flow_record();
    check("--namespace shop --pod frontend-7d9-x", &record, true);
    // The namespace is one end's, the pod the other's: no single end is meant.
    check("--namespace shop --pod backend-0", &record, false);
    check("--namespace shop,data --port 5432", &record, true);
}

#[test]
fn a_missing_drop_reason_is_no_reason() {
    check("--drop-reason NETFILTER_DROP", &flow_record(), false);
    let dropped = FlowRecord { drop_reason: Some("NETFILTER_DROP".into()), ..flow_record().went("dropped", "deny") };
    check("--drop-reason NETFILTER_*", &dropped, true);
}

#[test]
fn attempts_are_counted_once_unless_a_reporter_is_named() {
    assert_eq!(select("").counting, Counting::Attempts);
    assert_eq!(select("--all").counting, Counting::Records);
    assert_eq!(select("--reporter dst").counting, Counting::Records);
}

#[test]
fn times_follow_the_clock_given() {
    let selection = select("--since 15m --until now");
    assert_eq!(selection.from, Some(UnixMs(1_795_598_100_000)));
    assert_eq!(selection.to, Some(UnixMs(1_795_599_000_000)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in ["--since 5m --until 10m", "--since now --until now"] {
        let words = std::iter::once("flows").chain(line.split_whitespace());
        assert!(Line::try_parse_from(words).unwrap().selection.resolve(&now()).is_err(), "{line}");
    }
    let bad = [
        "--port 70000",
        "--port -1",
        "--address 10.0.0.0/33",
        "--address shop",
        "--protocol teleport",
        "--label =x",
        "--action maybe",
        "--outcome ok",
        "--reporter me",
        "--since soon",
        "--from-type pod",
        "--verdict yes",
    ];
    for line in bad {
        let words = std::iter::once("flows").chain(line.split_whitespace());
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
    let many = (0..600).map(|n| format!("ns{n}")).collect::<Vec<_>>().join(",");
    let words = ["flows", "--namespace", &many];
    assert!(Line::try_parse_from(words).unwrap().selection.resolve(&now()).is_err());
}

#[test]
fn a_client_from_outside_is_found_by_its_address() {
    check("--from-ip 203.0.113.0/24 --from-type net", &flow_record().by_outsider("203.0.113.9"), true);
}
