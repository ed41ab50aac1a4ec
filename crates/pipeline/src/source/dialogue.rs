//! Requests to a camera and its answers, over a connection that carries packets, too.

use std::{
    iter,
    time::{Duration, Instant},
};

use tracing::debug;

use super::{
    login::Login,
    message::{CameraRequest, Request, Response},
    stream::Stream,
    wire::{Item, Wire},
};
use crate::Error;

/// How often a request is repeated because the camera asks for another login.
const MOST_LOGINS: u32 = 3;
/// Most bytes of packets kept that arrive before the answer to PLAY.
const MOST_EARLY_BYTES: usize = 8 << 20;

/// One conversation. Used by the thread of its camera.
pub(crate) struct Dialogue {
    stream: Stream,
    wire: Wire,
    login: Login,
    /// `CSeq` of the last request.
    sequence: u32,
    /// Packets that came before anybody waited for them, in their order, with their channels.
    early: Vec<(u8, Vec<u8>)>,
    early_bytes: usize,
}

/// What a camera says between packets.
#[derive(Debug)]
pub(crate) enum Remark {
    /// To a request of ours.
    Answer(Response),
    /// It ends the session.
    Teardown,
}

impl Dialogue {
    pub(crate) fn new(stream: Stream, login: Login) -> Self {
        Self {
            stream,
            wire: Wire::new(),
            login,
            sequence: 0,
            early: vec![],
            early_bytes: 0,
        }
    }

    pub(crate) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Goes on with the same login over another connection.
    pub(crate) fn reconnect(&mut self, stream: Stream) {
        self.stream = stream;
        self.wire = Wire::new();
    }

    /// Packets on channels below are wanted.
    pub(crate) fn expect_channels(&mut self, channels: u8) {
        self.wire.expect_channels(channels);
    }

    /// Bytes that could not be read so far.
    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.wire.skipped_bytes()
    }

    /// Packets that came before they were waited for.
    pub(crate) fn take_early(&mut self) -> Vec<(u8, Vec<u8>)> {
        self.early_bytes = 0;
        std::mem::take(&mut self.early)
    }

    /// Sends a request and waits for its answer, with a login if the camera wants one.
    ///
    /// # Errors
    /// None came by `deadline`, the connection ended, or what answers speaks no RTSP.
    pub(crate) fn ask(
        &mut self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let mut logins = 0;
        loop {
            self.send(request)?;
            let response = self.answer(deadline)?;
            debug!(
                method = request.method,
                status = response.status,
                "the camera answers"
            );
            logins += 1;
            if response.status != 401 || logins > MOST_LOGINS || !self.login.take_up(&response) {
                return Ok(response);
            }
        }
    }

    /// Sends a request; its answer comes as a [`Remark`].
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<(), Error> {
        self.sequence += 1;
        let authorization = self.login.authorization(request.method, request.uri);
        let text = request.text(self.sequence, authorization.as_deref());
        self.stream.write(text.as_bytes())
    }

    /// Takes up the login that an answer asks for. Says whether the request is worth repeating.
    pub(crate) fn take_up(&mut self, refusal: &Response) -> bool {
        self.login.take_up(refusal)
    }

    /// Sends a packet on a channel, RFC 2326 §10.12.
    pub(crate) fn send_packet(&mut self, channel: u8, packet: &[u8]) -> Result<(), Error> {
        let Ok(length) = u16::try_from(packet.len()) else {
            return Ok(());
        };
        let mut frame = vec![b'$', channel];
        frame.extend(length.to_be_bytes());
        frame.extend(packet);
        self.stream.write(&frame)
    }

    /// The answer to the one request that has none yet. What its `CSeq` says is not looked at: some
    /// cameras repeat the first, and all answer in order.
    fn answer(&mut self, deadline: Instant) -> Result<Response, Error> {
        let begun = Instant::now();
        loop {
            let mut keep = |channel, bytes: &[u8]| {
                self.early_bytes += bytes.len();
                if self.early_bytes <= MOST_EARLY_BYTES {
                    self.early.push((channel, bytes.to_vec()));
                }
            };
            while let Some(remark) = next_remark(&mut self.wire, &mut self.stream, &mut keep)? {
                match remark {
                    // RFC 2326 §11.1: 1xx is not the last word.
                    Remark::Answer(response) if response.status < 200 => {}
                    Remark::Answer(response) => return Ok(response),
                    Remark::Teardown => return Err(Error::Closed),
                }
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(Error::Timeout(deadline.saturating_duration_since(begun)));
            }
            self.stream.set_patience(rest)?;
            if let Some(bytes) = self.stream.read(self.wire.space())? {
                self.wire.filled(bytes);
            }
        }
    }

    /// Reads what has arrived, or for as long as `Stream::set_patience` said, and gives each packet to
    /// `take`. Returns what the camera remarked.
    ///
    /// # Errors
    /// The connection ended, or what comes is no RTSP any more.
    pub(crate) fn listen(&mut self, mut take: impl FnMut(u8, &[u8])) -> Result<Vec<Remark>, Error> {
        let Some(bytes) = self.stream.read(self.wire.space())? else {
            return Ok(vec![]);
        };
        self.wire.filled(bytes);
        let remarks = || next_remark(&mut self.wire, &mut self.stream, &mut take).transpose();
        iter::from_fn(remarks).collect()
    }

    /// Lets reads wait for so long.
    pub(crate) fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        self.stream.set_patience(patience)
    }
}

/// The next remark of those that have arrived. Packets before it are given to `take`, other requests are
/// answered.
fn next_remark(
    wire: &mut Wire,
    stream: &mut Stream,
    take: &mut impl FnMut(u8, &[u8]),
) -> Result<Option<Remark>, Error> {
    while let Some(item) = wire.next().map_err(|_| Error::NotRtsp)? {
        match item {
            Item::Packet { channel, bytes } => take(channel, bytes),
            Item::Response(response) => return Ok(Some(Remark::Answer(response))),
            Item::Request(request) => {
                if reply(stream, &request)? {
                    return Ok(Some(Remark::Teardown));
                }
            }
        }
    }
    Ok(None)
}

/// Answers a request of the camera. Says whether it ends the session.
fn reply(stream: &mut Stream, request: &CameraRequest) -> Result<bool, Error> {
    // RFC 2326 §10: what a server may ask of a client. REDIRECT: the session begins anew elsewhere,
    // which the next DESCRIBE says, too.
    let ends = matches!(request.method.as_str(), "TEARDOWN" | "REDIRECT");
    let known = matches!(
        request.method.as_str(),
        "OPTIONS" | "ANNOUNCE" | "GET_PARAMETER" | "SET_PARAMETER"
    );
    let status = match known || ends {
        true => "200 OK",
        false => "501 Not Implemented",
    };
    let mut text = format!("RTSP/1.0 {status}\r\n");
    for name in ["CSeq", "Session"] {
        if let Some(value) = request.headers.get(name) {
            text += &format!("{name}: {value}\r\n");
        }
    }
    if request.method == "OPTIONS" {
        text += "Public: OPTIONS, GET_PARAMETER, SET_PARAMETER, TEARDOWN\r\n";
    }
    stream.write((text + "\r\n").as_bytes())?;
    Ok(ends)
}
