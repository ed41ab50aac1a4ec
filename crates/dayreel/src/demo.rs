//! `dayreel demo`: two built-in cameras, no configuration.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use dayreel_config::{
    Auth, Camera as CameraConfig, OnLoss, Settings, SystemEnv, Timelapse, Transport, Trust,
};
use dayreel_core::CameraId;
use tempfile::TempDir;

use crate::server::{Server, asked_to_end};

/// What the demo can be told.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to record; default: a folder that is deleted at the end
    #[arg(long, value_name = "DIR", env = "DAYREEL_DATA_DIR")]
    data: Option<PathBuf>,
    /// Where to listen
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:6478",
        env = "DAYREEL_LISTEN"
    )]
    listen: SocketAddr,
}

/// The page is announced when all cameras deliver, but no later than this.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the cameras, serves them, and prints the address of the page on the last line of stdout
/// when there is something to see.
pub(crate) fn demo(args: &DemoArgs) -> Result<ExitCode> {
    // Dropped, and with it deleted, after everything else has ended.
    let own = match args.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot make a folder for the demo")?),
    };
    let given = args.data.as_deref();
    let data_dir = given.or(own.as_ref().map(TempDir::path));
    let data_dir = data_dir.context("no folder for the demo")?.to_owned();
    let timezone = dayreel_config::system_timezone(&SystemEnv).0;
    let sources = dayreel_testcam::demo_cameras().context("cannot start the demo's cameras")?;
    let mut cameras = Vec::new();
    for (id, source) in &sources {
        cameras.push(CameraConfig {
            id: id.parse::<CameraId>()?,
            rtsp: source.url().parse()?,
            rtsp_preview: None,
            days_to_keep: dayreel_config::MAX_DAYS_TO_KEEP,
            max_bytes: None,
            moments_days_to_keep: None,
            timelapse_days_to_keep: None,
            timezone,
            transport: Transport::Tcp,
            trust: Trust::Roots,
            on_loss: OnLoss::Keep,
            audio: true,
            segment: Duration::from_secs(dayreel_config::DEFAULT_SEGMENT_S.into()),
            frame_max_age: Duration::from_secs(dayreel_config::DEFAULT_FRAME_MAX_AGE_S.into()),
            gif_max_bytes: dayreel_config::DEFAULT_GIF_MAX_BYTES,
            timelapse: Timelapse::default(),
        });
    }
    let server = dayreel_config::Server {
        listen: args.listen,
        data_dir,
        require_marker: false,
        min_free_bytes: dayreel_config::DEFAULT_MIN_FREE_BYTES,
        timezone,
        auth: Auth::None,
        tls: None,
        trusted_proxies: Vec::new(),
        base_path: dayreel_config::BasePath::default(),
    };
    let settings = Settings {
        server,
        cameras,
        users: Vec::new(),
        webhooks: Vec::new(),
        mqtt: None,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let end = asked_to_end()?;
        let server = Server::start(&settings, None)?;
        let address = server.address()?;
        let ready = server.all_live();
        let announce = async move {
            // After the deadline the page says itself what it waits for.
            let _ = tokio::time::timeout(READY_TIMEOUT, ready).await;
            println!("http://{address}/");
        };
        tokio::join!(server.serve(end), announce).0
    })?;
    Ok(ExitCode::SUCCESS)
}
