//! The servers that can be had, with their versions and what they run on.

use std::fmt;
use std::ops::RangeInclusive;

/// A server that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Product {
    /// Apache Kafka 4.4, one broker in KRaft mode.
    Kafka,
    /// OpenSearch 3.8, the full minimal distribution.
    OpenSearch3,
    /// OpenSearch 2.19, few modules, and the security plugin where it is asked for.
    OpenSearch2,
    /// Elasticsearch 9.5 without data-stream endpoints, ILM, scripts and ingest (their modules are not published).
    Elasticsearch9,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kafka, Self::OpenSearch3, Self::OpenSearch2, Self::Elasticsearch9];

    /// The version that is started.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Kafka => "4.4.0",
            Self::OpenSearch3 => "3.8.0",
            Self::OpenSearch2 => "2.19.4",
            Self::Elasticsearch9 => "9.5.3",
        }
    }

    /// The name of its artifact.
    pub(crate) const fn artifact(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::OpenSearch3 | Self::OpenSearch2 => "opensearch",
            Self::Elasticsearch9 => "elasticsearch",
        }
    }

    /// Major versions of Java that it runs on. OpenSearch 2 uses the security manager, which Java 24 took away.
    pub(crate) const fn java(self) -> RangeInclusive<u32> {
        match self {
            Self::Kafka => 17..=u32::MAX,
            Self::OpenSearch3 | Self::Elasticsearch9 => 21..=u32::MAX,
            Self::OpenSearch2 => 17..=23,
        }
    }
}

/// What a server is started for, which decides how its code is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// A test, or a demo: up in half the time (measured on two busy cores: OpenSearch 17 s to 8 s, Elasticsearch 13 s to
    /// 7 s), and slower under load that lasts.
    #[default]
    Short,
    /// A measurement: all of Java's compilers.
    Long,
}

impl Lifetime {
    /// Options of Java.
    pub(crate) const fn java_options(self) -> &'static [&'static str] {
        match self {
            Self::Short => &["-XX:TieredStopAtLevel=1"],
            Self::Long => &[],
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Kafka => "Kafka",
            Self::OpenSearch3 | Self::OpenSearch2 => "OpenSearch",
            Self::Elasticsearch9 => "Elasticsearch",
        };
        write!(f, "{name} {}", self.version())
    }
}
