//! Moments: make one, list them, view one, delete one.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET, POST /{cam}/moment/generate` | makes the last 5 s a moment |
//! | `GET, POST /{cam}/moment/generate/{length}/{delay}` | as many seconds, ending so long ago |
//! | `GET /{cam}/moment/gif` | the GIF of the latest |
//! | `GET /{cam}/moment/list` | all that are kept, oldest first |
//! | `GET, DELETE /{cam}/moment/list/{year}/{month}/{day}/{hour}/{minute}/{second}` | one |

use std::{ops::RangeInclusive, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, ContentDisposition, HeaderMap},
    },
    web,
};
use chrono::{DateTime, Datelike as _, FixedOffset, SecondsFormat, Timelike as _};
use dayreel_archive::{Moment, MomentFacts, MomentFile, MomentName};
use dayreel_core::{CameraId, Kind};
use dayreel_pipeline::moment::{MomentError, MomentRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    access::Needs,
    app::{App, CameraEntry, MomentNotice},
    date_param::{self, number, part},
    error::{ApiError, in_words},
    file_body::{MediaHead, file_response},
    idle,
    number_param::allowed,
    openapi::{Example, Says, says, text, whole},
    routes::{Routes, api::seconds, at},
    saved_as::{call, shown},
};

/// Seconds of a moment.
const LENGTHS: RangeInclusive<u32> = 4..=20;
const DEFAULT_LENGTH_S: u32 = 5;
/// Seconds before the request that it ends.
const DELAYS: RangeInclusive<u32> = 0..=10;
const DEFAULT_DELAY_S: u32 = 0;
/// Letters of a label.
const MOST_LABEL: usize = 80;

/// A file may be deleted, and another may get its name: to be asked for again every time.
const REVALIDATE: &str = "no-cache";

pub(crate) fn routes(routes: &mut Routes) {
    let (make, delete_one) = (Needs::CAMERA.changing(), Needs::ADMIN.changing());
    let of_default = |id| made_by(says(id, "Makes the last 5 s a moment"));
    routes.add(
        at("/{cam}/moment/generate")
            .on(
                Method::GET,
                make,
                of_default("make_moment_by_get"),
                generate_default,
            )
            .on(
                Method::POST,
                make,
                of_default("make_moment"),
                generate_default,
            ),
    );
    let of_numbers = |id| {
        made_by(says(
            id,
            "Makes a moment of a length that ended a while ago",
        ))
        .path("length", "Seconds of it", whole(&LENGTHS), DEFAULT_LENGTH_S)
        .path(
            "delay",
            "Seconds before now that it ends",
            whole(&DELAYS),
            DEFAULT_DELAY_S,
        )
    };
    routes.add(
        at("/{cam}/moment/generate/{numbers:.*}")
            .shown_as("/{cam}/moment/generate/{length}/{delay}")
            .on(
                Method::GET,
                make,
                of_numbers("make_moment_of_by_get"),
                generate,
            )
            .on(Method::POST, make, of_numbers("make_moment_of"), generate),
    );
    let of_gif = says("get_gif", "The latest moment as a GIF")
        .file("image/gif", "The GIF")
        .refuses(404, "There is none, or no such camera");
    routes.add(at("/{cam}/moment/gif").read(Needs::CAMERA, of_gif, gif));
    let of_list = says("list_moments", "The moments that are kept, oldest first")
        .list::<MomentView>("Those there are")
        .refuses(503, "The disk does not answer");
    routes.add(at("/{cam}/moment/list").read(Needs::CAMERA, of_list, list));
    let of_one = named(says("get_moment", "A moment")).file("video/mp4", "The clip");
    let of_deletion = named(says("delete_moment", "Deletes a moment")).answer(204, "It is gone");
    routes.add(
        at("/{cam}/moment/list/{time:.*}")
            .shown_as("/{cam}/moment/list/{year}/{month}/{day}/{hour}/{minute}/{second}")
            .read(Needs::CAMERA, of_one, view)
            .on(Method::DELETE, delete_one, of_deletion, delete),
    );
}

/// What is said of all that make a moment.
fn made_by(says: Says) -> Says {
    says.details("Answers when MP4 and GIF are ready.")
        .query(
            "label",
            "What it is called; at most 80 letters",
            text(),
            "postman",
        )
        .json::<MadeView>("The moment")
        .refuses(400, "A number or the label is out of range")
        .refuses(429, "Too many moments are being made")
        .refuses(503, "The camera has delivered nothing yet")
        .refuses(507, "There is no room on the disk")
}

/// What is said of all that name a moment.
fn named(says: Says) -> Says {
    says.details("Of two moments in one second the other's path ends with `-2`.")
        .path("day", "Of the month", whole(&(1..=31)), 22)
        .refuses(400, "That is no date and time")
        .refuses(404, "There is no such moment or camera")
        .refuses(503, "The disk does not answer")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    label: Option<String>,
}

/// A moment as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Moment)]
struct MomentView {
    /// Of the request, RFC 3339 in the camera's zone.
    #[schema(format = DateTime)]
    time: String,
    /// Path of the clip.
    url: String,
    /// Of its first picture.
    #[schema(format = DateTime)]
    start: String,
    duration_s: f64,
    bytes: u64,
    label: Option<String>,
    /// What was asked for.
    length_s: u32,
    delay_s: u32,
    /// Why it starts later than that.
    starts_late: Option<String>,
    /// Why it ends earlier than that.
    ends_early: Option<String>,
}

impl Example for MomentView {
    fn example() -> Self {
        Self {
            time: "2026-11-22T17:03:05+01:00".to_owned(),
            url: "/front-door/moment/list/2026/11/22/17/3/5".to_owned(),
            start: "2026-11-22T17:03:00.120+01:00".to_owned(),
            duration_s: 5.0,
            bytes: 2_500_000,
            label: Some("postman".to_owned()),
            length_s: DEFAULT_LENGTH_S,
            delay_s: DEFAULT_DELAY_S,
            starts_late: None,
            ends_early: None,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = MadeMoment)]
struct MadeView {
    #[serde(flatten)]
    moment: MomentView,
    /// Path of the GIF, if it could be made.
    gif_url: Option<String>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    gif_error: Option<String>,
}

impl Example for MadeView {
    fn example() -> Self {
        Self {
            moment: MomentView::example(),
            gif_url: Some("/front-door/moment/gif".to_owned()),
            gif_error: None,
        }
    }
}

async fn generate_default(
    app: web::Data<App>,
    cam: web::Path<String>,
    options: web::Query<Options>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    make(
        &app,
        &entry,
        (DEFAULT_LENGTH_S, DEFAULT_DELAY_S),
        options.into_inner(),
        &request,
    )
    .await
}

async fn generate(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    options: web::Query<Options>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&path.0)?;
    let numbers = length_and_delay(&path.1)?;
    make(&app, &entry, numbers, options.into_inner(), &request).await
}

async fn make(
    app: &Arc<App>,
    entry: &Arc<CameraEntry>,
    (length_s, delay_s): (u32, u32),
    options: Options,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if is_speculative(request.headers()) {
        let message = "a moment is made on request only, not in advance";
        return Err(ApiError::new(
            Kind::InvalidArgument,
            "prefetch_refused",
            message,
        ));
    }
    // The GIF of a large picture takes a small machine long.
    let _answer = idle::being_made(request);
    let made = make_and_tell(app, entry, (length_s, delay_s), options.label).await?;
    let mut response = HttpResponse::Ok();
    Ok(response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(made))
}

/// A moment as others than HTTP ask for it: whatever is not said is as with `generate` alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentOrder {
    /// How long it is to be, s.
    pub length: Option<u32>,
    /// How long before the order it is to end, s.
    pub delay: Option<u32>,
    /// What to call it.
    pub label: Option<String>,
}

impl App {
    /// Makes a moment of the camera called `id`, with the limits and refusals of `generate`.
    ///
    /// # Errors
    /// Those of the route.
    pub async fn make_moment(
        self: &Arc<Self>,
        id: &str,
        order: MomentOrder,
    ) -> Result<(), ApiError> {
        let entry = self.camera(id)?;
        let length_s = order.length.unwrap_or(DEFAULT_LENGTH_S);
        let delay_s = order.delay.unwrap_or(DEFAULT_DELAY_S);
        if !LENGTHS.contains(&length_s) || !DELAYS.contains(&delay_s) {
            return Err(out_of_range());
        }
        make_and_tell(self, &entry, (length_s, delay_s), order.label).await?;
        Ok(())
    }
}

/// Those who listen are told also when nobody waits for the answer any more.
async fn make_and_tell(
    app: &Arc<App>,
    entry: &Arc<CameraEntry>,
    (length_s, delay_s): (u32, u32),
    label: Option<String>,
) -> Result<MadeView, ApiError> {
    let request = MomentRequest {
        length_s,
        delay_s,
        label: label.map(parse_label).transpose()?.flatten(),
    };
    let (app, entry) = (Arc::clone(app), Arc::clone(entry));
    let made = tokio::spawn(async move { make_then_tell(&app, &entry, request).await });
    made.await.map_err(|error| ApiError::internal(&error))?
}

async fn make_then_tell(
    app: &App,
    entry: &CameraEntry,
    request: MomentRequest,
) -> Result<MadeView, ApiError> {
    let made = entry
        .moments()
        .make(request)
        .await
        .map_err(|error| refusal(entry, &error))?;
    let id = entry.archive().id();
    let moment = moment_view(app, id, &made.moment);
    app.moment_made(MomentNotice {
        camera: id.clone(),
        url: moment.url.clone(),
        label: moment.label.clone(),
    });
    Ok(MadeView {
        moment,
        gif_url: made
            .gif_error
            .is_none()
            .then(|| app.address(&format!("/{id}/moment/gif"))),
        gif_error: made.gif_error.map(|error| error.to_string()),
    })
}

async fn list(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let moments = Arc::clone(entry.archive().moments());
    let listed = blocking(move || moments.list()).await?;
    let id = entry.archive().id();
    let views: Vec<_> = listed
        .iter()
        .map(|moment| moment_view(&app, id, moment))
        .collect();
    let mut response = HttpResponse::Ok();
    Ok(response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(views))
}

async fn view(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&path.0)?;
    let name = parse_name(&path.1)?;
    let moments = Arc::clone(entry.archive().moments());
    let found = blocking(move || Ok(moments.file(name)?.zip(moments.facts(name)?))).await?;
    let (file, facts) = found.ok_or_else(unknown)?;
    let called = file_name(entry.archive().id(), name, &facts);
    respond(&request, "video/mp4", file, called).await
}

async fn gif(
    app: web::Data<App>,
    cam: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let moments = Arc::clone(entry.archive().moments());
    let found = blocking(move || moments.latest_gif()).await?;
    let file = found.ok_or_else(|| {
        ApiError::not_found("unknown_moment", "no moment has been made of this camera")
    })?;
    let called = shown(
        format!("{}_latest.gif", entry.archive().id().as_str()),
        None,
    );
    respond(&request, "image/gif", file, called).await
}

async fn delete(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&path.0)?;
    let name = parse_name(&path.1)?;
    let moments = Arc::clone(entry.archive().moments());
    match blocking(move || moments.delete(name)).await? {
        true => {
            tracing::info!(camera = %entry.archive().id(), moment = %name, "deleted a moment");
            Ok(HttpResponse::NoContent().finish())
        }
        false => Err(unknown()),
    }
}

async fn respond(
    request: &HttpRequest,
    content_type: &'static str,
    file: MomentFile,
    called: ContentDisposition,
) -> Result<HttpResponse, ApiError> {
    let head = MediaHead {
        content_type,
        etag: file.tag,
        cache: REVALIDATE,
    };
    let mut response = file_response(request, head, file.slice).await?;
    call(&mut response, &called);
    Ok(response)
}

/// What a moment is saved as: `front-door_2026-11-22_17-03-05.mp4`, with the label if it has one.
fn file_name(id: &CameraId, name: MomentName, facts: &MomentFacts) -> ContentDisposition {
    let mut stem = format!("{id}_{}", name.local().format("%Y-%m-%d_%H-%M-%S"));
    if name.nth() > 1 {
        stem.push_str(&format!("-{}", name.nth()));
    }
    let plain = format!("{stem}.mp4");
    // What no file system and no shell stumbles over.
    let words = |label: &String| {
        let words = label.split(|letter: char| !letter.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join("-")
    };
    let labelled = facts.label.as_ref().map(words);
    let labelled = labelled.filter(|label| !label.is_empty());
    let labelled = labelled.map(|label| format!("{stem}_{label}.mp4"));
    shown(plain, labelled)
}

fn moment_view(app: &App, id: &CameraId, moment: &Moment) -> MomentView {
    let facts = &moment.facts;
    let text = |time: DateTime<FixedOffset>, format| time.to_rfc3339_opts(format, false);
    MomentView {
        time: text(facts.time, SecondsFormat::Secs),
        url: app.address(&url(id, moment.name)),
        start: text(facts.start, SecondsFormat::Millis),
        duration_s: seconds(facts.duration_90k),
        bytes: moment.bytes,
        label: facts.label.clone(),
        length_s: facts.length_s,
        delay_s: facts.delay_s,
        starts_late: facts.starts_late.clone(),
        ends_early: facts.ends_early.clone(),
    }
}

fn url(id: &CameraId, name: MomentName) -> String {
    let (date, time) = (name.local().date(), name.local().time());
    let nth = match name.nth() {
        1 => String::new(),
        nth => format!("-{nth}"),
    };
    format!(
        "/{id}/moment/list/{}/{}/{}/{}/{}/{}{nth}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The unit of both.
const SECONDS: &str = " of seconds";

fn length_and_delay(text: &str) -> Result<(u32, u32), ApiError> {
    let parts: Vec<_> = text.split('/').collect();
    let [length, delay] = parts.as_slice() else {
        let message = format!(
            "write generate/{{length}}/{{delay}}, such as generate/{DEFAULT_LENGTH_S}/\
             {DEFAULT_DELAY_S}: {}, {}; or generate alone",
            allowed("length", &LENGTHS, SECONDS),
            allowed("delay", &DELAYS, SECONDS),
        );
        return Err(ApiError::invalid(message));
    };
    let numbers = number(length, &LENGTHS).zip(number(delay, &DELAYS));
    numbers.ok_or_else(out_of_range)
}

fn out_of_range() -> ApiError {
    let length = allowed("length", &LENGTHS, SECONDS);
    let delay = allowed("delay", &DELAYS, SECONDS);
    ApiError::invalid(format!("{length}, {delay}"))
}

/// `None`: there is nothing in it.
fn parse_label(text: String) -> Result<Option<String>, ApiError> {
    let label = text.trim();
    // What is no UTF-8 comes as a replacement character.
    let is_bad = |letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER;
    if label.chars().count() > MOST_LABEL || label.chars().any(is_bad) {
        return Err(ApiError::invalid(format!(
            "label is at most {MOST_LABEL} letters of UTF-8, without line breaks or control characters"
        )));
    }
    Ok((!label.is_empty()).then(|| label.to_owned()))
}

/// `2026/11/22/17/3/5`, with or without leading zeros; `…/5-2` is the second moment of that second.
fn parse_name(text: &str) -> Result<MomentName, ApiError> {
    let parts: Vec<_> = text.split('/').collect();
    let [year, month, day, hour, minute, second] = parts.as_slice() else {
        let message = "write list/{year}/{month}/{day}/{hour}/{minute}/{second}, \
                       such as list/2026/11/22/17/3/5; or list alone";
        return Err(ApiError::invalid(message));
    };
    let (second, nth) = match second.split_once('-') {
        Some((second, nth)) => (second, part("the number after the second", nth, 2..=9999)?),
        None => (*second, 1),
    };
    let date = date_param::date(year, month, day)?;
    let (hour, minute) = (part("hour", hour, 0..=23)?, part("minute", minute, 0..=59)?);
    let second = part("second", second, 0..=59)?;
    let local = date.and_hms_opt(hour, minute, second);
    let local = local.ok_or_else(|| ApiError::invalid("there is no such time of day"))?;
    Ok(MomentName::new(local, nth))
}

/// Whether a browser asks on its own account, because the user might.
fn is_speculative(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("prefetch") || value.contains("preview"))
}

fn unknown() -> ApiError {
    let message = "no such moment: it never existed or is no longer kept";
    ApiError::not_found("unknown_moment", message)
}

fn refusal(entry: &CameraEntry, error: &MomentError) -> ApiError {
    let kind = error.kind();
    let code = match (error, kind) {
        (MomentError::NothingYet | MomentError::NoPicture(_), _) => {
            let message = format!("{error}; {}", entry.why_offline());
            return ApiError::new(kind, "no_moment", message);
        }
        (MomentError::Closing, _) => "shutting_down",
        (_, Kind::Busy) => "too_many_moments",
        (MomentError::Archive(error), Kind::Full | Kind::Unavailable) => {
            error.disk_code().unwrap_or("unavailable")
        }
        _ => return ApiError::internal(error),
    };
    let message = match kind {
        Kind::Full => "there is no room on the disk for the moment".to_owned(),
        _ => in_words(error),
    };
    ApiError::new(kind, code, message)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> dayreel_archive::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = web::block(work).await;
    Ok(done.map_err(|error| ApiError::internal(&error))??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Result<Option<String>, ApiError> {
        parse_label(text.to_owned())
    }

    #[test]
    fn labels_are_trimmed_and_bounded() {
        assert_eq!(
            label(" Katze \u{1F408} ").unwrap().as_deref(),
            Some("Katze \u{1F408}")
        );
        assert_eq!(label("  ").unwrap(), None);
        assert!(label(&"\u{e4}".repeat(MOST_LABEL)).unwrap().is_some());
        for bad in [
            &"a".repeat(MOST_LABEL + 1),
            "a\nb",
            "a\0",
            "a\u{7f}b",
            "a\u{fffd}",
        ] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn leading_zeros_do_not_matter() {
        let name = |text| parse_name(text).unwrap();
        assert_eq!(name("2026/11/22/17/3/5"), name("2026/11/22/17/03/05"));
        assert_ne!(name("2026/11/22/17/3/5"), name("2026/11/22/17/3/5-2"));
        let id = "cam".parse().unwrap();
        let url = url(&id, name("2026/01/02/03/04/05-2"));
        assert_eq!(url, "/cam/moment/list/2026/1/2/3/4/5-2");
    }

    #[test]
    fn saved_files_have_names_that_every_system_takes() {
        let time = DateTime::parse_from_rfc3339("2026-11-22T17:03:05+01:00").unwrap();
        let mut facts = MomentFacts {
            time,
            start: time,
            duration_90k: 0,
            label: None,
            length_s: 5,
            delay_s: 0,
            starts_late: None,
            ends_early: None,
        };
        let name = MomentName::new(time.naive_local(), 1);
        let id = "front-door".parse().unwrap();
        assert_eq!(
            file_name(&id, name, &facts).to_string(),
            "inline; filename=\"front-door_2026-11-22_17-03-05.mp4\""
        );
        facts.label = Some("T\u{fc}r: \"auf\"/../\\x".into());
        let called = file_name(&id, name, &facts).to_string();
        assert!(called.ends_with("_T%C3%BCr%2Dauf%2Dx.mp4"), "{called}");
        assert!(
            called.contains("filename=\"front-door_2026-11-22_17-03-05.mp4\""),
            "{called}"
        );
    }
}
