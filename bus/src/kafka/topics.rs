//! Topics as they should be: what is missing, what differs, and what can be done about it. Nothing is ever deleted or
//! made smaller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::Client;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::client::{self, FRAMING_BYTES, Plain};
use super::{KafkaSettings, blocking};
use crate::{BusError, MAX_RECORD_BYTES};

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Over how many partitions its keys are spread, at least.
    pub partitions: u32,
    /// How many copies are kept; the brokers' default if none. Only for a topic that is made.
    pub replication: Option<u16>,
    /// How long records are kept, at least; as long as the brokers say if none.
    pub retention: Option<Duration>,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// How many replicas have to have a record before it is acknowledged; as the brokers say if none.
    pub min_insync_replicas: Option<u16>,
    /// The largest batch that is taken, at least.
    pub max_message_bytes: usize,
}

/// What happens to old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// They are deleted after the retention.
    Delete,
    /// The last of each key is kept.
    Compact,
    /// Both.
    CompactDelete,
}

impl Cleanup {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
        }
    }
}

impl TopicSpec {
    /// Returns a topic that takes the largest records, with the brokers' defaults otherwise.
    pub fn named(name: &str, partitions: u32) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            replication: None,
            retention: None,
            cleanup: Cleanup::Delete,
            min_insync_replicas: None,
            max_message_bytes: MAX_RECORD_BYTES + FRAMING_BYTES,
        }
    }

    /// Returns the options that are asked for, with what they may not be less than or have to be.
    fn options(&self) -> Vec<(&'static str, Wanted)> {
        let mut options = vec![
            ("cleanup.policy", Wanted::Exactly(self.cleanup.as_str().to_owned())),
            ("max.message.bytes", Wanted::AtLeast(self.max_message_bytes as u128)),
        ];
        options.extend(self.retention.map(|time| ("retention.ms", Wanted::AtLeast(time.as_millis()))));
        options.extend(self.min_insync_replicas.map(|least| ("min.insync.replicas", Wanted::AtLeast(least.into()))));
        options
    }
}

enum Wanted {
    Exactly(String),
    AtLeast(u128),
}

impl Wanted {
    fn value(&self) -> String {
        match self {
            Self::Exactly(value) => value.clone(),
            Self::AtLeast(least) => least.to_string(),
        }
    }

    fn is_met(&self, found: Option<&str>) -> bool {
        match (self, found) {
            (_, None) => false,
            (Self::Exactly(value), Some(found)) => {
                let set = |text: &str| {
                    text.split(',').map(|word| word.trim().to_owned()).collect::<std::collections::BTreeSet<_>>()
                };
                set(value) == set(found)
            }
            // Minus one stands for no limit.
            (Self::AtLeast(least), Some(found)) => {
                found == "-1" || found.parse::<u128>().is_ok_and(|found| found >= *least)
            }
        }
    }
}

/// What is to be done, topic by topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order of the topics that were asked for; those that are as they should be are not in it.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The topic is missing.
    Create(TopicSpec),
    /// It has too few partitions. Keys move to other partitions when some are added: a key's order is kept only from
    /// there on.
    AddPartitions {
        /// The topic.
        topic: String,
        /// How many it has.
        from: u32,
        /// How many it should have.
        to: u32,
    },
    /// An option differs.
    SetOption {
        /// The topic.
        topic: String,
        /// The option, as the brokers name it.
        option: String,
        /// What it is; none if the brokers did not say.
        from: Option<String>,
        /// What it should be.
        to: String,
    },
}

impl Step {
    /// Returns the topic that it changes.
    pub fn topic(&self) -> &str {
        match self {
            Self::Create(spec) => &spec.name,
            Self::AddPartitions { topic, .. } | Self::SetOption { topic, .. } => topic,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(spec) => {
                write!(f, "create {} with {} partitions", spec.name, spec.partitions)?;
                spec.options().iter().try_for_each(|(option, wanted)| write!(f, ", {option}={}", wanted.value()))
            }
            Self::AddPartitions { topic, from, to } => write!(f, "raise partitions of {topic} from {from} to {to}"),
            Self::SetOption { topic, option, from, to } => {
                write!(f, "set {option} of {topic} from {} to {to}", from.as_deref().unwrap_or("(unknown)"))
            }
        }
    }
}

/// Compares the topics with what they should be; changes nothing.
///
/// # Errors
/// [`BusError::Unavailable`] if no broker answers or the login is not taken.
pub async fn plan(settings: &KafkaSettings, wanted: &[TopicSpec]) -> Result<Plan, BusError> {
    let admin = Admin::new(settings)?;
    let mut steps = Vec::new();
    for spec in wanted {
        match admin.partitions(&spec.name).await? {
            None => steps.push(Step::Create(spec.clone())),
            Some(found) => steps.extend(differences(spec, found, &admin.options(&spec.name).await?)),
        }
    }
    Ok(Plan { steps })
}

/// Carries a plan out, in its order.
///
/// # Errors
/// [`BusError`] of the first step that fails; the steps before it are done, and a new plan says what is left.
pub async fn apply(settings: &KafkaSettings, plan: &Plan) -> Result<(), BusError> {
    let admin = Admin::new(settings)?;
    for step in &plan.steps {
        admin.carry_out(step).await?;
        tracing::info!(step = %step, "topics changed");
    }
    Ok(())
}

/// An option of a topic: its value, and whether the topic itself sets it.
type Options = BTreeMap<String, (Option<String>, bool)>;

fn differences(spec: &TopicSpec, partitions: u32, found: &Options) -> Vec<Step> {
    let mut steps = Vec::new();
    if partitions < spec.partitions {
        steps.push(Step::AddPartitions { topic: spec.name.clone(), from: partitions, to: spec.partitions });
    }
    for (option, wanted) in spec.options() {
        let from = found.get(option).and_then(|(value, _)| value.clone());
        if !wanted.is_met(from.as_deref()) {
            steps.push(Step::SetOption {
                topic: spec.name.clone(),
                option: option.to_owned(),
                from,
                to: wanted.value(),
            });
        }
    }
    steps
}

/// Returns how many partitions a topic has; none if it does not exist.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait: Duration,
) -> KafkaResult<Option<u32>> {
    let metadata = super::metadata(client, Some(topic), wait)?;
    let Some(found) = metadata.topics().iter().find(|one| one.name() == topic) else { return Ok(None) };
    match found.error() {
        None => Ok(u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        ) => Ok(None),
        Some(error) => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(error))),
    }
}

struct Admin {
    client: Arc<AdminClient<Plain>>,
    context: Plain,
    wait: Duration,
}

impl Admin {
    fn new(settings: &KafkaSettings) -> Result<Self, BusError> {
        let context = Plain::default();
        let client = AdminClient::from_config_and_context(&client::common(settings)?, context.clone());
        let client = client.map_err(|error| client::failure(&error, &context.complaint))?;
        Ok(Self { client: Arc::new(client), context, wait: settings.request_timeout })
    }

    fn asking(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.wait)).operation_timeout(Some(self.wait))
    }

    fn failure(&self, error: &KafkaError) -> BusError {
        client::failure(error, &self.context.complaint)
    }

    async fn partitions(&self, topic: &str) -> Result<Option<u32>, BusError> {
        let (client, name, wait) = (Arc::clone(&self.client), topic.to_owned(), self.wait);
        let found = blocking(move || partitions(client.inner(), &name, wait)).await?;
        found.map_err(|error| self.failure(&error))
    }

    async fn options(&self, topic: &str) -> Result<Options, BusError> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let told = self.client.describe_configs(&asked, &self.asking()).await.map_err(|error| self.failure(&error))?;
        let mut options = Options::new();
        for resource in told {
            let resource = resource.map_err(|code| self.failure(&KafkaError::AdminOp(code)))?;
            options.extend(resource.entries.into_iter().map(|entry| {
                let own = entry.source == ConfigSource::DynamicTopic;
                (entry.name, (entry.value, own))
            }));
        }
        Ok(options)
    }

    async fn carry_out(&self, step: &Step) -> Result<(), BusError> {
        match step {
            Step::Create(spec) => self.create(spec).await,
            Step::AddPartitions { topic, to, .. } => {
                let wanted = [NewPartitions::new(topic, *to as usize)];
                self.check(topic, self.client.create_partitions(&wanted, &self.asking()).await)
            }
            Step::SetOption { topic, option, to, .. } => {
                // This request sets all options of a topic: those that it has of its own are given again.
                let mut options = self.options(topic).await?;
                options.retain(|_, (_, own)| *own);
                options.insert(option.clone(), (Some(to.clone()), true));
                let mut wanted = AlterConfig::new(ResourceSpecifier::Topic(topic));
                for (name, (value, _)) in &options {
                    wanted = wanted.set(name, value.as_deref().unwrap_or_default());
                }
                let done = self.client.alter_configs(&[wanted], &self.asking()).await;
                let done = done.map(|all| all.into_iter().map(|one| one.map(drop).map_err(|(_, code)| code)));
                let done = done.map_err(|error| self.failure(&error))?.collect::<Result<(), _>>();
                done.map_err(|code| BusError::Refused {
                    reason: format!("cannot set {option} of topic `{topic}`: {code}"),
                })
            }
        }
    }

    async fn create(&self, spec: &TopicSpec) -> Result<(), BusError> {
        let copies = spec.replication.map_or(-1, i32::from);
        let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
        let options: Vec<_> = spec.options().into_iter().map(|(option, wanted)| (option, wanted.value())).collect();
        let mut topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(copies));
        for (option, value) in &options {
            topic = topic.set(option, value);
        }
        self.check(&spec.name, self.client.create_topics(&[topic], &self.asking()).await)
    }

    fn check(
        &self,
        topic: &str,
        done: KafkaResult<Vec<Result<String, (String, RDKafkaErrorCode)>>>,
    ) -> Result<(), BusError> {
        for one in done.map_err(|error| self.failure(&error))? {
            match one {
                // Made by somebody else since the plan.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => (),
                Err((_, code)) => {
                    return Err(BusError::Refused { reason: format!("cannot change topic `{topic}`: {code}") });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> TopicSpec {
        TopicSpec {
            retention: Some(Duration::from_secs(3600)),
            min_insync_replicas: Some(2),
            ..TopicSpec::named("flows", 4)
        }
    }

    fn check(partitions: u32, options: &[(&str, &str)], expected: &[&str]) {
        let options =
            options.iter().map(|(name, value)| ((*name).to_owned(), (Some((*value).to_owned()), true))).collect();
        let steps: Vec<_> = differences(&spec(), partitions, &options).iter().map(ToString::to_string).collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_topic_is_never_made_smaller() {
        let good = [
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "1114112"),
            ("retention.ms", "3600000"),
            ("min.insync.replicas", "2"),
        ];
        check(4, &good, &[]);
        let more = [
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "9999999"),
            ("retention.ms", "-1"),
            ("min.insync.replicas", "3"),
        ];
        check(9, &more, &[]);
        let less = [
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "1048588"),
            ("retention.ms", "5"),
            ("min.insync.replicas", "1"),
        ];
        let steps = [
            "raise partitions of flows from 3 to 4",
            "set cleanup.policy of flows from compact to delete",
            "set max.message.bytes of flows from 1048588 to 1114112",
            "set retention.ms of flows from 5 to 3600000",
            "set min.insync.replicas of flows from 1 to 2",
        ];
        check(3, &less, &steps);
    }

    #[test]
    fn a_step_reads_as_a_sentence() {
        let step = Step::Create(spec());
        let expected = "create flows with 4 partitions, cleanup.policy=delete, max.message.bytes=1114112, \
                        retention.ms=3600000, min.insync.replicas=2";
        assert_eq!(step.to_string(), expected);
    }
}
