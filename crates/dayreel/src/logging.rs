//! Logs go to stderr, so that stdout is for what a command prints.

use std::io::{self, IsTerminal};

use crate::cli::{LogArgs, LogFormat};

/// Starts logging. Called once, before anything logs.
pub(crate) fn init(args: LogArgs) {
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(args.log_level.to_env_filter())
        .with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(is_coloured).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
