//! Requests and replies (RFC 2326 §4), as text.

use std::time::Duration;

/// Longest request accepted; RTSP has no limit, a client that sends more is broken.
const MOST_BYTES: usize = 64 << 10;

/// A request of a client, or its answer to one of the camera's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `DESCRIBE`; of an answer, `RTSP/1.0`.
    pub method: String,
    /// As the client wrote it; of an answer, the status.
    pub uri: String,
    /// The whole head.
    pub text: String,
    /// Which connection, from 0.
    pub connection: u32,
    /// How many with this method came to this camera before.
    pub nth: u32,
}

impl Request {
    /// The value of a header; any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.text, name)
    }
}

/// An answer, and how it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status line and headers, each with its line end; the empty line is added.
    pub head: String,
    /// What comes after the empty line. A `Content-Length` in the head is made to fit.
    pub body: String,
    /// How long the camera takes.
    pub after: Duration,
    /// What it does then.
    pub then: Then,
}

/// What a camera does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    GoOn,
    /// It closes the connection.
    Close,
    /// It keeps the connection open, sends nothing and hears nothing. The answer is not sent either.
    Hang,
}

impl Reply {
    /// `200 OK` and the like, with these header lines.
    pub fn new(status: &str, headers: &[String]) -> Self {
        let lines = headers.iter().map(|line| format!("{line}\r\n"));
        Self {
            head: format!("RTSP/1.0 {status}\r\n") + &lines.collect::<String>(),
            body: String::new(),
            after: Duration::ZERO,
            then: Then::GoOn,
        }
    }

    /// Another status, with none of the headers but `CSeq`.
    pub fn refuse(&mut self, status: &str) {
        let sequence = header(&self.head, "CSeq").map(|value| format!("CSeq: {value}"));
        *self = Self::new(status, &sequence.into_iter().collect::<Vec<_>>());
    }

    /// Whether the status is 2xx.
    pub(crate) fn is_ok(&self) -> bool {
        let status = self.head.split_whitespace().nth(1);
        status.is_some_and(|status| status.starts_with('2'))
    }

    /// Takes a header away; any case.
    pub fn without(&mut self, name: &str) {
        let keeps = |line: &&str| !is_header(line, name);
        self.head = self.head.split_inclusive('\n').filter(keeps).collect();
    }

    /// Gives a header another value, in place.
    pub fn set(&mut self, name: &str, value: &str) {
        let line = |line: &str| match line.split_once(':') {
            Some((written, _)) if is_header(line, name) => {
                format!("{written}: {value}{}", line_end(line))
            }
            _ => line.to_owned(),
        };
        self.head = self.head.split_inclusive('\n').map(line).collect();
    }

    /// What goes over the wire.
    pub(crate) fn text(&self) -> String {
        let mut sized = self.clone();
        sized.fit_content_length();
        // The empty line ends as the others do.
        let end = line_end(&sized.head);
        sized.head.clone() + end + &sized.body
    }

    fn fit_content_length(&mut self) {
        let length = self.body.len().to_string();
        // Byte for byte what it was where it fits.
        if header(&self.head, "Content-Length").is_some_and(|value| value != length) {
            self.set("Content-Length", &length);
        }
    }
}

fn line_end(text: &str) -> &'static str {
    if text.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// The value of a header in a head; any case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find(|line| is_header(line, name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(written, _)| written.trim().eq_ignore_ascii_case(name))
}

/// Bytes that came and are no whole message yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// The next whole message; packets of the client are left out. An error: it speaks no RTSP.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Request>> {
        while let [b'$', _, high, low, ..] = self.0[..] {
            let length = 4 + usize::from(u16::from_be_bytes([high, low]));
            if self.0.len() < length {
                return Ok(None);
            }
            self.0.drain(..length);
        }
        let end = self.0.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            let is_too_long = self.0.len() > MOST_BYTES;
            return if is_too_long {
                Err(std::io::ErrorKind::InvalidData.into())
            } else {
                Ok(None)
            };
        };
        let text = String::from_utf8_lossy(&self.0[..end + 2]).into_owned();
        let body = header(&text, "Content-Length").and_then(|value| value.parse().ok());
        let length = end + 4 + body.unwrap_or(0);
        if self.0.len() < length {
            return Ok(None);
        }
        self.0.drain(..length);
        let mut words = text.split_whitespace();
        Ok(Some(Request {
            method: words.next().unwrap_or_default().to_owned(),
            uri: words.next().unwrap_or_default().to_owned(),
            text,
            ..Request::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_and_packets_are_left_out() {
        let mut inbox = Inbox::default();
        inbox.add(b"$\x01\x00\x02ab");
        inbox.add(b"SETUP rtsp://c/x RTSP/1.0\r\ncseq: 7\r\nContent-Length: 2\r\n\r\nx");
        assert_eq!(inbox.next().unwrap(), None);
        inbox.add(b"yPLAY");
        let request = inbox.next().unwrap().unwrap();
        assert_eq!(
            (request.method.as_str(), request.uri.as_str()),
            ("SETUP", "rtsp://c/x")
        );
        assert_eq!(request.header("CSeq"), Some("7"));
        assert_eq!(inbox.0, b"PLAY");
    }

    #[test]
    fn replies_are_changed_line_by_line() {
        let headers = [
            "CSeq: 3".to_owned(),
            "Content-Length: 9".to_owned(),
            "X: y".to_owned(),
        ];
        let mut reply = Reply::new("200 OK", &headers);
        reply.without("x");
        reply.body = "v=0".into();
        assert_eq!(
            reply.text(),
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 3\r\n\r\nv=0"
        );
        reply.head = reply.head.replace("\r\n", "\n");
        assert!(reply.text().ends_with("3\n\nv=0"));
        reply.refuse("404 Not Found");
        assert_eq!(reply.text(), "RTSP/1.0 404 Not Found\r\nCSeq: 3\r\n\r\n");
        assert!(!reply.is_ok());
    }
}
