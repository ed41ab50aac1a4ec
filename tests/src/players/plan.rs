//! What a browser is asked to do. The JSON of this is what `players/src/plan.mjs` checks.

use std::path::PathBuf;

use serde::Serialize;

/// Runs that share a browser and happen at the same time, each with a page and cache of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Folder for pictures and screenshots; made if it is missing.
    pub out: PathBuf,
    /// Bounds each run, in s.
    pub deadline_s: u32,
    /// At least one, names unique.
    pub runs: Vec<Run>,
}

/// One player on one URL.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Prefix of its files: letters, digits, `_`, `-`, `.`.
    pub name: String,
    /// Who plays.
    pub player: Player,
    /// Playlist, manifest, or for [`Player::Page`] the page.
    pub url: String,
    /// Inner size of the window.
    pub viewport: Viewport,
    /// Done in this order; the first that fails ends the run.
    pub steps: Vec<Step>,
}

impl Run {
    /// A run in a window that shows 720p in full.
    pub fn new(player: Player, url: impl Into<String>, steps: Vec<Step>) -> Self {
        Self {
            name: player.name().to_owned(),
            player,
            url: url.into(),
            viewport: Viewport::DESKTOP,
            steps,
        }
    }
}

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Player {
    /// hls.js.
    Hls,
    /// hls.js that plays faster where it is further behind than it aims at.
    HlsCatchingUp,
    /// hls.js that is not to be of low latency.
    HlsPlain,
    /// dash.js.
    Dash,
    /// Shaka Player, given HLS.
    ShakaHls,
    /// Shaka Player, given DASH.
    ShakaDash,
    /// No player: a file in a plain `<video>`.
    File,
    /// Dayreel's own page with whatever player it chose.
    Page,
}

impl Player {
    /// As in the plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hls => "hls",
            Self::HlsCatchingUp => "hls-catching-up",
            Self::HlsPlain => "hls-plain",
            Self::Dash => "dash",
            Self::ShakaHls => "shaka-hls",
            Self::ShakaDash => "shaka-dash",
            Self::File => "file",
            Self::Page => "page",
        }
    }

    /// Path of the document it plays for a day of a camera.
    pub fn path(self, camera: &str, day: &str) -> String {
        match self {
            Self::Hls | Self::HlsCatchingUp | Self::HlsPlain | Self::ShakaHls => {
                format!("/{camera}/stream/{day}/playlist.m3u8")
            }
            Self::Dash | Self::ShakaDash => format!("/{camera}/stream/{day}/manifest.mpd"),
            // Files are not of a day: their URLs are known otherwise.
            Self::File | Self::Page => format!("/{camera}/"),
        }
    }
}

/// Inner size of a window in CSS pixels.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Viewport {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Viewport {
    /// A window on a desk.
    pub const DESKTOP: Self = Self {
        width: 1280,
        height: 800,
    };
    /// A phone held upright.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
    };
}

/// One step of a run; what it reports is the [`Seen`](super::Seen) of the same name.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Load and play half a second.
    Start,
    /// Look on.
    Watch {
        /// How long, in s.
        seconds: u32,
    },
    /// Go somewhere and wait for its picture.
    Seek {
        /// Where to.
        to: Place,
    },
    /// Play until the wall time (ms since 1970) is on the screen, over whatever lies between.
    PlayUntil {
        /// Milliseconds since the Unix epoch.
        wall_ms: i64,
        /// Longest wait, in s.
        deadline_s: u32,
    },
    /// Stop, hand out the picture, play on.
    Picture {
        /// Of its files, behind the run's.
        name: String,
    },
    /// Look at the screen now and then while it plays on.
    Glance {
        /// How long, in s.
        seconds: u32,
        /// How often, in ms.
        every_ms: u32,
        /// Of the pictures that are kept, in pixels.
        width: u32,
        /// The same.
        height: u32,
    },
    /// The page as a person sees it.
    Screenshot {
        /// Of its file, behind the run's.
        name: String,
    },
    /// Press something.
    Click {
        /// CSS selector.
        selector: String,
    },
    /// Drag from one fraction of an element's width to another.
    Drag {
        /// CSS selector.
        selector: String,
        /// 0 to 1.
        from: f64,
        /// 0 to 1.
        to: f64,
    },
    /// Wait for an element and read it.
    Find {
        /// CSS selector.
        selector: String,
    },
    /// Measure whether the page scrolls sideways.
    Overflow,
    /// Press something that downloads a file.
    Download {
        /// CSS selector.
        selector: String,
        /// Of the file, behind the run's.
        name: String,
    },
    /// Show keyframes by themselves, all over what can be played, one after another. hls.js only.
    Scrub {
        /// How many.
        count: u32,
    },
    /// Choose each quality that hls.js or dash.js lists, and play a second of it.
    Qualities,
}

impl Step {
    /// A picture called `name`.
    pub fn picture(name: &str) -> Self {
        Self::Picture {
            name: name.to_owned(),
        }
    }

    /// A screenshot called `name`.
    pub fn screenshot(name: &str) -> Self {
        Self::Screenshot {
            name: name.to_owned(),
        }
    }

    /// A press on `selector`.
    pub fn click(selector: &str) -> Self {
        Self::Click {
            selector: selector.to_owned(),
        }
    }

    /// A wait for `selector`.
    pub fn find(selector: &str) -> Self {
        Self::Find {
            selector: selector.to_owned(),
        }
    }
}

/// Where to seek to.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The earliest picture that can be had.
    Start,
    /// The live edge, at the distance the player keeps.
    Live,
    /// This share of all that can be rewound, 0 to 1.
    Fraction(f64),
    /// Milliseconds since the Unix epoch.
    WallMs(i64),
}
