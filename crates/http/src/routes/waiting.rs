//! Requests for what is not recorded yet: blocking playlist reloads and preload hints of low-latency HLS
//! (RFC 8216bis §6.2.5.2 and §6.2.6). Each waits for the recorder to say that there is more, and takes no
//! thread meanwhile, and ends when its client has gone away.

use std::{pin::pin, time::Duration};

use actix_web::HttpRequest;
use dayreel_archive::CameraArchive;
use dayreel_core::{Kind, MediaTime, TrackKind};
use dayreel_manifest::{Edge, Prospect};
use tokio::time::{Instant, timeout_at};

use crate::{app::App, error::ApiError, idle};

/// RFC 8216bis §6.2.5.2: nobody waits for more than three target durations.
const MOST_TARGETS: u64 = 3;
/// And no longer than this, s: with a keyframe a minute, a connection would be taken for idle.
const MOST_S: u64 = 60;

/// What a playlist must list before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    media: u64,
    part: Option<u64>,
}

impl Awaited {
    /// What `_HLS_msn` and `_HLS_part` say.
    pub(super) fn parse(media: Option<&str>, part: Option<&str>) -> Result<Option<Self>, ApiError> {
        let number = |name: &str, text: &str| {
            // `parse` would take a plus sign.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>()
                .ok()
                .filter(|_| is_number)
                .ok_or_else(|| {
                    ApiError::invalid(format!("{name} is a whole number from 0 on, not `{text}`"))
                })
        };
        let part = part.map(|text| number("_HLS_part", text)).transpose()?;
        match media {
            Some(text) => Ok(Some(Self {
                media: number("_HLS_msn", text)?,
                part,
            })),
            None if part.is_some() => Err(ApiError::invalid(
                "_HLS_part says a part of the segment in _HLS_msn: both or none",
            )),
            None => Ok(None),
        }
    }
}

/// Waits until the playlist of the track `kind` of `today` lists what is awaited.
///
/// # Errors
/// 400 where that is further ahead than anybody who follows the playlist would ask for; 429 where the
/// client waits for too much already; 503 where it does not come.
pub(super) async fn for_playlist(
    app: &App,
    archive: &CameraArchive,
    request: &HttpRequest,
    kind: TrackKind,
    awaited: Awaited,
) -> Result<(), ApiError> {
    let Awaited { media, part } = awaited;
    let Some(edge) = edge(archive, kind) else {
        return Ok(());
    };
    if edge.is_far_from(media, part) {
        let (newest, newest_part) = edge.newest();
        let message = format!(
            "that is too far ahead: the newest is segment {newest}, part {}",
            newest_part.unwrap_or(0)
        );
        return Err(ApiError::invalid(message));
    }
    let is_there = |edge: &Edge| edge.reaches(media, part);
    wait(app, archive, request, kind, is_there).await
}

/// Waits for the part of the track `kind` that begins at `start`, if it is the next to come.
///
/// # Errors
/// 429 where the client waits for too much already; 503 where nothing comes.
pub(super) async fn for_part(
    app: &App,
    archive: &CameraArchive,
    request: &HttpRequest,
    kind: TrackKind,
    start: MediaTime,
) -> Result<(), ApiError> {
    if edge(archive, kind).is_none_or(|edge| edge.end != start) {
        // It is there, or was, or nobody was told of it.
        return Ok(());
    }
    wait(app, archive, request, kind, |edge| edge.end > start).await
}

/// Waits for the segment of the track `kind` that begins at `start` to begin, if low-latency DASH may have listed it.
///
/// # Errors
/// 429 where the client waits for too much already; 503 where nothing comes.
pub(super) async fn for_segment(
    app: &App,
    archive: &CameraArchive,
    request: &HttpRequest,
    kind: TrackKind,
    start: MediaTime,
) -> Result<(), ApiError> {
    match prospect(archive, kind, start) {
        Some(Prospect::Open) => wait(app, archive, request, kind, |edge| edge.end > start).await,
        Some(Prospect::Vain) | None => Ok(()),
    }
}

/// What became of a segment of the track `kind` at `start` that is not there, of which players may have been told.
pub(super) fn prospect(
    archive: &CameraArchive,
    kind: TrackKind,
    start: MediaTime,
) -> Option<Prospect> {
    archive.today_of(kind)?.timeline().prospect(kind, start)
}

/// How far the playlist of the track `kind` of `today` goes; `None` while it lists nothing.
pub(super) fn edge(archive: &CameraArchive, kind: TrackKind) -> Option<Edge> {
    archive.today_of(kind)?.timeline().edge(kind)
}

/// For how long it is waited for more.
pub(super) fn patience(edge: &Edge) -> Duration {
    Duration::from_secs((MOST_TARGETS * edge.target_s).min(MOST_S))
}

async fn wait(
    app: &App,
    archive: &CameraArchive,
    request: &HttpRequest,
    kind: TrackKind,
    is_there: impl Fn(&Edge) -> bool,
) -> Result<(), ApiError> {
    let mut growth = archive.growth();
    let mut hung_up = pin!(idle::hung_up(request));
    let (mut place, mut until) = (None, None);
    loop {
        growth.borrow_and_update();
        // At midnight it is that of another day.
        let Some(edge) = edge(archive, kind).filter(|edge| !is_there(edge)) else {
            return Ok(());
        };
        if place.is_none() {
            place = Some(app.waits().place(request)?);
        }
        let until = *until.get_or_insert_with(|| Instant::now() + patience(&edge));
        let more = tokio::select! {
            more = timeout_at(until, growth.changed()) => more,
            () = &mut hung_up => {
                let message = "who waited has hung up";
                return Err(ApiError::new(Kind::Unavailable, "hung_up", message));
            }
        };
        if !matches!(more, Ok(Ok(()))) {
            let message = "what was waited for is not recorded: the camera delivers nothing";
            return Err(ApiError::new(
                Kind::Unavailable,
                "not_recorded_yet",
                message,
            ));
        }
    }
}
