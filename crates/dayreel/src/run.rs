//! `dayreel run`: serve what the configuration says.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::{BAD_CONFIG, ConfigArgs},
    server::{Server, asked_to_end},
};

/// Serves until SIGTERM or SIGINT. Exit codes: 0 after a clean end, 2 bad configuration, 1 (as an
/// error) anything else.
pub(crate) fn run(config: &ConfigArgs) -> Result<ExitCode> {
    let loaded = match config.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let end = asked_to_end()?;
        let server = Server::start(&loaded.settings)?;
        tracing::info!("listening on http://{}/", server.address()?);
        server.serve(end).await
    })?;
    Ok(ExitCode::SUCCESS)
}
