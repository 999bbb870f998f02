//! Enumerations of the running kernel, out of its BTF. Comes in: the bytes of `/sys/kernel/btf/*`. Goes out: names.
//!
//! aya reads BTF for relocation and keeps names to itself; these few lines read enumerations alone. Format:
//! <https://docs.kernel.org/bpf/btf.html>.

use super::bytes::{Bytes, UnreadableEvent};

const MAGIC: u16 = 0xeb9f;
const KIND_ENUM: u32 = 6;

/// One enumeration: its name, and its values with their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Enumeration {
    pub(super) name: String,
    pub(super) values: Vec<(u32, String)>,
}

/// The sections of one BTF blob.
struct Sections {
    types: std::ops::Range<usize>,
    strings: usize,
    strings_len: usize,
}

/// Returns the enumerations for which `wanted` says yes. `base` is the kernel's own BTF if `btf` is a module's, which
/// counts its strings on from there.
pub(super) fn enumerations(
    btf: &[u8],
    base: Option<&[u8]>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Enumeration>, UnreadableEvent> {
    let bytes = Bytes(btf);
    let sections = sections(bytes)?;
    let base = base.map(|b| Ok((Bytes(b), self::sections(Bytes(b))?))).transpose()?;
    let name = |offset: u32| {
        let offset = offset as usize;
        match &base {
            Some((base, its)) if offset < its.strings_len => text(*base, its.strings + offset),
            Some((_, its)) => text(bytes, sections.strings + offset - its.strings_len),
            None => text(bytes, sections.strings + offset),
        }
    };
    let mut found = Vec::new();
    let mut at = sections.types.start;
    while at < sections.types.end {
        let (kind, count) = {
            let info = bytes.u32(at + 4)?;
            (info >> 24 & 31, (info & 0xffff) as usize)
        };
        if kind == KIND_ENUM {
            let its_name = name(bytes.u32(at)?);
            if wanted(&its_name) {
                let value = |i: usize| {
                    let at = at + 12 + i * 8;
                    Ok((bytes.u32(at + 4)?, name(bytes.u32(at)?)))
                };
                found.push(Enumeration { name: its_name, values: (0..count).map(value).collect::<Result<_, _>>()? });
            }
        }
        at += 12 + tail(kind, count);
    }
    Ok(found)
}

/// Returns the bytes that follow the 12 common ones of a type.
fn tail(kind: u32, count: usize) -> usize {
    match kind {
        1 | 14 | 17 => 4,              // int, variable, declaration tag
        3 => 12,                       // array
        4 | 5 | 15 | 19 => count * 12, // structure, union, data section, enumeration of 64 bits
        6 | 13 => count * 8,           // enumeration, function prototype
        _ => 0,
    }
}

fn sections(bytes: Bytes<'_>) -> Result<Sections, UnreadableEvent> {
    if bytes.u16(0)? != MAGIC {
        return Err(UnreadableEvent::Value("mark of BTF"));
    }
    let word = |at: usize| bytes.u32(at).map(|w| w as usize);
    let header = word(4)?;
    let types = header + word(8)?;
    Ok(Sections { types: types..types + word(12)?, strings: header + word(16)?, strings_len: word(20)? })
}

fn text(bytes: Bytes<'_>, at: usize) -> String {
    let rest = bytes.0.get(at..).unwrap_or_default();
    let name = rest.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob of one enumeration, `fruit { APPLE = 3 }`, behind one `int`.
    fn blob() -> Vec<u8> {
        let strings = b"\0int\0fruit\0APPLE\0";
        let words = |list: &[u32]| list.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
        let types = words(&[1, 1 << 24, 4, 32, 5, 6 << 24 | 1, 4, 11, 3]);
        let mut blob = MAGIC.to_ne_bytes().to_vec();
        blob.extend([1, 0]);
        blob.extend(words(&[24, 0, types.len() as u32, types.len() as u32, strings.len() as u32]));
        blob.extend(types);
        blob.extend(strings);
        blob
    }

    #[test]
    fn finds_an_enumeration_behind_other_types() {
        let found = enumerations(&blob(), None, |name| name == "fruit").unwrap();
        assert_eq!(found, [Enumeration { name: "fruit".into(), values: vec![(3, "APPLE".into())] }]);
        assert_eq!(enumerations(&blob(), None, |name| name == "int").unwrap(), []);
    }

    #[test]
    fn a_blob_cut_anywhere_is_an_error_or_shorter_but_never_a_panic() {
        let whole = blob();
        for end in 0..whole.len() {
            let _ = enumerations(&whole[..end], None, |_| true);
        }
        assert!(enumerations(b"not BTF at all, but long enough", None, |_| true).is_err());
    }
}
