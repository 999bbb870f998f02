//! Asking a broker for its metadata, in the few bytes that it takes.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

/// Metadata request, version 4 (before tagged fields, still served by Kafka 4): all topics, create none.
const REQUEST: &[u8] = &[
    0, 0, 0, 17, // length of what follows
    0, 3, 0, 4, // metadata, version 4
    0, 0, 0, 1, // correlation
    0, 2, b'm', b'r', // client
    0xff, 0xff, 0xff, 0xff, // all topics
    0,    // no creation
];

/// Returns true if the broker answers and knows itself as alive.
pub(super) fn answers(address: SocketAddr) -> bool {
    ask(address).is_ok_and(|answer| brokers(&answer).is_some_and(|count| count > 0))
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = Vec::new();
    stream.take(u64::from(u32::from_be_bytes(length))).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The number of brokers in an answer: it follows correlation and throttle time.
fn brokers(answer: &[u8]) -> Option<u32> {
    let count = answer.get(8..12)?.try_into().ok()?;
    Some(u32::from_be_bytes(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_its_own_length() {
        assert_eq!(usize::from(REQUEST[3]) + 4, REQUEST.len());
    }

    #[test]
    fn brokers_are_counted() {
        assert_eq!(brokers(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9]), Some(2));
        assert_eq!(brokers(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), None);
    }
}
