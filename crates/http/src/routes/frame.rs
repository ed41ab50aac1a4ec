//! `/{cam}/frame`: a JPEG of now. `/{cam}/frame/{time}`: one of a recorded instant.
//!
//! | query | meaning |
//! | --- | --- |
//! | `width` | at most so many pixels wide, never enlarged |
//! | `quality` | of the JPEG |
//! | `nearest=keyframe` | of the past: the keyframe next to the time, which costs least |

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, EntityTag},
    },
    web,
};
use dayreel_archive::Pick;
use dayreel_core::{Kind, MediaTime, WallTime};
use dayreel_pipeline::frame::{Frame, FrameError, Look};
use serde::Deserialize;

use crate::{
    access::Needs,
    app::{App, CameraEntry},
    error::ApiError,
    file_body::is_known,
    number_param::in_range,
    openapi::{Says, one_of, says, whole},
    routes::{Routes, absent::not_recorded, at},
    time_param::{self, local},
};

/// Widths that can be asked for, in pixels.
const WIDTHS: std::ops::RangeInclusive<u32> = 16..=7680;

/// Qualities that can be asked for.
const QUALITIES: std::ops::RangeInclusive<u8> = 1..=100;

/// A picture of now may be kept, but has to be asked for again.
const OF_NOW: &str = "no-cache";

/// A recorded picture stays what it is; so long after it nothing comes between any more.
const SETTLED_S: i64 = 60;

/// As long as a day may be kept. `private`: pictures of a camera are for those who asked.
const OF_THE_PAST: &str = "private, max-age=604800, immutable";

pub(crate) fn routes(routes: &mut Routes) {
    let of_now = look_of(says("get_frame", "A picture of now"))
        .details(
            "`X-Frame-Time` says of when it is; `X-Frame-Stale` how old it is, if the camera is away.",
        )
        .tagged("image/jpeg", "The picture")
        .refuses(429, "Too many pictures are being made")
        .refuses(503, "The camera has delivered nothing yet");
    routes.add(at("/{cam}/frame").read(Needs::CAMERA, of_now, now));
    let of_past = look_of(says("get_frame_of", "A picture of a recorded instant"))
        .query(
            "nearest",
            "The keyframe next to the time, which costs least",
            one_of(&["keyframe"]),
            "keyframe",
        )
        .tagged("image/jpeg", "The picture")
        .refuses(400, "That is no time, or not yet")
        .refuses(404, "Nothing is recorded then, or there is no such camera")
        .refuses(429, "Too many pictures are being made")
        .refuses(503, "The camera has delivered nothing yet");
    routes.add(at("/{cam}/frame/{time}").read(Needs::CAMERA, of_past, past));
}

/// What can be said of the size and quality of a picture.
fn look_of(says: Says) -> Says {
    says.query(
        "width",
        "At most so many pixels wide; never enlarged",
        whole(&WIDTHS),
        640,
    )
    .query("quality", "Of the JPEG", whole(&QUALITIES), 85)
}

impl App {
    /// The picture of now of the camera called `id`, for others than HTTP.
    ///
    /// # Errors
    /// Those of the route.
    pub async fn picture_of_now(&self, id: &str, look: Look) -> Result<Frame, ApiError> {
        let entry = self.camera(id)?;
        let frame = entry.frames().frame(look).await;
        frame.map_err(|error| no_frame(&entry, &error))
    }
}

fn no_frame(entry: &CameraEntry, error: &FrameError) -> ApiError {
    let message = format!("{error}; {}", entry.why_offline());
    ApiError::new(error.kind(), "no_frame", message)
}

#[derive(Deserialize)]
struct Query {
    width: Option<String>,
    quality: Option<String>,
    nearest: Option<String>,
}

async fn now(
    app: web::Data<App>,
    cam: web::Path<String>,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let look = look(&query)?;
    if query.nearest.is_some() {
        let message = "nearest is for a time: /{cam}/frame/{time}?nearest=keyframe";
        return Err(ApiError::invalid(message));
    }
    let frame = match entry.frames().frame(look).await {
        // Nothing since the start of the program.
        Err(FrameError::NothingYet) => entry.past_frames().last(app.clock().now(), look).await,
        outcome => outcome,
    };
    let frame = frame.map_err(|error| no_frame(&entry, &error))?;
    let etag = tag(frame.taken, look);
    if is_known(&request, &etag) {
        return Ok(not_modified(&etag, OF_NOW));
    }
    Ok(jpeg(&entry, frame, &etag, OF_NOW))
}

async fn past(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&path.0)?;
    let look = look(&query)?;
    let pick = match query.nearest.as_deref() {
        None => Pick::Exact,
        Some("keyframe") => Pick::NearestKeyframe,
        Some(_) => {
            let message = "nearest is `keyframe`; without it the frame is exact";
            return Err(ApiError::invalid(message));
        }
    };
    let now = app.clock().now();
    let asked = time_param::parse(&path.1, now, entry.archive().zone())?;
    let at = MediaTime::wall_to_media(asked.at);
    let past = entry.past_frames();
    let picture = match past.find(at, pick).await {
        Ok(picture) => picture,
        Err(error) => return Err(refusal(&entry, asked.at, error).await),
    };
    let etag = tag(picture.taken.media_to_wall(), look);
    let settled = asked.is_absolute && (now - asked.at).num_seconds() > SETTLED_S;
    let cache = if settled { OF_THE_PAST } else { OF_NOW };
    if is_known(&request, &etag) {
        return Ok(not_modified(&etag, cache));
    }
    match past.frame(picture, look).await {
        Ok(frame) => Ok(jpeg(&entry, frame, &etag, cache)),
        Err(error) => Err(refusal(&entry, asked.at, error).await),
    }
}

/// Strong: the same picture, size and quality are the same bytes.
fn tag(taken: WallTime, look: Look) -> EntityTag {
    let taken_90k = MediaTime::wall_to_media(taken).ticks();
    let width = look.width.unwrap_or(0);
    EntityTag::new_strong(format!("f-{taken_90k}-{width}-{}", look.quality))
}

fn not_modified(etag: &EntityTag, cache: &'static str) -> HttpResponse {
    HttpResponse::build(StatusCode::NOT_MODIFIED)
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, etag.to_string()))
        .finish()
}

fn jpeg(entry: &CameraEntry, frame: Frame, etag: &EntityTag, cache: &'static str) -> HttpResponse {
    let taken = local(frame.taken, entry.archive().zone());
    let mut response = HttpResponse::Ok();
    response
        .content_type("image/jpeg")
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ETAG, etag.to_string()))
        .insert_header(("X-Frame-Time", taken));
    if let Some(age) = frame.stale {
        response.insert_header(("X-Frame-Stale", format!("{} s", age.as_secs())));
    }
    response.body(frame.jpeg)
}

/// Why there is no frame of `at`.
async fn refusal(entry: &CameraEntry, at: WallTime, error: FrameError) -> ApiError {
    match error {
        FrameError::NotRecorded { before, after } => {
            let time = local(at, entry.archive().zone());
            not_recorded(entry, at, &format!("at {time}"), before, after).await
        }
        FrameError::Archive(error) => match error.kind() {
            Kind::NotFound => ApiError::not_found("expired", "this recording is no longer kept"),
            _ => ApiError::internal(&*error),
        },
        // There is a recording, and it is damaged: that does not change by asking again.
        FrameError::Undecodable => ApiError::not_found(
            "undecodable",
            "the recording cannot be decoded at that time",
        ),
        error => ApiError::new(error.kind(), "no_frame", error.to_string()),
    }
}

fn look(query: &Query) -> Result<Look, ApiError> {
    let default = Look::default();
    let width = query.width.as_deref();
    let quality = query.quality.as_deref();
    Ok(Look {
        width: width
            .map(|text| in_range("width", text, &WIDTHS, " of pixels"))
            .transpose()?,
        quality: match quality {
            Some(text) => in_range("quality", text, &QUALITIES, "")?,
            None => default.quality,
        },
    })
}
