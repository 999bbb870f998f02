//! The configuration folder of a node: a copy of the distribution's, with our settings after its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::system;
use crate::{Product, SearchOptions, Security, ServerError};

/// Copies the distribution's configuration into the run folder, makes the others, and returns where it is.
pub(super) fn lay_out(product: Product, home: &Path, run: &Path) -> Result<PathBuf, ServerError> {
    let config = run.join("config");
    copy(&home.join("config"), &config)?;
    for name in ["data", "logs", "tmp"] {
        let folder = run.join(name);
        fs::create_dir(&folder).map_err(system(format!("make `{}`", folder.display())))?;
    }
    let options = config.join("jvm.options");
    let doing = || format!("adapt `{}`", options.display());
    let text = fs::read_to_string(&options).map_err(system(doing()))?;
    fs::write(&options, java_options(product, home, &text)).map_err(system(doing()))?;
    Ok(config)
}

/// Leaves out what would write below the shared home (garbage collection logs, heap dumps) or set another heap, and makes
/// the path of the agent absolute, as the node runs in a folder of its own.
fn java_options(product: Product, home: &Path, text: &str) -> String {
    let kept = |line: &&str| {
        !["-Xlog", "-Xloggc", "HeapDump", "ErrorFile", "-Xms", "-Xmx"].iter().any(|word| line.contains(word))
    };
    let agent = format!("-javaagent:{}/agent/", home.display());
    let mut lines: Vec<String> =
        text.lines().filter(kept).map(|line| line.replace("-javaagent:agent/", &agent)).collect();
    if product == Product::OpenSearch2 || product == Product::OpenSearch3 {
        lines.push("-XX:-HeapDumpOnOutOfMemoryError".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The settings of a node.
pub(super) fn node(product: Product, options: &SearchOptions, http: u16, transport: u16, run: &Path) -> String {
    let mut lines = vec![
        "cluster.name: millrace-servers".to_owned(),
        "node.name: node-1".to_owned(),
        "discovery.type: single-node".to_owned(),
        "network.host: 127.0.0.1".to_owned(),
        format!("http.port: {http}"),
        format!("transport.port: {transport}"),
        format!("path.data: {}", run.join("data").display()),
        format!("path.logs: {}", run.join("logs").display()),
        // How full the disk of a developer is should not decide about a test.
        "cluster.routing.allocation.disk.threshold_enabled: false".to_owned(),
    ];
    lines.extend(security(product, options.security).iter().map(|line| (*line).to_owned()));
    // A name given twice is refused by the node, so ours make room for the caller's.
    let given = |line: &String| options.settings.iter().any(|(name, _)| line.starts_with(&format!("{name}:")));
    lines.retain(|line| !given(line));
    lines.extend(options.settings.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(String::new());
    lines.join("\n")
}

fn security(product: Product, security: Security) -> &'static [&'static str] {
    match (product, security) {
        (Product::Elasticsearch9, Security::Open) => &["xpack.security.enabled: false"],
        (Product::Elasticsearch9, Security::Closed) => &[
            "xpack.security.enabled: true",
            "xpack.security.http.ssl.enabled: true",
            "xpack.security.http.ssl.key: certs/node-key.pem",
            "xpack.security.http.ssl.certificate: certs/node.pem",
            "xpack.security.http.ssl.certificate_authorities: certs/ca.pem",
            "xpack.security.http.ssl.client_authentication: optional",
        ],
        (Product::OpenSearch2, Security::Closed) => &[
            "plugins.security.ssl.transport.pemcert_filepath: certs/node.pem",
            "plugins.security.ssl.transport.pemkey_filepath: certs/node-key.pem",
            "plugins.security.ssl.transport.pemtrustedcas_filepath: certs/ca.pem",
            "plugins.security.ssl.transport.enforce_hostname_verification: false",
            "plugins.security.ssl.http.enabled: true",
            "plugins.security.ssl.http.pemcert_filepath: certs/node.pem",
            "plugins.security.ssl.http.pemkey_filepath: certs/node-key.pem",
            "plugins.security.ssl.http.pemtrustedcas_filepath: certs/ca.pem",
            "plugins.security.authcz.admin_dn: [\"CN=client,O=millrace-servers\"]",
            "plugins.security.nodes_dn: [\"CN=node,O=millrace-servers\"]",
            "plugins.security.allow_default_init_securityindex: true",
            "plugins.security.restapi.roles_enabled: [all_access]",
        ],
        (Product::OpenSearch2 | Product::OpenSearch3, Security::Open) | (Product::OpenSearch3 | Product::Kafka, _) => {
            &[]
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    let doing = || format!("copy `{}` to `{}`", from.display(), to.display());
    fs::create_dir(to).map_err(system(doing()))?;
    for entry in fs::read_dir(from).map_err(system(doing()))? {
        let entry = entry.map_err(system(doing()))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(system(doing()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_options_write_nothing_into_the_shared_home() {
        let text = "-Xms1g\n11-:-XX:+UseG1GC\n9-:-Xlog:gc*:file=logs/gc.log\n-XX:HeapDumpPath=data\n\
                    21-:-javaagent:agent/opensearch-agent.jar\n";
        let options = java_options(Product::OpenSearch3, Path::new("/home"), text);
        assert_eq!(
            options,
            "11-:-XX:+UseG1GC\n21-:-javaagent:/home/agent/opensearch-agent.jar\n-XX:-HeapDumpOnOutOfMemoryError\n"
        );
    }

    #[test]
    fn settings_of_the_caller_replace_ours() {
        let options = SearchOptions::default().setting("node.name", "other").setting("http.max_content_length", "2mb");
        let text = node(Product::Elasticsearch9, &options, 1, 2, Path::new("/run"));
        assert!(text.contains("node.name: other\n") && !text.contains("node-1"), "{text}");
        assert!(text.contains("xpack.security.enabled: false\n"), "{text}");
        assert!(text.contains("http.port: 1\n") && text.contains("transport.port: 2\n"), "{text}");
    }
}
