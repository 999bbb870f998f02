//! Settings: defaults < one YAML file < environment < flags.
//!
//! [`load`] merges the sources into one tree and reads it into the caller's raw type, in which every key is optional.
//! What does not fit (unknown keys, wrong types, unreadable files) goes to [`Problems`] and is taken out of the tree,
//! so that the rest is read all the same. The caller then resolves the raw type into strict settings, adding what it
//! finds to the same [`Problems`], and [`Problems::into_result`] says everything that is wrong at once:
//!
//! ```
//! use std::time::Duration;
//! use service::settings::{self, Period, Problems, Sources};
//!
//! #[derive(Default, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct RawSettings {
//!     node: Option<String>,
//!     /// How long a window is.
//!     window: Option<Period>,
//! }
//!
//! struct Settings {
//!     window: Duration,
//! }
//!
//! impl Settings {
//!     fn resolve(raw: RawSettings, problems: &mut Problems) -> Self {
//!         let window = raw.window.map_or(Duration::from_secs(15), Duration::from);
//!         problems.check("window", window >= Duration::from_secs(1), || "must be at least 1s".to_owned());
//!         Self { window }
//!     }
//! }
//!
//! let sources = Sources::default()
//!     .environment("MILLRACE_", [("MILLRACE_WINDOW".into(), "10ms".into()), ("MILLRACE_NODDE".into(), "n1".into())]);
//! let (raw, mut problems) = settings::load::<RawSettings>(&sources)?.into_parts();
//! let settings = Settings::resolve(raw, &mut problems);
//! let problems = problems.into_result(settings).err().unwrap();
//! assert_eq!(
//!     problems.to_string(),
//!     "2 settings are wrong:\n  \
//!        nodde (environment MILLRACE_NODDE): unknown key; did you mean `node`?\n  \
//!        window (environment MILLRACE_WINDOW): must be at least 1s"
//! );
//! # Ok::<(), Problems>(())
//! ```

mod address;
mod dump;
mod environment;
mod file;
mod origin;
mod period;
mod problems;
mod read;
mod secret;
mod shape;
mod size;
mod sources;
mod tree;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use address::{InvalidAddress, ListenAddress};
pub use dump::Dump;
pub use origin::Origin;
pub use period::{InvalidPeriod, Period};
pub use problems::{Problem, Problems};
pub use secret::Secret;
pub use size::{InvalidSize, Size};
pub use sources::Sources;

use shape::Shape;

/// The largest settings file that is read, in bytes. A file with every key and a comment on each has some 30 KiB.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Settings as they were read, and what was wrong with them so far.
#[derive(Debug, Clone)]
pub struct Loaded<R> {
    /// The values that were given, in the caller's raw type.
    pub raw: R,
    /// What is wrong so far. The caller adds what it finds when it resolves the raw type.
    pub problems: Problems,
}

impl<R> Loaded<R> {
    /// Returns the values and the problems, to resolve the one while adding to the other.
    pub fn into_parts(self) -> (R, Problems) {
        (self.raw, self.problems)
    }
}

/// Reads the sources into a raw type.
///
/// # Errors
/// Only if not even the absence of all keys fits the raw type; everything else is in [`Loaded::problems`].
pub fn load<R: DeserializeOwned + JsonSchema>(sources: &Sources) -> Result<Loaded<R>, Problems> {
    let shape = Shape::of::<R>();
    let (mut tree, mut found) = sources.merge(&shape);
    for unknown in shape.take_unknown(&mut tree.value) {
        let origin = tree.origins.of(&unknown.key);
        found.push(Problem { origin, key: unknown.key, reason: unknown.reason });
    }
    let raw = read::read(&mut tree, &mut found);
    let problems = Problems::new(found, tree.origins);
    match raw {
        Some(raw) => Ok(Loaded { raw, problems }),
        None => Err(problems),
    }
}

/// Returns the JSON Schema of a raw type: what `config schema` prints.
pub fn schema<R: JsonSchema>() -> Value {
    Shape::of::<R>().into_schema()
}

#[cfg(test)]
mod tests;
