//! TLS, client certificates and logins against a broker that wants them, and what a wrong one reads like.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bus::kafka::topics::TopicSpec;
use bus::kafka::{Identity, KafkaBus, KafkaSettings, Mechanism, Sasl, Tls};
use bus::{Fate, Producer};
use servers::{Kafka, KafkaOptions};

use crate::bed::{can_run, create, firsts, numbered, quick, read_until, send};

/// A broker with a port for logins over TLS, and one for client certificates.
struct Secured {
    _broker: Kafka,
    folder: tempfile::TempDir,
    clear: String,
    login: String,
    certificate: String,
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let [login, certificate] = free_ports();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                    user_millrace=\"right\" user_renewed=\"new\";";
        let options = KafkaOptions::default()
            .property(
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,CERT:SSL,CONTROLLER:PLAINTEXT",
            )
            .property("sasl.enabled.mechanisms", "PLAIN")
            .property("listener.name.login.plain.sasl.jaas.config", jaas)
            .property("ssl.keystore.type", "PEM")
            .property("ssl.keystore.location", &path("broker.both.pem"))
            .property("ssl.truststore.type", "PEM")
            .property("ssl.truststore.location", &path("ca.pem"))
            .property("listener.name.cert.ssl.client.auth", "required");
        let broker = Kafka::start(&options).unwrap();
        // The further listeners come beside the one that the broker chose for itself.
        let file = broker.folder().join("server.properties");
        let more = format!("LOGIN://localhost:{login},CERT://localhost:{certificate}");
        let text = fs::read_to_string(&file).unwrap();
        let widen = |line: &str| match line.split_once('=') {
            Some(("listeners" | "advertised.listeners", _)) => format!("{line},{more}"),
            _ => line.to_owned(),
        };
        let widened: Vec<_> = text.lines().map(widen).collect();
        fs::write(&file, widened.join("\n")).unwrap();
        broker.restart().unwrap();
        Self {
            clear: broker.bootstrap(),
            _broker: broker,
            folder,
            login: format!("localhost:{login}"),
            certificate: format!("localhost:{certificate}"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls { ca_file: Some(self.file("ca.pem")), identity: None }
    }

    fn with_password(&self, password: &str) -> KafkaSettings {
        fs::write(self.file("password"), password).unwrap();
        let mut settings = quick(&self.login);
        settings.tls = Some(self.tls());
        let password_file = self.file("password");
        settings.sasl = Some(Sasl { mechanism: Mechanism::Plain, user: "millrace".to_owned(), password_file });
        settings
    }
}

/// Makes an authority, and certificates of the broker and of a client by it; another authority too.
fn certificates(folder: &Path) {
    let script = r#"
        set -e
        for ca in ca other; do
          openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.pem -days 2 -subj /O=test/CN=$ca
        done
        for name in broker client; do
          openssl req -newkey rsa:2048 -nodes -keyout $name.k1 -out $name.csr -subj /O=test/CN=$name
          openssl pkcs8 -topk8 -nocrypt -in $name.k1 -out $name.key
          printf 'subjectAltName=DNS:localhost' > ext
          openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
          cat $name.key $name.pem > $name.both.pem
        done
    "#;
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: [_; N] = std::array::from_fn(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

async fn carries(bus: &KafkaBus, group: &str) {
    send(&bus.producer(), numbered("flows", "key", 0, 10)).await;
    let mut consumer = bus.consumer(group, &["flows"]).await.unwrap();
    let read = read_until(&mut consumer, |read| read.len() >= 10).await;
    assert_eq!(firsts(&read), (0..10).collect::<Vec<_>>());
}

async fn refused(settings: KafkaSettings, named: &str) {
    let mut settings = settings;
    settings.request_timeout = Duration::from_secs(2);
    settings.delivery_timeout = Duration::from_secs(2);
    let bus = KafkaBus::new(settings).unwrap();
    for error in [
        bus.expect(&["flows"]).await.unwrap_err(),
        bus.producer().send(numbered("flows", "key", 0, 1)).await.unwrap_err(),
    ] {
        // It can be mended while the role waits.
        assert_eq!(error.fate(), Fate::Retryable);
        assert!(error.to_string().to_lowercase().contains(named), "{error}");
        assert!(!error.to_string().contains("wrong-password"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_certificates_let_in_whom_they_should() {
    if !can_run("logins_and_certificates_let_in_whom_they_should") {
        return;
    }
    let secured = tokio::task::spawn_blocking(Secured::start).await.unwrap();
    create(&quick(&secured.clear), TopicSpec::named("flows", 1)).await;

    carries(&KafkaBus::new(secured.with_password("right\n")).unwrap(), "login").await;
    let mut by_certificate = quick(&secured.certificate);
    let identity = Identity { certificate_file: secured.file("client.pem"), key_file: secured.file("client.key") };
    by_certificate.tls = Some(Tls { identity: Some(identity), ..secured.tls() });
    carries(&KafkaBus::new(by_certificate.clone()).unwrap(), "certificate").await;

    refused(secured.with_password("wrong-password"), "authentication").await;
    let mut anonymous = by_certificate.clone();
    anonymous.tls = Some(secured.tls());
    refused(anonymous, "certificate").await;
    let mut distrustful = by_certificate;
    distrustful.tls = Some(Tls { ca_file: Some(secured.file("other.pem")), identity: None });
    refused(distrustful, "certificate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_read_again_when_its_file_changes() {
    if !can_run("a_password_is_read_again_when_its_file_changes") {
        return;
    }
    let secured = tokio::task::spawn_blocking(Secured::start).await.unwrap();
    create(&quick(&secured.clear), TopicSpec::named("flows", 1)).await;
    let mut settings = secured.with_password("wrong-password");
    settings.request_timeout = Duration::from_secs(2);
    let producer = KafkaBus::new(settings).unwrap().producer();
    producer.send(numbered("flows", "key", 0, 1)).await.unwrap_err();
    fs::write(secured.file("password"), "right").unwrap();
    producer.send(numbered("flows", "key", 0, 1)).await.unwrap();
}
