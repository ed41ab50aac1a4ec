//! The `dayreel` binary: commands and their exit codes.

mod check;
mod cli;
mod demo;
mod logging;
mod run;
mod server;
mod timelapse;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Exit codes: 0 done, 1 failed, 2 bad command line or configuration, 3 recordings are not sound.
fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.log);
    let done = match cli.command {
        Command::Run(config) => run::run(&config),
        Command::Demo(args) => demo::demo(&args),
        Command::Check(config) => check::check(&config),
        Command::Verify(args) => verify::verify(&args),
        Command::Timelapse(args) => timelapse::timelapse(&args),
    };
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}
