//! A session that plays: packets come, the camera is told that somebody is there.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use dayreel_core::TrackKind;
use gstreamer as gst;
use tracing::{debug, warn};

use super::{
    Reader, TrackEntry, Tracks,
    datagrams::Datagrams,
    dialogue::{Dialogue, Remark},
    handshake::{Ready, ReadyTrack, Route},
    jitter_buffer::KeptTimes,
    message::{Request, Response},
    packets::{Arrival, PacketCounts, Packets, Role},
    reports::Reports,
    stream::{Dial, Stop},
};
use crate::{CameraSettings, Error, alignment::Alignment, rtp_clock::RtpClock};

/// How long a silent connection is read at most before it is looked whether something is to be done.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a camera is told what was received of it, RFC 3550 §6.2.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// For so long after RTCP said goodbye a track may still go on: some cameras say it and stay.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often it is noted how clocks behave, and told what was lost.
const OBSERVATION_INTERVAL: Duration = Duration::from_secs(1);
/// If nothing has come for so long after PLAY, another transport is tried where that is allowed.
const FIRST_PACKET: Duration = Duration::from_secs(5);
/// How long a camera may take to answer that it still knows a session.
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is not needed for what comes is dialled again this often at most: some cameras close it after
/// each answer.
const DIAL_INTERVAL: Duration = Duration::from_secs(5);

/// What the thread of a source owns while its camera plays.
pub(super) struct Receiving {
    settings: CameraSettings,
    dialogue: Dialogue,
    /// The session, without its dialogue and tracks.
    kept: Kept,
    tracks: Vec<Track>,
    began: Instant,
    /// Nothing has come yet, and another transport may be tried.
    may_change: bool,
    goodbye: Option<Instant>,
    /// When it was heard last, and when it was asked whether it is there.
    heard: Instant,
    asked: Instant,
    next_keep_alive: Instant,
    next_report: Instant,
    next_observation: Instant,
    counts: Arc<PacketCounts>,
    /// Those that were told of.
    lost_packets: u64,
    /// Unreadable bytes that were told of.
    skipped_bytes: u64,
    next_dial: Instant,
}

/// What keeping a session takes.
struct Kept {
    address: super::address::Address,
    session: Option<String>,
    uri: String,
    method: &'static str,
    interval: Duration,
    /// Whether the login of the last request was renewed for it.
    logs_in_again: bool,
}

/// A track whose packets come.
struct Track {
    kind: TrackKind,
    way: Incoming,
    reports: Reports,
    /// Sequence number of the last datagram that was seen to have come.
    seen: Option<u32>,
}

enum Incoming {
    Channels {
        rtp: u8,
        rtcp: u8,
        packets: Box<Packets>,
    },
    Ports {
        datagrams: Arc<Datagrams>,
        receiver: Option<JoinHandle<()>>,
    },
}

impl Receiving {
    /// Takes the tracks into the pipeline and lets the camera play.
    ///
    /// # Errors
    /// A track does not fit, or the camera refuses.
    pub(super) fn begin<T: Tracks>(
        reader: &Reader<T>,
        mut ready: Ready,
        set_up: Vec<ReadyTrack>,
        may_change: bool,
    ) -> Result<Self, Error> {
        let alignment = Alignment::default();
        let interval = ready.keep_alive_interval();
        let mut tracks = vec![];
        for track in set_up {
            tracks.push(Track::begin(reader, track, &alignment)?);
        }
        // Only now: what comes has to be read when it comes.
        ready.play()?;
        let now = Instant::now();
        Ok(Self {
            settings: reader.settings.clone(),
            dialogue: ready.dialogue,
            kept: Kept {
                address: ready.address,
                session: ready.session.map(|session| session.id),
                uri: ready.uri,
                method: ready.keep_alive,
                interval,
                logs_in_again: false,
            },
            tracks,
            began: now,
            may_change,
            goodbye: None,
            heard: now,
            asked: now,
            next_keep_alive: now + interval,
            next_report: now + REPORT_INTERVAL,
            next_observation: now + OBSERVATION_INTERVAL,
            counts: Arc::clone(&reader.counts),
            lost_packets: reader.counts.lost.load(Ordering::Relaxed),
            skipped_bytes: 0,
            next_dial: now,
        })
    }

    /// Reads until the camera ends the session or `stop` does.
    pub(super) fn run<T: Tracks>(&mut self, reader: &Reader<T>) -> Result<(), Error> {
        let stop = &reader.stop;
        self.dialogue.set_patience(self.patience())?;
        for (channel, bytes) in self.dialogue.take_early() {
            self.goodbye = take(&mut self.tracks, channel, &bytes, self.goodbye);
        }
        self.flush()?;
        while !stop.is_over() {
            let (tracks, goodbye) = (&mut self.tracks, &mut self.goodbye);
            let mut is_heard = false;
            let heard = self.dialogue.listen(|channel, bytes| {
                is_heard = true;
                *goodbye = take(tracks, channel, bytes, *goodbye);
            });
            match heard {
                Ok(remarks) => {
                    // One that plays nothing is no slow camera.
                    is_heard |= !remarks.is_empty() && self.has_received();
                    if is_heard {
                        self.note_heard(Instant::now());
                    }
                    for remark in remarks {
                        self.hear(remark)?;
                    }
                }
                // What comes by other ways may go on: RFC 2326 §1.1.
                Err(Error::Closed) if self.has_ports() && !stop.is_over() => {
                    self.dial_again(stop)?
                }
                Err(error) => return Err(error),
            }
            self.flush()?;
            self.look_after(reader, Instant::now())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        for track in &mut self.tracks {
            if let Incoming::Channels { packets, .. } = &mut track.way
                && let Err(flow) = packets.flush()
            {
                return Err(taken_no_more(flow));
            }
        }
        Ok(())
    }

    /// What is due by the clock.
    fn look_after<T: Tracks>(&mut self, reader: &Reader<T>, now: Instant) -> Result<(), Error> {
        if self.may_change {
            self.may_change = !self.has_received();
            if self.may_change && now >= self.began + FIRST_PACKET {
                return Err(Error::Transport);
            }
        }
        if self.goodbye.is_some_and(|said| now >= said + GOODBYE) {
            return Err(Error::Closed);
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.report()?;
            self.tell_skipped();
        }
        if now >= self.next_observation {
            self.next_observation = now + OBSERVATION_INTERVAL;
            self.observe();
            let lost_packets = self.counts.lost.load(Ordering::Relaxed);
            if lost_packets != self.lost_packets {
                self.lost_packets = lost_packets;
                reader.tracks.lost(lost_packets);
            }
        }
        // Its next picture may be a minute away: is it there?
        if now >= self.heard.max(self.asked) + self.settings.timing.silence / 2
            && self.has_received()
        {
            self.next_keep_alive = now;
        }
        if now >= self.next_keep_alive {
            self.asked = now;
            self.next_keep_alive = now + self.kept.interval;
            self.kept.logs_in_again = false;
            match self.keep_alive() {
                // It is asked when it is dialled again.
                Err(Error::Closed) if self.has_ports() => {}
                asked => asked?,
            }
        }
        Ok(())
    }

    fn hear(&mut self, remark: Remark) -> Result<(), Error> {
        match remark {
            Remark::Teardown => Err(Error::Closed),
            Remark::Answer(answer) => self.on_answer(&answer),
        }
    }

    /// The answer to a request that keeps the session.
    fn on_answer(&mut self, answer: &Response) -> Result<(), Error> {
        match answer.status {
            // RFC 2326 §11.3.5: session not found.
            454 => Err(Error::Closed),
            401 if !self.kept.logs_in_again && self.dialogue.take_up(answer) => {
                self.kept.logs_in_again = true;
                self.keep_alive()
            }
            // Not every camera that lists a method knows it.
            400..600 if self.kept.method != "OPTIONS" => {
                self.kept.method = "OPTIONS";
                self.keep_alive()
            }
            _ => Ok(()),
        }
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        let headers = self.kept.headers();
        self.dialogue.send(&self.kept.request(&headers))
    }

    /// The connection is gone, but datagrams may go on: is the session still known?
    fn dial_again(&mut self, stop: &Stop) -> Result<(), Error> {
        let now = Instant::now();
        if now < self.next_dial {
            thread::sleep(self.patience().min(self.next_dial - now));
            return Ok(());
        }
        self.next_dial = now + DIAL_INTERVAL;
        debug!(camera = %self.settings.id, "the camera closed the connection; the session is asked for");
        let dial = Dial {
            address: &self.kept.address,
            trust: self.settings.trust,
            in_http: false,
            patience: KEEP_ALIVE_PATIENCE,
            stop,
        };
        self.dialogue.reconnect(dial.connect()?);
        let headers = self.kept.headers();
        let deadline = Instant::now() + KEEP_ALIVE_PATIENCE;
        let answer = self.dialogue.ask(&self.kept.request(&headers), deadline)?;
        if answer.status == 454 || !self.has_received() {
            return Err(Error::Closed);
        }
        self.dialogue.set_patience(self.patience())
    }

    fn report(&mut self) -> Result<(), Error> {
        for track in &mut self.tracks {
            match &mut track.way {
                Incoming::Channels { rtcp, packets, .. } => {
                    if let Some(report) = track.reports.write(packets.reception()) {
                        self.dialogue.send_packet(*rtcp, &report)?;
                    }
                }
                Incoming::Ports { datagrams, .. } => {
                    let reception = datagrams.with_packets(|packets| packets.reception().copied());
                    if let Some(report) = track.reports.write(reception.as_ref()) {
                        datagrams.report(&report);
                    }
                }
            }
        }
        Ok(())
    }

    fn note_heard(&mut self, now: Instant) {
        self.heard = now;
        self.counts.note_heard(now);
    }

    /// How long the connection is read before it is looked whether something is to be done.
    fn patience(&self) -> Duration {
        PATIENCE.min(self.settings.timing.silence / 4)
    }

    fn observe(&mut self) {
        let mut is_heard = false;
        for track in &mut self.tracks {
            let clock = match &track.way {
                Incoming::Channels { packets, .. } => packets.clock(),
                Incoming::Ports { datagrams, .. } => {
                    datagrams.take_reports(|bytes| {
                        is_heard = true;
                        // That the camera ends the track shows in its packets.
                        if let Some(report) = track.reports.take(bytes).time {
                            datagrams.with_packets(|packets| packets.note_report(report));
                        }
                    });
                    let (clock, seen) = datagrams.with_packets(|packets| {
                        let reception = packets.reception();
                        let seen = reception.map(|reception| reception.highest_sequence);
                        (packets.clock(), seen)
                    });
                    is_heard |= seen != std::mem::replace(&mut track.seen, seen);
                    clock
                }
            };
            let reports = track.reports.seen();
            self.counts.observed.note(track.kind, clock, reports);
        }
        if is_heard {
            self.note_heard(Instant::now());
        }
    }

    fn tell_skipped(&mut self) {
        let skipped_bytes = self.dialogue.skipped_bytes();
        if skipped_bytes != self.skipped_bytes {
            let bytes = skipped_bytes - self.skipped_bytes;
            warn!(camera = %self.settings.id, bytes, "the camera sent what is neither RTSP nor RTP");
            self.skipped_bytes = skipped_bytes;
        }
    }

    fn has_ports(&self) -> bool {
        let has = |track: &Track| matches!(track.way, Incoming::Ports { .. });
        self.tracks.iter().any(has)
    }

    fn has_received(&self) -> bool {
        self.tracks.iter().any(|track| match &track.way {
            Incoming::Channels { packets, .. } => packets.reception().is_some(),
            Incoming::Ports { datagrams, .. } => {
                datagrams.with_packets(|packets| packets.reception().is_some())
            }
        })
    }

    /// Ends the session at the camera, so that it has room for the next. Its answer tells nothing.
    pub(super) fn say_goodbye(mut self) {
        self.kept.method = "TEARDOWN";
        if let Err(error) = self.keep_alive() {
            debug!(camera = %self.settings.id, %error, "the camera does not hear the end of the session");
        }
    }
}

impl Kept {
    fn headers(&self) -> Vec<(&'static str, &str)> {
        let session = self.session.iter();
        session.map(|id| ("Session", id.as_str())).collect()
    }

    /// The request that keeps the session.
    fn request<'a>(&'a self, headers: &'a [(&'static str, &'a str)]) -> Request<'a> {
        Request {
            method: self.method,
            uri: &self.uri,
            headers,
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        for track in &mut self.tracks {
            if let Incoming::Ports {
                datagrams,
                receiver,
            } = &mut track.way
            {
                datagrams.stop();
                if let Some(receiver) = receiver.take() {
                    // A panic in it has been told of by the panic hook; the session ends of the silence.
                    let _ = receiver.join();
                }
            }
        }
    }
}

impl Track {
    fn begin<T: Tracks>(
        reader: &Reader<T>,
        track: ReadyTrack,
        alignment: &Alignment,
    ) -> Result<Self, Error> {
        let is_jittery = matches!(track.route, Route::Ports { .. });
        let TrackEntry { pad, pipeline } = reader.tracks.add(&track.caps, is_jittery)?;
        let fields = track.caps.structure(0);
        let media = fields.and_then(|fields| fields.get("media").ok());
        let is_picture = media == Some("video");
        let kind = match is_picture {
            true => TrackKind::Video,
            false => TrackKind::Audio,
        };
        let clock = RtpClock::of(&track.caps);
        let arrival = match clock {
            Some(_) if !is_jittery => Arrival::Exact,
            _ => Arrival::Jittery {
                pipeline,
                kept: clock.is_some().then(KeptTimes::new),
            },
        };
        let role = match clock {
            Some(_) if is_picture => Role::Leads,
            Some(_) => Role::Follows,
            None => Role::Alone,
        };
        let clock = clock.unwrap_or_else(|| RtpClock::new(90_000));
        let counts = Arc::clone(&reader.counts);
        let packets = Packets::new(pad, arrival, clock, role, alignment.clone(), counts);
        let way = match track.route {
            Route::Channels(rtp, rtcp) => Incoming::Channels {
                rtp,
                rtcp,
                packets: Box::new(packets),
            },
            Route::Ports { ports, from } => {
                let datagrams = Datagrams::new(ports, from, packets);
                datagrams.open_way();
                let receiving = Arc::clone(&datagrams);
                let name = format!("rtp {}", reader.settings.id);
                let camera = tracing::Span::current();
                let receiver = thread::Builder::new()
                    .name(name)
                    .spawn(move || camera.in_scope(|| receiving.receive()))
                    .map_err(|error| Error::Thread(error.kind()))?;
                Incoming::Ports {
                    datagrams,
                    receiver: Some(receiver),
                }
            }
        };
        Ok(Self {
            kind,
            way,
            reports: Reports::new(),
            seen: None,
        })
    }
}

/// Gives what came on a channel to its track. Returns since when the camera has said goodbye.
fn take(
    tracks: &mut [Track],
    channel: u8,
    bytes: &[u8],
    goodbye: Option<Instant>,
) -> Option<Instant> {
    for track in tracks {
        let Incoming::Channels { rtp, rtcp, packets } = &mut track.way else {
            continue;
        };
        if *rtp == channel {
            packets.take(bytes);
            // It says goodbye and stays.
            return None;
        }
        if *rtcp == channel {
            let heard = track.reports.take(bytes);
            if let Some(report) = heard.time {
                packets.note_report(report);
            }
            return match heard.ends {
                true => goodbye.or_else(|| Some(Instant::now())),
                false => goodbye,
            };
        }
    }
    goodbye
}

/// The pipeline is being stopped, or one of its elements has said on the bus what is wrong.
fn taken_no_more(flow: gst::FlowError) -> Error {
    Error::Element {
        element: "source".to_owned(),
        message: format!("the pipeline takes no more packets ({flow})"),
    }
}
