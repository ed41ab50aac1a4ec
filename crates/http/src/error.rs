//! Errors as clients see them: one table from error kind to status and code.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use dayreel_core::Kind;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// Seconds after which a client may ask again for what is not available yet.
const RETRY_AFTER_S: u32 = 2;

/// An answer that is an error: `{"error":{"code":…,"message":…}}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    kind: Kind,
    code: &'static str,
    message: String,
    /// Where that is known better than for all.
    retry_after_s: Option<u32>,
}

/// The JSON of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorAnswer<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize, ToSchema)]
struct ErrorDetail<'a> {
    /// One stable word.
    #[schema(examples("camera_offline"))]
    code: &'a str,
    /// What is wrong, for people.
    message: &'a str,
}

impl ApiError {
    /// An error of that kind. `code` is stable; scripts rely on it.
    pub(crate) fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }

    /// 429: so long nobody is let in from there, or by that name.
    pub(crate) fn too_many_failures(wait: Duration) -> Self {
        // A part of a second is a second.
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX - 1) + 1;
        let message = format!("too many wrong passwords: wait {seconds} s");
        Self {
            retry_after_s: Some(seconds),
            ..Self::new(Kind::Busy, "too_many_failures", message)
        }
    }

    pub(crate) const fn is_unauthenticated(&self) -> bool {
        matches!(self.kind, Kind::Unauthenticated)
    }

    /// 400: says what is wrong and what is allowed.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, "invalid_argument", message)
    }

    /// 404.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }

    /// 500. The cause goes to the log only.
    pub(crate) fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = in_words(cause), "request failed");
        Self::new(
            Kind::Internal,
            "internal",
            "internal error; the log of the server says more",
        )
    }

    /// The one table of statuses.
    const fn status(&self) -> StatusCode {
        match self.kind {
            Kind::InvalidArgument => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::CameraAuth | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Full => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        body(self.code, &self.message).serialize(serializer)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if matches!(self.kind, Kind::CameraAuth | Kind::Unavailable | Kind::Busy) {
            let seconds = self.retry_after_s.unwrap_or(RETRY_AFTER_S);
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.json(self)
    }
}

/// An error and its causes.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words = format!("{words}: {source}");
        next = source.source();
    }
    words
}

/// The JSON of an error.
pub(crate) const fn body<'a>(code: &'a str, message: &'a str) -> ErrorAnswer<'a> {
    ErrorAnswer {
        error: ErrorDetail { code, message },
    }
}

impl From<dayreel_archive::Error> for ApiError {
    fn from(error: dayreel_archive::Error) -> Self {
        match error.kind() {
            // A file that went away between look-up and reading: the day has expired.
            Kind::NotFound => Self::not_found("expired", "this recording is no longer kept"),
            // The disk, not us: it may be as before when they ask again.
            Kind::Full | Kind::Unavailable => {
                let code = error.disk_code().unwrap_or("unavailable");
                Self::new(error.kind(), code, in_words(&error))
            }
            _ => Self::internal(&error),
        }
    }
}
