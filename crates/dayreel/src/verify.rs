//! `dayreel verify`: are the recordings what their indexes say?

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::OsStringValueParser};
use dayreel_archive::{Problem, Verified};
use dayreel_config::{ConfigError, DEFAULT_DATA_DIR};

use crate::cli::{BAD_CONFIG, ConfigArgs};

/// Exit code where something is wrong with the recordings.
const PROBLEMS: u8 = 3;

/// What is to be verified.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Data directory; default: that of the configuration, if there is one, else ./data
    // Not a PathBuf: its parser refuses an empty variable.
    #[arg(long, value_name = "DIR", env = "DAYREEL_DATA_DIR", value_parser = OsStringValueParser::new())]
    data: Option<OsString>,
    /// Mend what is wrong; what cannot be used goes to lost+found. Refused while a server records
    #[arg(long, env = "DAYREEL_REPAIR")]
    repair: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints what is wrong, one line each, and what was checked. Exit codes: 0 all is sound (with
/// `--repair`: now), 3 it is not, 2 bad configuration, 1 (as an error) it could not be checked.
pub(crate) fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let data = match args.data.as_deref().filter(|data| !data.is_empty()) {
        Some(data) => PathBuf::from(data),
        None => match args.config.load() {
            Ok(loaded) => loaded.settings.server.data_dir,
            Err(ConfigError::NoneFound { .. }) => PathBuf::from(DEFAULT_DATA_DIR),
            Err(error) => {
                writeln!(io::stderr(), "{error}").context("writing to stderr")?;
                return Ok(BAD_CONFIG.into());
            }
        },
    };
    let verified = dayreel_archive::verify(&data, args.repair)
        .with_context(|| format!("cannot verify {}", data.display()))?;
    let lines = report(&data, &verified);
    writeln!(io::stdout(), "{lines}").context("writing to stdout")?;
    let is_sound = verified.problems.iter().all(|problem| problem.is_mended);
    Ok(match is_sound {
        true => ExitCode::SUCCESS,
        false => PROBLEMS.into(),
    })
}

fn report(data: &Path, verified: &Verified) -> String {
    let line = |problem: &Problem| {
        let path = problem.path.strip_prefix(data).unwrap_or(&problem.path);
        let mended = if problem.is_mended { " (mended)" } else { "" };
        format!("{}: {}{mended}\n", path.display(), problem.damage)
    };
    let mut text: String = verified.problems.iter().map(line).collect();
    let Verified {
        cameras,
        days,
        segments,
        bytes,
        ..
    } = verified;
    let problems = verified.problems.len();
    let mended = verified.problems.iter().filter(|problem| problem.is_mended);
    let mended = mended.count();
    text.push_str(&format!(
        "cameras {cameras}, days {days}, sound segments {segments}, bytes {bytes}; \
         problems {problems}, mended {mended}"
    ));
    if verified.is_live {
        text.push_str("; a server is recording, so what it is writing now was not judged");
    }
    text
}
