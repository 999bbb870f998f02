//! Messages of ctnetlink: the question for all entries written, answers and events read. Pure.
//!
//! A message is a header of netlink (16 bytes), one of netfilter (4 bytes), then attributes, which may nest: length and
//! type of 2 bytes each in the machine's order, content, padding to 4. Contents are in network order.

use std::net::{IpAddr, SocketAddr};

use flow::Protocol;

use super::Translation;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const NEW: u16 = 1 << 8;
const GET: u16 = 1 << 8 | 1;
const NESTED: u16 = 1 << 15;
const HEADERS: usize = 20;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const V4_SOURCE: u16 = 1;
const V4_DEST: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DEST: u16 = 4;
const NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DEST_PORT: u16 = 3;

/// Bit of the status: the destination is translated.
const DEST_NAT: u32 = 1 << 5;

/// One message from ctnetlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A connection; with its translation if the destination is translated.
    Connection(Option<Translation>),
    /// All entries that were asked for have been told.
    Done,
    /// The error number that a question met.
    Failed(i32),
}

/// Writes the question for all entries with a translated destination. Kernels before 5.17 answer with all entries.
pub(super) fn question(sequence: u32) -> Vec<u8> {
    message(GET, REQUEST | DUMP, sequence, libc::AF_UNSPEC as u8, &attribute(STATUS, &DEST_NAT.to_be_bytes()))
}

fn message(kind: u16, flags: u16, sequence: u32, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = HEADERS + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    message
}

/// Hands each message of a datagram to `visit`. What cannot be read is passed over.
pub(super) fn read(datagram: &[u8], mut visit: impl FnMut(Answer)) {
    let mut rest = datagram;
    while let Some((length, kind)) = head(rest) {
        let Some(message) = rest.get(..length) else { return };
        match kind {
            ERROR => {
                if let Some(code) = message.get(16..20).and_then(|b| b.first_chunk()) {
                    visit(Answer::Failed(i32::from_ne_bytes(*code).saturating_neg()));
                }
            }
            DONE => visit(Answer::Done),
            NEW => visit(Answer::Connection(message.get(HEADERS..).and_then(translation))),
            _ => {}
        }
        rest = rest.get(padded(length)..).unwrap_or_default();
    }
}

fn head(rest: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
    (length >= 16).then_some((length, kind))
}

/// Reads the attributes of a connection; none unless its destination is translated.
fn translation(attributes: &[u8]) -> Option<Translation> {
    let status = u32::from_be_bytes(*find(attributes, STATUS)?.first_chunk()?);
    if status & DEST_NAT == 0 {
        return None;
    }
    let (protocol, source, original) = tuple(find(attributes, TUPLE_ORIGINAL)?)?;
    let (_, translated, _) = tuple(find(attributes, TUPLE_REPLY)?)?;
    Some(Translation { protocol, source, original, translated })
}

fn tuple(attributes: &[u8]) -> Option<(Protocol, SocketAddr, SocketAddr)> {
    let (ip, transport) = (find(attributes, TUPLE_IP)?, find(attributes, TUPLE_PROTOCOL)?);
    let address = |v4: u16, v6: u16| -> Option<IpAddr> {
        find(ip, v4)
            .and_then(|b| Some(IpAddr::from(*b.first_chunk::<4>()?)))
            .or_else(|| Some(IpAddr::from(*find(ip, v6)?.first_chunk::<16>()?)))
    };
    let port = |kind| find(transport, kind).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b));
    let protocol = Protocol(*find(transport, NUMBER)?.first()?);
    let source = SocketAddr::new(address(V4_SOURCE, V6_SOURCE)?, port(SOURCE_PORT));
    let dest = SocketAddr::new(address(V4_DEST, V6_DEST)?, port(DEST_PORT));
    Some((protocol, source, dest))
}

/// Returns the content of the first attribute of this type.
fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let content = rest.get(4..length)?;
        if kind & !NESTED == wanted {
            return Some(content);
        }
        rest = rest.get(padded(length)..)?;
    }
}

fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = 4 + content.len();
    let mut bytes = (length as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(padded(length), 0);
    bytes
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        }
    }

    fn tuple_attribute(kind: u16, source: SocketAddr, dest: SocketAddr) -> Vec<u8> {
        let (from, to) = if source.is_ipv4() { (V4_SOURCE, V4_DEST) } else { (V6_SOURCE, V6_DEST) };
        let addresses = [attribute(from, &octets(source.ip())), attribute(to, &octets(dest.ip()))].concat();
        let transport = [
            attribute(NUMBER, &[Protocol::TCP.0]),
            attribute(SOURCE_PORT, &source.port().to_be_bytes()),
            attribute(DEST_PORT, &dest.port().to_be_bytes()),
        ]
        .concat();
        let tuple = [attribute(TUPLE_IP | NESTED, &addresses), attribute(TUPLE_PROTOCOL | NESTED, &transport)];
        attribute(kind | NESTED, &tuple.concat())
    }

    fn event(source: &str, original: &str, backend: &str, status: u32) -> Vec<u8> {
        let (source, original, backend) =
            (source.parse().unwrap(), original.parse().unwrap(), backend.parse().unwrap());
        let attributes = [
            tuple_attribute(TUPLE_ORIGINAL, source, original),
            tuple_attribute(TUPLE_REPLY, backend, source),
            attribute(STATUS, &status.to_be_bytes()),
        ];
        message(NEW, 0, 1, 0, &attributes.concat())
    }

    fn answers(datagram: &[u8]) -> Vec<Answer> {
        let mut all = Vec::new();
        read(datagram, |answer| all.push(answer));
        all
    }

    #[test]
    fn an_event_with_a_translated_destination_reads_as_a_translation() {
        for (source, original, backend) in
            [("10.0.0.1:5000", "10.96.0.1:80", "10.0.0.9:8080"), ("[fd00::1]:5000", "[fd96::1]:80", "[fd00::9]:8080")]
        {
            let both = [event(source, original, backend, 0x28), event(source, original, backend, 0x08)].concat();
            let translation = Translation {
                protocol: Protocol::TCP,
                source: source.parse().unwrap(),
                original: original.parse().unwrap(),
                translated: backend.parse().unwrap(),
            };
            assert_eq!(answers(&both), [Answer::Connection(Some(translation)), Answer::Connection(None)]);
        }
    }

    #[test]
    fn a_dump_ends_where_the_kernel_says_so() {
        assert_eq!(answers(&message(DONE, 2, 1, 0, &[])), [Answer::Done]);
    }

    #[test]
    fn an_error_reads_as_its_number() {
        let mut message = 36_u32.to_ne_bytes().to_vec();
        message.extend(ERROR.to_ne_bytes());
        message.resize(16, 0);
        message.extend((-libc::ENOENT).to_ne_bytes());
        message.resize(36, 0);
        assert_eq!(answers(&message), [Answer::Failed(libc::ENOENT)]);
    }

    #[test]
    fn bytes_cut_or_changed_anywhere_never_panic_nor_hang() {
        let whole = event("10.0.0.1:5000", "10.96.0.1:80", "10.0.0.9:8080", 0x28);
        for at in 0..whole.len() {
            answers(&whole[..at]);
            for value in [0, 1, 4, 255] {
                let mut changed = whole.clone();
                changed[at] = value;
                answers(&changed);
            }
        }
    }
}
