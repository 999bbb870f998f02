//! The field table: every field of the flow record, described once.
//!
//! Index templates, the columns of a store, the dimensions of the console and `docs/reference/fields.md` come from it or
//! are tested against it. [`crate::FlowRecord`] is its shape in Rust; a test holds the two together.

mod table;

#[cfg(test)]
mod tests;

pub use table::FIELDS;

/// The type of a field in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// A word, matched whole.
    Keyword,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A date in Unix seconds.
    Seconds,
    /// A date in Unix milliseconds.
    Milliseconds,
    /// A whole number from 0 on.
    Long,
    /// Fields of its own, named `object.field` in the table.
    Object,
}

impl FieldType {
    /// Returns the type's name in Elasticsearch and OpenSearch.
    #[must_use]
    pub fn index_type(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Ip => "ip",
            Self::Seconds | Self::Milliseconds => "date",
            Self::Long => "long",
            Self::Object => "object",
        }
    }

    /// Returns the date format of an index, for dates.
    #[must_use]
    pub fn date_format(self) -> Option<&'static str> {
        match self {
            Self::Seconds => Some("epoch_second"),
            Self::Milliseconds => Some("epoch_millis"),
            Self::Keyword | Self::Ip | Self::Long | Self::Object => None,
        }
    }
}

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Which record it is, and who reported it.
    Identity,
    /// When.
    Time,
    /// The initiator.
    Source,
    /// The receiver.
    Dest,
    /// How much.
    Volume,
    /// The process at the reporting end.
    Process,
    /// TCP statistics.
    Tcp,
    /// What happened, and what policy says of it.
    Verdict,
    /// The policies.
    Policy,
}

impl Role {
    /// All roles, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Time,
        Self::Source,
        Self::Dest,
        Self::Volume,
        Self::Process,
        Self::Tcp,
        Self::Verdict,
        Self::Policy,
    ];

    /// Returns the keyword of the role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Time => "time",
            Self::Source => "source",
            Self::Dest => "dest",
            Self::Volume => "volume",
            Self::Process => "process",
            Self::Tcp => "tcp",
            Self::Verdict => "verdict",
            Self::Policy => "policy",
        }
    }
}

/// Whose word a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A documented field of Calico Enterprise's flow log.
    Calico,
    /// A field that Calico's examples show and its table does not.
    CalicoExample,
    /// Ours.
    Millrace,
}

impl Origin {
    /// Returns the word that the documentation shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calico => "Calico",
            Self::CalicoExample => "Calico (examples)",
            Self::Millrace => "Millrace",
        }
    }
}

/// What stands in a field that has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Empty {
    /// It always has one.
    Never,
    /// Nothing: the field is absent.
    Absent,
    /// Nothing, always: no part of Millrace fills it yet.
    NoSource,
    /// `-`.
    Dash,
    /// `-`, or `*` where several values were collapsed.
    DashOrStar,
}

impl Empty {
    /// Returns the words that the documentation shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "always there",
            Self::Absent => "absent",
            Self::NoSource => "absent (no source yet)",
            Self::Dash => "`-`",
            Self::DashOrStar => "`-`, several `*`",
        }
    }
}

/// One field of the flow record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name as the record carries it; a dot leads into an object.
    pub name: &'static str,
    /// Type in an index.
    pub kind: FieldType,
    /// What it is about.
    pub role: Role,
    /// Whose word it is.
    pub origin: Origin,
    /// True if it may hold several values.
    pub array: bool,
    /// What stands there without a value.
    pub empty: Empty,
    /// What it means, in one line.
    pub meaning: &'static str,
}

/// Returns the field of a name.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Returns the reference page of all fields, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Fields of the flow record\n\n\
         Generated from the field table (`flow/src/fields/table.rs`) by `make docs`; do not edit.\n\n\
         One raw record of a probe gives exactly one flow record: topic `millrace.flows.enriched.v1`, index\n\
         `millrace-flows-YYYY.MM.DD`. Names, types and conventions are those of Calico Enterprise's flow log wherever it has\n\
         the field. `-` is *not recorded or not applicable*, `*` is *more than one, collapsed*, and an absent field is null.\n\
         Counters are those of the record's time only, and *in* and *out* are seen from the reporting end.\n\n\
         To count attempts, take `reporter: src OR (reporter: dst AND source_type: (net OR ns))`: a connection between two\n\
         pods is reported at both ends, and a sum over all records counts it twice.\n",
    );
    for role in Role::ALL {
        page.push_str(&format!("\n## {}\n\n", title(role)));
        page.push_str("| field | type | meaning | without a value | from |\n|---|---|---|---|---|\n");
        for field in FIELDS.iter().filter(|field| field.role == role) {
            let Field { name, kind, role: _, origin, array, empty, meaning } = field;
            let list = if *array { " list" } else { "" };
            let format = kind.date_format().map_or(String::new(), |format| format!(" (`{format}`)"));
            // A bar would end the cell.
            let meaning = meaning.replace('|', "\\|");
            page.push_str(&format!(
                "| `{name}` | {}{list}{format} | {meaning} | {} | {} |\n",
                kind.index_type(),
                empty.as_str(),
                origin.as_str()
            ));
        }
    }
    page
}

fn title(role: Role) -> &'static str {
    match role {
        Role::Identity => "Which record",
        Role::Time => "Time",
        Role::Source => "Source",
        Role::Dest => "Destination",
        Role::Volume => "Volume",
        Role::Process => "Process",
        Role::Tcp => "TCP statistics",
        Role::Verdict => "What happened, and the verdict",
        Role::Policy => "Policies",
    }
}
