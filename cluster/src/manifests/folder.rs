//! Reads a folder again and again, and only what changed.
//!
//! A file is the same as before if its time and size are, and its time is old enough that a second write must have
//! moved it; else its content decides. What was read before stays in use where the new version is half-written or
//! broken.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::UnixMs;
use sha2::{Digest as _, Sha256};

use super::documents::{self, Content, Notation};
use super::walk::{Found, Stamp, walk};
use super::{InvalidManifest, InvalidReason, Limits};
use crate::objects::{Object, ObjectName, Objects};

/// Two writes within this time may leave one and the same time stamp: file systems stamp by the tick, some by the second.
const STAMP_GRAIN_MS: u64 = 3_000;
/// A file written so short a time ago may still be written to: it is looked at again before it replaces what was read.
const SETTLE_MS: u64 = 200;
/// A file that never settles is read as it is after so many looks.
const MAX_LOOKS: u32 = 10;

/// A folder of manifests that is read again.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    limits: Limits,
    files: BTreeMap<Arc<str>, Known>,
    reported: Vec<InvalidManifest>,
}

/// What a reading found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// True if objects or reports differ from the reading before.
    pub changed: bool,
    /// True if a file was just being written: look again within a second.
    pub unsettled: bool,
    /// All objects in use.
    pub objects: Objects,
    /// Everything that could not be used, sorted by place.
    pub invalid: Vec<InvalidManifest>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    hash: [u8; 32],
    /// What stands in the file now.
    content: Content,
    /// What is used: the content, and what it had to leave of the version before.
    in_use: Vec<(u32, Object)>,
    /// Objects of the version before that stay in use, and whether that is all of them.
    kept: BTreeSet<ObjectName>,
    looks: u32,
}

impl Folder {
    /// Names a folder; nothing is read yet.
    #[must_use]
    pub fn new(dir: &Path, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), limits, files: BTreeMap::new(), reported: Vec::new() }
    }

    /// Reads the folder as it is, whatever is being written at the moment.
    pub fn read(&mut self) -> Scan {
        self.scan(None)
    }

    /// Reads what changed since the last reading. `now` is the wall clock that files are stamped by.
    pub fn reread(&mut self, now: UnixMs) -> Scan {
        self.scan(Some(now))
    }

    fn scan(&mut self, now: Option<UnixMs>) -> Scan {
        let mut invalid = Vec::new();
        let found = walk(&self.dir, &self.limits, &mut invalid);
        // A folder that cannot be listed for a moment (remounted, swapped) has not lost its objects.
        let listed = !invalid.iter().any(|report| report.file.as_ref() == "." && is_unreadable(&report.reason));
        let mut changed = false;
        if listed {
            let before = self.files.len();
            let names: BTreeSet<&Arc<str>> = found.iter().map(|file| &file.name).collect();
            self.files.retain(|name, _| names.contains(name));
            changed |= self.files.len() != before;
        } else if !self.files.is_empty() {
            invalid.iter_mut().filter(|report| is_unreadable(&report.reason)).for_each(|report| report.kept = true);
        }

        let mut unsettled = false;
        let mut bytes = 0_u64;
        for file in &found {
            bytes = bytes.saturating_add(file.stamp.bytes);
            if bytes > self.limits.total_bytes {
                let limit = self.limits.total_bytes;
                invalid.push(whole(&file.name, InvalidReason::Limit { what: "bytes in all files", limit }, false));
                // A file left out now is left out as a whole, so that the rest does not depend on what was read before.
                changed |= self.files.remove(&file.name).is_some();
                continue;
            }
            match self.refresh(file, now) {
                Ok(Refreshed::Same) => {}
                Ok(Refreshed::Changed) => changed = true,
                Ok(Refreshed::Unsettled) => unsettled = true,
                Err(reason) => {
                    invalid.push(whole(&file.name, reason, self.files.contains_key(&file.name)));
                }
            }
        }

        let scan = self.gathered(invalid);
        changed |= scan.invalid != self.reported;
        self.reported.clone_from(&scan.invalid);
        Scan { changed, unsettled, ..scan }
    }

    /// Returns a folder of one file, read from a text.
    pub(super) fn of_one(name: &str, text: &[u8], limits: Limits) -> Self {
        let mut folder = Self::new(Path::new(""), limits);
        let stamp = Stamp::unknown(text.len() as u64);
        let hash = Sha256::digest(text).into();
        let content = documents::read(text, notation(Path::new(name)), &limits);
        folder.files.insert(name.into(), Known::first(stamp, hash, content));
        folder
    }

    /// Puts together what is known now.
    pub(super) fn gathered(&self, mut invalid: Vec<InvalidManifest>) -> Scan {
        let objects = self.gather(&mut invalid);
        invalid.sort();
        invalid.dedup();
        Scan { changed: true, unsettled: false, objects, invalid }
    }

    fn refresh(&mut self, file: &Found, now: Option<UnixMs>) -> Result<Refreshed, InvalidReason> {
        let entry = self.files.entry(Arc::clone(&file.name));
        let age = now.map(|now| now.0.saturating_sub(file.stamp.modified.0));
        if let Entry::Occupied(known) = &entry {
            let same = known.get().stamp == file.stamp;
            if same && age.is_some_and(|age| age > STAMP_GRAIN_MS) {
                return Ok(Refreshed::Same);
            }
        }
        let bytes = contents(&file.path, self.limits.file_bytes)?;
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        match entry {
            Entry::Vacant(vacant) => {
                let content = documents::read(&bytes, notation(&file.path), &self.limits);
                vacant.insert(Known::first(file.stamp, hash, content));
                Ok(Refreshed::Changed)
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if known.hash == hash {
                    known.stamp = file.stamp;
                    return Ok(Refreshed::Same);
                }
                let fresh = age.is_some_and(|age| age < SETTLE_MS);
                if fresh && known.looks < MAX_LOOKS {
                    known.looks += 1;
                    return Ok(Refreshed::Unsettled);
                }
                let content = documents::read(&bytes, notation(&file.path), &self.limits);
                known.replace(file.stamp, hash, content);
                Ok(Refreshed::Changed)
            }
        }
    }

    /// Puts the objects of all files together; of two with one name the first in order of files is used.
    fn gather(&self, invalid: &mut Vec<InvalidManifest>) -> Objects {
        let mut objects = Objects::default();
        let mut seen: HashMap<ObjectName, String> = HashMap::new();
        let mut uids: HashMap<Arc<str>, String> = HashMap::new();
        for (file, known) in &self.files {
            for rejected in &known.content.invalid {
                let kept = match &rejected.object {
                    Some(name) => known.kept.contains(name),
                    None => known.content.broken && !known.kept.is_empty(),
                };
                invalid.push(InvalidManifest {
                    file: Arc::clone(file),
                    line: rejected.line,
                    object: rejected.object.clone(),
                    reason: rejected.reason.clone(),
                    kept,
                });
            }
            for kind in &known.content.other_kinds {
                count_other(&mut objects, kind);
            }
            for (line, object) in &known.in_use {
                let (name, uid) = (object.name(), object.meta().uid.clone());
                let place = format!("{file}:{line}");
                if objects.len() >= self.limits.objects {
                    let limit = self.limits.objects as u64;
                    invalid.push(whole(file, InvalidReason::Limit { what: "objects in all files", limit }, false));
                    break;
                }
                let first = seen.get(&name).or_else(|| uids.get(uid.as_ref()?));
                if let Some(first) = first {
                    let reason = InvalidReason::Duplicate(first.clone());
                    let object = Some(name);
                    invalid.push(InvalidManifest { file: Arc::clone(file), line: *line, object, reason, kept: false });
                    continue;
                }
                seen.insert(name, place.clone());
                if let Some(uid) = uid {
                    uids.insert(uid, place);
                }
                objects.insert(object.clone());
            }
        }
        objects
    }
}

enum Refreshed {
    Same,
    Changed,
    Unsettled,
}

impl Known {
    fn first(stamp: Stamp, hash: [u8; 32], content: Content) -> Self {
        let in_use = content.objects.clone();
        Self { stamp, hash, content, in_use, kept: BTreeSet::new(), looks: 0 }
    }

    /// Takes a new version over. Objects that it breaks stay as they were; if a part cannot be read at all, or nothing
    /// is left of the file, so does everything that is not there any more.
    fn replace(&mut self, stamp: Stamp, hash: [u8; 32], content: Content) {
        let now: BTreeSet<ObjectName> = content.objects.iter().map(|(_, object)| object.name()).collect();
        let broken: BTreeSet<&ObjectName> = content.invalid.iter().filter_map(|r| r.object.as_ref()).collect();
        let mut in_use = content.objects.clone();
        let mut kept = BTreeSet::new();
        for (line, object) in std::mem::take(&mut self.in_use) {
            let name = object.name();
            let named = broken.contains(&name) || broken.contains(&without_namespace(&name));
            if !now.contains(&name) && (content.broken || named) {
                kept.insert(name.clone());
                kept.insert(without_namespace(&name));
                in_use.push((line, object));
            }
        }
        *self = Self { stamp, hash, content, in_use, kept, looks: 0 };
    }
}

/// A rejected document is named as it is written; a missing namespace there is `default` in the object.
fn without_namespace(name: &ObjectName) -> ObjectName {
    match name.namespace.as_deref() {
        Some("default") => ObjectName { namespace: None, ..name.clone() },
        Some(_) | None => name.clone(),
    }
}

fn count_other(objects: &mut Objects, kind: &str) {
    /// Hostile kinds are counted together after this many.
    const MAX_KINDS: usize = 1_000;
    let known = objects.other_kinds.contains_key(kind) || objects.other_kinds.len() < MAX_KINDS;
    let key = if known { kind } else { "(further kinds)" };
    *objects.other_kinds.entry(key.to_owned()).or_default() += 1;
}

fn whole(file: &Arc<str>, reason: InvalidReason, kept: bool) -> InvalidManifest {
    InvalidManifest { file: Arc::clone(file), line: 0, object: None, reason, kept }
}

fn is_unreadable(reason: &InvalidReason) -> bool {
    matches!(reason, InvalidReason::Unreadable(_))
}

fn notation(path: &Path) -> Notation {
    if path.extension().is_some_and(|extension| extension == "json") { Notation::Json } else { Notation::Yaml }
}

/// Reads a file up to the limit, whatever size it had when it was listed.
fn contents(path: &Path, limit: u64) -> Result<Vec<u8>, InvalidReason> {
    let unreadable = |error: std::io::Error| InvalidReason::Unreadable(error.to_string());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(InvalidReason::Limit { what: "bytes", limit });
    }
    Ok(bytes)
}
