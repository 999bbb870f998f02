//! Getting servers with Maven, and unpacking each once. Whoever comes first does it; the others wait at a lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::system;
use crate::{Product, ServerError, jdk, place};

/// Runs a command that prepares something, and returns the end of its output where it fails.
pub(crate) fn run(doing: &str, command: &mut Command) -> Result<(), ServerError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(system(format!("{doing} with `{name}`")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Err(ServerError::Command { doing: doing.to_owned(), command: name, output: last_lines(&text, 12) })
}

/// Returns the last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Returns the folder `name` of the cache; if it is not there yet, `fill` makes its content in the folder it is given.
pub(crate) fn cached(name: &str, fill: impl FnOnce(&Path) -> Result<(), ServerError>) -> Result<PathBuf, ServerError> {
    let folder = place::root().join(name);
    let _lock = place::lock(name)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = place::root().join(format!("{name}.partial"));
    let doing = || format!("prepare `{}`", folder.display());
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(system(doing()))?;
    }
    fs::create_dir_all(&partial).map_err(system(doing()))?;
    fill(&partial)?;
    fs::rename(&partial, &folder).map_err(system(doing()))?;
    Ok(folder)
}

/// Says whether a folder of the cache is there.
pub(crate) fn is_cached(name: &str) -> bool {
    place::root().join(name).is_dir()
}

/// Returns the unpacked distribution of a search engine.
pub(crate) fn distribution(product: Product) -> Result<PathBuf, ServerError> {
    let (artifact, version) = (product.artifact(), product.version());
    let group = match product {
        Product::Elasticsearch9 => "org.elasticsearch.distribution.integ-test-zip",
        Product::OpenSearch3 | Product::OpenSearch2 => "org.opensearch.distribution.integ-test-zip",
        Product::Kafka => return Err(ServerError::NotASearchEngine(product)),
    };
    cached(&format!("{artifact}-{version}"), |folder| {
        eprintln_progress(&format!("fetching {product} (once; about a minute)"));
        let zip = get(product, group, artifact, version, folder)?;
        unzip(product, &zip, folder)?;
        // The archive has one folder at its top.
        let top = folder.join(format!("{artifact}-{version}"));
        let doing = || format!("unpack {product}");
        for entry in fs::read_dir(&top).map_err(system(doing()))? {
            let entry = entry.map_err(system(doing()))?;
            fs::rename(entry.path(), folder.join(entry.file_name())).map_err(system(doing()))?;
        }
        fs::remove_dir(&top).map_err(system(doing()))
    })
}

/// Fetches one archive into a folder and returns where it is.
pub(crate) fn get(
    product: Product,
    group: &str,
    artifact: &str,
    version: &str,
    folder: &Path,
) -> Result<PathBuf, ServerError> {
    let doing = format!("fetch {artifact} {version}");
    let downloads = folder.join("download");
    maven(product, &doing, &["dependency:copy", &format!("-Dartifact={group}:{artifact}:{version}:zip")], &downloads)?;
    Ok(downloads.join(format!("{artifact}-{version}.zip")))
}

/// Unpacks an archive into a folder, and removes it with the folder it was downloaded to.
pub(crate) fn unzip(product: Product, zip: &Path, folder: &Path) -> Result<(), ServerError> {
    let doing = format!("unpack {product}");
    run(&doing, Command::new("unzip").arg("-q").arg("-o").arg(zip).arg("-d").arg(folder))?;
    let download = zip.parent().unwrap_or(zip);
    fs::remove_dir_all(download).map_err(system(doing))
}

/// Returns the folder with the jars of Kafka.
pub(crate) fn kafka() -> Result<PathBuf, ServerError> {
    let product = Product::Kafka;
    let version = product.version();
    cached(&format!("kafka-{version}"), |folder| {
        eprintln_progress(&format!("fetching {product} (once; about a minute)"));
        let pom = folder.join("pom.xml");
        fs::write(&pom, include_str!("kafka/pom.xml")).map_err(system(format!("write `{}`", pom.display())))?;
        let version = format!("-Dkafka.version={version}");
        let file = format!("--file={}", pom.display());
        maven(
            product,
            "fetch the jars of Kafka",
            &["dependency:copy-dependencies", &version, &file],
            &folder.join("libs"),
        )
    })
}

fn maven(product: Product, doing: &str, arguments: &[&str], output: &Path) -> Result<(), ServerError> {
    // Maven runs on any Java that one of the servers runs on.
    let java = jdk::find(product)?;
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--quiet"]).args(arguments);
    command.arg(format!("-DoutputDirectory={}", output.display()));
    run(doing, command.env("JAVA_HOME", java).current_dir(place::root()))
}

#[expect(clippy::print_stderr, reason = "a download may take a minute, and whoever waits at a terminal should know")]
fn eprintln_progress(line: &str) {
    eprintln!("servers: {line}");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_folder_is_filled_once_however_many_want_it() {
        let name = format!("cached-test-{}", std::process::id());
        let filled = AtomicU32::new(0);
        let fill = |folder: &Path| {
            filled.fetch_add(1, Ordering::Relaxed);
            fs::write(folder.join("content"), "whole").map_err(system("write"))
        };
        // What failed half-way is not taken for whole.
        let failed = cached(&name, |folder| {
            fs::write(folder.join("content"), "ha").map_err(system("write"))?;
            Err(ServerError::NotRunning("the test".to_owned()))
        });
        assert!(failed.is_err() && !is_cached(&name));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let folder = cached(&name, fill).unwrap();
                    assert_eq!(fs::read_to_string(folder.join("content")).unwrap(), "whole");
                });
            }
        });
        assert_eq!(filled.load(Ordering::Relaxed), 1);
        fs::remove_dir_all(place::root().join(&name)).unwrap();
        fs::remove_file(place::root().join(format!("{name}.lock"))).unwrap();
    }

    #[test]
    fn the_end_of_an_output_is_kept() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 9), "a");
        assert_eq!(last_lines("", 9), "");
    }
}
