//! Sends a range of a file or of memory: HEAD, Range, If-Range, If-None-Match; bounded memory, back-pressure.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    error::BlockingError,
    http::{
        Method, StatusCode,
        header::{
            self, ByteRangeSpec, ContentRange, ContentRangeSpec, EntityTag, Header as _, Range,
        },
    },
    web,
};
use bytes::Bytes;
use dayreel_archive::MediaSlice;
use futures_util::stream;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::Semaphore;

use crate::{
    crowd::{Crowd, Place},
    error::{ApiError, body},
};

/// Read at once: all the memory a response holds. The next piece is read when this one is sent.
/// Smaller pieces wake the client up more often: 64 KiB cost a third more CPU per byte.
const PIECE_BYTES: u64 = 256 * 1024;

/// Reads from the disk at once. What many ask for is in memory; the disk is for recording first, and
/// heads that move to and fro do less.
const DISK_READS: usize = 8;
static DISK: Semaphore = Semaphore::const_new(DISK_READS);

/// Bytes that never change under their URL.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// What a response with media says of itself.
pub(crate) struct MediaHead {
    pub(crate) content_type: &'static str,
    /// Strong: the same tag is the same bytes.
    pub(crate) etag: String,
    /// `Cache-Control`.
    pub(crate) cache: &'static str,
}

/// The response with the bytes of `slice`, or with the range of them that is asked for.
pub(crate) async fn file_response(
    request: &HttpRequest,
    head: MediaHead,
    slice: MediaSlice,
) -> Result<HttpResponse, ApiError> {
    let (mut response, range) = match begin(request, head, slice.len_bytes) {
        Begun::Send(response, range) => (response, range),
        Begun::Done(response) => return Ok(response),
    };
    let place = match request.app_data::<web::Data<Crowd>>() {
        Some(bodies) => Some(bodies.place(request)?),
        None => None,
    };
    let path = slice.path.clone();
    let file = web::block(move || File::open(path))
        .await
        .map_err(|e| ApiError::internal(&e))?;
    let file = Arc::new(file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            ApiError::not_found("expired", "this recording is no longer kept")
        }
        _ => ApiError::internal(&error),
    })?);
    let begin = slice.offset + range.start;
    let end = slice.offset + range.end;
    Ok(response.body(SizedStream::new(
        range.end - range.start,
        pieces(file, begin, end, place),
    )))
}

/// The same of bytes in memory.
pub(crate) fn bytes_response(
    request: &HttpRequest,
    head: MediaHead,
    bytes: &Bytes,
) -> HttpResponse {
    let index = |at: u64| usize::try_from(at).unwrap_or(bytes.len());
    match begin(request, head, bytes.len() as u64) {
        Begun::Send(mut response, range) => {
            response.body(bytes.slice(index(range.start)..index(range.end)))
        }
        Begun::Done(response) => response,
    }
}

/// The same of what is made while it is sent: `read` makes the bytes of a range of `len_bytes`, some at
/// a time, and may wait for the disk. Holds `place` until all are sent.
pub(crate) fn made_response<R, I>(
    request: &HttpRequest,
    head: MediaHead,
    len_bytes: u64,
    place: Place,
    read: R,
) -> HttpResponse
where
    R: FnOnce(std::ops::Range<u64>) -> I,
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    match begin(request, head, len_bytes) {
        Begun::Send(mut response, range) => {
            let len_bytes = range.end - range.start;
            response.body(SizedStream::new(len_bytes, made(read(range), place)))
        }
        Begun::Done(response) => response,
    }
}

/// What `read` makes, a piece when the one before is taken. Holds `place` until it is dropped.
pub(crate) fn made<I>(
    read: I,
    place: Place,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>>
where
    I: Iterator<Item = io::Result<Bytes>> + Send + 'static,
{
    stream::try_unfold((read, place), |(mut read, place)| async {
        let _turn = DISK.acquire().await.map_err(io::Error::other)?;
        let (piece, read) = web::block(move || (read.next(), read))
            .await
            .map_err(|error: BlockingError| io::Error::other(error))?;
        Ok(piece.transpose()?.map(|piece| (piece, (read, place))))
    })
}

/// What is known before any byte is read.
enum Begun {
    /// These bytes are to follow.
    Send(HttpResponseBuilder, std::ops::Range<u64>),
    /// None are.
    Done(HttpResponse),
}

/// Status and headers of `len_bytes` bytes, of which a range may be asked for.
fn begin(request: &HttpRequest, head: MediaHead, len_bytes: u64) -> Begun {
    let etag = EntityTag::new_strong(head.etag);
    if is_known(request, &etag) {
        let mut response = HttpResponse::NotModified();
        response.insert_header((header::CACHE_CONTROL, head.cache));
        response.insert_header((header::ETAG, etag.to_string()));
        return Begun::Done(response.finish());
    }
    let (status, range) = match asked_range(request, &etag, len_bytes) {
        None => (StatusCode::OK, 0..len_bytes),
        Some(Some((first, last))) => (StatusCode::PARTIAL_CONTENT, first..last + 1),
        Some(None) => return Begun::Done(unsatisfiable(len_bytes)),
    };
    let mut response = HttpResponse::build(status);
    response
        .content_type(head.content_type)
        .insert_header((header::CACHE_CONTROL, head.cache))
        .insert_header((header::ETAG, etag.to_string()))
        .insert_header((header::ACCEPT_RANGES, "bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        response.insert_header(ContentRange(ContentRangeSpec::Bytes {
            range: Some((range.start, range.end - 1)),
            instance_length: Some(len_bytes),
        }));
    }
    Begun::Send(response, range)
}

/// Whether the client has the bytes already (RFC 9110 §13.1.2).
pub(crate) fn is_known(request: &HttpRequest, etag: &EntityTag) -> bool {
    match header::IfNoneMatch::parse(request) {
        Ok(header::IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(header::IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(etag)),
        Err(_) => false,
    }
}

/// The one range asked for: `None` to send everything, `Some(None)` if no byte of it exists.
/// Several ranges at once are answered with everything (RFC 9110 §14.2 allows it); HEAD is asked of the whole
/// (there: only GET has ranges).
fn asked_range(
    request: &HttpRequest,
    etag: &EntityTag,
    len_bytes: u64,
) -> Option<Option<(u64, u64)>> {
    if request.method() != Method::GET {
        return None;
    }
    let text = request.headers().get(header::RANGE)?.to_str().ok()?;
    let Ok(Range::Bytes(ranges)) = text.parse::<Range>() else {
        return None;
    };
    let [range] = ranges.as_slice() else {
        return None;
    };
    if let Some(tag) = request.headers().get(header::IF_RANGE) {
        // RFC 9110 §13.1.5: a date or another tag does not match: send everything.
        let same = tag
            .to_str()
            .ok()
            .and_then(|tag| tag.parse::<EntityTag>().ok());
        if !same.is_some_and(|tag| tag.strong_eq(etag)) {
            return None;
        }
    }
    if let ByteRangeSpec::FromTo(first, last) = range
        && first > last
    {
        return None;
    }
    Some(range.to_satisfiable_range(len_bytes))
}

fn unsatisfiable(len_bytes: u64) -> HttpResponse {
    let message = format!("the range lies outside the {len_bytes} bytes there are");
    HttpResponse::RangeNotSatisfiable()
        .insert_header(ContentRange(ContentRangeSpec::Bytes {
            range: None,
            instance_length: Some(len_bytes),
        }))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body("range_not_satisfiable", &message))
}

/// The bytes `begin..end` of `file`, piece by piece, each read when the one before is taken. Holds
/// `place` until it is dropped.
fn pieces(
    file: Arc<File>,
    begin: u64,
    end: u64,
    place: Option<Place>,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> {
    stream::try_unfold(begin, move |at| {
        let _held = &place;
        let file = Arc::clone(&file);
        async move {
            if at >= end {
                return Ok(None);
            }
            let piece = read_some(file, at, end).await?;
            let next = at + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    })
}

/// The first piece of the bytes `at..end` of `file`.
pub(crate) async fn read_some(file: Arc<File>, at: u64, end: u64) -> io::Result<Bytes> {
    if let Some(piece) = piece_in_memory(&file, at, end) {
        return Ok(piece);
    }
    let _turn = DISK.acquire().await.map_err(io::Error::other)?;
    web::block(move || read_piece(&file, at, end))
        .await
        .map_err(|error: BlockingError| io::Error::other(error))?
}

/// The next piece, as far as the system has it in memory; `None` if it has to come from the disk,
/// which a worker never waits for. What is live or watched by several is nearly always in memory,
/// and to hand it to another thread and back costs more than to read it.
fn piece_in_memory(file: &File, at: u64, end: u64) -> Option<Bytes> {
    let mut piece = empty_piece(at, end);
    let mut parts = [io::IoSliceMut::new(&mut piece)];
    // Also `None` where the file system cannot tell (EOPNOTSUPP).
    let len_bytes = preadv2(file, &mut parts, at, ReadWriteFlags::NOWAIT).ok()?;
    piece.truncate(len_bytes);
    (len_bytes > 0).then(|| piece.into())
}

fn read_piece(file: &File, at: u64, end: u64) -> io::Result<Bytes> {
    let mut piece = empty_piece(at, end);
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

fn empty_piece(at: u64, end: u64) -> Vec<u8> {
    let len_bytes = (end - at).min(PIECE_BYTES);
    vec![0; usize::try_from(len_bytes).unwrap_or(0)]
}
