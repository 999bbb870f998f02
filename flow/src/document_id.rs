//! The `_id` of a document: the record's identity in a fixed length that keeps its order.

use sha2::{Digest, Sha256};

use crate::Stream;

/// Length of every document id in characters.
pub const DOCUMENT_ID_LEN: usize = 42;

/// The digits of base32hex in lower case: their order as characters is their order as numbers.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Bytes of the hash of `cluster/node` that are kept: with 80 bits, two of a million nodes that start in the same
/// millisecond share an id with a chance below 1 in 10^12.
const HASH_BYTES: usize = 10;

/// Returns the document id of a record: base32 of epoch, hash of `cluster/node`, and number, each of fixed width.
///
/// Ids sort as (epoch, node, number), so that documents written one after the other lie side by side in the index.
#[must_use]
pub fn document_id(stream: &Stream, seq: u64) -> String {
    let node = Sha256::new().chain_update(stream.cluster()).chain_update(b"/").chain_update(stream.node()).finalize();
    let mut bytes = [0_u8; 8 + HASH_BYTES + 8];
    bytes[..8].copy_from_slice(&stream.epoch().to_be_bytes());
    bytes[8..8 + HASH_BYTES].copy_from_slice(&node[..HASH_BYTES]);
    bytes[8 + HASH_BYTES..].copy_from_slice(&seq.to_be_bytes());
    base32(&bytes)
}

/// Five bits a character, the first bits first; the last character is filled up with zero bits.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(DOCUMENT_ID_LEN);
    let (mut window, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        window = (window << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[((window >> bits) & 31) as usize]));
        }
        window &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(DIGITS[((window << (5 - bits)) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(node: &str, epoch: u64) -> Stream {
        Stream::new("prod", node, epoch).unwrap()
    }

    #[test]
    fn has_a_fixed_form() {
        let id = document_id(&stream("node-a", 0), 0);
        assert_eq!(id.len(), DOCUMENT_ID_LEN);
        assert!(id.starts_with("000000000000"), "epoch 0 comes first: {id}");
        // 26 bytes are 41.6 digits: the last one holds the last three bits of the number.
        assert!(document_id(&stream("node-a", 0), 1).ends_with('4'));
    }

    #[test]
    fn base32_is_that_of_rfc_4648_with_extended_hex_digits() {
        assert_eq!(base32(b"foobar"), "cpnmuoj1e8");
        assert_eq!(base32(b"fooba"), "cpnmuoj1");
        assert_eq!(base32(b"f"), "co");
    }

    #[test]
    fn the_slash_parts_cluster_and_node() {
        let one = Stream::new("a", "bc", 7).unwrap();
        let other = Stream::new("ab", "c", 7).unwrap();
        assert_ne!(document_id(&one, 0), document_id(&other, 0));
    }

    proptest! {
        #[test]
        fn keeps_the_order_of_epoch_and_number(e1: u64, s1: u64, e2: u64, s2: u64) {
            let (one, other) = (document_id(&stream("n", e1), s1), document_id(&stream("n", e2), s2));
            prop_assert_eq!(one.cmp(&other), (e1, s1).cmp(&(e2, s2)));
            prop_assert_eq!(one.len(), DOCUMENT_ID_LEN);
        }

        #[test]
        fn tells_nodes_apart(a in "[a-z0-9.-]{1,40}", b in "[a-z0-9.-]{1,40}", epoch: u64, seq: u64) {
            let same = document_id(&stream(&a, epoch), seq) == document_id(&stream(&b, epoch), seq);
            prop_assert_eq!(same, a == b);
        }
    }
}
