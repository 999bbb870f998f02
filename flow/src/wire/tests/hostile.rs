//! Values and headers that no writer of ours would write.

use proptest::prelude::*;

use super::super::*;
use super::arbitrary::{flow_record, raw_flow};

fn message(error: &impl std::error::Error) -> String {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
    assert!(text.len() < 1200, "a message of {} bytes", text.len());
    text
}

fn check(value: &str, expected: &str) {
    let text = message(&decode_raw(value.as_bytes()).unwrap_err());
    let value: String = value.chars().take(80).collect();
    assert!(text.contains(expected), "{value}: {text:?} does not contain {expected:?}");
}

#[test]
fn errors_name_the_place() {
    check("", "EOF while parsing a value at line 1 column 0 near ``");
    check("nonsense", "line 1 column 2 near `nonsense`");
    check("[1]", "line 1");
    check("{}", "value has no field `schema`");
    check("{\"schema\":null}", "value has no field `schema`");
    check("{\"schema\":7}", "invalid type: integer `7`, expected");
    check("{\"schema\":\"raw-flow/2\"}", "format `raw-flow/2` is not expected here");
    check("{\"schema\":\"flow/1\"}", "format `flow/1` is not expected here");
    check("{\"schema\":\"raw-flow/1\"}", "missing field `stream` at line 1 column 23");
    check(
        "{\"schema\":\"raw-flow/1\",\n\"stream\":\"a/b\"}",
        "stream `a/b` is not of the form cluster/node/epoch at line 2 column 15 in `stream` near",
    );
    check(
        "{\"schema\":\"raw-flow/1\",\"stream\":\"a/b/1\",\"seq\":-1}",
        "invalid value: integer `-1`, expected u64 at line 1",
    );
    check(
        "{\"schema\":\"raw-flow/1\",\"counters\":{\"flows\":\"7\"}}",
        "expected u64 at line 1 column 46 in `counters.flows` near",
    );
    check("{\"schema\":\"ledger/1\",\"attempts\":[{\"protocol\":6},{\"protocol\":700}]}", "in `attempts[0]` near");
    check("{\"schema\":\"raw-flow/1\",\"seq\":1e400}", "number out of range at line 1");
}

#[test]
fn errors_are_printable() {
    check("{\"schema\":\"x\\u001b[2J\\n\"}", "format `x\u{fffd}[2J\u{fffd}`");
    check("{\"schema\":\"raw-flow/1\",\"stream\":\"a/\\u0007b/1\"}", "stream part `\u{fffd}b`");
    check(
        "{\"schema\":\"raw-flow/1\",\"reporter\":\"\\u001b]0;pwned\\u0007\"}",
        "unknown variant `\u{fffd}]0;pwned\u{fffd}`",
    );
    check("\u{1b}[31m{}", "line 1 column 1 near `\u{fffd}[31m{}`");
    let long = format!("{{\"schema\":\"raw-flow/1\",\"reporter\":\"{}\"}}", "x".repeat(100_000));
    check(&long, "unknown variant `xxx");
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{{\"schema\":\"raw-flow/1\",\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check(&deep, "missing field `stream`");
    check(
        &deep.replace("\"x\"", "\"counters\""),
        "invalid type: sequence, expected u64 at line 1 column 35 in `counters",
    );
    let long = format!("{{\"schema\":\"raw-flow/1\",\"x\":\"{}\"}}", "x".repeat(MAX_VALUE_BYTES));
    check(&long, "is longer than 1048576");
}

#[test]
fn too_long_a_record_is_not_written() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut record = flow_record().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    record.decided_by = vec!["x".repeat(MAX_VALUE_BYTES)];
    assert!(matches!(encode_flow(&record), Err(EncodeError::TooLong { .. })));
}

fn headers(pairs: &[(&str, &[u8])]) -> Result<Headers, String> {
    Headers::parse(pairs.iter().map(|(name, value)| (*name, *value))).map_err(|error| message(&error))
}

#[test]
fn headers_give_identity_or_a_reason() {
    let good: &[(&str, &[u8])] = &[("trace", b"x"), ("stream", b"c/n/17"), ("seq", b"4"), ("schema", b"raw-flow/9")];
    let parsed = headers(good).unwrap();
    assert_eq!(parsed.id().to_string(), "c/n/17#4");
    assert_eq!(parsed.schema, None, "a format that is not known leaves the identity");
    assert!(headers(&[("stream", b"c/n/17"), ("seq", b"4"), ("seq", b"4")]).is_ok(), "the same twice is the same");
    for (pairs, expected) in [
        (vec![], "header `stream` is missing"),
        (vec![("stream", &b"c/n/17"[..])], "header `seq` is missing"),
        (vec![("stream", b"c/n/17"), ("seq", b"")], "header `seq` cannot be read"),
        (vec![("stream", b"c/n/17"), ("seq", b"+4")], "header `seq` cannot be read"),
        (vec![("stream", b"c/n/17"), ("seq", b"04")], "header `seq` cannot be read"),
        (vec![("stream", b"c/n/17"), ("seq", b"18446744073709551616")], "header `seq` cannot be read"),
        (vec![("stream", b"c/n"), ("seq", b"4")], "header `stream` cannot be read"),
        (vec![("stream", b"c/n\xff/17"), ("seq", b"4")], "header `stream` cannot be read"),
        (vec![("stream", b"c/n/17"), ("seq", b"4"), ("seq", b"5")], "header `seq` is given twice"),
    ] {
        assert_eq!(headers(&pairs), Err(expected.to_owned()));
    }
}

#[test]
fn a_value_that_says_another_identity_is_refused() {
    let stream = Stream::new("c", "n", 17).unwrap();
    let told = Headers::new(&stream, 4, Schema::RawFlow);
    assert_eq!(check_identity(&told, &stream, 4), Ok(()));
    let error = check_identity(&told, &stream, 5).unwrap_err();
    assert_eq!(message(&error), "headers say `c/n/17#4` but the value says `c/n/17#5`");
}

proptest! {
    #[test]
    fn bytes_never_panic(value in proptest::collection::vec(any::<u8>(), 0..400)) {
        for error in [decode_raw(&value).err(), decode_enriched(&value).err()].into_iter().flatten() {
            message(&error);
        }
    }

    #[test]
    fn mutated_records_never_panic(
        record in raw_flow(),
        flow in flow_record(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        for value in [encode_raw(&record).unwrap(), encode_flow(&flow).unwrap()] {
            let mut mutated = value;
            for (at, byte, how) in &edits {
                let at = at.index(mutated.len().max(1)).min(mutated.len().saturating_sub(1));
                match how {
                    0 if !mutated.is_empty() => mutated[at] = *byte,
                    1 if !mutated.is_empty() => { mutated.remove(at); }
                    _ => mutated.insert(at, *byte),
                }
            }
            for error in [decode_raw(&mutated).err(), decode_enriched(&mutated).err()].into_iter().flatten() {
                message(&error);
            }
        }
    }
}
