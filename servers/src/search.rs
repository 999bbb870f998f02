//! One node of OpenSearch or Elasticsearch.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::error::system;
use crate::place::RunFolder;
use crate::process::Launch;
use crate::server::Server;
use crate::{Lifetime, Product, ServerError, account, available, jdk, port};

mod home;
mod ready;
mod security;
mod settings;

pub(crate) use home::prepare;
pub use security::{ClientCertificate, Password, Secured};

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Everyone, without TLS.
    #[default]
    Open,
    /// TLS with certificates made for this run, and users with passwords.
    Closed,
}

/// What may be set for a node.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// Settings over ours, such as `("http.max_content_length", "2mb")`; values are YAML.
    pub settings: Vec<(String, String)>,
    /// The Java heap in MiB.
    pub heap_mib: u32,
    /// Where the folder with its settings, data and log is made; none: in `target/servers/run`.
    pub runs: Option<PathBuf>,
    /// What it is started for.
    pub lifetime: Lifetime,
    /// Who may come in.
    pub security: Security,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { settings: Vec::new(), heap_mib: 512, runs: None, lifetime: Lifetime::Short, security: Security::Open }
    }
}

impl SearchOptions {
    /// Adds a setting; the value is YAML.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for TLS and users.
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.security = Security::Closed;
        self
    }
}

/// A running node; ended and removed when dropped.
#[derive(Debug)]
pub struct Search {
    server: Server,
    product: Product,
    address: SocketAddr,
    secured: Option<Secured>,
}

impl Search {
    /// Starts a node on a free port of loopback and waits until it answers over HTTP.
    ///
    /// # Errors
    /// If the machine lacks something, nothing can be downloaded, the product cannot do what is asked, or the node does
    /// not come up.
    pub fn start(product: Product, options: &SearchOptions) -> Result<Self, ServerError> {
        if product == Product::Kafka {
            return Err(ServerError::NotASearchEngine(product));
        }
        available(product)?;
        let home = home::of(product, options.security)?;
        let account = account::unprivileged()?;
        let folder = RunFolder::new(product.artifact(), options.runs.as_deref())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let config = settings::lay_out(product, &home, folder.path())?;
        let secured = match options.security {
            Security::Open => None,
            Security::Closed => Some(security::make(product, &home, &config)?),
        };
        let text = settings::node(product, options, address.port(), port::free()?, folder.path());
        append(&config.join(format!("{}.yml", product.artifact())), &text)?;
        if let Some(account) = account {
            account.own(folder.path())?;
        }
        let variable = |name: &'static str, value: &Path| (name, value.display().to_string());
        let java = jdk::find(product)?;
        let heap = format!("-Xms{0}m -Xmx{0}m", options.heap_mib);
        let java_options = [&[heap.as_str()], options.lifetime.java_options()].concat().join(" ");
        let temporary = folder.path().join("tmp");
        let environment = match product {
            Product::Elasticsearch9 => vec![
                variable("ES_JAVA_HOME", &java),
                ("ES_JAVA_OPTS", java_options),
                variable("ES_PATH_CONF", &config),
                variable("ES_TMPDIR", &temporary),
            ],
            Product::Kafka | Product::OpenSearch2 | Product::OpenSearch3 => vec![
                variable("OPENSEARCH_JAVA_HOME", &java),
                ("OPENSEARCH_JAVA_OPTS", java_options),
                variable("OPENSEARCH_PATH_CONF", &config),
                variable("OPENSEARCH_TMPDIR", &temporary),
            ],
        };
        let launch = Launch {
            command: vec![home.join("bin").join(product.artifact()).display().to_string()],
            environment,
            folder: folder.path().to_owned(),
            account,
            log: folder.path().join("server.log"),
        };
        let name = format!("{product} at {address}");
        let door = ready::Door { address, secured: secured.clone() };
        let server = Server::start(name, folder, launch, Box::new(move || door.answers()))?;
        Ok(Self { server, product, address, secured })
    }

    /// Returns `http://127.0.0.1:PORT`, or `https://…` where security is on; no slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the address that the node listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns which product it is.
    #[must_use]
    pub fn product(&self) -> Product {
        self.product
    }

    /// Returns how to get in, where security is on.
    #[must_use]
    pub fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Kills the node (SIGKILL) and waits until it is gone. Its data stay.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Ends the node in good order (SIGTERM). Its data stay.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Starts the node again on its data and port; one that runs is ended in good order first.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.server.restart()
    }

    /// Freezes the node (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.server.pause()
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.server.resume()
    }

    /// Returns the folder with settings, data and logs; gone when this is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }
}

/// Appends lines to a file.
fn append(path: &Path, text: &str) -> Result<(), ServerError> {
    let doing = format!("write `{}`", path.display());
    let old = fs::read_to_string(path).map_err(system(&doing))?;
    fs::write(path, format!("{old}\n{text}")).map_err(system(doing))
}
