//! The tables of a day file, and how such a file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Fate, StoreError};

/// Format of the day files; written as `user_version`.
pub(super) const FORMAT: i64 = 1;

/// Says in the file whose it is (`MLRC`).
const APPLICATION_ID: i64 = 0x4d4c_5243;

/// How long one process waits for another's lock. Readers never wait for the writer; only the removal of a slice and
/// the first opening of a file take locks that readers meet.
const BUSY: Duration = Duration::from_secs(5);

/// Flow records refer to what repeats: the two ends, the context (who reported, how it went, which service) and the
/// judgement (policies and verdicts). Dictionary keys are hashes of the content.
const TABLES: &str = "
CREATE TABLE streams (id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE);
CREATE TABLE label_sets (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, labels TEXT NOT NULL);
CREATE TABLE set_labels (label TEXT NOT NULL, label_set INTEGER NOT NULL, PRIMARY KEY (label, label_set)) WITHOUT ROWID;
CREATE TABLE endpoints (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
  ip BLOB, name TEXT NOT NULL, name_aggr TEXT NOT NULL, namespace TEXT NOT NULL, type TEXT NOT NULL,
  owner_kind TEXT, owner_name TEXT, node TEXT, zone TEXT, labels INTEGER
);
CREATE TABLE contexts (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
  schema TEXT NOT NULL, cluster TEXT NOT NULL, host TEXT NOT NULL, reporter TEXT NOT NULL, proto TEXT NOT NULL, outcome TEXT NOT NULL,
  drop_reason TEXT, identity TEXT NOT NULL, snapshot TEXT NOT NULL,
  dest_service_name TEXT NOT NULL, dest_service_namespace TEXT NOT NULL, dest_service_port TEXT NOT NULL,
  dest_service_port_num INTEGER, process_name TEXT NOT NULL
);
CREATE TABLE judgements (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
  action TEXT NOT NULL, verdict TEXT NOT NULL, verdict_egress TEXT NOT NULL, verdict_ingress TEXT NOT NULL,
  enforcement TEXT NOT NULL, evidence TEXT NOT NULL, ruleset TEXT, lists TEXT NOT NULL
);
CREATE TABLE flows (
  arrival INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL, seq INTEGER NOT NULL,
  start_time INTEGER NOT NULL, end_time INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  context INTEGER NOT NULL, source INTEGER NOT NULL, dest INTEGER NOT NULL, judgement INTEGER NOT NULL,
  source_port INTEGER, dest_port INTEGER, dest_original_ip BLOB, dest_original_port INTEGER,
  bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, packets_in INTEGER NOT NULL, packets_out INTEGER NOT NULL,
  num_flows INTEGER NOT NULL, num_flows_started INTEGER NOT NULL,
  num_flows_completed INTEGER NOT NULL, num_flows_aborted INTEGER NOT NULL,
  process_id TEXT NOT NULL, num_process_names INTEGER, num_process_ids INTEGER,
  tcp_mean_send_congestion_window INTEGER, tcp_min_send_congestion_window INTEGER,
  tcp_mean_smooth_rtt INTEGER, tcp_max_smooth_rtt INTEGER, tcp_mean_min_rtt INTEGER, tcp_max_min_rtt INTEGER,
  tcp_mean_mss INTEGER, tcp_min_mss INTEGER,
  tcp_total_retransmissions INTEGER, tcp_lost_packets INTEGER, tcp_unrecovered_to INTEGER,
  oldest_start INTEGER NOT NULL, newest_start INTEGER NOT NULL, extra TEXT
);
CREATE UNIQUE INDEX flows_identity ON flows (stream, seq);
CREATE INDEX flows_end ON flows (end_ms);
CREATE TABLE ledgers (
  stream INTEGER NOT NULL, seq INTEGER NOT NULL, end_ms INTEGER NOT NULL, ledger TEXT NOT NULL,
  PRIMARY KEY (stream, seq)
) WITHOUT ROWID;
CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL, seq INTEGER NOT NULL,
  stage TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
  topic TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, time_ms INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE UNIQUE INDEX dead_letters_identity
  ON dead_letters (stream, seq, stage, reason, topic, partition, position, time_ms);
CREATE INDEX dead_letters_time ON dead_letters (time_ms);
";

/// Opens a day file to write, and makes its tables if it is new.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let failed = |source| engine_error("open the day file", path, source);
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let format = format_of(&connection).map_err(failed)?;
    if format > FORMAT {
        return Err(StoreError::Newer { place: path.display().to_string(), found: format, known: FORMAT });
    }
    let prepare = || -> rusqlite::Result<()> {
        if format == 0 {
            // Space that a removed slice frees goes back to the file system; can be chosen for an empty file only.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A commit is in the operating system's hands: it outlives the process, and a power failure may take the
        // newest commits but never tears the file.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -8192)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        if format == 0 {
            let script = format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
            );
            connection.execute_batch(&script)?;
        }
        Ok(())
    };
    prepare().map_err(failed)?;
    probe(&connection).map_err(failed)?;
    Ok(connection)
}

/// Opens a day file to read; none if it is gone, or was made but not yet filled.
pub(super) fn open_to_read(path: &Path) -> Result<Option<Connection>, StoreError> {
    let Some(connection) = open_plain_to_read(path)? else { return Ok(None) };
    let format = format_of(&connection).map_err(|source| engine_error("open the day file", path, source))?;
    Ok(known_format(format, path)?.then_some(connection))
}

/// Opens any file of ours to read; none if it is gone.
pub(super) fn open_plain_to_read(path: &Path) -> Result<Option<Connection>, StoreError> {
    let failed = |source| engine_error("open the file", path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let open = |connection: Connection| -> rusqlite::Result<Connection> {
        connection.busy_timeout(BUSY)?;
        format_of(&connection)?;
        Ok(connection)
    };
    match Connection::open_with_flags(path, flags).and_then(open) {
        Ok(connection) => Ok(Some(connection)),
        Err(_) if !path.exists() => Ok(None),
        // Reading a write-ahead log needs its shared memory file. Where the directory is not ours to write, nobody
        // writes and no log is left, the file can be read as it is.
        Err(error) if cannot_open(&error) && !with_suffix(path, "-wal").exists() => {
            let uri = format!("file:{}?immutable=1", uri_path(path));
            Connection::open_with_flags(uri, flags).and_then(open).map(Some).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn known_format(format: i64, path: &Path) -> Result<bool, StoreError> {
    if format > FORMAT {
        return Err(StoreError::Newer { place: path.display().to_string(), found: format, known: FORMAT });
    }
    Ok(format > 0)
}

/// Touches the root and the newest leaf of each table, where a torn file shows.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    for query in [
        "SELECT max(arrival) FROM flows",
        "SELECT max(end_ms) FROM flows",
        "SELECT max(id) FROM streams",
        "SELECT max(id) FROM endpoints",
        "SELECT max(id) FROM contexts",
        "SELECT max(id) FROM judgements",
        "SELECT max(id) FROM label_sets",
        "SELECT max(stream) FROM ledgers",
        "SELECT max(id) FROM dead_letters",
    ] {
        connection.query_row(query, [], |_| Ok(()))?;
    }
    Ok(())
}

fn format_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Returns the path with a text put after its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn uri_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '%' => out.push_str("%25"),
            '?' => out.push_str("%3f"),
            '#' => out.push_str("%23"),
            other => out.push(other),
        }
        out
    })
}

/// Says whether the file's content is torn: it must be set aside.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                // A file with a good header whose table of tables is not ours.
                || message.as_deref().is_some_and(|m| m.starts_with("no such") || m.ends_with("already exists"))
        }
        _ => false,
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Says what the engine's failure calls for.
pub(super) fn fate(error: &rusqlite::Error) -> Fate {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted) => Fate::Transient,
        Some(ErrorCode::OutOfMemory | ErrorCode::SchemaChanged) => Fate::Transient,
        // Full disk, no permission, an input or output failure, a torn file met while reading: somebody has to look.
        _ => Fate::Blocked,
    }
}

/// Gives the engine's failure its place and what it calls for.
pub(super) fn engine_error(action: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Engine { action, place: path.display().to_string(), fate: fate(&source), source: Box::new(source) }
}

/// Says whether a failure of the store is a torn file.
pub(super) fn is_corrupt_store(error: &StoreError) -> bool {
    match error {
        StoreError::Engine { source, .. } => source.downcast_ref::<rusqlite::Error>().is_some_and(is_corrupt),
        _ => false,
    }
}
