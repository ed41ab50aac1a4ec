//! `/api/cameras`, `/api/cameras/{cam}`: states, as queried from the pipelines.
//! `/api/cameras/{cam}/days`: what is kept. `/api/cameras/{cam}/events`: what happened.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header, web};
use chrono_tz::Tz;
use dayreel_archive::{DaySummary, Gap};
use dayreel_core::{CameraId, Clock, GapCause, MediaTime, TICKS_PER_SECOND, TrackKind, WallTime};
use dayreel_manifest::{GAP_90K, Recorded};
use dayreel_pipeline::{CameraEvent, CameraState, CameraStatus, Error, VideoStatus};
use serde::Serialize;
use utoipa::{ToSchema, openapi::Schema};

use crate::{
    access::{Caller, Needs},
    app::{App, CameraEntry},
    error::ApiError,
    openapi::{Example, says, words},
    routes::{Routes, at},
    time_param::local,
};

pub(crate) fn routes(routes: &mut Routes) {
    let of_list = says("list_cameras", "The cameras, and how they are")
        .list::<CameraView>("Those that you may see, in the order of their ids");
    routes.add(at("/api/cameras").read(Needs::USER, of_list, list));
    let of_one = says("get_camera", "How a camera is").json::<CameraView>("As its pipeline says");
    routes.add(at("/api/cameras/{cam}").read(Needs::CAMERA, of_one, one));
    let of_days = says("list_days", "The days that are kept, oldest first")
        .list::<DayView>("With what is recorded of each")
        .refuses(503, "The disk does not answer");
    routes.add(at("/api/cameras/{cam}/days").read(Needs::CAMERA, of_days, days));
    let of_events = says(
        "list_events",
        "The last 100 things that happened to a camera",
    )
    .list::<EventView>("Oldest first");
    routes.add(at("/api/cameras/{cam}/events").read(Needs::CAMERA, of_events, events));
}

fn states() -> Schema {
    words(CameraState::ALL.map(CameraState::name), false)
}

fn causes() -> Schema {
    words(GapCause::ALL.map(GapCause::name), true)
}

#[derive(Serialize, ToSchema)]
#[schema(as = Camera)]
struct CameraView {
    #[schema(value_type = String)]
    id: CameraId,
    #[schema(schema_with = states)]
    state: &'static str,
    /// Of the state, RFC 3339 in the camera's zone.
    #[schema(format = DateTime)]
    since: String,
    /// What went wrong last, while it is not live.
    last_error: Option<ErrorView>,
    reconnects: u64,
    video: Option<VideoView>,
    audio: Option<AudioView>,
    /// The sub-stream, if one is configured: it comes and goes for itself.
    preview: Option<PreviewView>,
    ignored_tracks: Vec<IgnoredView>,
    last_frame_age_s: Option<f64>,
    dropped_frames: u64,
    lost_packets: u64,
    unusable_packets: u64,
    /// Why nothing is recorded although the camera delivers.
    recording_error: Option<String>,
    /// The same in one stable word: `disk_full`, `disk_missing`, `disk_slow`, …
    recording_error_code: Option<&'static str>,
    /// How far media time is behind the wall clock.
    clock_error_s: f64,
    /// Of today, seconds of video.
    recorded_today_s: f64,
    /// Of today, all tracks.
    bytes_today: u64,
    timezone: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Preview)]
struct PreviewView {
    state: &'static str,
    since: String,
    last_error: Option<ErrorView>,
    reconnects: u64,
    video: Option<VideoView>,
    last_frame_age_s: Option<f64>,
    dropped_frames: u64,
    lost_packets: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CameraError)]
struct ErrorView {
    /// One stable word.
    code: &'static str,
    message: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Video)]
struct VideoView {
    /// RFC 6381.
    codec: String,
    width: u32,
    height: u32,
    /// What the camera sends, where it is made H.264 here.
    converted_from: Option<&'static str>,
    fps: f64,
    bitrate_bps: u64,
    gop_s: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Audio)]
struct AudioView {
    /// RFC 6381.
    codec: String,
    sample_rate_hz: u32,
    channels: u32,
    /// What the camera sends, where it is made AAC here.
    converted_from: Option<&'static str>,
    bitrate_bps: u64,
}

/// A track that is not recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = IgnoredTrack)]
struct IgnoredView {
    media: String,
    encoding: String,
    reason: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Day)]
struct DayView {
    #[schema(format = Date)]
    date: String,
    /// 0 = Monday.
    weekday: u32,
    today: bool,
    /// The first instant of the local day.
    start: String,
    /// The first instant of the next.
    end: String,
    bytes: u64,
    spans: Vec<SpanView>,
    gaps: Vec<GapView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Span)]
struct SpanView {
    start: String,
    end: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Gap)]
struct GapView {
    start: String,
    end: String,
    duration_s: f64,
    /// `camera`, `network`, `disk`, `restart`, `clock`; `null` if nobody knows.
    #[schema(schema_with = causes)]
    cause: Option<GapCause>,
    /// It still lasts: its end is now, and its cause what is known of it so far.
    open: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
struct EventView {
    #[schema(format = DateTime)]
    time: String,
    /// `state`, `span`, `format`, `recording` or `dropped`.
    kind: &'static str,
    /// What happened, in one stable word.
    code: String,
    message: String,
    /// How often it happened with nothing else in between, and when last.
    times: u32,
    last: String,
}

impl Example for CameraView {
    fn example() -> Self {
        Self {
            id: "front-door".parse().expect("it is a good id"),
            state: CameraState::Live.name(),
            since: "2026-11-22T17:03:05.120+01:00".to_owned(),
            last_error: None,
            reconnects: 0,
            video: Some(VideoView {
                codec: "avc1.640028".to_owned(),
                width: 1920,
                height: 1080,
                converted_from: None,
                fps: 25.0,
                bitrate_bps: 4_000_000,
                gop_s: 2.0,
            }),
            preview: None,
            audio: Some(AudioView {
                codec: "mp4a.40.2".to_owned(),
                sample_rate_hz: 16_000,
                channels: 1,
                converted_from: Some("PCMU"),
                bitrate_bps: 32_000,
            }),
            ignored_tracks: Vec::new(),
            last_frame_age_s: Some(0.04),
            dropped_frames: 0,
            lost_packets: 0,
            unusable_packets: 0,
            recording_error: None,
            recording_error_code: None,
            clock_error_s: 0.021,
            recorded_today_s: 61_385.12,
            bytes_today: 30_692_560_000,
            timezone: "Europe/Berlin",
        }
    }
}

impl Example for DayView {
    fn example() -> Self {
        let midnight = "2026-11-22T00:00:00.000+01:00".to_owned();
        Self {
            date: "2026-11-22".to_owned(),
            weekday: 6,
            today: true,
            start: midnight.clone(),
            end: "2026-11-23T00:00:00.000+01:00".to_owned(),
            bytes: 30_692_560_000,
            spans: vec![SpanView {
                start: midnight,
                end: "2026-11-22T17:03:05.120+01:00".to_owned(),
            }],
            gaps: vec![GapView {
                start: "2026-11-22T17:03:05.120+01:00".to_owned(),
                end: "2026-11-22T17:03:35.120+01:00".to_owned(),
                duration_s: 30.0,
                cause: Some(GapCause::Network),
                open: true,
            }],
        }
    }
}

impl Example for EventView {
    fn example() -> Self {
        Self {
            time: "2026-11-22T17:03:05.120+01:00".to_owned(),
            kind: "state",
            code: "live".to_owned(),
            message: "the camera is live".to_owned(),
            times: 1,
            last: "2026-11-22T17:03:05.120+01:00".to_owned(),
        }
    }
}

async fn list(app: web::Data<App>, caller: web::ReqData<Caller>) -> HttpResponse {
    let cameras = app.cameras_of(&caller);
    let cameras: Vec<_> = cameras.iter().map(|entry| view(entry)).collect();
    no_store(&cameras)
}

async fn one(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    Ok(no_store(&view(&*app.camera(&cam)?)))
}

async fn days(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let archive = Arc::clone(entry.archive());
    let summaries = web::block(move || archive.summaries()).await;
    let summaries = summaries.map_err(|e| ApiError::internal(&e))??;
    let mut days: Vec<_> = summaries.iter().map(day_view).collect();
    if let Some((day, summary)) = days.last_mut().zip(summaries.last()) {
        day.gaps.extend(open_gap(app.clock(), &entry, summary));
    }
    Ok(no_store(&days))
}

/// What is missing of today up to now, if it is more than what has not come to the disk yet.
fn open_gap(clock: &dyn Clock, entry: &CameraEntry, today: &DaySummary) -> Option<GapView> {
    let status = entry.camera().status();
    let cause = match (&status.recording_error, status.state) {
        (Some(_), _) => Some(GapCause::Disk),
        (None, CameraState::Live) => return None,
        (None, _) => status.last_error.as_ref().map(Error::gap_cause),
    };
    let last = today.recorded.last().filter(|_| !today.finished)?;
    let (start, end) = (last.end, MediaTime::wall_to_media(clock.now()));
    let length_90k = end.saturating_since(start);
    (length_90k > GAP_90K).then(|| gap_view(&Gap { start, end, cause }, today.day.zone(), true))
}

/// The last events, newest last. They are in memory only.
async fn events(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let zone = entry.archive().zone();
    let view = |event: CameraEvent| EventView {
        time: local(event.time, zone),
        kind: event.kind.name(),
        code: event.code,
        message: event.message,
        times: event.times,
        last: local(event.last, zone),
    };
    let events: Vec<_> = entry.camera().events().into_iter().map(view).collect();
    Ok(no_store(&events))
}

fn no_store(body: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

fn view(entry: &CameraEntry) -> CameraView {
    let archive = entry.archive();
    let (recorded_90k, bytes_today) = archive.today().map_or((0, 0), |today| {
        let timeline = today.timeline();
        (
            timeline.track(TrackKind::Video).total_90k(),
            timeline.total_bytes(),
        )
    });
    let status = entry.camera().status();
    CameraView {
        id: archive.id().clone(),
        state: status.state.name(),
        since: local(status.since, archive.zone()),
        last_error: status.last_error.map(error_view),
        reconnects: status.reconnects,
        video: status.video.map(video_view),
        preview: entry
            .preview()
            .map(|preview| preview_view(preview.status(), archive.zone())),
        audio: status.audio.map(|audio| AudioView {
            codec: audio.format.codec,
            sample_rate_hz: audio.format.sample_rate_hz,
            channels: audio.format.channels,
            converted_from: audio.converted_from,
            bitrate_bps: whole(audio.bitrate_bps),
        }),
        ignored_tracks: status
            .ignored_tracks
            .into_iter()
            .map(|track| IgnoredView {
                media: track.media,
                encoding: track.encoding,
                reason: track.reason.text(),
            })
            .collect(),
        last_frame_age_s: status.last_frame_age.map(age_s),
        dropped_frames: status.dropped_frames,
        lost_packets: status.lost_packets,
        unusable_packets: status.unusable_packets,
        recording_error_code: status.recording_error.as_ref().map(|error| error.code),
        recording_error: status.recording_error.map(|error| error.message),
        clock_error_s: thousandths(status.clock_error_s),
        recorded_today_s: seconds(recorded_90k),
        bytes_today,
        timezone: archive.zone().name(),
    }
}

fn preview_view(status: CameraStatus, zone: Tz) -> PreviewView {
    PreviewView {
        state: status.state.name(),
        since: local(status.since, zone),
        last_error: status.last_error.map(error_view),
        reconnects: status.reconnects,
        video: status.video.map(video_view),
        last_frame_age_s: status.last_frame_age.map(age_s),
        dropped_frames: status.dropped_frames,
        lost_packets: status.lost_packets,
    }
}

fn error_view(error: Error) -> ErrorView {
    ErrorView {
        code: error.code(),
        message: error.to_string(),
    }
}

fn video_view(video: VideoStatus) -> VideoView {
    VideoView {
        codec: video.format.codec,
        width: video.format.width,
        height: video.format.height,
        converted_from: video.converted_from,
        fps: thousandths(video.fps),
        bitrate_bps: whole(video.bitrate_bps),
        gop_s: thousandths(video.gop_s),
    }
}

fn age_s(age: Duration) -> f64 {
    thousandths(age.as_secs_f64())
}

/// Rounded to thousandths, as JSON shows it.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A rate that is never negative, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates at 0 and 2^64"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn day_view(summary: &DaySummary) -> DayView {
    let day = summary.day;
    let text = |time: WallTime| local(time, day.zone());
    let span = |recorded: &Recorded| SpanView {
        start: text(recorded.start.media_to_wall()),
        end: text(recorded.end.media_to_wall()),
    };
    let gap = |gap: &Gap| gap_view(gap, day.zone(), false);
    DayView {
        date: day.to_string(),
        weekday: day.weekday_number(),
        today: !summary.finished,
        start: text(day.start()),
        end: text(day.end()),
        bytes: summary.bytes,
        spans: summary.recorded.iter().map(span).collect(),
        gaps: summary.gaps.iter().map(gap).collect(),
    }
}

fn gap_view(gap: &Gap, zone: Tz, open: bool) -> GapView {
    GapView {
        start: local(gap.start.media_to_wall(), zone),
        end: local(gap.end.media_to_wall(), zone),
        duration_s: seconds(gap.end.saturating_since(gap.start)),
        cause: gap.cause,
        open,
    }
}

/// Ticks as seconds, to the millisecond.
pub(crate) fn seconds(ticks_90k: u64) -> f64 {
    let milliseconds = ticks_90k * 1000 / TICKS_PER_SECOND;
    // Exact up to 285 000 years.
    #[expect(clippy::cast_precision_loss)]
    let seconds = milliseconds as f64 / 1000.0;
    seconds
}
