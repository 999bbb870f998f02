//! The shared, read-only home of a product: its distribution, with what the published one lacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifact::{self, run};
use crate::error::system;
use crate::{Product, Security, ServerError, jdk};

/// Version of the security plugin for OpenSearch 2.
const SECURITY: &str = "2.19.4.0";

/// Downloads and unpacks all that a product may need.
pub(crate) fn prepare(product: Product) -> Result<(), ServerError> {
    of(product, Security::Open)?;
    if product == Product::OpenSearch2 {
        of(product, Security::Closed)?;
    }
    Ok(())
}

/// Returns the home for a product.
pub(super) fn of(product: Product, security: Security) -> Result<PathBuf, ServerError> {
    match (product, security) {
        (Product::Kafka, _) => Err(ServerError::NotASearchEngine(product)),
        (Product::OpenSearch3, Security::Closed) => Err(ServerError::NoSecurity(product)),
        (Product::OpenSearch3 | Product::OpenSearch2, Security::Open) => artifact::distribution(product),
        (Product::OpenSearch2, Security::Closed) => with_security(product),
        (Product::Elasticsearch9, _) => with_root_page(product),
    }
}

/// OpenSearch 2 with its security plugin, laid out as the plugin's installer does.
fn with_security(product: Product) -> Result<PathBuf, ServerError> {
    let plain = artifact::distribution(product)?;
    artifact::cached(&format!("opensearch-{}-security", product.version()), |folder| {
        clone(&plain, folder)?;
        let plugin = folder.join("plugins/opensearch-security");
        let doing = || "install the security plugin".to_owned();
        let zip = artifact::get(product, "org.opensearch.plugin", "opensearch-security", SECURITY, folder)?;
        artifact::unzip(product, &zip, &plugin)?;
        fs::rename(plugin.join("config"), folder.join("config/opensearch-security")).map_err(system(doing()))
    })
}

/// Elasticsearch with a plugin of ours that answers `GET /`, and the analysis pieces that the index of API keys names:
/// the modules that do so are not published.
fn with_root_page(product: Product) -> Result<PathBuf, ServerError> {
    let plain = artifact::distribution(product)?;
    artifact::cached(&format!("elasticsearch-{}-rest-root", product.version()), |folder| {
        clone(&plain, folder)?;
        let plugin = folder.join("plugins/rest-root-local");
        let doing = || format!("build `{}`", plugin.display());
        let source = folder.join("RestRootPlugin.java");
        let classes = folder.join("classes");
        fs::create_dir(&plugin).map_err(system(doing()))?;
        fs::write(&source, include_str!("RestRootPlugin.java")).map_err(system(doing()))?;
        let bin = jdk::find(product)?.join("bin");
        let library = folder.join("lib/*");
        run(
            "compile the plugin for `GET /`",
            Command::new(bin.join("javac"))
                .args(["-nowarn", "--release", "21", "-cp"])
                .arg(library)
                .arg("-d")
                .arg(&classes)
                .arg(&source),
        )?;
        let jar = plugin.join("rest-root-local.jar");
        run(
            "pack the plugin for `GET /`",
            Command::new(bin.join("jar")).arg("cf").arg(jar).arg("-C").arg(&classes).arg("."),
        )?;
        let descriptor = format!(
            "description=GET / for a node without the rest-root module\nversion=1\nname=rest-root-local\n\
             classname=local.restroot.RestRootPlugin\njava.version=21\nelasticsearch.version={}\n",
            product.version()
        );
        fs::write(plugin.join("plugin-descriptor.properties"), descriptor).map_err(system(doing()))?;
        fs::remove_dir_all(&classes).map_err(system(doing()))?;
        fs::remove_file(&source).map_err(system(doing()))
    })
}

/// Copies a home, with its files linked where the file system can.
fn clone(home: &Path, folder: &Path) -> Result<(), ServerError> {
    let source = format!("{}/.", home.display());
    run("copy a distribution", Command::new("cp").args(["--archive", "--link", &source]).arg(folder))
}
