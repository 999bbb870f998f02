//! What this machine lacks for a server, said before anything is tried.

use std::path::Path;

use crate::error::Missing;
use crate::{Product, ServerError, artifact, jdk, place, search};

/// Returns what the machine lacks for a product, with the command that installs it. Downloads nothing.
///
/// # Errors
/// If something is missing.
pub fn available(product: Product) -> Result<(), Missing> {
    if place::switched_off() {
        let what = format!("servers to be wanted, and `{}` is `none`", place::VARIABLE);
        return Err(Missing { product, what, install: format!("unset {}", place::VARIABLE) });
    }
    jdk::find(product)?;
    let mut commands = vec![("setpriv", "util-linux")];
    if !artifact::is_cached(&format!("{}-{}", product.artifact(), product.version())) {
        commands.push(("mvn", "maven"));
        commands.push(("unzip", "unzip"));
    }
    if product != Product::Kafka {
        commands.push(("openssl", "openssl"));
        if nix::unistd::geteuid().is_root() {
            commands.push(("useradd", "passwd"));
        }
    }
    match commands.into_iter().find(|(command, _)| !in_path(command)) {
        None => Ok(()),
        Some((command, package)) => Err(Missing {
            product,
            what: format!("the command `{command}`"),
            install: format!("apt-get install {package}"),
        }),
    }
}

/// Returns true if all products can be started here. Otherwise says what is missing in a line that begins with
/// `SKIPPED:`, for a test to return at; where `CI=true` it panics instead.
///
/// # Panics
/// Where `CI=true` and something is missing.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skip is told to whoever runs the tests")]
pub fn can_run(test: &str, products: &[Product]) -> bool {
    let missing: Vec<String> =
        products.iter().filter_map(|product| available(*product).err()).map(|missing| missing.to_string()).collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!("SKIPPED: {test}: {}", missing.join("; "));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("{message}");
    false
}

/// Downloads and unpacks a product, if that was not done before.
///
/// # Errors
/// If the machine lacks something, or the download fails.
pub fn fetch(product: Product) -> Result<(), ServerError> {
    available(product)?;
    match product {
        Product::Kafka => artifact::kafka().map(|_| ()),
        Product::OpenSearch3 | Product::OpenSearch2 | Product::Elasticsearch9 => search::prepare(product),
    }
}

fn in_path(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Tools of administration are not on everybody's path.
    let folders =
        std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned(), Path::new("/sbin").to_owned()]);
    folders.map(|folder| folder.join(command)).any(|file| file.is_file())
}
