//! Links to one clip, stream or picture that anybody can open who has them, until they expire:
//! `/api/link/{ticket}/{path}`. A link opens what its maker sees, as long as they do.

use actix_web::{HttpResponse, http::header, web};
use chrono::{SecondsFormat, TimeDelta};
use dayreel_core::{Day, MediaTime, WallTime};
use dayreel_manifest::MediaName;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, client::LINK, no_users, ticket::Ticket};
use crate::{
    app::App,
    day_param::DayParam,
    error::ApiError,
    openapi::{Example, Says, says, text, whole},
};

/// Hours that a link can be good for.
const HOURS: std::ops::RangeInclusive<u32> = 1..=8760;
const DEFAULT_HOURS: u32 = 24;

/// The ticket of a link, as it was sent. In the extensions of a request that came by one.
pub(super) struct LinkText(pub(super) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    path: String,
    hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
struct LinkView {
    /// Its path.
    url: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    expires: String,
}

impl Example for LinkView {
    fn example() -> Self {
        Self {
            url: "/api/link/l~anna~1795543385~…/front-door/frame".to_owned(),
            expires: "2026-11-24T17:03:05Z".to_owned(),
        }
    }
}

/// What the API description says of it.
pub(super) fn described() -> Says {
    says(
        "make_link",
        "Makes a link to one stream, picture, moment or timelapse",
    )
    .details("Everybody who has it can open that, until it expires.")
    .query("path", "What it is for", text(), "/front-door/frame")
    .required()
    .query("hours", "How long it is good", whole(&HOURS), DEFAULT_HOURS)
    .json::<LinkView>("The link")
    .refuses(404, "There is no such camera")
}

/// `POST /api/links`.
pub(super) async fn make(
    app: web::Data<App>,
    caller: web::ReqData<Caller>,
    wanted: web::Query<Wanted>,
) -> Result<HttpResponse, ApiError> {
    let hours = wanted.hours.unwrap_or(DEFAULT_HOURS);
    if !HOURS.contains(&hours) {
        let message = format!("hours are {} to {}", HOURS.start(), HOURS.end());
        return Err(ApiError::invalid(message));
    }
    let rules = app.gate().rules();
    let (Some(user), Some(secret)) = (caller.user(), &rules.secret) else {
        return Err(no_users());
    };
    let path = wanted.path.trim_end_matches('/');
    let scope = decoded(path);
    let target = Target::of(&scope).ok_or_else(|| {
        let message = "a link is for a playlist or manifest (of today or a date), the live view, a \
                       picture, a moment or a timelapse";
        ApiError::invalid(message)
    })?;
    let cameras = app.cameras();
    let is_seen = |id: &&dayreel_core::CameraId| id.as_str() == target.camera() && caller.sees(id);
    if !cameras.keys().any(|id| is_seen(&id)) {
        let message = "there is no such camera";
        return Err(ApiError::not_found("unknown_camera", message));
    }
    let ticket = Ticket::link(&scope, i64::from(hours) * 3600, user, secret);
    let expires = WallTime::from_timestamp(ticket.expires, 0).unwrap_or_default();
    // The slash is that of the path.
    let url = app.address(&format!("{LINK}{}{path}", ticket.text()));
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(LinkView {
            url,
            expires: expires.to_rfc3339_opts(SecondsFormat::Secs, true),
        }))
}

/// What a link is for.
#[derive(Debug, PartialEq, Eq)]
enum Target<'s> {
    /// All documents and segments of a day.
    Stream { camera: &'s str, day: &'s str },
    /// The live view.
    Live { camera: &'s str },
    /// This very path.
    File { camera: &'s str },
}

impl<'s> Target<'s> {
    /// `path` has no slash at its end.
    fn of(path: &'s str) -> Option<Self> {
        let parts: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        match parts[..] {
            [camera, "stream", day, "playlist.m3u8" | "manifest.mpd"] => {
                let param = DayParam::parse(day)?;
                // A weekday number is another day in a week.
                let is_one = matches!(param, DayParam::Today | DayParam::Date(_));
                is_one.then_some(Self::Stream { camera, day })
            }
            [camera, "live", "playlist.m3u8"] => Some(Self::Live { camera }),
            [camera, "frame"]
            | [camera, "frame", _]
            | [camera, "moment", "gif"]
            | [camera, "moment", "list", _, _, _, _, _, _]
            | [camera, "timelapse", _, _, _] => Some(Self::File { camera }),
            _ => None,
        }
    }

    const fn camera(&self) -> &'s str {
        match self {
            Self::Stream { camera, .. } | Self::Live { camera } | Self::File { camera } => camera,
        }
    }
}

/// Whether a link for `scope` opens `path`.
pub(super) fn opens(app: &App, scope: &str, path: &str) -> bool {
    let path = decoded(path.trim_end_matches('/'));
    let parts: Vec<_> = path.split('/').skip(1).collect();
    match (Target::of(scope), &parts[..]) {
        (Some(Target::Stream { camera, day }), [asked, "stream", of, _]) => {
            (camera, day) == (*asked, *of)
        }
        (Some(Target::Stream { camera, day }), [asked, "stream", name]) => {
            camera == *asked && is_of_day(app, camera, day, name)
        }
        (Some(Target::Live { camera }), [asked, "live", _]) => camera == *asked,
        (Some(Target::File { .. }), _) => scope == path,
        _ => false,
    }
}

/// Whether a segment belongs to that day. Names of segments do not say.
fn is_of_day(app: &App, camera: &str, day: &str, name: &str) -> bool {
    let zone = app.camera(camera).map(|entry| entry.archive().zone());
    let (Ok(zone), Some(media)) = (zone, MediaName::parse(name)) else {
        return false;
    };
    let start = match media {
        MediaName::Segment(_, start) | MediaName::Part(_, start) | MediaName::Keyframe(start) => {
            start
        }
        MediaName::Init(..) => return true,
    };
    let now = app.clock().now();
    let (from, to) = match DayParam::parse(day) {
        // After midnight players go on with what is left of the day before.
        Some(DayParam::Today) => (
            Day::containing(now, zone).start() - TimeDelta::hours(1),
            now + TimeDelta::hours(1),
        ),
        // The segment over midnight is in both days.
        Some(DayParam::Date(date)) => {
            let day = Day::new(date, zone);
            (day.start() - TimeDelta::minutes(1), day.end())
        }
        _ => return false,
    };
    (MediaTime::wall_to_media(from)..=MediaTime::wall_to_media(to)).contains(&start)
}

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_thing() {
        let camera = "a";
        for (path, target) in [
            (
                "/a/stream/today/playlist.m3u8",
                Some(Target::Stream {
                    camera,
                    day: "today",
                }),
            ),
            (
                "/a/stream/2026-11-22/manifest.mpd",
                Some(Target::Stream {
                    camera,
                    day: "2026-11-22",
                }),
            ),
            ("/a/stream/3/playlist.m3u8", None),
            ("/a/stream/v-1.m4s", None),
            ("/a/live/playlist.m3u8", Some(Target::Live { camera })),
            ("/a/frame", Some(Target::File { camera })),
            ("/a/frame/17:03:05", Some(Target::File { camera })),
            (
                "/a/moment/list/2026/11/22/17/3/5",
                Some(Target::File { camera }),
            ),
            ("/a/moment/list", None),
            ("/a/moment/generate", None),
            ("/api/cameras", None),
            ("/api/reload", None),
            ("/", None),
            ("a/frame", None),
        ] {
            assert_eq!(Target::of(path), target, "{path}");
        }
    }
}
