//! Reads the merged tree into the raw type, taking out what does not fit until the rest does.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::Problem;
use super::origin::join;
use super::tree::Tree;

/// How many values that do not fit are reported one by one; each costs a pass over the tree.
const MAX_MISFITS: usize = 100;

/// Returns the raw value; none if it cannot even be read from an empty tree.
pub(super) fn read<R: DeserializeOwned>(tree: &mut Tree, problems: &mut Vec<Problem>) -> Option<R> {
    let mut removed = Removed::default();
    for _ in 0..MAX_MISFITS {
        let error = match serde_path_to_error::deserialize::<_, R>(&tree.value) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let path: Vec<_> = error.path().iter().cloned().collect();
        let key = removed.key(&path);
        let origin = tree.origins.of(&key);
        problems.push(Problem { key, reason: error.inner().to_string(), origin });
        if !removed.take(&mut tree.value, &path) {
            break;
        }
    }
    tree.value = Value::Object(Map::new());
    R::deserialize(&tree.value).ok()
}

/// Which elements of lists were taken out, so that the others keep their names.
#[derive(Default)]
struct Removed(BTreeMap<String, Vec<usize>>);

impl Removed {
    /// Returns the name of what lies at a path, as its source counts.
    fn key(&self, path: &[Segment]) -> String {
        path.iter().fold(String::new(), |key, segment| match segment {
            Segment::Seq { index } => format!("{key}[{}]", self.original(&key, *index)),
            Segment::Map { key: name } | Segment::Enum { variant: name } => join(&key, name),
            Segment::Unknown => key,
        })
    }

    fn original(&self, list: &str, index: usize) -> usize {
        let removed = self.0.get(list).map_or(&[][..], Vec::as_slice);
        removed.iter().fold(index, |index, removed| if *removed <= index { index + 1 } else { index })
    }

    /// Takes out what lies at a path, or the nearest thing around it. Returns false if that would be everything.
    fn take(&mut self, tree: &mut Value, path: &[Segment]) -> bool {
        let Some((last, around)) = path.split_last() else { return false };
        let parent = around.iter().try_fold(&mut *tree, |value, segment| match segment {
            Segment::Seq { index } => value.get_mut(index),
            Segment::Map { key: name } | Segment::Enum { variant: name } => value.get_mut(name),
            Segment::Unknown => None,
        });
        let taken = match (parent, last) {
            (Some(Value::Object(section)), Segment::Map { key: name } | Segment::Enum { variant: name }) => {
                section.remove(name).is_some()
            }
            (Some(Value::Array(items)), Segment::Seq { index }) if *index < items.len() => {
                items.remove(*index);
                let list = self.key(around);
                let original = self.original(&list, *index);
                let removed = self.0.entry(list).or_default();
                removed.push(original);
                removed.sort_unstable();
                true
            }
            _ => false,
        };
        taken || self.take(tree, around)
    }
}
