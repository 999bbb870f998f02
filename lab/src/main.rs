//! `lab`: builds the laboratory and keeps it, runs a scenario in it, or removes what is left of it.

use std::process::ExitCode;

use clap::Parser as _;

mod command;

fn main() -> ExitCode {
    match command::run(command::Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            command::complain(&error);
            ExitCode::from(2)
        }
    }
}
