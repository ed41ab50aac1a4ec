//! `dayreel health`: for the health check of a container, and for monitors.

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use dayreel_config::{ConfigError, DEFAULT_LISTEN};
use rustls::crypto::ring;
use ureq::tls::TlsConfig;

use crate::cli::ConfigArgs;

/// An answer takes less than a millisecond; a machine that swaps takes longer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Which server.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Where it listens; default: as the configuration says, else port 6478
    #[arg(long, value_name = "ADDR", env = "DAYREEL_LISTEN")]
    listen: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exit codes: 0 it answers, 1 (as an error) it does not, or where it is cannot be told. Docker has
/// no other two.
pub(crate) fn health(args: &HealthArgs) -> Result<ExitCode> {
    let (listen, is_https) = listen(args)?;
    let scheme = if is_https { "https" } else { "http" };
    let url = format!("{scheme}://{}/healthz", reachable(listen));
    // Whoever has this machine's port is who is asked about; the certificate is for another name.
    let tls = TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let request = ureq::get(&url).config().timeout_global(Some(TIMEOUT));
    let answer = request.tls_config(tls).build().call();
    let status = answer
        .with_context(|| format!("no answer from {url}"))?
        .status();
    ensure!(status.is_success(), "{url} answers {status}");
    writeln!(io::stdout(), "{url} answers {status}").context("writing to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Where it listens, and whether with TLS.
fn listen(args: &HealthArgs) -> Result<(SocketAddr, bool)> {
    let named = args.listen.as_deref().filter(|listen| !listen.is_empty());
    let named = named.map(|listen| {
        let address = listen.parse();
        address.with_context(|| format!("{listen:?} is no address and port"))
    });
    let named = named.transpose()?;
    match (args.config.load(), named) {
        (Ok(loaded), named) => {
            let server = loaded.settings.server;
            Ok((named.unwrap_or(server.listen), server.tls.is_some()))
        }
        (Err(ConfigError::NoneFound { .. }), named) => Ok((named.unwrap_or(DEFAULT_LISTEN), false)),
        (Err(_), Some(named)) => Ok((named, false)),
        (Err(error), None) => Err(error.into()),
    }
}

/// Where a server that listens at `listen` is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_reached_by_loopback() {
        for (listen, address) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("192.168.0.2:3", "192.168.0.2:3"),
        ] {
            let listen: SocketAddr = listen.parse().unwrap();
            assert_eq!(reachable(listen).to_string(), address);
        }
    }
}
