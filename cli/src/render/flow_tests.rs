use super::*;
use crate::test_support::{Changed, flow_record};

fn now() -> Zoned {
    "2026-11-25T10:30:05+01:00[+01:00]".parse().unwrap()
}

fn written(format: Format, records: &[FlowRecord]) -> String {
    let terminal = Terminal { interactive: false, colours: false, width: None };
    let mut writer = FlowWriter::new(format, terminal, now());
    let mut out = Vec::new();
    writer.write(&mut out, records).unwrap();
    writer.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_line_says_what_matters_most() {
    let dropped = FlowRecord {
        reporter: "dst".into(),
        drop_reason: Some("NETFILTER_DROP".into()),
        num_flows_started: 1,
        bytes_in: 0,
        bytes_out: 0,
        ..flow_record().by("rogue", "rogue").went("dropped", "deny")
    };
    let outside = flow_record().by_outsider("203.0.113.9");
    let text = written(Format::Table, &[flow_record(), dropped, outside]);
    let expected = "\
TIME      REP  SOURCE                       DESTINATION                      PORT      OUTCOME      STARTED     BYTES  WHY
10:30:00  src  shop/frontend-7d9-*          data/backend-*                   5432/tcp  established       12   3.1 KiB
10:30:00  dst  rogue/rogue                  data/backend-*                   5432/tcp  dropped            1       0 B  NETFILTER_DROP
10:30:00  src  203.0.113.9                  data/backend-*                   5432/tcp  established       12   3.1 KiB
";
    assert_eq!(text, expected);
}

#[test]
fn wide_names_pod_process_and_service() {
    let text = written(Format::Wide, &[flow_record()]);
    for part in [
        "2026-11-25T09:30:00.000Z",
        "shop/frontend-7d9-x",
        "10.0.1.2",
        "data/db",
        "nginx[4711]",
        "1795599000000#7",
        "85 µs",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn json_lines_read_back_as_the_record() {
    let text = written(Format::Jsonl, &[flow_record(), flow_record()]);
    let records: Vec<FlowRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, [flow_record(), flow_record()]);
}

#[test]
fn json_is_one_array_also_without_records() {
    for count in 0..3 {
        let records = vec![flow_record(); count];
        let read: Vec<FlowRecord> = serde_json::from_str(&written(Format::Json, &records)).unwrap();
        assert_eq!(read, records);
    }
}

#[test]
fn csv_has_a_column_for_every_field() {
    let text = written(Format::Csv, &[flow_record()]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    let (header, row): (Vec<&str>, Vec<&str>) = (lines[0].split(',').collect(), lines[1].split(',').collect());
    assert_eq!(header.len(), FlowRecord::FIELD_NAMES.len() + 5);
    assert_eq!(header.len(), row.len());
    let value = |name: &str| row[header.iter().position(|column| *column == name).unwrap()];
    assert_eq!(value("@timestamp"), "1795599000000");
    assert_eq!(value("dest_port"), "5432");
    assert_eq!(value("dest_labels"), "app=backend");
    assert_eq!(value("source_port"), "");
    assert_eq!(value("policies.egress"), "");
    assert_eq!(written(Format::Csv, &[]).lines().count(), 1);
}

#[test]
fn hostile_names_reach_no_terminal() {
    let record = flow_record().by("shop", "\u{1b}[2J\u{9b}31m\u{202e}evil\n=cmd()");
    for format in [Format::Table, Format::Wide, Format::Json, Format::Jsonl, Format::Csv] {
        let text = written(format, std::slice::from_ref(&record));
        let safe = text.chars().all(|c| c == '\n' || c == '\r' || !crate::terminal::is_unsafe(c));
        assert!(safe, "{format:?}: {text:?}");
    }
}

#[test]
fn a_csv_field_is_never_a_formula() {
    let text = written(Format::Csv, &[flow_record().by("=1+1", "@cmd")]);
    assert!(text.contains(r#""'=1+1""#) && text.contains(r#""'@cmd""#), "{text}");
}

#[test]
fn the_service_stands_where_its_endpoint_is_not_known() {
    let unknown = FlowRecord {
        dest_name: "-".into(),
        dest_name_aggr: "-".into(),
        dest_namespace: "-".into(),
        dest_ip: Some("fd77:96::20".parse().unwrap()),
        ..flow_record()
    };
    for format in [Format::Table, Format::Wide] {
        assert!(written(format, std::slice::from_ref(&unknown)).contains("svc data/db"), "{format:?}");
    }
    assert!(written(Format::Table, &[unknown]).contains("5432/tcp6"), "IPv6 is told apart");
}

#[test]
fn flows_of_two_live_writers_stand_below_each_other() {
    let terminal = Terminal { interactive: false, colours: false, width: Some(110) };
    let long = flow_record().by("rogue", "a-rather-long-workload-name-7f9d-*").went("dropped", "deny");
    let lines = [flow_record(), FlowRecord { drop_reason: Some("NETFILTER_DROP".into()), ..long }].map(|record| {
        let mut out = Vec::new();
        FlowWriter::live(Format::Table, terminal, now()).write(&mut out, &[record]).unwrap();
        String::from_utf8(out).unwrap()
    });
    assert_eq!(lines[0].lines().next(), lines[1].lines().next());
    let port = |text: &str| text.lines().last().unwrap().find("5432/tcp");
    assert_eq!(port(&lines[0]), port(&lines[1]));
}
