use super::*;

#[test]
fn headers_come_back() {
    let stream = Stream::new("prod", "node-a", 1_700_000_000_000).unwrap();
    let headers = Headers::new(&stream, 41, Schema::RawFlow);
    let pairs = headers.pairs();
    assert_eq!(Headers::parse(pairs.iter().map(|(n, v)| (*n, v))), Ok(headers));
}
