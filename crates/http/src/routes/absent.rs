//! Why there is no recording of a time.

use actix_web::web;
use dayreel_core::{Day, MediaTime, WallTime};

use crate::{app::CameraEntry, error::ApiError, time_param::local};

/// 404: nothing is recorded `when`, on the day of `at`. What is recorded `before` and `after` it is said,
/// or else which days there are.
pub(crate) async fn not_recorded(
    entry: &CameraEntry,
    at: WallTime,
    when: &str,
    before: Option<MediaTime>,
    after: Option<MediaTime>,
) -> ApiError {
    let zone = entry.archive().zone();
    if before.is_some() || after.is_some() {
        let said = |words: &str, time: Option<MediaTime>| {
            let time = time.map(|time| local(time.media_to_wall(), zone));
            time.map_or(String::new(), |time| format!(", {words} {time}"))
        };
        let message = format!(
            "nothing is recorded {when}{}{}",
            said("the last before it ends", before),
            said("the next begins", after)
        );
        return ApiError::not_found("not_recorded", message);
    }
    let archive = entry.archive().clone();
    let dates = match web::block(move || archive.dates()).await {
        Ok(Ok(dates)) => dates,
        Ok(Err(error)) => return error.into(),
        Err(error) => return ApiError::internal(&error),
    };
    let kept: Vec<_> = dates.iter().map(ToString::to_string).collect();
    let kept = match kept.as_slice() {
        [] => "none".to_owned(),
        kept => kept.join(", "),
    };
    let day = Day::containing(at, zone);
    let message = format!("nothing is kept of {day}; kept days: {kept}");
    ApiError::not_found("not_recorded", message)
}
