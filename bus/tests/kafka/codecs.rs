//! What the codecs cost, for `docs/decisions/0004-kafka-client.md`. Not a check: run it by name, in a release build.

use std::time::{Duration, Instant};

use bus::kafka::topics::TopicSpec;
use bus::kafka::{Compression, KafkaBus};
use bus::{Producer, Record};
use nix::sys::resource::{UsageWho, getrusage};
use servers::{Kafka, KafkaOptions};

use crate::bed::{can_run, create, quick, read_until};

const SAMPLE: &str = include_str!("../../../cli/sample/raw.jsonl");

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |part: nix::sys::time::TimeVal| {
        Duration::new(part.tv_sec().cast_unsigned(), 0) + Duration::from_micros(part.tv_usec().cast_unsigned())
    };
    time(usage.user_time()) + time(usage.system_time())
}

#[ignore = "a measurement, not a check"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measure_codecs() {
    const RECORDS: usize = 60_000;
    if !can_run("measure_codecs") {
        return;
    }
    let broker = Kafka::start(&KafkaOptions::default()).unwrap();
    let lines: Vec<_> = SAMPLE.lines().collect();
    println!("codec | records/s sent | CPU µs/record sent | CPU µs/record read | bytes/record on disk");
    for round in 0..3 {
        for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let name = format!("codec.{}.{round}", codec.as_str());
            let mut settings = quick(&broker.bootstrap());
            settings.compression = codec;
            settings.linger = Duration::from_millis(10);
            settings.delivery_timeout = Duration::from_secs(60);
            create(&settings, TopicSpec::named(&name, 1)).await;
            let bus = KafkaBus::new(settings).unwrap();
            let producer = bus.producer();
            let topic = std::sync::Arc::from(&*name);
            let record = |number: usize| Record {
                topic: std::sync::Arc::clone(&topic),
                key: "cluster/node/1764000000000".into(),
                headers: vec![bus::Header::new("seq", number.to_string())],
                value: lines[number % lines.len()].replace("\"seq\":", &format!("\"seq\":{number}")).into(),
                timestamp_ms: 1_764_000_000_000,
            };
            let batches: Vec<Vec<Record>> =
                (0..RECORDS).step_by(512).map(|from| (from..(from + 512).min(RECORDS)).map(record).collect()).collect();
            let (started, used) = (Instant::now(), cpu());
            for batch in batches {
                producer.send(batch).await.unwrap();
            }
            let (sent, sending) = (started.elapsed(), cpu() - used);
            let mut consumer = bus.consumer(&name, &[&name]).await.unwrap();
            let used = cpu();
            let mut read = 0;
            while read < RECORDS {
                read += read_until(&mut consumer, |more| !more.is_empty()).await.len();
            }
            let reading = cpu() - used;
            let folder = broker.folder().join("data").join(format!("{name}-0"));
            let logs = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
            let logs = logs.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
            let bytes: u64 = logs.map(|file| file.metadata().unwrap().len()).sum();
            let each = |time: Duration| time.as_secs_f64() * 1e6 / RECORDS as f64;
            println!(
                "{} | {:.0} | {:.2} | {:.2} | {:.0}",
                codec.as_str(),
                RECORDS as f64 / sent.as_secs_f64(),
                each(sending),
                each(reading),
                bytes as f64 / RECORDS as f64
            );
        }
    }
}
