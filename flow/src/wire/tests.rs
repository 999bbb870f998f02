mod arbitrary;
mod hostile;

use proptest::prelude::*;

use super::*;
use crate::{JoinedFlow, JudgedFlow};
use arbitrary::{flow_record, joined, judgement, ledger, raw_flow};

fn headers_again(headers: &Headers) -> Result<Headers, InvalidHeaders> {
    let pairs = headers.pairs();
    Headers::parse(pairs.iter().map(|(name, value)| (*name, value)))
}

proptest! {
    #[test]
    fn raw_records_come_back(record in raw_flow()) {
        prop_assert_eq!(record.validate(), Ok(()));
        let value = encode_raw(&record).unwrap();
        let decoded = decode_raw(&value).unwrap();
        prop_assert_eq!(headers_again(&decoded.headers()), Ok(Headers::new(&record.stream, record.seq, Schema::RawFlow)));
        prop_assert_eq!(decoded, RawValue::Flow(Box::new(record)));
    }

    #[test]
    fn ledgers_come_back_on_both_topics(record in ledger()) {
        let value = encode_ledger(&record).unwrap();
        prop_assert_eq!(decode_raw(&value), Ok(RawValue::Ledger(Box::new(record.clone()))));
        prop_assert_eq!(decode_enriched(&value), Ok(EnrichedValue::Ledger(Box::new(record))));
    }

    #[test]
    fn flow_records_come_back(record in flow_record()) {
        let value = encode_flow(&record).unwrap();
        prop_assert_eq!(decode_enriched(&value), Ok(EnrichedValue::Flow(Box::new(record))));
    }

    #[test]
    fn every_valid_raw_record_gives_a_valid_flow_record(joined in joined(), judgement in judgement()) {
        let JoinedFlow { raw, .. } = &joined;
        let (stream, seq, end_time) = (raw.stream.clone(), raw.seq, raw.end_time);
        let mut by_probe = crate::digest::Chain::after(crate::digest::GENESIS);
        by_probe.add(raw);
        let record = FlowRecord::from(JudgedFlow::new(joined, judgement));
        prop_assert_eq!(record.validate(), Ok(()));
        prop_assert_eq!((&record.stream, record.seq, record.timestamp), (&stream, seq, end_time));
        let mut by_store = crate::digest::Chain::after(crate::digest::GENESIS);
        by_store.add(&record);
        prop_assert_eq!(by_probe.finish(), by_store.finish(), "probe and store must take one digest");
        let unknown = [&record.verdict, &record.verdict_egress, &record.verdict_ingress, &record.enforcement, &record.outcome];
        prop_assert!(unknown.iter().all(|word| *word != "unknown") || !record.unknown_because.is_empty());
        prop_assert!(record.unknown_because.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_normal_form_of_a_record_and_of_its_document_are_one(record in flow_record()) {
        let normal = record.clone().normal_form();
        prop_assert_eq!(normal.clone().normal_form(), normal.clone());
        let by_record = crate::record::normal_form(&serde_json::to_value(&normal).unwrap());
        let by_document = crate::record::normal_form(&serde_json::to_value(&record).unwrap());
        prop_assert_eq!(by_record, by_document);
    }
}

#[test]
fn additions_are_skipped_wherever_they_stand() {
    let value = br#"{"new":{"deep":[1,{"x":null}]},"schema":"ledger/1","stream":"c/n/1","seq":3,"from_seq":0,"start_time":1,
        "end_time":2,"closing":false,"attempts":[{"protocol":6,"direction":"out","seen":1,"started":1,"pending":0,"newer":1}],
        "missed_runs":0,"digest":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
    assert!(matches!(decode_raw(value), Ok(RawValue::Ledger(_))));
}
