//! RTSP messages: what is sent to a camera and what comes back (RFC 2326 §4 to §7, §12).
//!
//! Cameras are lenient in what they write, so this is in what it reads: header names in any case,
//! lines that end in LF alone, a status line without a reason, white space anywhere.

use std::fmt::Write as _;

/// Longest head of a message, in bytes. Ours are below 1 KiB.
pub(crate) const MOST_HEAD_BYTES: usize = 64 << 10;
/// Longest body; a description of two tracks has about 1 KB.
pub(crate) const MOST_BODY_BYTES: usize = 512 << 10;

/// The headers of a message, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first header of that name.
    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All headers of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut headers: Vec<(String, String)> = vec![];
        for line in lines {
            if line.starts_with([' ', '\t'])
                && let Some((_, value)) = headers.last_mut()
            {
                // A folded header, RFC 2326 §4.2 by way of RFC 2068.
                value.push(' ');
                value.push_str(line.trim());
            } else if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(headers)
    }
}

/// An answer of a camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// RFC 2326 §7.1.1.
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// A request of a camera: it may ask, too (RFC 2326 §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CameraRequest {
    pub(crate) method: String,
    pub(crate) headers: Headers,
}

/// The head of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Response(Response),
    Request(CameraRequest),
}

impl Head {
    /// Reads the head at the beginning of `bytes`: it and its length, up to and with the empty line.
    /// `Ok(None)`: more bytes are needed.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NoMessage> {
        let Some(length) = head_length(bytes) else {
            return match bytes.len() > MOST_HEAD_BYTES {
                true => Err(NoMessage),
                false => Ok(None),
            };
        };
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().trim();
        let mut words = first.split_ascii_whitespace();
        let head = match (words.next(), words.next(), words.next()) {
            (Some(version), Some(status), _) if is_version(version) => Self::Response(Response {
                status: status.parse().map_err(|_| NoMessage)?,
                headers: Headers::parse(lines),
                body: vec![],
            }),
            (Some(method), Some(_), Some(version)) if is_version(version) => {
                Self::Request(CameraRequest {
                    method: method.to_owned(),
                    headers: Headers::parse(lines),
                })
            }
            _ => return Err(NoMessage),
        };
        Ok(Some((head, length)))
    }

    /// Bytes of the body that follows, RFC 2326 §4.4.
    pub(crate) fn body_bytes(&self) -> Result<usize, NoMessage> {
        let (Self::Response(Response { headers, .. })
        | Self::Request(CameraRequest { headers, .. })) = self;
        match headers.get("Content-Length").map(str::parse) {
            None => Ok(0),
            Some(Ok(bytes)) if bytes <= MOST_BODY_BYTES => Ok(bytes),
            Some(_) => Err(NoMessage),
        }
    }
}

/// What was read is no RTSP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMessage;

fn is_version(word: &str) -> bool {
    word.get(..5)
        .is_some_and(|w| w.eq_ignore_ascii_case("RTSP/"))
}

/// Length up to and with the first empty line.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut after = 0;
    loop {
        let end = after + bytes.get(after..)?.iter().position(|b| *b == b'\n')? + 1;
        let line = bytes.get(after..end)?;
        if after > 0 && matches!(line, b"\n" | b"\r\n") {
            return Some(end);
        }
        after = end;
    }
}

/// A request to a camera.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) uri: &'a str,
    /// Beside those that every request has.
    pub(crate) headers: &'a [(&'static str, &'a str)],
}

impl Request<'_> {
    /// As it goes over the wire.
    pub(crate) fn text(&self, sequence: u32, authorization: Option<&str>) -> String {
        let Self { method, uri, .. } = self;
        let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {sequence}\r\n");
        let always = [("User-Agent", concat!("dayreel/", env!("CARGO_PKG_VERSION")))];
        let own = self.headers.iter().copied();
        let login = authorization.map(|value| ("Authorization", value));
        for (name, value) in always.into_iter().chain(own).chain(login) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> Response {
        match Head::parse(text.as_bytes()) {
            Ok(Some((Head::Response(response), length))) if length == text.len() => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_what_cameras_write() {
        let strict = response("RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1;timeout=60\r\n\r\n");
        assert_eq!(strict.status, 200);
        assert_eq!(strict.headers.get("session"), Some("1;timeout=60"));
        let lenient =
            response("rtsp/1.0 401\ncseq:3 \nWWW-authenticate:\n  Basic realm=\"x\"\nodd\n\n");
        assert_eq!(
            (lenient.status, lenient.headers.get("CSEQ")),
            (401, Some("3"))
        );
        assert_eq!(
            lenient.headers.get("WWW-Authenticate"),
            Some(" Basic realm=\"x\"")
        );
        assert!(matches!(
            Head::parse(b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            Ok(Some((Head::Request(request), 38))) if request.method == "OPTIONS"
        ));
    }

    #[test]
    fn waits_for_the_whole_head_and_refuses_what_is_none() {
        assert_eq!(Head::parse(b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n"), Ok(None));
        for text in [
            "HTTP/1.1 400 Bad\r\n\r\n",
            "RTSP/1.0 x\r\n\r\n",
            "<html>\n\n",
        ] {
            assert_eq!(Head::parse(text.as_bytes()), Err(NoMessage), "{text}");
        }
        let endless = vec![b'a'; MOST_HEAD_BYTES + 1];
        assert_eq!(Head::parse(&endless), Err(NoMessage));
        let huge = response("RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n");
        assert_eq!(Head::Response(huge).body_bytes(), Err(NoMessage));
    }

    #[test]
    fn writes_a_request() {
        let request = Request {
            method: "SETUP",
            uri: "rtsp://cam/1",
            headers: &[("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")],
        };
        assert_eq!(
            request.text(4, Some("Basic eA==")),
            "SETUP rtsp://cam/1 RTSP/1.0\r\nCSeq: 4\r\nUser-Agent: dayreel/0.1.0\r\n\
             Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nAuthorization: Basic eA==\r\n\r\n"
        );
    }
}
