//! What one answer of a cluster means: the heart of the indexer. Pure.
//!
//! By status and error *type*; the text is looked at only where one type stands for two things.

use crate::error::Fate;

/// What became of one item of a bulk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is stored now.
    Created,
    /// Its id was there: what is stored must be compared.
    Exists,
    /// The node cannot now: this item again, without limit.
    Transient,
    /// Nothing helps until somebody acts.
    Blocked(Fix),
    /// The document itself can never be stored.
    Permanent,
    /// The request is too large: send less at once; a single document is too large for ever.
    TooLarge,
}

/// What to do about a blocked cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fix {
    Credentials,
    Rights,
    Disk,
    IndexBlock,
    IndexClosed,
    IndexMissing,
    Templates,
    FieldLimit,
    ShardLimit,
    Unknown,
}

impl Fix {
    /// Returns what to do, for people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Credentials => {
                "the cluster does not know us: check user, password file, API key or client certificate"
            }
            Self::Rights => {
                "our user may not: grant it `create` and `create_index` on our indices, and reading their mappings"
            }
            Self::Disk => "the disk is too full (flood stage): free space or add a node; the block goes by itself then",
            Self::IndexBlock => "the index or cluster is blocked against writing: lift the block in its settings",
            Self::IndexClosed => "the index is closed: open it, or delete it",
            Self::IndexMissing => {
                "the index is missing and may not be made: check `action.auto_create_index`, run `millrace templates apply`"
            }
            Self::Templates => {
                "the index has an older mapping: run `millrace templates apply`; an index made before keeps its mapping and must be re-indexed or removed"
            }
            Self::FieldLimit => {
                "the index has too many fields: run `millrace templates apply` and look who adds fields"
            }
            Self::ShardLimit => {
                "the cluster has too many shards: raise `cluster.max_shards_per_node`, or keep fewer days"
            }
            Self::Unknown => "the cluster gave an answer that is not known here: see its log",
        }
    }
}

/// Says what an answer means, by HTTP status and by type and text of the error.
pub(super) fn classify(status: u16, kind: &str, reason: &str) -> Class {
    match (status, kind) {
        (200 | 201, "") => Class::Created,
        (409, "version_conflict_engine_exception") => Class::Exists,
        (401, _) => Class::Blocked(Fix::Credentials),
        (_, "security_exception") if status != 500 => Class::Blocked(Fix::Rights),
        // No elected manager, or a state not yet recovered: it passes.
        (500.., _) => Class::Transient,
        (_, "cluster_block_exception") => Class::Blocked(block_fix(reason)),
        (403, _) => Class::Blocked(Fix::Rights),
        (_, "index_closed_exception") => Class::Blocked(Fix::IndexClosed),
        (404, "index_not_found_exception") => Class::Blocked(Fix::IndexMissing),
        (413, _) => Class::TooLarge,
        (408 | 429, _) => Class::Transient,
        // Records are checked against the field table before they come here: a field that the index does not know is the
        // index's fault.
        (400, "strict_dynamic_mapping_exception") => Class::Blocked(Fix::Templates),
        (400, _) if reason.contains("Limit of total fields") => Class::Blocked(Fix::FieldLimit),
        (400, _) if reason.contains("maximum shards") || reason.contains("maximum normal shards") => {
            Class::Blocked(Fix::ShardLimit)
        }
        (400, "mapper_parsing_exception" | "document_parsing_exception" | "parsing_exception") => Class::Permanent,
        (400, "illegal_argument_exception") if is_about_the_document(reason) => Class::Permanent,
        (400, "max_bytes_length_exceeded_exception") => Class::Permanent,
        _ => Class::Blocked(Fix::Unknown),
    }
}

/// Returns what a class calls for where it is the answer to a whole request.
pub(super) fn fate(class: Class) -> Fate {
    match class {
        Class::Transient => Fate::Transient,
        Class::Created | Class::Exists | Class::Blocked(_) | Class::Permanent | Class::TooLarge => Fate::Blocked,
    }
}

fn block_fix(reason: &str) -> Fix {
    if reason.contains("flood-stage") || reason.contains("flood stage") || reason.contains("/12/") {
        Fix::Disk
    } else if reason.contains("/4/") {
        Fix::IndexClosed
    } else {
        Fix::IndexBlock
    }
}

fn is_about_the_document(reason: &str) -> bool {
    reason.contains("immense term")
        || reason.contains("id is too long")
        || reason.contains("is too long, must be no longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_class() {
        let flood = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];";
        let read_only = "index [x] blocked by: [FORBIDDEN/8/index write (api)];";
        let fields = "Limit of total fields [1000] has been exceeded while adding new fields [1]";
        let shards = "Validation Failed: 1: this action would add [2] total shards, but this cluster currently has [1000]/[1000] maximum shards open;";
        let term = "Document contains at least one immense term in field=\"x\"";
        let cases = [
            (201, "", "", Class::Created),
            (200, "", "", Class::Created),
            (409, "version_conflict_engine_exception", "document already exists", Class::Exists),
            (409, "resource_already_exists_exception", "", Class::Blocked(Fix::Unknown)),
            (429, "es_rejected_execution_exception", "", Class::Transient),
            (429, "rejected_execution_exception", "", Class::Transient),
            (429, "circuit_breaking_exception", "", Class::Transient),
            (429, "", "", Class::Transient),
            (429, "cluster_block_exception", flood, Class::Blocked(Fix::Disk)),
            (403, "cluster_block_exception", flood, Class::Blocked(Fix::Disk)),
            (403, "cluster_block_exception", read_only, Class::Blocked(Fix::IndexBlock)),
            (
                503,
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered];",
                Class::Transient,
            ),
            (503, "unavailable_shards_exception", "", Class::Transient),
            (500, "", "", Class::Transient),
            (502, "", "", Class::Transient),
            (504, "", "", Class::Transient),
            (408, "", "", Class::Transient),
            (401, "security_exception", "", Class::Blocked(Fix::Credentials)),
            (401, "", "Unauthorized", Class::Blocked(Fix::Credentials)),
            (403, "security_exception", "no permissions", Class::Blocked(Fix::Rights)),
            (403, "", "", Class::Blocked(Fix::Rights)),
            (404, "index_not_found_exception", "", Class::Blocked(Fix::IndexMissing)),
            (404, "", "", Class::Blocked(Fix::Unknown)),
            (400, "index_closed_exception", "closed", Class::Blocked(Fix::IndexClosed)),
            (400, "illegal_argument_exception", fields, Class::Blocked(Fix::FieldLimit)),
            (400, "mapper_parsing_exception", fields, Class::Blocked(Fix::FieldLimit)),
            (400, "validation_exception", shards, Class::Blocked(Fix::ShardLimit)),
            (400, "strict_dynamic_mapping_exception", "", Class::Blocked(Fix::Templates)),
            (400, "mapper_parsing_exception", "failed to parse field", Class::Permanent),
            (400, "document_parsing_exception", "failed to parse field", Class::Permanent),
            (400, "illegal_argument_exception", term, Class::Permanent),
            (400, "illegal_argument_exception", "anything else", Class::Blocked(Fix::Unknown)),
            (400, "", "", Class::Blocked(Fix::Unknown)),
            (413, "", "", Class::TooLarge),
            (418, "", "", Class::Blocked(Fix::Unknown)),
            (201, "surprise", "", Class::Blocked(Fix::Unknown)),
            (302, "", "", Class::Blocked(Fix::Unknown)),
        ];
        for (status, kind, reason, expected) in cases {
            assert_eq!(classify(status, kind, reason), expected, "{status} {kind} {reason}");
        }
    }
}
