//! One connection to a scripted camera: requests in, answers and media out, in one thread.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Command, Shared,
    message::{Inbox, Reply, Request, Then, header},
    playing::{Playing, Route, SetUp},
    sdp::{self, Media},
};

/// How long a read waits at most, so that commands are heard.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where it sends to whoever asks for multicast: a group of this machine's own, RFC 2365 §6.1.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 70, 83);

/// Owned by its thread.
pub(super) struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    /// Connections to this camera before.
    number: u32,
    inbox: Inbox,
    media: Vec<Media>,
    set_up: Vec<SetUp>,
    playing: Option<Playing>,
    /// The last request that kept the session.
    kept: Instant,
    /// Commands that were carried out, or were given before this connection began.
    commands: usize,
    /// Nonces given out, and requests that the last one admitted.
    nonces: u32,
    nonce_uses: u32,
    /// It sends nothing and hears nothing.
    hangs: bool,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, number: u32) -> Self {
        let media = sdp::read(&shared.script.sdp);
        let commands = shared.commands.lock().len();
        Self {
            shared,
            stream,
            number,
            inbox: Inbox::default(),
            media,
            set_up: vec![],
            playing: None,
            kept: Instant::now(),
            commands,
            nonces: 0,
            nonce_uses: 0,
            hangs: false,
        }
    }

    /// Serves until one side closes. An error is the client's end of the story, not ours.
    pub(super) fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut bytes = [0; 4096];
        while !self.shared.is_over() && !self.has_expired() {
            let due = self.playing.as_ref().and_then(Playing::next_due);
            let wait = due.map_or(PATIENCE, |due| {
                due.saturating_duration_since(Instant::now())
            });
            // Zero would mean for ever.
            let wait = wait.clamp(Duration::from_millis(1), PATIENCE);
            self.stream.set_read_timeout(Some(wait))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) if self.hangs => {}
                Ok(length) => self.inbox.add(&bytes[..length]),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
            while let Some(request) = self.inbox.next()? {
                if !self.hear(request)? {
                    return Ok(());
                }
            }
            if !self.obey()? {
                return Ok(());
            }
            if let Some(playing) = &mut self.playing {
                playing.send_due(&mut self.stream, Instant::now())?;
            }
        }
        Ok(())
    }

    fn has_expired(&self) -> bool {
        self.playing.is_some() && self.kept.elapsed() > self.shared.script.timeout
    }

    /// Carries out what it was told meanwhile. Whether it goes on.
    fn obey(&mut self) -> io::Result<bool> {
        let commands: Vec<Command> = {
            let given = self.shared.commands.lock();
            given[self.commands..].to_vec()
        };
        self.commands += commands.len();
        for command in commands {
            match command {
                Command::FallSilent => self.playing = None,
                Command::Hang => {
                    self.playing = None;
                    self.hangs = true;
                }
                Command::Close => return Ok(false),
                Command::Write(bytes) => self.stream.write_all(&bytes)?,
                Command::SayGoodbye => {
                    if let Some(playing) = self.playing.take() {
                        playing.say_goodbye(&mut self.stream)?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Answers a request. Whether the connection goes on.
    fn hear(&mut self, mut request: Request) -> io::Result<bool> {
        request.connection = self.number;
        self.shared.hear(&mut request);
        // The client answers a request of ours.
        if request.method.starts_with("RTSP/") {
            return Ok(true);
        }
        let (mut reply, mut set_up) = self.usual(&request)?;
        for rewrite in &self.shared.script.rewrites {
            rewrite(&request, &mut reply);
        }
        if reply.is_ok() {
            self.kept = Instant::now();
        }
        if self.shared.script.plays_early && request.method == "PLAY" && reply.is_ok() {
            self.play()?;
        }
        if !self.delay(reply.after)? {
            return Ok(false);
        }
        if reply.then == Then::Hang {
            self.hangs = true;
            return Ok(true);
        }
        let text = reply
            .text()
            .replace("{address}", &self.shared.address.to_string());
        self.stream.write_all(text.as_bytes())?;
        if reply.is_ok() {
            match request.method.as_str() {
                "SETUP" => {
                    // The channels are those that the answer says.
                    if let Some(Route::Channels { rtp, rtcp }) =
                        set_up.as_mut().map(|set_up| &mut set_up.route)
                        && let Some(said) = pair(header(&reply.head, "Transport"), "interleaved=")
                    {
                        (*rtp, *rtcp) = said;
                    }
                    self.set_up.extend(set_up);
                }
                "PLAY" => self.play()?,
                "TEARDOWN" => self.playing = None,
                _ => {}
            }
        }
        Ok(reply.then == Then::GoOn)
    }

    /// Takes its time; media that play go on. Whether the camera still runs.
    fn delay(&mut self, time: Duration) -> io::Result<bool> {
        let until = Instant::now() + time;
        while let Some(playing) = &mut self.playing {
            playing.send_due(&mut self.stream, Instant::now())?;
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(true);
            }
            if !self.shared.rest(rest.min(PATIENCE)) {
                return Ok(false);
            }
        }
        Ok(self.shared.rest(time))
    }

    fn play(&mut self) -> io::Result<()> {
        let tracks = std::mem::take(&mut self.set_up);
        let (feed, record) = (&self.shared.script.feed, self.shared.record.clone());
        if self.playing.is_none() {
            let playing = Playing::begin(feed, tracks, record, self.number);
            self.playing = Some(playing.map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// What a camera answers that does as it should, and the track that is set up by it.
    fn usual(&mut self, request: &Request) -> io::Result<(Reply, Option<SetUp>)> {
        let script = Arc::clone(&self.shared.script);
        let mut headers = vec![format!(
            "CSeq: {}",
            request.header("CSeq").unwrap_or_default()
        )];
        if let Some(challenges) = self.challenges(request) {
            headers.extend(challenges);
            return Ok((Reply::new("401 Unauthorized", &headers), None));
        }
        let mut known = script.methods.split([',', ' ']);
        if !known.any(|method| method == request.method) {
            return Ok((Reply::new("501 Not Implemented", &headers), None));
        }
        let mut body = String::new();
        let mut set_up = None;
        match request.method.as_str() {
            "OPTIONS" => headers.push(format!("Public: {}", script.methods)),
            "DESCRIBE" => {
                if !is_at(&request.uri, &script.path) {
                    return Ok((Reply::new("404 Not Found", &headers), None));
                }
                headers.push(format!("Content-Base: rtsp://{{address}}{}/", script.path));
                headers.push("Content-Type: application/sdp".into());
                headers.push(format!("Content-Length: {}", script.sdp.len()));
                body.clone_from(&script.sdp);
            }
            "SETUP" => {
                let Some(index) = self.track(&request.uri) else {
                    return Ok((Reply::new("404 Not Found", &headers), None));
                };
                let (transport, route) = self.route(request.header("Transport"))?;
                let ssrc = script.feed.start(index).ssrc;
                headers.push(format!("Transport: {transport};ssrc={ssrc:08X}"));
                headers.push(self.session(script.tells_timeout));
                set_up = Some(SetUp {
                    index,
                    media: self.media[index].clone(),
                    route,
                });
            }
            "PLAY" => {
                headers.push(self.session(false));
                headers.push("Range: npt=0.000-".into());
                headers.push(format!("RTP-Info: {}", self.rtp_info()));
            }
            _ => headers.push(self.session(false)),
        }
        let reply = Reply {
            body,
            ..Reply::new("200 OK", &headers)
        };
        Ok((reply, set_up))
    }

    /// What a client has to answer first, if it may not yet.
    fn challenges(&mut self, request: &Request) -> Option<Vec<String>> {
        let script = Arc::clone(&self.shared.script);
        let login = script
            .login
            .as_ref()
            .filter(|_| request.method != "OPTIONS")?;
        let nonce = |nonces: u32| format!("{:04x}{nonces:04x}", self.number);
        let may = login.admits(request, &nonce(self.nonces));
        let is_stale = may && login.nonce_uses.is_some_and(|most| self.nonce_uses >= most);
        if may && !is_stale {
            self.nonce_uses += 1;
            return None;
        }
        let next = self.nonces + u32::from(is_stale);
        let challenges = login.challenges(&nonce(next), is_stale);
        (self.nonces, self.nonce_uses) = (next, if is_stale { 0 } else { self.nonce_uses });
        Some(challenges)
    }

    fn session(&self, tells_timeout: bool) -> String {
        let timeout = self.shared.script.timeout.as_secs();
        match tells_timeout {
            true => format!("Session: 5EC{};timeout={timeout}", self.number),
            false => format!("Session: 5EC{}", self.number),
        }
    }

    /// The track that a URL means: by the last part of its control attribute.
    fn track(&self, uri: &str) -> Option<usize> {
        let key = |control: &str| {
            let name = control.rsplit('/').next().unwrap_or_default();
            name.split('?').next().unwrap_or_default().to_owned()
        };
        let is_meant = |media: &Media| {
            let key = key(&media.control);
            !key.is_empty() && uri.contains(&key)
        };
        self.media
            .iter()
            .position(is_meant)
            .or_else(|| self.media.iter().position(|media| media.control.is_empty()))
    }

    /// How a track travels, as the client wishes, and how that is said.
    fn route(&self, wish: Option<&str>) -> io::Result<(String, Route)> {
        if wish.is_some_and(|wish| wish.contains("multicast")) {
            let [rtp, rtcp] = datagram_sockets(self.shared.address)?;
            // What sends from loopback sends into loopback, and nobody else has these ports.
            let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
            let to = |port| SocketAddr::from((GROUP, port));
            let said = format!(
                "RTP/AVP;multicast;destination={GROUP};port={}-{};ttl=1",
                ports.0, ports.1
            );
            return Ok((
                said,
                Route::Ports([(rtp, to(ports.0)), (rtcp, to(ports.1))]),
            ));
        }
        if let Some((rtp, rtcp)) = pair::<u16>(wish, "client_port=") {
            let [near_rtp, near_rtcp] = datagram_sockets(self.shared.address)?;
            let ports = (
                near_rtp.local_addr()?.port(),
                near_rtcp.local_addr()?.port(),
            );
            let client = self.stream.peer_addr()?.ip();
            let said = format!(
                "RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={}-{}",
                ports.0, ports.1
            );
            let to = |port| SocketAddr::new(client, port);
            let route = Route::Ports([(near_rtp, to(rtp)), (near_rtcp, to(rtcp))]);
            return Ok((said, route));
        }
        let next = u8::try_from(2 * self.set_up.len()).unwrap_or_default();
        let (rtp, rtcp) = pair(wish, "interleaved=").unwrap_or((next, next + 1));
        let said = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
        Ok((said, Route::Channels { rtp, rtcp }))
    }

    /// RFC 2326 §12.33.
    fn rtp_info(&self) -> String {
        let script = &self.shared.script;
        let entries = self.set_up.iter().map(|SetUp { index, media, .. }| {
            let start = script.feed.start(*index);
            let (path, control) = (&script.path, &media.control);
            format!(
                "url=rtsp://{{address}}{path}/{control};seq={};rtptime={}",
                start.sequence, start.time
            )
        });
        entries.collect::<Vec<_>>().join(",")
    }
}

/// Whether a URL names this path and query; a slash behind does not matter.
fn is_at(uri: &str, path: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let found = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    found.trim_end_matches('/') == path.trim_end_matches('/')
}

/// Two numbers behind `name`, as in `interleaved=0-1`.
fn pair<T: std::str::FromStr>(header: Option<&str>, name: &str) -> Option<(T, T)> {
    let (_, value) = header?.split_once(name)?;
    let value = value.split(';').next()?;
    let (first, second) = value.split_once('-')?;
    Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
}

/// Two sockets, an even port and the one after it (RFC 3550 §11).
fn datagram_sockets(near: SocketAddr) -> io::Result<[UdpSocket; 2]> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let rtp = UdpSocket::bind((near.ip(), 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 {
            continue;
        }
        match UdpSocket::bind((near.ip(), port + 1)) {
            Ok(rtcp) => return Ok([rtp, rtcp]),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
