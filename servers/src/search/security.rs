//! Certificates and users of a node, made for one run.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::artifact::{last_lines, run};
use crate::error::system;
use crate::{Product, ServerError, jdk};

/// How to get into a secured node. The files are gone with the node.
#[derive(Debug, Clone)]
pub struct Secured {
    /// The certificate authority to trust, PEM.
    pub ca: PathBuf,
    /// A user that may do everything.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// A file with nothing but that password.
    pub password_file: PathBuf,
    /// A certificate for `CN=client,O=millrace-servers`. For OpenSearch it is the administrator's; Elasticsearch takes
    /// it in TLS, and still asks for a password.
    pub client: ClientCertificate,
}

/// A client's certificate and key, PEM.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, PKCS#8.
    pub key: PathBuf,
}

/// A password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Returns the password itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Makes certificates and a user below the configuration folder.
pub(super) fn make(product: Product, home: &Path, config: &Path) -> Result<Secured, ServerError> {
    let folder = config.join("certs");
    certificates(&folder)?;
    let (user, password) = match product {
        // The plugin's own, which it sets up at its first start.
        Product::OpenSearch2 => ("admin", "admin".to_owned()),
        Product::Kafka | Product::OpenSearch3 | Product::Elasticsearch9 => ("millrace-admin", random()?),
    };
    if product == Product::Elasticsearch9 {
        add_user(product, home, config, user, &password)?;
    }
    let password_file = folder.join("password");
    let doing = || format!("write `{}`", password_file.display());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&password_file)
        .map_err(system(doing()))?;
    file.write_all(password.as_bytes()).map_err(system(doing()))?;
    Ok(Secured {
        ca: folder.join("ca.pem"),
        user: user.to_owned(),
        password: Password(password),
        password_file,
        client: ClientCertificate { certificate: folder.join("client.pem"), key: folder.join("client-key.pem") },
    })
}

/// An authority, and certificates for the node and a client, for loopback.
fn certificates(folder: &Path) -> Result<(), ServerError> {
    fs::create_dir(folder).map_err(system(format!("make `{}`", folder.display())))?;
    let openssl = |arguments: &str| {
        run("make certificates", Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder))
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca-key.pem -out ca.pem -days 7 -subj /O=millrace-servers/CN=ca"))?;
    let extensions = folder.join("extensions");
    fs::write(&extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .map_err(system(format!("write `{}`", extensions.display())))?;
    for name in ["node", "client"] {
        openssl(&format!("req {key} -keyout {name}-key.pem -out {name}.csr -subj /O=millrace-servers/CN={name}"))?;
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 7 -extfile extensions -out {name}.pem"
        ))?;
    }
    Ok(())
}

fn random() -> Result<String, ServerError> {
    let doing = "read random bytes";
    let mut bytes = [0; 12];
    let mut source = fs::File::open("/dev/urandom").map_err(system(doing))?;
    std::io::Read::read_exact(&mut source, &mut bytes).map_err(system(doing))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds a user to the file realm. The password goes through the tool's input, never on its command line.
fn add_user(product: Product, home: &Path, config: &Path, user: &str, password: &str) -> Result<(), ServerError> {
    let doing = "add a user to Elasticsearch";
    let tool = home.join("bin/elasticsearch-users");
    let mut child = Command::new(&tool)
        .args(["useradd", user, "-r", "superuser"])
        .env("ES_JAVA_HOME", jdk::find(product)?)
        .env("ES_PATH_CONF", config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(system(doing))?;
    if let Some(mut stdin) = child.stdin.take() {
        // It asks twice.
        stdin.write_all(format!("{password}\n{password}\n").as_bytes()).map_err(system(doing))?;
    }
    let output = child.wait_with_output().map_err(system(doing))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).replace(password, "…");
    let (command, output) = (tool.display().to_string(), last_lines(&text, 12));
    Err(ServerError::Command { doing: doing.to_owned(), command, output })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let password = Password("open-sesame".to_owned());
        assert_eq!(format!("{password:?}"), "Password(…)");
        assert_eq!(password.reveal(), "open-sesame");
    }
}
