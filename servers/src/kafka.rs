//! One Kafka broker in KRaft mode.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::error::system;
use crate::place::RunFolder;
use crate::process::Launch;
use crate::server::Server;
use crate::{Lifetime, Product, ServerError, artifact, available, jdk, port};

mod ready;

/// Any sixteen bytes do; they are kept in the data.
const CLUSTER_ID: &str = "bWlsbHJhY2Utc2VydmVycw";

/// What may be set for a broker.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Broker properties over ours, such as `("message.max.bytes", "2000000")`.
    pub properties: Vec<(String, String)>,
    /// The address that the broker tells its clients, where that is not its own: a proxy's.
    pub advertised: Option<SocketAddr>,
    /// The Java heap in MiB.
    pub heap_mib: u32,
    /// Where the folder with its settings, data and log is made; none: in `target/servers/run`.
    pub runs: Option<PathBuf>,
    /// What it is started for.
    pub lifetime: Lifetime,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { properties: Vec::new(), advertised: None, heap_mib: 512, runs: None, lifetime: Lifetime::Short }
    }
}

impl KafkaOptions {
    /// Sets a broker property.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running broker; ended and removed when dropped.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    address: SocketAddr,
    advertised: SocketAddr,
}

impl Kafka {
    /// Starts a broker on a free port of loopback and waits until it answers a metadata request.
    ///
    /// # Errors
    /// If the machine lacks something, nothing can be downloaded, or the broker does not come up.
    pub fn start(options: &KafkaOptions) -> Result<Self, ServerError> {
        available(Product::Kafka)?;
        let java = jdk::find(Product::Kafka)?.join("bin/java").display().to_string();
        let jars = artifact::kafka()?.join("libs/*").display().to_string();
        let folder = RunFolder::new("kafka", options.runs.as_deref())?;
        let (client, controller) = (port::free()?, port::free()?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, client));
        let advertised = options.advertised.unwrap_or(address);
        let settings = folder.path().join("server.properties");
        let text = properties(options, address, controller, &folder.path().join("data"));
        fs::write(&settings, text).map_err(system(format!("write `{}`", settings.display())))?;
        let settings = settings.display().to_string();
        let classes = ["-Xshare:auto", "-cp", &jars];
        let quick = Lifetime::Short.java_options();
        let format = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", &settings];
        artifact::run(
            "format the data folder of Kafka",
            std::process::Command::new(&java).args(quick).args(classes).args(format),
        )?;
        let heap = format!("-Xmx{}m", options.heap_mib);
        let options = [options.lifetime.java_options(), &classes].concat();
        let command = [java.as_str(), &heap].into_iter().chain(options).chain(["kafka.Kafka", &settings]);
        let launch = Launch {
            command: command.map(str::to_owned).collect(),
            environment: Vec::new(),
            folder: folder.path().to_owned(),
            account: None,
            log: folder.path().join("server.log"),
        };
        let name = format!("{} at {address}", Product::Kafka);
        let server = Server::start(name, folder, launch, Box::new(move || ready::answers(address)))?;
        Ok(Self { server, address, advertised })
    }

    /// Returns what clients call `bootstrap.servers`: the advertised address, which is the broker's own unless another
    /// was set.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.advertised.to_string()
    }

    /// Returns the address that the broker itself listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the broker (SIGKILL) and waits until it is gone. Its data stay.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Ends the broker in good order (SIGTERM). Its data stay.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Starts the broker again on its data and port; one that runs is ended in good order first.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.server.restart()
    }

    /// Freezes the broker (SIGSTOP): connections stay open and nothing is answered.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.server.pause()
    }

    /// Lets a frozen broker go on (SIGCONT).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.server.resume()
    }

    /// Returns the folder with settings, data and log; gone when this is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }
}

/// The properties file: a broker that is its own controller, keeps one copy of everything and waits for nobody.
fn properties(options: &KafkaOptions, address: SocketAddr, controller: u16, data: &Path) -> String {
    let advertised = options.advertised.unwrap_or(address);
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://{advertised}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=2\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n\
         num.partitions=4\n",
        data.display()
    );
    for (name, value) in &options.properties {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_the_caller_come_last_and_the_advertised_address_is_told() {
        let options = KafkaOptions { advertised: Some("127.0.0.1:7".parse().unwrap()), ..KafkaOptions::default() };
        let options = options.property("num.partitions", "9");
        let text = properties(&options, "127.0.0.1:5".parse().unwrap(), 6, Path::new("/d"));
        assert!(text.contains("listeners=PLAINTEXT://127.0.0.1:5,CONTROLLER://127.0.0.1:6\n"), "{text}");
        assert!(text.contains("advertised.listeners=PLAINTEXT://127.0.0.1:7\n"), "{text}");
        // Of a name given twice, Java's properties keep the last.
        assert!(text.ends_with("num.partitions=9\n"), "{text}");
    }
}
