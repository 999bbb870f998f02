//! Finding a Java of the right version: `JAVA_HOME`, `/usr/lib/jvm`, the search path.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Missing, Product};

/// Returns the home of the oldest JDK that the product runs on.
pub(crate) fn find(product: Product) -> Result<PathBuf, Missing> {
    let versions = candidates().into_iter().filter_map(|home| Some((version(&home)?, home))).collect();
    choose(versions, &product.java()).ok_or_else(|| {
        let range = product.java();
        let what = match *range.end() {
            u32::MAX => format!("a JDK {} or newer", range.start()),
            last => format!("a JDK from {} to {last}", range.start()),
        };
        let install = match product {
            Product::Kafka | Product::OpenSearch2 => "apt-get install openjdk-17-jdk-headless",
            Product::OpenSearch3 | Product::Elasticsearch9 => {
                "apt-get install openjdk-21-jdk-headless (where your release has it; else any JDK ≥ 21, with JAVA_HOME set to it)"
            }
        };
        Missing { product, what, install: install.to_owned() }
    })
}

/// The oldest of those in the range: each server is run on what it was made for.
fn choose(mut versions: Vec<(u32, PathBuf)>, range: &RangeInclusive<u32>) -> Option<PathBuf> {
    versions.sort();
    versions.into_iter().find(|(version, _)| range.contains(version)).map(|(_, home)| home)
}

fn candidates() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = std::env::var_os("JAVA_HOME").map(PathBuf::from).into_iter().collect();
    if let Ok(entries) = fs::read_dir("/usr/lib/jvm") {
        homes.extend(entries.flatten().map(|entry| entry.path()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    homes.extend(
        std::env::split_paths(&path)
            .filter_map(|folder| fs::canonicalize(folder.join("java")).ok())
            .filter_map(|java| Some(java.parent()?.parent()?.to_owned())),
    );
    // A JDK, not a bare runtime: its compiler builds the piece that Elasticsearch lacks.
    homes.retain(|home| home.join("bin/java").is_file() && home.join("bin/javac").is_file());
    homes
}

fn version(home: &Path) -> Option<u32> {
    let text = match fs::read_to_string(home.join("release")) {
        Ok(text) => text,
        Err(_) => {
            let output = Command::new(home.join("bin/java")).arg("-XshowSettings:properties").arg("-version").output();
            String::from_utf8_lossy(&output.ok()?.stderr).into_owned()
        }
    };
    major(&text)
}

/// Reads `JAVA_VERSION="25.0.1"` (a `release` file) or `java.version = 17.0.15` (the settings that Java prints).
fn major(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("JAVA_VERSION=") || line.starts_with("java.version ="))?;
    let (_, value) = line.split_once('=')?;
    value.trim().trim_matches('"').split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_both_sources() {
        assert_eq!(major("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"25.0.1\"\n"), Some(25));
        assert_eq!(major("JAVA_VERSION=\"21\""), Some(21));
        assert_eq!(major("    java.vendor = Debian\n    java.version = 17.0.15\n"), Some(17));
        assert_eq!(major("JAVA_VERSION=\"26-ea\""), Some(26));
        assert_eq!(major("nothing"), None);
    }

    #[test]
    fn the_oldest_that_fits_is_chosen() {
        let homes = || vec![(25, PathBuf::from("/25")), (17, PathBuf::from("/17")), (21, PathBuf::from("/21"))];
        assert_eq!(choose(homes(), &Product::Kafka.java()), Some(PathBuf::from("/17")));
        assert_eq!(choose(homes(), &Product::OpenSearch3.java()), Some(PathBuf::from("/21")));
        assert_eq!(choose(vec![(25, PathBuf::from("/25"))], &Product::OpenSearch2.java()), None);
    }
}
