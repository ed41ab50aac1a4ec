//! The `dayreel` binary: commands and their exit codes.

mod check;
mod cli;
mod demo;
mod fleet;
mod health;
mod listeners;
mod logging;
mod mqtt;
mod open_files;
mod packaging;
mod probe;
mod run;
mod server;
mod systemd;
mod timelapse;
mod user;
mod verify;
mod watch;
mod webhooks;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Exit codes: 0 done, 1 failed, 2 bad command line or configuration, 3 recordings are not sound;
/// those of `probe` are in its own help.
fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.log);
    let done = match cli.command {
        Command::Run(config) => run::run(&config),
        Command::Demo(args) => demo::demo(&args),
        Command::Check(config) => check::check(&config),
        Command::Verify(args) => verify::verify(&args),
        Command::Timelapse(args) => timelapse::timelapse(&args),
        Command::User(args) => user::user(args),
        Command::Health(args) => health::health(&args),
        Command::Probe(args) => probe::probe(&args),
        Command::Plugins => packaging::plugins(),
        Command::Completions(args) => packaging::completions(&args),
        Command::Man(args) => packaging::man(&args),
    };
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}
