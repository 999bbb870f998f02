use std::io::Write;
use std::sync::mpsc::channel;

use proptest::prelude::*;

use super::*;
use crate::test_support::*;

fn sample(records: usize) -> Vec<String> {
    let (mut world, mut lines) = (World::new(), Vec::new());
    for cookie in 0..records as u64 {
        let mut s = socket(cookie + 1, 10).to("10.0.0.2", u16::try_from(cookie).unwrap() + 1).carrying(5, 6);
        world.tell(s.established(10)).tell(s.closed(11));
    }
    for record in world.finish() {
        lines.push(String::from_utf8(flow::wire::encode_raw(&record).unwrap()).unwrap());
    }
    lines
}

/// Replays bytes and returns what came out.
fn replay(bytes: &[u8], change: impl FnOnce(&mut ReplaySettings)) -> (Result<Replayed, ReplayError>, Vec<Batch>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut settings = ReplaySettings {
        file: file.path().to_owned(),
        pace: ReplayPace::Fast,
        times: ReplayTimes::Recorded,
        strict: false,
    };
    change(&mut settings);
    let metrics = ProbeMetrics::register(&mut prometheus_client::registry::Registry::default());
    let (sender, mut receiver) = mpsc::channel(1_000);
    let (_keep, stop) = channel();
    let result = Replay::new(settings, "c", 9, metrics, sender).run(&stop);
    let mut batches = Vec::new();
    while let Ok(batch) = receiver.try_recv() {
        batches.push(batch);
    }
    (result, batches)
}

#[test]
fn records_are_renumbered_and_accounted_for() {
    let (result, batches) = replay(sample(3).join("\n").as_bytes(), |_| {});
    assert_eq!(result.unwrap(), Replayed { records: 3, ledgers: 0, malformed: 0 });
    let flows: Vec<_> = batches.iter().flat_map(|b| &b.flows).collect();
    assert!(flows.iter().zip(0..).all(|(f, seq)| f.seq == seq && f.stream.to_string() == "c/node-a/9"));
    let ledger = batches.last().unwrap().ledger.as_ref().unwrap();
    assert_eq!((ledger.seq, ledger.closing), (3, true));
    assert_eq!((ledger.attempts[0].seen, ledger.attempts[0].started), (3, 3));
}

#[test]
fn times_of_now_keep_their_distances() {
    let before = clock::unix_now();
    let text = sample(1).join("\n");
    let (_, batches) = replay(text.as_bytes(), |s| s.times = ReplayTimes::Now);
    let flow = &batches[0].flows[0];
    assert!((before..=clock::unix_now()).contains(&flow.end_time));
    let RawValue::Flow(original) = decode_raw(text.as_bytes()).unwrap() else { panic!("no flow") };
    assert_eq!(flow.end_time.0 - flow.oldest_start.0, original.end_time.0 - original.oldest_start.0);
}

#[test]
fn a_recorded_pace_waits() {
    let mut pace = Pace::new(ReplayPace::Recorded);
    let now = Instant::now();
    assert_eq!(pace.wait_for(UnixMs(1_000), now), None);
    assert_eq!(pace.wait_for(UnixMs(1_500), now), Some(Duration::from_millis(500)));
    assert_eq!(pace.wait_for(UnixMs(900), now), None);
    assert_eq!(Pace::new(ReplayPace::Fast).wait_for(UnixMs(9_000), now), None);
}

#[test]
fn a_record_that_waits_when_the_stop_comes_is_not_accounted_for() {
    let mut lines = sample(2);
    let RawValue::Flow(mut late) = decode_raw(lines[1].as_bytes()).unwrap() else { panic!("no flow") };
    late.end_time.0 += 600_000;
    lines[1] = String::from_utf8(flow::wire::encode_raw(&late).unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.join("\n").as_bytes()).unwrap();
    let settings = ReplaySettings {
        file: file.path().to_owned(),
        pace: ReplayPace::Recorded,
        times: ReplayTimes::Recorded,
        strict: true,
    };
    let metrics = ProbeMetrics::register(&mut prometheus_client::registry::Registry::default());
    let (sender, mut receiver) = mpsc::channel(1_000);
    let (stopper, stop) = channel();
    let replay = Replay::new(settings, "c", 9, metrics, sender);
    let thread = std::thread::spawn(move || replay.run(&stop));
    assert_eq!(receiver.blocking_recv().unwrap().flows.len(), 1);
    stopper.send(()).unwrap();
    assert_eq!(thread.join().unwrap().unwrap().records, 1);
    let closing = receiver.blocking_recv().unwrap().ledger.unwrap();
    assert_eq!((closing.seq, closing.attempts[0].started), (1, 1));
}

#[test]
fn malformed_lines_are_counted_with_their_place() {
    let mut lines = sample(2);
    let good = lines[0].clone();
    for (place, bad) in
        ["{", "[]", "null", "{\"schema\":\"raw-flow/1\"}", "\u{0}", "{\"schema\":\"flow/1\"}"].iter().enumerate()
    {
        lines.insert(place, (*bad).to_owned());
    }
    lines.push(good.replace("\"protocol\":6", "\"protocol\":600"));
    lines.push(good.replace("10.0.0.1", "10.0.0.300"));
    let (result, _) = replay(lines.join("\n").as_bytes(), |_| {});
    assert_eq!(result.unwrap(), Replayed { records: 2, ledgers: 0, malformed: 8 });
    let (result, _) = replay(lines.join("\n").as_bytes(), |s| s.strict = true);
    assert!(matches!(result, Err(ReplayError::Line { line: 1, .. })));
}

#[test]
fn a_line_without_end_takes_no_memory_without_end() {
    let mut bytes = vec![b'x'; lines::MAX_LINE_BYTES * 3];
    bytes.push(b'\n');
    bytes.extend_from_slice(sample(1)[0].as_bytes());
    let (result, _) = replay(&bytes, |_| {});
    assert_eq!(result.unwrap(), Replayed { records: 1, ledgers: 0, malformed: 1 });
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let (result, _) = replay(b"", |s| s.file = "/nonexistent/sample.jsonl".into());
    assert_eq!(result.unwrap_err().to_string(), "cannot read `/nonexistent/sample.jsonl`");
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(replay(&bytes, |s| s.times = ReplayTimes::Now).0.is_ok());
    }

    #[test]
    fn no_damage_breaks_it(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = sample(2).join("\n").into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let done = replay(&bytes, |_| {}).0.unwrap();
        prop_assert!(done.records + done.malformed >= 1);
    }
}
