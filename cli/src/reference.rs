//! The generated references under `docs/reference/`: the tests below compare them with what the program says of itself;
//! with `MILLRACE_REFRESH=1` they rewrite them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::Value;

use crate::arguments::Arguments;

fn check(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("MILLRACE_REFRESH").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(&path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/reference/{name} is out of date: `make docs` rewrites it");
}

#[test]
fn generated_cli_reference() {
    let mut root = Arguments::command();
    root.build();
    let mut text = String::from("# Command line\n\nGenerated from the program; `make docs` rewrites it.\n\n");
    text.push_str(&styled(root.get_long_about().or(root.get_about())));
    text.push_str("\n\n```\n");
    text.push_str(&styled(root.get_after_long_help()));
    text.push_str("\n```\n\n## Options of every command\n\n");
    let globals: Vec<&Arg> = root.get_arguments().filter(|argument| argument.is_global_set()).collect();
    push_arguments(&mut text, &globals);
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        push_command(&mut text, command, "millrace");
    }
    check("cli.md", &text);
}

fn push_command(text: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    write!(text, "\n## {name}\n\n{}\n", styled(command.get_long_about().or(command.get_about()))).unwrap();
    let usage = command.clone().render_usage().to_string();
    write!(text, "\n```\n{}\n```\n", usage.trim_start_matches("Usage: ")).unwrap();
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && !argument.is_hide_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .collect();
    if !own.is_empty() {
        text.push('\n');
        push_arguments(text, &own);
    }
    if let Some(after) = command.get_after_help() {
        write!(text, "\n```\n{}\n```\n", styled(Some(after))).unwrap();
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        push_command(text, sub, &name);
    }
}

fn push_arguments(text: &mut String, arguments: &[&Arg]) {
    text.push_str("| argument | meaning |\n|---|---|\n");
    for argument in arguments {
        writeln!(text, "| {} | {} |", spelled(argument), meaning(argument)).unwrap();
    }
}

/// Returns all spellings of an argument, with its value.
fn spelled(argument: &Arg) -> String {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let value = value.unwrap_or_else(|| argument.get_id().as_str().to_uppercase());
    let Some(long) = argument.get_long() else { return format!("`<{value}>`") };
    let mut spellings = vec![if takes_value { format!("`--{long} <{value}>`") } else { format!("`--{long}`") }];
    spellings.extend(argument.get_short().map(|short| format!("`-{short}`")));
    spellings.extend(argument.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("`--{alias}`")));
    spellings.join(", ")
}

fn meaning(argument: &Arg) -> String {
    let mut text = styled(argument.get_long_help().or(argument.get_help())).replace('\n', " ").replace('|', "\\|");
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() && matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        write!(text, ". One of {}", values.join(", ")).unwrap();
    }
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        write!(text, ". Default `{}`", defaults.join(",")).unwrap();
    }
    if let Some(variable) = argument.get_env() {
        write!(text, ". Environment `{}`", variable.to_string_lossy()).unwrap();
    }
    text
}

fn styled(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().trim_end().to_owned()
}

#[test]
fn generated_settings_reference() {
    let schema = service::settings::schema::<crate::settings::RawSettings>();
    let mut text = String::from(
        "# Settings\n\nGenerated from the program; `make docs` rewrites it.\n\n\
         One YAML file (`--config FILE`) < environment < flags. Every key is optional. An unknown key is an error with a\n\
         suggestion, and all mistakes are reported at once. `millrace config check|dump|schema` work on the same settings.\n",
    );
    push_section(&mut text, &schema, &schema, "", None);
    check("settings.md", &text);
}

fn push_section(text: &mut String, root: &Value, section: &Value, path: &str, description: Option<&str>) {
    let properties = section["properties"].as_object().unwrap();
    let title = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
    write!(text, "\n## {title}\n\n").unwrap();
    if let Some(description) = description {
        write!(text, "{}\n\n", one_line(description)).unwrap();
    }
    let (mut leaves, mut sections) = (Vec::new(), Vec::new());
    for (name, property) in properties {
        let target = resolve(root, property);
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if target["properties"].is_object() {
            sections.push((key, target, property["description"].as_str()));
        } else {
            leaves.push((key, property));
        }
    }
    if !leaves.is_empty() {
        text.push_str("| key | type | default | environment | meaning |\n|---|---|---|---|---|\n");
    }
    for (key, property) in leaves {
        let environment = format!("MILLRACE_{}", key.replace('.', "__").to_uppercase());
        let meaning = property["description"].as_str().or(resolve(root, property)["description"].as_str());
        let meaning = one_line(meaning.unwrap_or_default()).replace('|', "\\|");
        let (meaning, default) = meaning.split_once("Default: ").unwrap_or((&meaning, ""));
        let (meaning, default) = (meaning.trim_end(), default.trim_end_matches('.'));
        writeln!(text, "| `{key}` | {} | {default} | `{environment}` | {meaning} |", type_of(root, property)).unwrap();
    }
    for (key, target, description) in sections {
        push_section(text, root, target, &key, description);
    }
}

/// Follows a reference, also one that may be null.
fn resolve<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let inner = property["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"));
    let inner = inner.unwrap_or(property);
    match inner["$ref"].as_str().and_then(|reference| root.pointer(reference.trim_start_matches('#'))) {
        Some(target) => target,
        None => inner,
    }
}

fn type_of(root: &Value, property: &Value) -> String {
    let target = resolve(root, property);
    if let Some(reference) = property["$ref"].as_str().or(property["anyOf"][0]["$ref"].as_str())
        && target["type"] == "string"
        && target["enum"].is_null()
        && target["oneOf"].is_null()
    {
        return reference.rsplit('/').next().unwrap_or_default().to_lowercase();
    }
    if let Some(values) = target["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" ");
    }
    if let Some(values) = target["oneOf"].as_array() {
        return values
            .iter()
            .filter_map(|value| value["const"].as_str())
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(" ");
    }
    match &target["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn generated_metrics_reference() {
    let mut builder = service::metrics::MetricsBuilder::new(env!("CARGO_PKG_VERSION"), "run".to_owned());
    let roles = crate::pipeline::RoleMetrics::register(&mut builder);
    let rendered = builder.build().render();
    drop(roles);
    let mut text = String::from(
        "# Metrics\n\nGenerated from the program; `make docs` rewrites it.\n\n\
         Served at `/metrics` of the admin address (setting `admin.listen`) as OpenMetrics text. Labels take their values\n\
         from closed lists and are there from the start; none carries an address, a pod or a flow.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in metrics_of(&rendered) {
        text.push_str(&metric);
    }
    check("metrics.md", &text);
}

/// Returns a line of the table for each metric of an OpenMetrics text.
fn metrics_of(rendered: &str) -> Vec<String> {
    let lines: Vec<&str> = rendered.lines().collect();
    let mut rows = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else { continue };
        let kind = lines.get(place + 1).and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let samples = lines[place + 1..].iter().take_while(|line| !line.starts_with("# HELP "));
        let labels = labels_of(samples.filter(|line| !line.starts_with('#')));
        let name = format!("{}{suffix}", name.trim_end_matches(suffix));
        rows.push(format!("| `{name}` | {kind} | {labels} | {} |\n", help.replace('|', "\\|")));
    }
    rows.sort();
    rows
}

/// Returns each label with its values; `le` is the histogram's own.
fn labels_of<'a>(samples: impl Iterator<Item = &'a &'a str>) -> String {
    let mut labels: Vec<(String, Vec<String>)> = Vec::new();
    for sample in samples {
        let Some((_, rest)) = sample.split_once('{') else { continue };
        let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
        for pair in inside.split("\",") {
            let Some((name, value)) = pair.split_once("=\"") else { continue };
            if name == "le" {
                continue;
            }
            let value = value.trim_end_matches('"').to_owned();
            match labels.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) if !values.contains(&value) => values.push(value),
                Some(_) => {}
                None => labels.push((name.to_owned(), vec![value])),
            }
        }
    }
    // A family gives its samples in no order.
    labels.iter_mut().for_each(|(_, values)| values.sort());
    labels.sort();
    let shown = |(name, values): &(String, Vec<String>)| {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        format!("{name}: {}", values.join(" "))
    };
    labels.iter().map(shown).collect::<Vec<_>>().join("; ")
}
