//! `dayreel probe`: what a camera does, and what recording it would do.

use std::{
    fmt::{self, Display, Formatter, Write as _},
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{ArgAction, Args, ValueEnum};
use dayreel_config::{Fingerprint, OnLoss, SecretUrl, Transport, Trust};
use dayreel_core::Kind;
use dayreel_pipeline::{CameraSettings, Error, Probe, RtpClockReport, SenderReports, Timing};
use serde::Serialize;

use crate::cli::BAD_CONFIG;

/// Exit code where the camera refused user or password.
const REFUSED: u8 = 4;
/// Exit code where somebody has to change something else: path, certificate, codec.
const NEEDS_A_PERSON: u8 = 5;

const EXIT_CODES: &str = "\
Exit codes: 0 it would be recorded; 1 it cannot be reached, does not answer as it should, or ended
the stream; 2 bad command line; 4 it refused user or password; 5 somebody has to change something
else: path, certificate, codec.";

/// Which camera, and how.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ProbeArgs {
    /// rtsp://user:password@host/path, or rtsps://; in a variable it is not seen by other users
    // A string: clap would print what it cannot parse, with the password.
    #[arg(value_name = "URL", env = "DAYREEL_PROBE_URL", hide_env_values = true)]
    url: String,
    /// For how long it is watched
    #[arg(long, value_name = "N", default_value_t = 10, env = "DAYREEL_PROBE_SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// As `transport` of the configuration
    #[arg(long, value_enum, default_value_t, env = "DAYREEL_PROBE_TRANSPORT")]
    transport: Way,
    /// As `tls_verify` of the configuration
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set,
        env = "DAYREEL_PROBE_TLS_VERIFY")]
    tls_verify: bool,
    /// As `tls_fingerprint` of the configuration
    #[arg(
        long,
        value_name = "SHA256",
        env = "DAYREEL_PROBE_TLS_FINGERPRINT",
        conflicts_with = "tls_verify"
    )]
    tls_fingerprint: Option<Fingerprint>,
    /// One JSON object instead of text
    #[arg(long, env = "DAYREEL_PROBE_JSON")]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Way {
    // The alias is the empty variable.
    #[default]
    #[value(alias = "")]
    Tcp,
    Udp,
    Multicast,
    Http,
    Auto,
}

/// Exit codes: see [`EXIT_CODES`].
pub(crate) fn probe(args: &ProbeArgs) -> Result<ExitCode> {
    let url: SecretUrl = match args.url.parse() {
        Ok(url) => url,
        Err(error) => {
            writeln!(io::stderr(), "the URL {error}").context("writing to stderr")?;
            return Ok(BAD_CONFIG.into());
        }
    };
    dayreel_pipeline::init()?;
    let shown = url.to_string();
    let probe = dayreel_pipeline::probe(settings(args, url)?, Duration::from_secs(args.seconds))?;
    let report = Report::of(&shown, &probe);
    let mut text = match args.json {
        true => serde_json::to_string_pretty(&report)?,
        false => report.to_string(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    write!(io::stdout(), "{text}").context("writing to stdout")?;
    Ok(probe
        .status
        .last_error
        .as_ref()
        .map_or(ExitCode::SUCCESS, exit_code))
}

fn exit_code(error: &Error) -> ExitCode {
    match error {
        error if error.kind() == Kind::CameraAuth => REFUSED.into(),
        error if error.needs_a_person() => NEEDS_A_PERSON.into(),
        _ => ExitCode::FAILURE,
    }
}

fn settings(args: &ProbeArgs, url: SecretUrl) -> Result<CameraSettings> {
    let trust = match (args.tls_fingerprint, args.tls_verify) {
        (Some(fingerprint), _) => Trust::Fingerprint(fingerprint),
        (None, true) => Trust::Roots,
        (None, false) => Trust::Anybody,
    };
    Ok(CameraSettings {
        id: "probe".parse()?,
        url,
        transport: match args.transport {
            Way::Tcp => Transport::Tcp,
            Way::Udp => Transport::Udp,
            Way::Multicast => Transport::Multicast,
            Way::Http => Transport::Http,
            Way::Auto => Transport::Auto,
        },
        trust,
        on_loss: OnLoss::Keep,
        audio: true,
        segment: Duration::from_secs(dayreel_config::DEFAULT_SEGMENT_S.into()),
        timing: Timing::default(),
    })
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    /// Credentials as `***`.
    url: String,
    transport: Option<&'static str>,
    tracks: Vec<Track>,
    lost_packets: u64,
    unusable_packets: u64,
    error: Option<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Track {
    /// `video`, `audio`, or as the camera says.
    media: String,
    /// RFC 6381 of what is recorded, or the name in the description of what is not.
    codec: String,
    #[serde(flatten)]
    fate: Fate,
    #[serde(flatten)]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate_bps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtp_clock: Option<RtpClock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_reports: Option<Reports>,
}

/// What becomes of a track.
#[derive(Debug, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Fate {
    Recorded,
    Converted { from: &'static str },
    Ignored { reason: &'static str },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    Picture {
        width: u32,
        height: u32,
        /// `None`: not measured; a camera shorter than a keyframe interval.
        fps: Option<f64>,
        gop_s: Option<f64>,
    },
    Sound {
        sample_rate_hz: u32,
        channels: u32,
    },
}

#[derive(Debug, Serialize)]
struct RtpClock {
    rate_hz: u32,
    measured_s: f64,
    ahead_ms: i64,
    jumps: u64,
    repeated: u64,
}

#[derive(Debug, Serialize)]
struct Reports {
    count: u64,
    ahead_ms: i64,
}

impl From<RtpClockReport> for RtpClock {
    fn from(clock: RtpClockReport) -> Self {
        Self {
            rate_hz: clock.rate_hz,
            measured_s: clock.measured.as_secs_f64(),
            ahead_ms: clock.ahead_ms,
            jumps: clock.jumps,
            repeated: clock.repeated,
        }
    }
}

impl From<SenderReports> for Reports {
    fn from(reports: SenderReports) -> Self {
        Self {
            count: reports.count,
            ahead_ms: reports.ahead_ms,
        }
    }
}

impl Report {
    fn of(url: &str, probe: &Probe) -> Self {
        let status = &probe.status;
        let fate = |from: Option<&'static str>| {
            from.map_or(Fate::Recorded, |from| Fate::Converted { from })
        };
        let [video_clock, audio_clock] = probe.clocks.map(|clock| clock.map(RtpClock::from));
        let [video_reports, audio_reports] = probe
            .sender_reports
            .map(|reports| reports.map(Reports::from));
        let video = status.video.as_ref().map(|video| Track {
            media: "video".into(),
            codec: video.format.codec.to_string(),
            fate: fate(video.converted_from),
            content: Some(Content::Picture {
                width: video.format.width,
                height: video.format.height,
                fps: measured(video.fps),
                gop_s: measured(video.gop_s),
            }),
            bitrate_bps: measured(video.bitrate_bps),
            rtp_clock: video_clock,
            sender_reports: video_reports,
        });
        let audio = status.audio.as_ref().map(|audio| Track {
            media: "audio".into(),
            codec: audio.format.codec.to_string(),
            fate: fate(audio.converted_from),
            content: Some(Content::Sound {
                sample_rate_hz: audio.format.sample_rate_hz,
                channels: audio.format.channels,
            }),
            bitrate_bps: measured(audio.bitrate_bps),
            rtp_clock: audio_clock,
            sender_reports: audio_reports,
        });
        let ignored = status.ignored_tracks.iter().map(|track| Track {
            media: track.media.clone(),
            codec: track.encoding.clone(),
            fate: Fate::Ignored {
                reason: track.reason.text(),
            },
            content: None,
            bitrate_bps: None,
            rtp_clock: None,
            sender_reports: None,
        });
        Self {
            url: url.to_owned(),
            transport: probe.transport,
            tracks: video.into_iter().chain(audio).chain(ignored).collect(),
            lost_packets: status.lost_packets,
            unusable_packets: status.unusable_packets,
            error: status.last_error.as_ref().map(|error| Failure {
                code: error.code(),
                message: error.to_string(),
            }),
        }
    }
}

/// 0 means that there was no time to measure it.
fn measured(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let way = self.transport.unwrap_or("nothing played");
        writeln!(f, "{} ({way})", self.url)?;
        for track in &self.tracks {
            write!(f, "{track}")?;
        }
        if self.transport.is_some() {
            let (lost, unusable) = (self.lost_packets, self.unusable_packets);
            writeln!(f, "packets: {lost} lost, {unusable} unusable")?;
        }
        match &self.error {
            None => writeln!(f, "it would be recorded"),
            Some(Failure { code, message }) => {
                writeln!(f, "it would not be recorded: {message} ({code})")
            }
        }
    }
}

impl Display for Track {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut about = String::new();
        match &self.content {
            Some(Content::Picture {
                width,
                height,
                fps,
                gop_s,
            }) => {
                write!(about, ", {width} × {height}")?;
                if let Some(fps) = fps {
                    write!(about, ", {fps:.2} fps")?;
                }
                if let Some(gop_s) = gop_s {
                    write!(about, ", a keyframe every {gop_s:.2} s")?;
                }
            }
            Some(Content::Sound {
                sample_rate_hz,
                channels,
            }) => write!(about, ", {sample_rate_hz} Hz, {channels} channel(s)")?,
            None => {}
        }
        if let Some(bitrate_bps) = self.bitrate_bps {
            write!(about, ", {:.0} kbit/s", bitrate_bps / 1_000.0)?;
        }
        let fate = match &self.fate {
            Fate::Recorded => "recorded as it is".to_owned(),
            Fate::Converted { from } => format!("converted from {from}"),
            Fate::Ignored { reason } => format!("ignored: {reason}"),
        };
        writeln!(f, "{} {}{about}: {fate}", self.media, self.codec)?;
        if let Some(clock) = &self.rtp_clock {
            writeln!(
                f,
                "  RTP clock of {} Hz: {:+} ms against this machine's in {:.1} s, {} jumps, {} repeated times",
                clock.rate_hz, clock.ahead_ms, clock.measured_s, clock.jumps, clock.repeated
            )?;
            match &self.sender_reports {
                Some(Reports { count, ahead_ms }) => writeln!(
                    f,
                    "  {count} sender reports: the camera's clock is {:+.3} s against this machine's",
                    Duration::from_millis(ahead_ms.unsigned_abs()).as_secs_f64()
                        * if *ahead_ms < 0 { -1.0 } else { 1.0 }
                )?,
                None => writeln!(f, "  no sender reports")?,
            }
        }
        Ok(())
    }
}
