//! A small HTTP client that hides nothing: statuses are no errors, bodies come as they were sent.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use ureq::{Agent, http};

/// Bounds each request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bounds each body: more than an hour file of a test.
const MAX_BODY_BYTES: u64 = 512 * 1024 * 1024;

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    agent: Agent,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names are lower case.
    headers: http::HeaderMap,
    /// As sent: compressed if the `Content-Encoding` says so.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, the first if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text, decompressed.
    ///
    /// # Errors
    /// It is no UTF-8, or not what its `Content-Encoding` says.
    pub fn text(&self) -> Result<String> {
        match self.header("content-encoding") {
            Some("gzip") => {
                let mut text = String::new();
                GzDecoder::new(&self.body[..]).read_to_string(&mut text)?;
                Ok(text)
            }
            Some(other) => Err(anyhow::anyhow!("Content-Encoding {other}")),
            None => Ok(String::from_utf8(self.body.clone())?),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none; the body is in the error.
    pub fn json(&self) -> Result<serde_json::Value> {
        let text = self.text()?;
        serde_json::from_str(&text).with_context(|| format!("{}: {text:.300}", self.status))
    }

    /// The answer if its status is `status`.
    ///
    /// # Errors
    /// It is another; the body is in the error.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(
            self.status == status,
            "status {} instead of {status}: {:.300}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        Ok(self)
    }
}

impl Client {
    /// A client of the server at `address`. It follows no redirects.
    pub fn new(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .accept_encoding("")
            .proxy(None)
            .build();
        Self {
            address,
            agent: agent.into(),
        }
    }

    /// GET, without compression.
    ///
    /// # Errors
    /// No HTTP answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[])
    }

    /// HEAD.
    ///
    /// # Errors
    /// No HTTP answer.
    pub fn head(&self, path: &str) -> Result<Answer> {
        self.request("HEAD", path, &[])
    }

    /// GET with `Accept-Encoding: gzip`; [`Answer::body`] stays compressed.
    ///
    /// # Errors
    /// No HTTP answer.
    pub fn get_gzip(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[("accept-encoding", "gzip")])
    }

    /// GET of a byte range, such as `0-99`, `100-`, `-5`.
    ///
    /// # Errors
    /// No HTTP answer.
    pub fn get_range(&self, path: &str, range: &str) -> Result<Answer> {
        self.request("GET", path, &[("range", &format!("bytes={range}"))])
    }

    /// GET of JSON, with status 200.
    ///
    /// # Errors
    /// No HTTP answer, another status, no JSON.
    pub fn get_json(&self, path: &str) -> Result<serde_json::Value> {
        self.get(path)?.expect(200)?.json()
    }

    /// GET of text, with status 200.
    ///
    /// # Errors
    /// No HTTP answer, another status, no text.
    pub fn get_text(&self, path: &str) -> Result<String> {
        self.get(path)?.expect(200)?.text()
    }

    /// Any method, with headers.
    ///
    /// # Errors
    /// No HTTP answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("http://{}{path}", self.address);
        let mut request = http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.agent.run(request.body(())?);
        let answer = answer.with_context(|| format!("{method} {url:.200}"))?;
        let (parts, body) = answer.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .take(MAX_BODY_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: bytes,
        })
    }

    /// What is said to requests that are wrong, each a method and a path below `base`, for a file to
    /// compare with: method and path; status, code and message.
    ///
    /// # Errors
    /// No answer, one that is no 4xx, or an error that is not as all errors are.
    pub fn refusals<'p>(
        &self,
        base: &str,
        requests: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<String> {
        let mut said = String::new();
        for (method, path) in requests {
            let request = || format!("{method} {path}");
            let answer = self
                .request(method, &format!("{base}{path}"), &[])
                .with_context(request)?;
            let status = answer.status;
            ensure!((400..500).contains(&status), "{}: {status}", request());
            writeln!(said, "{}\n    {status}", request())?;
            if method != "HEAD" {
                let error = answer.json().with_context(request)?["error"].take();
                let text = |name: &str| error[name].as_str().map(str::to_owned);
                let code = text("code").with_context(request)?;
                let message = text("message").with_context(request)?;
                said.pop();
                writeln!(said, " {code}: {message}")?;
            }
        }
        Ok(said)
    }

    /// Sends `request` as it is over a connection of its own and returns everything that comes
    /// back until the server closes it. For requests that no client library would send.
    ///
    /// # Errors
    /// No connection, or nothing at all came back in time.
    pub fn raw(&self, request: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        // A server may refuse before it has read everything: its answer still counts.
        let sent = stream.write_all(request).and_then(|()| stream.flush());
        let mut answer = Vec::new();
        let read = stream.take(MAX_BODY_BYTES).read_to_end(&mut answer);
        ensure!(
            !answer.is_empty(),
            "nothing came back: sent {sent:?}, read {read:?}"
        );
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// [`raw`](Self::raw) with the request line `GET {target} HTTP/1.1`, untouched: no
    /// normalisation, no encoding. Returns the status and everything after the first line.
    ///
    /// # Errors
    /// As [`raw`](Self::raw), or the answer is no HTTP.
    pub fn raw_get(&self, target: &[u8]) -> Result<(u16, String)> {
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(target);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = self.raw(&request)?;
        let (line, rest) = answer.split_once("\r\n").context("no status line")?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok((
            status.with_context(|| format!("{line:?}"))?,
            rest.to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server that answers each of `answers` to one connection, and returns the requests.
    fn serve(answers: Vec<Vec<u8>>) -> (Client, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        let requests = thread::spawn(move || {
            let serve = |answer: Vec<u8>| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                stream.write_all(&answer).unwrap();
                String::from_utf8_lossy(&request).to_lowercase()
            };
            answers.into_iter().map(serve).collect()
        });
        (client, requests)
    }

    fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn shows_what_was_sent() {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(b"{\"a\":1}").unwrap();
        let zipped = zipped.finish().unwrap();
        let (client, requests) = serve(vec![
            answer("200 OK", "", b"plain"),
            answer("200 OK", "content-encoding: gzip\r\n", &zipped),
            answer("404 Not Found", "", b"{}"),
            answer("302 Found", "location: /x\r\n", b""),
            answer("206 Partial Content", "", b"ab"),
            answer("414 URI Too Long", "", b"{}"),
        ]);
        assert_eq!(client.get_text("/a?b=c").unwrap(), "plain");
        let packed = client.get_gzip("/").unwrap();
        assert_eq!(packed.body, zipped);
        assert_eq!(packed.json().unwrap()["a"], 1);
        assert!(
            client
                .get_json("/")
                .unwrap_err()
                .to_string()
                .contains("404")
        );
        assert_eq!(client.get("/").unwrap().header("location"), Some("/x"));
        assert_eq!(client.get_range("/", "0-1").unwrap().status, 206);
        assert_eq!(client.raw_get(b"/../\0%2f").unwrap().0, 414);
        let requests = requests.join().unwrap();
        assert!(requests[0].starts_with("get /a?b=c "), "{}", requests[0]);
        assert!(!requests[0].contains("gzip"), "{}", requests[0]);
        assert!(
            requests[1].contains("accept-encoding: gzip"),
            "{}",
            requests[1]
        );
        assert!(requests[4].contains("range: bytes=0-1"), "{}", requests[4]);
        assert!(
            requests[5].starts_with("get /../\0%2f http/1.1"),
            "{}",
            requests[5]
        );
    }
}
