//! Environment variables as settings.

use std::ffi::OsString;

use super::Problem;
use super::origin::Origin;

/// Between the parts of a key in a variable's name; one underscore is part of a word.
const SEPARATOR: &str = "__";

/// A variable that names a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) path: Vec<String>,
    pub(super) text: String,
}

/// Returns the variables that have the prefix, sorted by name, or why one cannot be read.
pub(super) fn with_prefix(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<Result<Variable, Problem>> {
    let mut found: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let key = name.strip_prefix(prefix)?;
            (!is_service_link(key)).then(|| read(&name, key, value))
        })
        .collect();
    found.sort_by(|one, other| name_of(one).cmp(name_of(other)));
    found
}

fn read(name: &str, key: &str, value: OsString) -> Result<Variable, Problem> {
    let problem = |reason: &str| Problem {
        key: String::new(),
        reason: reason.to_owned(),
        origin: Origin::Environment(name.to_owned()),
    };
    let path: Vec<_> = key.split(SEPARATOR).map(str::to_lowercase).collect();
    if path.iter().any(String::is_empty) {
        return Err(problem("names no key; write SECTION__KEY behind the prefix"));
    }
    let text = value.into_string().map_err(|_| problem("is not UTF-8"))?;
    Ok(Variable { name: name.to_owned(), path, text })
}

fn name_of(found: &Result<Variable, Problem>) -> &str {
    match found {
        Ok(variable) => &variable.name,
        Err(Problem { origin: Origin::Environment(name), .. }) => name,
        Err(_) => "",
    }
}

/// Returns true for what Kubernetes puts into every container for each Service of its namespace. A Service named
/// `millrace-console` gives `MILLRACE_CONSOLE_SERVICE_HOST` and the like: they look like ours and are not.
fn is_service_link(key: &str) -> bool {
    if key.contains(SEPARATOR) {
        return false;
    }
    // `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_<name>`, `PORT`, `PORT_<n>_<protocol>[_PROTO|_PORT|_ADDR]`.
    let is_port = |text: &str| {
        let mut parts = text.split('_');
        parts.next().is_some_and(|number| number.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    };
    let behind = |word: &str| {
        key.match_indices(word)
            .filter(|(at, _)| *at == 0 || key.get(..*at).is_some_and(|before| before.ends_with('_')))
            .filter_map(|(at, _)| key.get(at + word.len()..))
            .collect::<Vec<_>>()
    };
    behind("SERVICE_HOST").iter().any(|rest| rest.is_empty())
        || behind("SERVICE_PORT").iter().any(|rest| rest.is_empty() || rest.starts_with('_'))
        || behind("PORT").iter().any(|rest| rest.is_empty() || rest.strip_prefix('_').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Vec<Result<Variable, Problem>> {
        with_prefix("MILLRACE_", pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn a_name_is_a_path() {
        let variables = found(&[("HOME", "/root"), ("MILLRACE_BUS__MAX_RECORDS", "7"), ("MILLRACE_NODE", "n")]);
        let paths: Vec<_> = variables.into_iter().map(|variable| variable.unwrap().path.join(".")).collect();
        assert_eq!(paths, ["bus.max_records", "node"]);
    }

    #[test]
    fn a_name_without_a_key_is_a_problem() {
        for name in ["MILLRACE_", "MILLRACE___KEY", "MILLRACE_PROBE__"] {
            assert!(found(&[(name, "1")])[0].is_err(), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_a_problem() {
        use std::os::unix::ffi::OsStringExt;
        let variables = with_prefix("MILLRACE_", [("MILLRACE_NODE".into(), OsString::from_vec(vec![0xff]))]);
        assert_eq!(variables[0].as_ref().unwrap_err().reason, "is not UTF-8");
    }

    #[test]
    fn service_links_are_not_settings() {
        let links = [
            "MILLRACE_SERVICE_HOST",
            "MILLRACE_CONSOLE_SERVICE_HOST",
            "MILLRACE_CONSOLE_SERVICE_PORT",
            "MILLRACE_CONSOLE_SERVICE_PORT_HTTP",
            "MILLRACE_CONSOLE_PORT",
            "MILLRACE_CONSOLE_PORT_9700_TCP",
            "MILLRACE_CONSOLE_PORT_9700_TCP_ADDR",
            "MILLRACE_PORT",
        ];
        for link in links {
            assert_eq!(found(&[(link, "tcp://10.0.0.1:80")]), [], "{link}");
        }
        for setting in ["MILLRACE_ADMIN__PORT", "MILLRACE_REPORT", "MILLRACE_DATA_DIR", "MILLRACE_PORTAL"] {
            assert_eq!(found(&[(setting, "x")]).len(), 1, "{setting}");
        }
    }
}
