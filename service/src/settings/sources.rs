//! Where settings may come from, weakest first, and how they are laid over each other.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::Value;

use super::origin::Origin;
use super::shape::Shape;
use super::tree::Tree;
use super::{Problem, environment, file};

/// The sources of one set of settings. Each is given by the caller: nothing is read from the process behind its back.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<environment::Variable>,
    problems: Vec<Problem>,
    flags: Vec<Flag>,
}

#[derive(Debug, Clone)]
struct Flag {
    key: String,
    shown: String,
    value: Value,
}

impl Sources {
    /// Reads this YAML file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes the variables with this prefix: `MILLRACE_SECTION__KEY` is `section.key` for the prefix `MILLRACE_`.
    ///
    /// Give [`std::env::vars_os`], less the variables with that prefix that mean something else. Variables that
    /// Kubernetes sets for Services (`MILLRACE_CONSOLE_SERVICE_HOST`, `MILLRACE_CONSOLE_PORT_80_TCP`) are left out here.
    #[must_use]
    pub fn environment(mut self, prefix: &str, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        for found in environment::with_prefix(prefix, variables) {
            match found {
                Ok(variable) => self.environment.push(variable),
                Err(problem) => self.problems.push(problem),
            }
        }
        self
    }

    /// Gives a key, written `section.key`, the value of a flag, which is named in problems as `shown`.
    ///
    /// A string is read as what the key wants: a number, a boolean, a list with commas.
    #[must_use]
    pub fn flag(mut self, key: &str, shown: impl Into<String>, value: impl Into<Value>) -> Self {
        self.flags.push(Flag { key: key.to_owned(), shown: shown.into(), value: value.into() });
        self
    }

    /// Lays the sources over each other.
    pub(super) fn merge(&self, shape: &Shape) -> (Tree, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut tree = match self.file.as_deref().map(file::read) {
            Some(Ok(tree)) => tree,
            Some(Err(problem)) => {
                problems.push(problem);
                Tree::default()
            }
            None => Tree::default(),
        };
        problems.extend(self.problems.iter().cloned());
        for variable in &self.environment {
            let path: Vec<_> = variable.path.iter().map(String::as_str).collect();
            let value = shape.at(&path).read(&variable.text);
            problems.extend(tree.set(&path, value, Origin::Environment(variable.name.clone())));
        }
        for flag in &self.flags {
            let path: Vec<_> = flag.key.split('.').collect();
            let value = match &flag.value {
                Value::String(text) => shape.at(&path).read(text),
                other => other.clone(),
            };
            problems.extend(tree.set(&path, value, Origin::Flag(flag.shown.clone())));
        }
        (tree, problems)
    }
}
