//! What packages and images are made with: the plugins to bring, completions, manual pages.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder of the pages; it is made
    folder: PathBuf,
}

/// Prints the files of the plugins that the server and the demo need, one a line. An image that has
/// these and their libraries has all of GStreamer that is used.
pub(crate) fn plugins() -> Result<ExitCode> {
    let files = dayreel_pipeline::plugin_files(&dayreel_testcam::demo_elements())?;
    let lines: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    write!(io::stdout(), "{lines}").context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the completions of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    // Not to stdout at once: clap would panic where nobody reads.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dayreel", &mut text);
    io::stdout().write_all(&text).context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a manual page of the program and one of each command.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode> {
    let folder = &args.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("writing to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
