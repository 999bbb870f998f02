//! The commands of the binary. Standard output is for programs, standard error for people.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use servers::{Kafka, KafkaOptions, Lifetime, Product, Search, SearchOptions, available, fetch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Real Kafka, OpenSearch and Elasticsearch for tests and the demo, on loopback, without containers.
#[derive(Debug, Parser)]
#[command(name = "servers", version)]
pub(crate) enum Command {
    /// Start servers, print where they are, and keep them until standard input closes or SIGINT or SIGTERM comes.
    Up {
        /// Which ones.
        #[arg(required = true)]
        servers: Vec<Name>,
        /// Where settings, data and logs are put; removed at the end.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// How the addresses are printed.
        #[arg(long, value_enum, default_value_t = Format::Env)]
        format: Format,
        /// Java heap of each server, in MiB.
        #[arg(long, default_value_t = 512)]
        heap_mib: u32,
        /// Start slower, for load that lasts.
        #[arg(long)]
        long: bool,
    },
    /// Download and unpack servers ahead of their first start.
    Fetch {
        /// Which ones; none given: all.
        servers: Vec<Name>,
    },
    /// Say of each server whether it can be started here, and what is missing; exit 1 if one cannot.
    Doctor,
}

/// A server, as it is called on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Kafka 4.4.
    Kafka,
    /// OpenSearch 3.8.
    Opensearch,
    /// OpenSearch 2.19.
    Opensearch2,
    /// Elasticsearch 9.5.
    Elasticsearch,
}

impl Name {
    fn product(self) -> Product {
        match self {
            Self::Kafka => Product::Kafka,
            Self::Opensearch => Product::OpenSearch3,
            Self::Opensearch2 => Product::OpenSearch2,
            Self::Elasticsearch => Product::Elasticsearch9,
        }
    }

    /// The variable that holds its address.
    fn variable(self) -> &'static str {
        match self {
            Self::Kafka => "KAFKA_BOOTSTRAP",
            Self::Opensearch => "OPENSEARCH_URL",
            Self::Opensearch2 => "OPENSEARCH2_URL",
            Self::Elasticsearch => "ELASTICSEARCH_URL",
        }
    }
}

/// How addresses are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// `NAME=address`, one a line, then an empty line.
    Env,
    /// One JSON object on one line.
    Json,
}

/// What all servers of a command are given.
#[derive(Debug, Clone)]
struct Common {
    heap_mib: u32,
    runs: Option<PathBuf>,
    lifetime: Lifetime,
}

/// A server that runs for as long as this is held.
enum Running {
    Kafka(Kafka),
    Search(Search),
}

impl Running {
    fn address(&self) -> String {
        match self {
            Self::Kafka(kafka) => kafka.bootstrap(),
            Self::Search(search) => search.url(),
        }
    }
}

/// Carries out a command.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up { servers, dir, format, heap_mib, long } => {
            let lifetime = if *long { Lifetime::Long } else { Lifetime::Short };
            up(servers, *format, Common { heap_mib: *heap_mib, runs: dir.clone(), lifetime })
        }
        Command::Fetch { servers } => {
            let chosen: Vec<Product> = match servers.as_slice() {
                [] => Product::ALL.to_vec(),
                some => some.iter().map(|name| name.product()).collect(),
            };
            for product in chosen {
                fetch(product)?;
                say(&format!("{product} is there"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor => doctor(),
    }
}

fn up(names: &[Name], format: Format, common: Common) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    // Listened for from the beginning: whoever gives up during a slow start gets an orderly end too.
    let end = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (closed, input) = oneshot::channel();
        thread::spawn(move || {
            // A failed read is an input that is gone, too.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            let _ = closed.send(());
        });
        anyhow::Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = input => "the end of its input",
            }
        })
    });
    let end = end.context("cannot listen for signals")?;
    let (started, ready) = oneshot::channel();
    let chosen = names.to_vec();
    thread::spawn(move || {
        // If nobody waits any more, the servers end with this value.
        let _ = started.send(start(&chosen, &common));
    });
    let reason = runtime.block_on(async {
        tokio::pin!(end);
        let running = tokio::select! {
            reason = &mut end => return anyhow::Ok(reason),
            running = ready => running.context("the thread that starts servers has ended")??,
        };
        print(&running, format)?;
        Ok(end.await)
    })?;
    say(&format!("ending after {reason}"));
    Ok(ExitCode::SUCCESS)
}

/// Starts all at once: each spends most of its start waiting for its own threads.
fn start(names: &[Name], common: &Common) -> anyhow::Result<Vec<(Name, Running)>> {
    let starts: Vec<_> = names
        .iter()
        .map(|&name| {
            let Common { heap_mib, runs, lifetime } = common.clone();
            thread::spawn(move || {
                let product = name.product();
                say(&format!("starting {product}"));
                let running = match name {
                    Name::Kafka => Running::Kafka(Kafka::start(&KafkaOptions {
                        heap_mib,
                        runs,
                        lifetime,
                        ..KafkaOptions::default()
                    })?),
                    Name::Opensearch | Name::Opensearch2 | Name::Elasticsearch => {
                        let options = SearchOptions { heap_mib, runs, lifetime, ..SearchOptions::default() };
                        Running::Search(Search::start(product, &options)?)
                    }
                };
                say(&format!("{product} is ready at {}", running.address()));
                anyhow::Ok((name, running))
            })
        })
        .collect();
    let ended = |_| anyhow::anyhow!("a thread that starts a server has ended");
    let all: Vec<_> = starts.into_iter().map(|start| start.join().map_err(ended)?).collect();
    all.into_iter().collect()
}

fn print(running: &[(Name, Running)], format: Format) -> anyhow::Result<()> {
    let addresses = running.iter().map(|(name, running)| (name.variable(), running.address()));
    let text = match format {
        Format::Env => addresses.map(|(name, address)| format!("{name}={address}\n")).collect::<String>() + "\n",
        Format::Json => {
            let object: serde_json::Map<_, _> =
                addresses.map(|(name, address)| (name.to_lowercase(), address.into())).collect();
            serde_json::Value::from(object).to_string() + "\n"
        }
    };
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("cannot print the addresses")
}

fn doctor() -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut text = String::new();
    for product in Product::ALL {
        let line = match available(product) {
            Ok(()) => format!("ok       {product}\n"),
            Err(missing) => {
                code = ExitCode::from(1);
                format!("missing  {missing}\n")
            }
        };
        text.push_str(&line);
    }
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the findings")?;
    Ok(code)
}

/// Tells people how it goes.
#[expect(clippy::print_stderr, reason = "the program's own voice")]
fn say(line: &str) {
    eprintln!("servers: {line}");
}

/// Prints an error with what was tried at each level.
#[expect(clippy::print_stderr, reason = "the program's own voice")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("servers: {error:#}");
}
