//! What the browser saw. Times on the player's timeline are in s, wall times in ms since 1970.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// All runs of a plan, in its order.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Version of the browser.
    pub browser: String,
    /// One for each run.
    pub runs: Vec<RunReport>,
}

/// What one run did and what was wrong with it.
#[derive(Debug, Deserialize)]
pub struct RunReport {
    /// The run's name.
    pub name: String,
    /// Of the player, as it says itself.
    pub version: Option<String>,
    /// One for each step that succeeded.
    pub steps: Vec<Seen>,
    /// Why a step did not succeed; the ones after it were not tried.
    pub error: Option<String>,
    /// Where the player was when that happened.
    pub last: Option<Value>,
    /// Errors and warnings on the console.
    pub console: Vec<ConsoleLine>,
    /// Exceptions nobody caught.
    pub page_errors: Vec<String>,
    /// Requests without an answer, or with a status of 400 and more.
    pub failed_requests: Vec<FailedRequest>,
    /// What the player reported through its own API, fatal or not.
    pub player_errors: Vec<PlayerError>,
}

/// A line on the browser's console.
#[derive(Debug, Deserialize)]
pub struct ConsoleLine {
    /// `error` or `warning`.
    pub r#type: String,
    /// The line.
    pub text: String,
    /// Of the script or resource it is about.
    pub url: String,
}

/// A request that brought nothing.
#[derive(Debug, Deserialize)]
pub struct FailedRequest {
    /// Of the resource.
    pub url: String,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// As the browser says it.
    pub reason: String,
}

/// An error of a player's own API.
#[derive(Debug, Deserialize)]
pub struct PlayerError {
    /// Whether it gave up.
    pub fatal: bool,
    /// The player's name for it.
    pub code: String,
    /// More about it.
    pub message: String,
}

/// What a step saw.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Seen {
    /// It plays.
    Start {
        /// From the load to half a second of video.
        took_ms: u64,
        /// Right after.
        sample: Sample,
    },
    /// How it went on.
    Watch(Watch),
    /// It is there and shows a picture.
    Seek {
        /// From the order to the picture.
        took_ms: u64,
        /// What it was told, as a place on its timeline.
        asked: Asked,
        /// Right after.
        sample: Sample,
    },
    /// It came that far.
    PlayUntil {
        /// How long that took.
        took_ms: u64,
        /// How it stood still.
        #[serde(flatten)]
        stalls: Stalls,
        /// Right after.
        sample: Sample,
    },
    /// A picture.
    Picture(Picture),
    /// What was on the screen.
    Glance {
        /// When each picture was shown, ms since 1970.
        at_ms: Vec<f64>,
        /// Luma of all of them, one after the other, one byte a pixel.
        gray: PathBuf,
    },
    /// A screenshot.
    Screenshot {
        /// The file.
        png: PathBuf,
    },
    /// Pressed.
    Click {},
    /// Dragged.
    Drag {},
    /// Found.
    Find {
        /// Its text without the white space around it.
        text: String,
        /// Its attributes.
        attributes: BTreeMap<String, String>,
    },
    /// Downloaded.
    Download {
        /// Where it is.
        file: PathBuf,
        /// What the browser would have called it.
        called: String,
    },
    /// Keyframes, in the order they were asked for.
    Scrub {
        /// One each.
        pictures: Vec<Scrubbed>,
    },
    /// All of them played.
    Qualities {
        /// Of their pictures, in pixels.
        widths: Vec<u32>,
    },
    /// Measured.
    Overflow {
        /// Width of the content by width of the window.
        ratio: f64,
    },
}

/// How it went on.
#[derive(Debug, Deserialize)]
pub struct Watch {
    /// How long it looked, in s.
    pub elapsed_s: f64,
    /// How far the picture came, in s.
    pub progress_s: f64,
    /// How far the end of what can be played moved, in s; none where the player cannot be asked.
    pub edge_progress_s: Option<f64>,
    /// How it stood still.
    #[serde(flatten)]
    pub stalls: Stalls,
    /// About one a second.
    pub samples: Vec<Sample>,
}

/// How playback stood still.
#[derive(Debug, Deserialize)]
pub struct Stalls {
    /// Each time the element said `waiting`.
    pub waits: Vec<Wait>,
    /// Longest time without progress, said or not.
    pub longest_freeze_ms: u64,
}

/// A stall.
#[derive(Debug, Deserialize)]
pub struct Wait {
    /// Position, in s.
    pub time_s: f64,
    /// Whether a seek explains it.
    pub seeking: bool,
    /// How long.
    pub duration_ms: u64,
}

/// Where a seek was to go.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// Position, in s; none for the live edge, whose place is the player's choice.
    pub time_s: Option<f64>,
    /// Its wall time as the player knows it.
    pub wall_ms: Option<f64>,
}

/// A look at the player.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// Position, in s.
    pub time_s: f64,
    /// Its wall time as the player knows it.
    pub wall_ms: Option<f64>,
    /// What can be sought, as the player knows it.
    pub range: Option<Range>,
    /// Wall time of the end of that.
    pub edge_wall_ms: Option<f64>,
    /// Stretches in the browser's buffer.
    pub buffered: Vec<(f64, f64)>,
    /// Pictures decoded since the load.
    pub frames_total: u64,
    /// Of which the screen never saw these.
    pub frames_dropped: u64,
    /// Of the picture, in pixels.
    pub width: u32,
    /// Of the picture, in pixels.
    pub height: u32,
}

/// A stretch of a player's timeline, in s.
#[derive(Debug, Deserialize)]
pub struct Range {
    /// Its beginning.
    pub start_s: f64,
    /// Its end.
    pub end_s: f64,
}

/// A picture the player stopped on.
#[derive(Debug, Deserialize)]
pub struct Picture {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Presentation time of this very picture on the player's timeline, in s.
    pub media_time_s: Option<f64>,
    /// Its wall time as the player knows it.
    pub wall_ms: Option<f64>,
    /// Luma, one byte a pixel, rows without padding.
    pub gray: PathBuf,
    /// The same for people.
    pub png: PathBuf,
}

/// A keyframe that was shown by itself.
#[derive(Debug, Deserialize)]
pub struct Scrubbed {
    /// From the order to the picture on the screen.
    pub took_ms: f64,
    /// It.
    #[serde(flatten)]
    pub picture: Picture,
}

impl Picture {
    /// The luma plane.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn luma(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.gray).with_context(|| format!("cannot read {}", self.gray.display()))
    }
}

impl RunReport {
    /// Everything that must not be in a run that went well, in words.
    ///
    /// A request that was cut short is none: players drop what they no longer need when they seek.
    pub fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(error) = &self.error {
            let last = self.last.as_ref().map(ToString::to_string);
            found.push(format!("{error}; then: {}", last.unwrap_or_default()));
        }
        found.extend(
            self.console
                .iter()
                .filter(|line| line.r#type == "error")
                .map(|line| format!("on the console: {} ({})", line.text, line.url)),
        );
        found.extend(
            self.page_errors
                .iter()
                .map(|error| format!("thrown: {error}")),
        );
        found.extend(
            self.failed_requests
                .iter()
                .filter(|request| request.reason != "net::ERR_ABORTED")
                .map(|request| format!("{} {:?} {}", request.url, request.status, request.reason)),
        );
        found.extend(
            self.player_errors
                .iter()
                .filter(|error| error.fatal)
                .map(|error| format!("the player gave up: {} {}", error.code, error.message)),
        );
        found
            .into_iter()
            .map(|complaint| format!("{}: {complaint}", self.name))
            .collect()
    }

    /// The pictures, in order.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.steps.iter().filter_map(|step| match step {
            Seen::Picture(picture) => Some(picture),
            _ => None,
        })
    }
}
