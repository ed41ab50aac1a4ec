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
/// What one takes beside its bytes, so that a stream of empty packets is bounded as well.
const EARLY_OVERHEAD_BYTES: usize = 64;

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
    /// Bytes of earlier connections that could not be read.
    skipped_bytes: u64,
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
            skipped_bytes: 0,
        }
    }

    pub(crate) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Goes on with the same login over another connection.
    pub(crate) fn reconnect(&mut self, stream: Stream) {
        self.stream = stream;
        self.skipped_bytes = self.skipped_bytes();
        self.wire = Wire::new();
    }

    /// Packets on channels below are wanted.
    pub(crate) fn expect_channels(&mut self, channels: u8) {
        self.wire.expect_channels(channels);
    }

    /// Bytes that could not be read so far.
    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes + self.wire.skipped_bytes()
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
                self.early_bytes += bytes.len() + EARLY_OVERHEAD_BYTES;
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

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write as _},
        net::TcpListener,
        thread,
    };

    use dayreel_config::Trust;

    use super::*;
    use crate::source::{
        address::Address,
        stream::{Dial, Stop},
    };

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A connection on which `said` comes.
    fn hearing(said: Vec<u8>) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(&said).unwrap();
            // What is asked is not looked at.
            io::copy(&mut socket, &mut io::sink()).unwrap();
        });
        let address = Address {
            uri: format!("rtsp://127.0.0.1:{port}/"),
            host: "127.0.0.1".to_owned(),
            port,
            is_tls: false,
        };
        let dial = Dial {
            address: &address,
            trust: Trust::Anybody,
            in_http: false,
            patience: PATIENCE,
            stop: &Stop::default(),
        };
        dial.connect().unwrap()
    }

    fn play(dialogue: &mut Dialogue) -> Response {
        let request = Request {
            method: "PLAY",
            uri: "rtsp://127.0.0.1/",
            headers: &[],
        };
        dialogue.ask(&request, Instant::now() + PATIENCE).unwrap()
    }

    const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n";

    /// They have no bytes, and take memory all the same.
    #[test]
    fn regression_empty_packets_before_play_were_kept_without_end() {
        const SENT: usize = 300_000;
        let said = [b"$\0\0\0".repeat(SENT), ANSWER.to_vec()].concat();
        let mut dialogue = Dialogue::new(hearing(said), Login::new(None));
        dialogue.expect_channels(4);
        assert_eq!(play(&mut dialogue).status, 200);
        let kept = dialogue.take_early().len();
        assert!(
            kept > 0 && kept <= MOST_EARLY_BYTES / EARLY_OVERHEAD_BYTES,
            "{kept}"
        );
    }

    /// What was counted of the connection before was taken off, below zero.
    #[test]
    fn regression_a_connection_that_was_dialled_again_had_skipped_less_than_nothing() {
        let said = [ANSWER, b"\0\0\0\0", ANSWER].concat();
        let mut dialogue = Dialogue::new(hearing(said), Login::new(None));
        play(&mut dialogue);
        play(&mut dialogue);
        let skipped = dialogue.skipped_bytes();
        assert!(skipped > 0);
        dialogue.reconnect(hearing(ANSWER.to_vec()));
        play(&mut dialogue);
        assert_eq!(dialogue.skipped_bytes(), skipped);
    }
}
