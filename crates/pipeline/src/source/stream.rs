//! The connection to a camera: TCP, TLS over it, or RTSP within HTTP.
//!
//! ```text
//! tcp, tls:  requests and answers ◀─▶ one connection
//! tunnel:    answers, packets ◀─ GET;  requests ─ base64 ─▶ POST
//! ```

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use dayreel_config::Trust;
use parking_lot::Mutex;

use super::{
    address::Address,
    message::MOST_HEAD_BYTES,
    tls::{TlsStream, encrypt},
};
use crate::Error;

/// How long an address may take to accept: long enough for the second attempt of TCP, which comes
/// after a second; short, because the next knock finds a camera that has booted sooner than TCP's
/// third.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);
/// A camera that takes no request for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// `Content-Length` of the POST request of a tunnel, which never ends.
const ENDLESS_BYTES: &str = "32767";

/// Ends the reads of a connection from another thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Mutex<Stopping>>);

#[derive(Debug, Default)]
struct Stopping {
    is_over: bool,
    socket: Option<TcpStream>,
}

impl Stop {
    /// From now on reads return at once, as if the camera had ended the connection.
    pub(crate) fn stop(&self) {
        let mut stopping = self.0.lock();
        stopping.is_over = true;
        if let Some(socket) = stopping.socket.take() {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().is_over
    }

    /// `socket` is read from now on.
    fn watch(&self, socket: &TcpStream) -> Result<(), Error> {
        let mut stopping = self.0.lock();
        if stopping.is_over {
            return Err(Error::Closed);
        }
        stopping.socket = Some(socket.try_clone().map_err(|error| closed(&error))?);
        Ok(())
    }
}

/// Where bytes come from and go to.
pub(crate) struct Stream {
    input: Side,
    /// The POST connection of a tunnel.
    output: Option<Side>,
}

enum Side {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// How a camera is connected to.
#[derive(Clone, Copy)]
pub(crate) struct Dial<'a> {
    pub(crate) address: &'a Address,
    pub(crate) trust: Trust,
    pub(crate) in_http: bool,
    pub(crate) patience: Duration,
    pub(crate) stop: &'a Stop,
}

impl Dial<'_> {
    /// Connects.
    ///
    /// # Errors
    /// The host is unknown, cannot be reached, refuses, or is not trusted.
    pub(crate) fn connect(&self) -> Result<Stream, Error> {
        let deadline = Instant::now() + self.patience;
        let mut input = self.side(deadline)?;
        if !self.in_http {
            return Ok(Stream {
                input,
                output: None,
            });
        }
        let cookie = format!("{:016x}", rand::random::<u64>());
        input.write(self.tunnel("GET", &cookie).as_bytes())?;
        let head = read_head(&mut input)?;
        if !head.starts_with("HTTP/1.") || head.split_ascii_whitespace().nth(1) != Some("200") {
            return Err(Error::NotRtsp);
        }
        let mut output = self.side(deadline)?;
        output.write(self.tunnel("POST", &cookie).as_bytes())?;
        // Of the two, this one is read.
        self.stop.watch(input.socket())?;
        Ok(Stream {
            input,
            output: Some(output),
        })
    }

    /// The head of one of the two HTTP requests, which GStreamer's, QuickTime's and ffmpeg's tunnels
    /// have in common.
    fn tunnel(&self, method: &str, cookie: &str) -> String {
        let Address {
            uri, host, port, ..
        } = self.address;
        let path = uri.splitn(4, '/').nth(3).unwrap_or_default();
        let own = match method {
            "GET" => "Accept: application/x-rtsp-tunnelled\r\n".to_owned(),
            _ => format!(
                "Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: {ENDLESS_BYTES}\r\n"
            ),
        };
        format!(
            "{method} /{path} HTTP/1.0\r\nHost: {host}:{port}\r\nx-sessioncookie: {cookie}\r\n{own}\
             Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n"
        )
    }

    fn side(&self, deadline: Instant) -> Result<Side, Error> {
        let Address {
            host, port, is_tls, ..
        } = self.address;
        let addresses = (host.as_str(), *port).to_socket_addrs();
        let mut last = Error::Unresolved;
        for address in addresses.map_err(|_| Error::Unresolved)? {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() || self.stop.is_over() {
                return Err(Error::Timeout(self.patience));
            }
            match TcpStream::connect_timeout(&address, rest.min(ADDRESS_PATIENCE)) {
                Ok(socket) => {
                    let side = prepare(&socket, rest).map_err(|error| closed(&error));
                    side?;
                    self.stop.watch(&socket)?;
                    return match is_tls {
                        true => encrypt(socket, host, self.trust, deadline)
                            .map(Box::new)
                            .map(Side::Tls),
                        false => Ok(Side::Plain(socket)),
                    };
                }
                Err(error) => last = unconnected(&error),
            }
        }
        Err(last)
    }
}

/// Why an address does not accept.
fn unconnected(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        _ => Error::Unreachable,
    }
}

fn prepare(socket: &TcpStream, patience: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_PATIENCE))?;
    socket.set_read_timeout(Some(patience))
}

impl Stream {
    /// Reads wait for so long; more than 0.
    pub(crate) fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        let patience = Some(patience.max(Duration::from_millis(1)));
        let socket = self.input.socket();
        socket
            .set_read_timeout(patience)
            .map_err(|error| closed(&error))
    }

    /// Reads what has arrived; `None`: nothing has for as long as the patience is.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> Result<Option<usize>, Error> {
        loop {
            match self.input.read(space) {
                Ok(0) => return Err(Error::Closed),
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    _ => return Err(closed(&error)),
                },
            }
        }
    }

    /// Sends a request or a packet.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.output {
            None => self.input.write(bytes),
            Some(output) => output.write(BASE64.encode(bytes).as_bytes()),
        }
    }

    /// Where the camera is, as seen from here.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.input.socket().peer_addr().ok().map(|peer| peer.ip())
    }

    /// The address of this machine that leads to the camera.
    pub(crate) fn local(&self) -> Option<IpAddr> {
        self.input
            .socket()
            .local_addr()
            .ok()
            .map(|local| local.ip())
    }
}

impl Side {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(space),
            Self::Tls(tls) => tls.read(space),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        };
        written.map_err(|error| closed(&error))
    }
}

/// The head of an HTTP answer, byte by byte: what follows belongs to RTSP.
fn read_head(input: &mut Side) -> Result<String, Error> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(1) if head.len() < MOST_HEAD_BYTES => head.extend(byte),
            Ok(0) => return Err(Error::Closed),
            Ok(_) => return Err(Error::NotRtsp),
            Err(error) => return Err(closed(&error)),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A connection that failed after it had been made.
fn closed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::Unreachable,
        io::ErrorKind::InvalidData => Error::Tls(None),
        _ => Error::Closed,
    }
}
