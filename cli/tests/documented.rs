//! What the documentation shows is what the program takes: its commands, and the settings files that are shipped.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Said, command};

const PAGES: [&str; 2] = ["README.md", "docs/tutorial.md"];

fn checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the `millrace …` command lines in the `sh` blocks of a page, each with the number of its line.
fn command_lines(page: &str) -> Vec<(usize, Vec<String>)> {
    let text = fs::read_to_string(checkout(page)).unwrap();
    let (mut found, mut in_shell) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_shell = !in_shell && language == "sh";
            continue;
        }
        if !in_shell || line.contains("() {") {
            continue;
        }
        let words: Vec<&str> =
            line.split_whitespace().take_while(|word| !matches!(*word, "#" | "|" | ">" | ";")).collect();
        let program = words.iter().position(|word| *word == "millrace" || word.ends_with("/millrace"));
        if let Some(program) = program {
            let arguments = words[program + 1..].iter().map(|word| word.trim_matches(['\'', '"']).to_owned());
            found.push((number + 1, arguments.collect()));
        }
    }
    found
}

#[test]
fn every_command_of_readme_and_tutorial_is_taken() {
    for page in PAGES {
        let lines = command_lines(page);
        assert!(lines.len() >= 4, "{page}: {lines:?}");
        for (number, arguments) in lines {
            // Help comes before the check of missing arguments, not before that of unknown or malformed ones.
            let said = Said::from(command().args(&arguments).arg("--help").output().unwrap());
            assert_eq!(said.code, Some(0), "{page}:{number}: millrace {}\n{}", arguments.join(" "), said.err);
        }
    }
}

#[test]
fn an_unknown_option_is_not_taken_for_the_help_that_follows_it() {
    let said = Said::from(command().args(["flows", "--sinze", "5m", "--help"]).output().unwrap());
    said.exits(2).complains(&["--sinze"]);
}

#[test]
fn every_settings_file_that_is_shipped_is_valid() {
    let mut checked = 0;
    for entry in fs::read_dir(checkout("deploy")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let output = command().args(["config", "check", "--config"]).arg(&path).output().unwrap();
            Said::from(output).exits(0);
            checked += 1;
        }
    }
    assert!(checked > 0);
}
