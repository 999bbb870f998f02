//! What producers, consumers and the administration have in common: the client's options, where its words go, and what
//! its failures mean to us.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Statistics};

use super::credentials::Secret;
use super::settings::KafkaSettings;
use crate::{BusError, MAX_RECORD_BYTES};

/// What the framing of a batch, of a record and of its headers may add to the largest record.
pub(super) const FRAMING_BYTES: usize = 64 * 1024;

/// Returns what every kind of client is told.
pub(super) fn common(settings: &KafkaSettings) -> Result<ClientConfig, BusError> {
    let mut config = ClientConfig::new();
    for (option, value) in &settings.options {
        config.set(option, value);
    }
    config
        .set("bootstrap.servers", settings.bootstrap_servers.join(","))
        .set("client.id", &settings.client_id)
        .set("allow.auto.create.topics", "false")
        .set("socket.timeout.ms", millis(settings.request_timeout))
        .set("log.connection.close", "false");
    let protocol = match (&settings.tls, &settings.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &settings.tls {
        config.set("enable.ssl.certificate.verification", "true").set("ssl.endpoint.identification.algorithm", "https");
        if let Some(file) = &tls.ca_file {
            config.set("ssl.ca.location", file.to_string_lossy());
        }
        if let Some(identity) = &tls.identity {
            config
                .set("ssl.certificate.location", identity.certificate_file.to_string_lossy())
                .set("ssl.key.location", identity.key_file.to_string_lossy());
        }
    }
    if let Some(sasl) = &settings.sasl {
        config
            .set("sasl.mechanism", sasl.mechanism.as_str())
            .set("sasl.username", &sasl.user)
            .set("sasl.password", Secret::read(&sasl.password_file)?.reveal());
    }
    Ok(config)
}

/// Returns what a producer is told: nothing is lost, doubled or overtaken between it and the broker.
pub(super) fn producer(settings: &KafkaSettings) -> Result<ClientConfig, BusError> {
    let mut config = common(settings)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", settings.compression.as_str())
        .set("linger.ms", millis(settings.linger))
        .set("delivery.timeout.ms", millis(settings.delivery_timeout))
        .set("request.timeout.ms", millis(settings.request_timeout.min(settings.delivery_timeout)))
        .set("message.max.bytes", (MAX_RECORD_BYTES + FRAMING_BYTES).to_string())
        .set("queue.buffering.max.messages", settings.queue_records.to_string())
        .set("queue.buffering.max.kbytes", (settings.queue_bytes / 1024).to_string())
        // As Kafka's own clients spread keys, so that a stream has one partition whoever writes it.
        .set("partitioner", "murmur2_random");
    Ok(config)
}

/// Returns what a member of a group is told: it starts where we say and commits what we say.
pub(super) fn consumer(settings: &KafkaSettings, group: &str) -> Result<ClientConfig, BusError> {
    let mut config = common(settings)?;
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("check.crcs", "true")
        .set("session.timeout.ms", millis(settings.session_timeout))
        .set("heartbeat.interval.ms", millis(settings.session_timeout / 10))
        .set("max.poll.interval.ms", millis(settings.poll_interval))
        .set("queued.max.messages.kbytes", (settings.fetch_bytes / 1024).to_string());
    if let Some(id) = &settings.instance_id {
        config.set("group.instance.id", id);
    }
    Ok(config)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// What a client said last about why it cannot work.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Option<String>>);

impl Complaint {
    /// Notes a failure of the connection, to be named where only its consequence is seen.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let Some(code) = error.rdkafka_error_code() else { return };
        // That all are down says less than why.
        let vague = matches!(code, Code::AllBrokersDown | Code::OperationTimedOut);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !vague || last.is_none() {
            *last = Some(reason.to_owned());
        }
    }

    /// Returns a failure with what the client said last.
    pub(super) fn explain(&self, error: &str) -> String {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(last) if !error.contains(last) => format!("{error} (last heard: {last})"),
            _ => error.to_owned(),
        }
    }

    /// Forgets what was said: it works again.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The context of a client without messages, and what the others do with words and failures.
#[derive(Debug, Clone, Default)]
pub(super) struct Plain {
    pub(super) complaint: Arc<Complaint>,
}

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaint.note(&error, reason);
        tracing::debug!(%error, reason, "kafka client");
    }
}

/// Writes a line of librdkafka's log into ours.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            // Its errors pass by themselves as soon as a broker answers; what needs somebody is an error of ours.
            tracing::warn!(facility, message, "kafka client");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "kafka client"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, message, "kafka client"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka client"),
    }
}

/// Says what a failure of the client means to the caller. What an operator can repair without a restart (a login, a
/// right, a missing replica) is worth another try.
pub(super) fn failure(error: &KafkaError, complaint: &Complaint) -> BusError {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => {
            BusError::Refused { reason: error.to_string() }
        }
        _ => {
            let said = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
            let reason = complaint.explain(&said);
            match error.rdkafka_error_code() {
                Some(code) if is_refusal(code) => BusError::Refused { reason },
                _ => BusError::Unavailable { reason },
            }
        }
    }
}

/// Returns true for what no later try can mend.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidTopic
            | Code::UnsupportedVersion
            | Code::InvalidArgument
            | Code::FencedInstanceId
            | Code::PolicyViolation
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fate;

    #[test]
    fn what_an_operator_can_mend_is_tried_again() {
        use RDKafkaErrorCode as Code;
        let cases = [
            (Code::MessageTimedOut, Fate::Retryable),
            (Code::NotEnoughReplicas, Fate::Retryable),
            (Code::TopicAuthorizationFailed, Fate::Retryable),
            (Code::Authentication, Fate::Retryable),
            (Code::Fatal, Fate::Retryable),
            (Code::PurgeQueue, Fate::Retryable),
            (Code::UnknownTopicOrPartition, Fate::Retryable),
            (Code::MessageSizeTooLarge, Fate::Permanent),
            (Code::FencedInstanceId, Fate::Permanent),
        ];
        for (code, fate) in cases {
            let error = failure(&KafkaError::MessageProduction(code), &Complaint::default());
            assert_eq!(error.fate(), fate, "{code:?}");
        }
    }

    #[test]
    fn a_vague_failure_is_told_with_its_cause() {
        let complaint = Complaint::default();
        complaint.note(&KafkaError::Global(RDKafkaErrorCode::Authentication), "SASL authentication error: wrong");
        complaint.note(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let error = failure(&KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut), &complaint);
        assert!(error.to_string().contains("SASL authentication error: wrong"), "{error}");
        complaint.clear();
        let error = failure(&KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut), &complaint);
        assert!(!error.to_string().contains("SASL"), "{error}");
    }

    #[test]
    fn no_given_option_wins_over_what_keeps_records() {
        let mut settings = KafkaSettings::at(["broker:9092"]);
        settings.options.insert("acks".to_owned(), "0".to_owned());
        assert_eq!(producer(&settings).unwrap().get("acks"), Some("all"));
        assert_eq!(consumer(&settings, "g").unwrap().get("auto.offset.reset"), Some("error"));
        settings.session_timeout = Duration::from_secs(10);
        assert_eq!(consumer(&settings, "g").unwrap().get("heartbeat.interval.ms"), Some("1000"));
    }
}
