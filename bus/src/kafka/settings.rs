//! How the brokers are reached, and how much is held on the way: plain values, checked as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::MAX_RECORD_BYTES;

/// Client options that may be given beside the settings: they tune, and can neither lose a record nor weaken a check.
pub const EXTRA_OPTIONS: [&str; 16] = [
    "batch.size",
    "broker.address.family",
    "client.dns.lookup",
    "client.rack",
    "connections.max.idle.ms",
    "debug",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "max.partition.fetch.bytes",
    "metadata.max.age.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "topic.metadata.refresh.interval.ms",
];

/// The longest that a record may wait for company.
pub const LONGEST_LINGER: Duration = Duration::from_millis(20);

/// How to reach Kafka. [`KafkaSettings::at`] gives the defaults; [`KafkaSettings::validate`] checks the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Brokers to ask first, as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// What the brokers' logs and quotas know this client by.
    pub client_id: String,
    /// Encrypts the connections; plain TCP if none.
    pub tls: Option<Tls>,
    /// Logs in with a user and a password; no login, or a client certificate alone, if none.
    pub sasl: Option<Sasl>,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a record waits for company before its batch leaves. At most [`LONGEST_LINGER`].
    pub linger: Duration,
    /// How long a record is tried before its send fails with [`crate::BusError::Unavailable`].
    pub delivery_timeout: Duration,
    /// How long one request may take before its connection is given up.
    pub request_timeout: Duration,
    /// After how long without a sign of life a member's partitions go to others.
    pub session_timeout: Duration,
    /// After how long a member that is alive but does not serve its group any more gives its partitions up. A consumer
    /// whose caller does not poll for a while still serves it.
    pub poll_interval: Duration,
    /// Records that a producer holds before it waits.
    pub queue_records: u32,
    /// Bytes that a producer holds before it waits.
    pub queue_bytes: usize,
    /// Bytes of records that a consumer holds ready before it stops reading ahead. librdkafka holds as many again.
    pub fetch_bytes: usize,
    /// Makes the members of groups static: with the same id a member that comes back within the session time-out finds
    /// its partitions again, without sharing anew. Each consumer of a group needs one of its own.
    pub instance_id: Option<String>,
    /// Further client options, out of [`EXTRA_OPTIONS`].
    pub options: BTreeMap<String, String>,
}

/// Encryption, and who is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities that are trusted (PEM); the system's if none.
    pub ca_file: Option<PathBuf>,
    /// Who we are; anonymous if none.
    pub identity: Option<Identity>,
}

/// A client certificate. Both files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate with its chain (PEM).
    pub certificate_file: PathBuf,
    /// Its key (PEM, without a pass phrase).
    pub key_file: PathBuf,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// The file that holds the password; line ends at its end do not count. Read again when it changes.
    pub password_file: PathBuf,
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself is sent: only over TLS.
    Plain,
    /// Salted challenge and response with SHA-256.
    ScramSha256,
    /// Salted challenge and response with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// Returns the name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// How batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Quick.
    Lz4,
    /// Small.
    Zstd,
}

impl Compression {
    /// Returns the name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, with a dot before each part of a part: `tls.ca_file`.
    pub key: String,
    /// Why not.
    pub reason: String,
}

impl KafkaSettings {
    /// Returns the defaults for these brokers.
    pub fn at(bootstrap_servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into_iter().map(Into::into).collect(),
            client_id: "millrace".to_owned(),
            tls: None,
            sasl: None,
            compression: Compression::Lz4,
            linger: Duration::from_millis(10),
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_secs(300),
            queue_records: 100_000,
            queue_bytes: 64 * 1024 * 1024,
            fetch_bytes: 16 * 1024 * 1024,
            instance_id: None,
            options: BTreeMap::new(),
        }
    }

    /// Returns all that cannot be, in the order of the fields; nothing if the settings are good. Reads the files that
    /// they name.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        problems.check(!self.bootstrap_servers.is_empty(), "bootstrap_servers", || "names no broker".to_owned());
        for server in &self.bootstrap_servers {
            problems.check(is_address(server), "bootstrap_servers", || format!("`{server}` is not host:port"));
        }
        problems.check(!self.client_id.is_empty(), "client_id", || "is empty".to_owned());
        if let Some(tls) = &self.tls {
            problems.readable("tls.ca_file", tls.ca_file.as_ref());
            problems.readable("tls.certificate_file", tls.identity.as_ref().map(|identity| &identity.certificate_file));
            problems.readable("tls.key_file", tls.identity.as_ref().map(|identity| &identity.key_file));
        }
        if let Some(sasl) = &self.sasl {
            let readable = sasl.mechanism != Mechanism::Plain || self.tls.is_some();
            problems
                .check(readable, "sasl.mechanism", || "PLAIN shows the password to the network: needs tls".to_owned());
            problems.check(!sasl.user.is_empty(), "sasl.user", || "is empty".to_owned());
            problems.readable("sasl.password_file", Some(&sasl.password_file));
        }
        problems.check(self.linger <= LONGEST_LINGER, "linger", || format!("is more than {LONGEST_LINGER:?}"));
        let second = Duration::from_secs(1);
        let hour = second * 3600;
        problems.within("delivery_timeout", self.delivery_timeout, second, hour);
        problems.within("request_timeout", self.request_timeout, second, second * 300);
        problems.within("session_timeout", self.session_timeout, second * 6, second * 1800);
        problems.within("poll_interval", self.poll_interval, self.session_timeout, hour * 24);
        let fits = self.delivery_timeout >= self.linger + second;
        problems.check(fits, "delivery_timeout", || "leaves no second after linger".to_owned());
        problems.check((100..=10_000_000).contains(&self.queue_records), "queue_records", || {
            "is not in 100..=10000000".to_owned()
        });
        let least = 2 * MAX_RECORD_BYTES;
        for (key, bytes) in [("queue_bytes", self.queue_bytes), ("fetch_bytes", self.fetch_bytes)] {
            problems.check((least..=1 << 31).contains(&bytes), key, || format!("is not in {least}..=2147483648"));
        }
        problems
            .check(self.instance_id.as_ref().is_none_or(|id| !id.is_empty()), "instance_id", || "is empty".to_owned());
        for option in self.options.keys() {
            problems.check(EXTRA_OPTIONS.contains(&option.as_str()), &format!("options.{option}"), || {
                format!("is not one of {}", EXTRA_OPTIONS.join(", "))
            });
        }
        problems.found
    }
}

#[derive(Default)]
struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    fn check(&mut self, good: bool, key: &str, reason: impl FnOnce() -> String) {
        if !good {
            self.found.push(Problem { key: key.to_owned(), reason: reason() });
        }
    }

    fn within(&mut self, key: &str, value: Duration, least: Duration, most: Duration) {
        self.check((least..=most).contains(&value), key, || format!("is not between {least:?} and {most:?}"));
    }

    fn readable(&mut self, key: &str, file: Option<&PathBuf>) {
        let Some(file) = file else { return };
        if let Err(error) = std::fs::File::open(file) {
            self.check(false, key, || format!("cannot read `{}`: {error}", file.display()));
        }
    }
}

fn is_address(server: &str) -> bool {
    let Some((host, port)) = server.rsplit_once(':') else { return false };
    let plain = |c: char| !c.is_whitespace() && c != ',' && c != '/';
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut KafkaSettings), expected: &[&str]) {
        let mut settings = KafkaSettings::at(["broker:9092"]);
        change(&mut settings);
        let keys: Vec<_> = settings.validate().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, expected, "{settings:?}");
    }

    #[test]
    fn every_problem_is_told_with_its_key() {
        check(|_| (), &[]);
        check(|s| s.bootstrap_servers = vec!["[::1]:9092".to_owned(), "a-b.c:1".to_owned()], &[]);
        check(|s| s.bootstrap_servers.clear(), &["bootstrap_servers"]);
        for server in ["broker", "broker:0", ":9092", "a,b:1", "http://a:1"] {
            check(|s| s.bootstrap_servers = vec![server.to_owned()], &["bootstrap_servers"]);
        }
        check(|s| s.linger = Duration::from_millis(21), &["linger"]);
        check(|s| s.session_timeout = Duration::from_secs(5), &["session_timeout"]);
        check(|s| s.poll_interval = Duration::from_secs(29), &["poll_interval"]);
        check(|s| s.fetch_bytes = MAX_RECORD_BYTES, &["fetch_bytes"]);
        check(|s| drop(s.options.insert("client.rack".to_owned(), "a".to_owned())), &[]);
        check(
            |s| drop(s.options.insert("enable.auto.commit".to_owned(), "true".to_owned())),
            &["options.enable.auto.commit"],
        );
        check(
            |s| {
                let password_file = PathBuf::from("/nowhere/password");
                s.client_id.clear();
                s.sasl = Some(Sasl { mechanism: Mechanism::Plain, user: String::new(), password_file });
            },
            &["client_id", "sasl.mechanism", "sasl.user", "sasl.password_file"],
        );
        check(
            |s| s.tls = Some(Tls { ca_file: Some(PathBuf::from("/nowhere/ca.pem")), identity: None }),
            &["tls.ca_file"],
        );
    }
}
