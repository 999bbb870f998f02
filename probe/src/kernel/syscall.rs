//! The calls of bpf(2) that aya lacks: tables in batches, take-out of one entry, statistics of a program.
//!
//! Keys and values are bytes here; [`Shape`] says how many, and every pointer handed to the kernel points into a buffer
//! sized by it. All `unsafe` of the project is in this file.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const LOOKUP_AND_DELETE_ELEM: libc::c_long = 21;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LOOKUP_BATCH: libc::c_long = 24;
const DELETE_BATCH: libc::c_long = 27;

/// Entries of one batch call; must be at least the longest chain of a hash bucket.
const BATCH: usize = 4096;

/// Bytes of a table's keys and values, as the table was created with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of a key.
    pub(super) key: usize,
    /// Bytes of a value.
    pub(super) value: usize,
}

/// `union bpf_attr` as the batch calls read it.
#[repr(C)]
#[derive(Default)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// `union bpf_attr` as the calls for one element read it.
#[repr(C)]
#[derive(Default)]
struct ElementAttributes {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` as `BPF_OBJ_GET_INFO_BY_FD` reads it.
#[repr(C)]
struct InfoAttributes {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// What the kernel counted of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgramStatistics {
    pub(super) run_ns: u64,
    pub(super) runs: u64,
    pub(super) missed: u64,
}

/// Hands each entry of a hash table to `visit`. Entries that come or go meanwhile may be missed or seen twice.
pub(super) fn read_all(table: BorrowedFd<'_>, shape: Shape, mut visit: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let mut keys = vec![0_u8; BATCH * shape.key];
    let mut values = vec![0_u8; BATCH * shape.value];
    let mut position = [0_u64; 8]; // a bucket number for hashes; the kernel writes 4 bytes, or a key's size
    let mut first = true;
    loop {
        let mut attributes = BatchAttributes {
            in_batch: if first { 0 } else { position.as_ptr() as u64 },
            out_batch: position.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: BATCH as u32,
            map_fd: table.as_raw_fd() as u32,
            ..BatchAttributes::default()
        };
        // SAFETY: the attributes have the kernel's layout and live through the call; `keys` and `values` hold `count`
        // entries of the table's sizes, `position` holds the 4 bytes that a hash table's position needs.
        let failed = unsafe { bpf(LOOKUP_BATCH, &mut attributes) };
        let last = match failed {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true, // also fills in what was left
            Err(error) => return Err(error),
        };
        let count = (attributes.count as usize).min(BATCH);
        let entries = keys.chunks_exact(shape.key).zip(values.chunks_exact(shape.value));
        entries.take(count).for_each(|(key, value)| visit(key, value));
        if last {
            return Ok(());
        }
        first = false;
    }
}

/// Takes one entry out of a hash table. Returns false if it was not there.
pub(super) fn take(table: BorrowedFd<'_>, shape: Shape, key: &[u8], value: &mut Vec<u8>) -> io::Result<bool> {
    assert_eq!(key.len(), shape.key, "a key of the table's size");
    value.clear();
    value.resize(shape.value, 0);
    let mut attributes = ElementAttributes {
        map_fd: table.as_raw_fd() as u32,
        key: key.as_ptr() as u64,
        value: value.as_mut_ptr() as u64,
        ..ElementAttributes::default()
    };
    // SAFETY: the attributes have the kernel's layout and live through the call; key and value have the table's sizes.
    match unsafe { bpf(LOOKUP_AND_DELETE_ELEM, &mut attributes) } {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes entries, their keys given one after the other. Keys that are not there are passed over.
pub(super) fn delete_all(table: BorrowedFd<'_>, shape: Shape, keys: &[u8]) -> io::Result<()> {
    let mut rest = keys;
    while rest.len() >= shape.key {
        let count = u32::try_from(rest.len() / shape.key).unwrap_or(u32::MAX);
        let mut attributes = BatchAttributes {
            keys: rest.as_ptr() as u64,
            count,
            map_fd: table.as_raw_fd() as u32,
            ..BatchAttributes::default()
        };
        // SAFETY: the attributes have the kernel's layout and live through the call; `rest` holds `count` keys.
        match unsafe { bpf(DELETE_BATCH, &mut attributes) } {
            Ok(()) => return Ok(()),
            // `count` is now the number removed; the key after them was not there.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let done = (attributes.count as usize + 1).saturating_mul(shape.key);
                rest = rest.get(done..).unwrap_or_default();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads how often a program ran, for how long, and how often it was skipped.
pub(super) fn program_statistics(program: BorrowedFd<'_>) -> io::Result<ProgramStatistics> {
    // struct bpf_prog_info up to recursion_misses (5.12). The kernel fills in what it knows and what fits.
    let mut info = [0_u64; 27];
    let mut attributes = InfoAttributes {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: the attributes have the kernel's layout and live through the call; `info` holds `info_len` bytes. All
    // pointers within it are null, so nothing is written elsewhere.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(ProgramStatistics { run_ns: info[24], runs: info[25], missed: info[26] })
}

/// Calls bpf(2).
///
/// # Safety
/// `attributes` must be what `command` expects, and every address in it valid for what the command reads and writes.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<()> {
    // SAFETY: the caller vouches for the attributes; their size is that of the type.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
