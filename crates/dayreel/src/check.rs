//! `dayreel check`: is the configuration good, and what does it say?

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use dayreel_config::effective_toml;

use crate::cli::{BAD_CONFIG, ConfigArgs};

/// Prints the effective configuration to stdout, as TOML that can be read again; what is wrong or
/// questionable goes to stderr, one line each.
pub(crate) fn check(config: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let loaded = match config.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            writeln!(io::stderr(), "{error}").context("writing to stderr")?;
            return Ok(BAD_CONFIG.into());
        }
    };
    let file = loaded.source();
    for warning in &loaded.warnings {
        writeln!(io::stderr(), "{file}: warning: {warning}").context("writing to stderr")?;
    }
    let effective = effective_toml(&loaded.settings);
    write!(io::stdout(), "# {file}\n{effective}").context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}
