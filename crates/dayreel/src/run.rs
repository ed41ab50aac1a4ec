//! `dayreel run`: serve what the configuration says.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::{BAD_CONFIG, ConfigArgs},
    server::{Server, asked_to_end},
    systemd,
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
        let server = Server::start(&loaded.settings, Some(config))?;
        tracing::info!("listening on {}://{}/", server.scheme(), server.address()?);
        systemd::ready();
        let end = async {
            end.await;
            systemd::stopping();
        };
        tokio::select! {
            served = server.serve(end) => served,
            never = systemd::keep_alive() => never,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
