//! Archives are packed as they are: gzip would cost a processor and gain nothing. `Compress` leaves out pictures and
//! films by itself, and what has a `Content-Encoding`.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, ContentEncoding, HeaderMap},
    middleware::Next,
};

const AS_IT_IS: &str = ContentEncoding::Identity.as_str();

/// For `Compress`, which is around it.
pub(crate) async fn stays_as_it_is<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if is_packed(headers) {
        headers.insert(
            header::CONTENT_ENCODING,
            header::HeaderValue::from_static(AS_IT_IS),
        );
    }
    Ok(response)
}

/// Around `Compress`: clients are not told of an encoding that is none (RFC 9110 §12.5.3).
pub(crate) async fn needs_no_word<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding == AS_IT_IS)
    {
        headers.remove(header::CONTENT_ENCODING);
    }
    Ok(response)
}

fn is_packed(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == "application/zip")
}
