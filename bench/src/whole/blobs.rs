//! The floor: the bytes of the same flow records into one table with a key, as SQLite takes them, and nothing to ask by.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use clap::Args;
use flow::wire::decode_raw;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::BATCH;
use super::enrichment::Enrichment;
use super::stages::Stages;
use crate::measured::own_cpu;
use crate::report::say;

/// What it works on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Blobs {
    #[command(flatten)]
    input: Stages,
}

/// What inserting took.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Inserted {
    cpu_us: u64,
    wall_us: u64,
}

impl Inserted {
    /// Returns the CPU time of inserting.
    pub(super) fn cpu(self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }

    /// Returns the time of inserting.
    pub(super) fn wall(self) -> Duration {
        Duration::from_micros(self.wall_us)
    }

    fn add(&mut self, cpu: Duration, begun: Instant) -> anyhow::Result<()> {
        self.cpu_us += u64::try_from(own_cpu().saturating_sub(cpu).as_micros())?;
        self.wall_us += u64::try_from(begun.elapsed().as_micros())?;
        Ok(())
    }
}

impl Blobs {
    /// Runs it in this process.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let enrichment = Enrichment::of(&self.input.manifests)?;
        let mut connection = Connection::open(self.input.state.join("blobs.sqlite"))?;
        // As the store has it: whole after SIGKILL, and no wait for the disk at each commit.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute("CREATE TABLE flows (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT", [])?;
        let mut lines = BufReader::new(File::open(&self.input.raw)?).lines();
        let mut inserted = Inserted::default();
        loop {
            let mut bodies = Vec::with_capacity(BATCH);
            for line in lines.by_ref().take(BATCH) {
                let line = line?;
                let value = decode_raw(line.as_bytes())?;
                bodies.push(enrichment.enrich(&enrichment.message(&value, line.into_bytes()))?.record.value);
            }
            if bodies.is_empty() {
                break;
            }
            let (begun, cpu) = (Instant::now(), own_cpu());
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT INTO flows (body) VALUES (?1)")?;
                for body in &bodies {
                    insert.execute([body.as_ref()])?;
                }
            }
            transaction.commit()?;
            inserted.add(cpu, begun)?;
        }
        let (begun, cpu) = (Instant::now(), own_cpu());
        connection.close().map_err(|(_, error)| error)?;
        inserted.add(cpu, begun)?;
        say(&serde_json::to_string(&inserted)?);
        Ok(())
    }
}
