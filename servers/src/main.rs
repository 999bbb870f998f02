//! `servers`: starts real servers and keeps them until it is told to end, downloads them, or says what is missing.

use std::process::ExitCode;

use clap::Parser as _;

mod command;

fn main() -> ExitCode {
    match command::run(&command::Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            command::complain(&error);
            ExitCode::from(5)
        }
    }
}
