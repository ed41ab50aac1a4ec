//! A server with a long past: cameras that nobody answers for, and recordings of many hours.

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use chrono_tz::Tz;
use dayreel_core::{CameraId, Day};

use super::{Made, Media, Period, make, zone_late_in_the_day};
use crate::process::{REFUSING, Server, Setup};

/// Id of the camera of [`Served::start`].
pub const CAMERA: &str = "cam";

/// A server whose recordings [`make`] made, in a zone in which today is 22.8 to 23.8 hours old.
#[derive(Debug)]
pub struct Served {
    /// It runs.
    pub server: Server,
    /// Of all cameras.
    pub zone: Tz,
    /// What is recorded.
    pub period: Period,
    /// As it is recorded.
    pub media: Media,
    /// What it cost to make.
    pub made: Made,
}

impl Served {
    /// The last `hours` of [`CAMERA`].
    ///
    /// # Errors
    /// The recordings cannot be made or the server does not start.
    pub fn start(media: Media, hours: f64) -> Result<Self> {
        Self::with_cameras(&[CAMERA], media, hours)
    }

    /// The last `hours` of [`CAMERA`], whose configuration ends with the lines `settings`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_settings(media: Media, hours: f64, settings: &str) -> Result<Self> {
        Self::make(&[CAMERA], media, hours, settings)
    }

    /// The last `hours` of several cameras.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_cameras(cameras: &[&str], media: Media, hours: f64) -> Result<Self> {
        Self::make(cameras, media, hours, "")
    }

    fn make(cameras: &[&str], media: Media, hours: f64, settings: &str) -> Result<Self> {
        let now = Utc::now();
        let zone = zone_late_in_the_day(now);
        let mut setup = Setup::with_cameras(cameras.iter().map(|id| (*id, REFUSING)));
        setup.server = format!("timezone = \"{}\"\n", zone.name());
        setup.cameras.push_str(settings);
        let period = Period::ending(now, hours, 1);
        let ids = cameras.iter().map(|id| id.parse::<CameraId>());
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        // It chooses its folder, so it is started once before there is anything in it.
        let mut server = Server::start(setup)?;
        let ended = server.stop()?;
        ensure!(ended.success(), "the empty server: {ended}");
        let made = make(&server.data_dir(), &ids, zone, period, &media)?;
        server.restart().context("with recordings")?;
        Ok(Self {
            server,
            zone,
            period,
            media,
            made,
        })
    }

    /// The local day in which the recordings end.
    pub fn today(&self) -> Day {
        Day::containing(self.period.to, self.zone)
    }
}
