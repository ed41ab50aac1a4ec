//! The media of one session: which packet goes out when.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use chrono::Utc;

use super::{
    packets::{Packet, goodbye, interleaved, payloads, sender_report},
    reel::{Content, Reel},
    script::{Feed, Start, Unit},
    sdp::Media,
};
use crate::{Fingerprint, Format, Record, SentUnit, Track, normal_form::normalise};

/// How often a track reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How the packets of a track travel.
#[derive(Debug)]
pub(crate) enum Route {
    /// Within the connection.
    Channels { rtp: u8, rtcp: u8 },
    /// As datagrams: sockets of RTP and RTCP, and where they send to.
    Ports([(UdpSocket, SocketAddr); 2]),
}

/// A track that a client has set up.
#[derive(Debug)]
pub(crate) struct SetUp {
    /// In the description.
    pub(crate) index: usize,
    pub(crate) media: Media,
    pub(crate) route: Route,
}

/// A session that plays. Used by the thread of its connection.
pub(crate) struct Playing {
    feed: Feed,
    tracks: Vec<PlayingTrack>,
    record: Record,
    /// Number of the connection.
    run: u32,
    began: Instant,
    /// Wall time of `began`, since the Unix epoch.
    began_at: Duration,
    next_report: Instant,
}

struct PlayingTrack {
    /// In the description.
    index: usize,
    content: Content,
    reel: Arc<Reel>,
    /// What the picture grows to.
    larger: Option<Arc<Reel>>,
    payload_type: u8,
    route: Route,
    start: Start,
    /// Number of the next access unit.
    next: u64,
    sequence: u16,
    sent_packets: u32,
    /// Packets that wait until others have overtaken them.
    held: Vec<Packet>,
}

impl Playing {
    /// Begins now, with the tracks that have media among those set up.
    ///
    /// # Errors
    /// GStreamer has no encoder for a track.
    pub(crate) fn begin(feed: &Feed, set_up: Vec<SetUp>, record: Record, run: u32) -> Result<Self> {
        let mut tracks = vec![];
        for SetUp {
            index,
            media,
            route,
        } in set_up
        {
            let Some(content) = media.content else {
                continue;
            };
            let larger = match (content, feed.grows_at) {
                (Content::Video { codec, .. }, Some(_)) => Some(Reel::of(Content::Video {
                    codec,
                    is_large: true,
                })?),
                _ => None,
            };
            let start = feed.start(index);
            tracks.push(PlayingTrack {
                index,
                content,
                reel: Reel::of(content)?,
                larger,
                payload_type: media.payload_type,
                route,
                start,
                next: 0,
                sequence: start.sequence,
                sent_packets: 0,
                held: vec![],
            });
        }
        let now = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            feed: feed.clone(),
            tracks,
            record,
            run,
            began: now,
            began_at: wall.unwrap_or_default(),
            next_report: now,
        })
    }

    /// When there is something to send.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self
            .tracks
            .iter()
            .map(|track| self.began + track.due(&self.feed));
        due.min()
    }

    /// Sends what is due.
    pub(crate) fn send_due(&mut self, stream: &mut TcpStream, now: Instant) -> io::Result<()> {
        if now >= self.next_report {
            self.next_report = now + REPORT_INTERVAL;
            self.report(stream, now)?;
        }
        loop {
            let by_due = |track: &&mut PlayingTrack| track.due(&self.feed);
            let first = self.tracks.iter_mut().min_by_key(by_due);
            let Some(track) = first.filter(|track| self.began + track.due(&self.feed) <= now)
            else {
                return Ok(());
            };
            for unit in track.take(&self.feed) {
                if let Some(sent) = track.describe(&unit, self.run) {
                    self.record.add(sent);
                }
                for packet in track.packets(unit) {
                    let edits = self.feed.packet_edits.iter();
                    let edited = edits.fold(vec![packet], |packets, edit| {
                        packets
                            .into_iter()
                            .flat_map(|packet| edit(packet))
                            .collect()
                    });
                    for packet in edited {
                        track.send(packet, stream)?;
                    }
                }
            }
        }
    }

    /// A sender report of each track.
    fn report(&mut self, stream: &mut TcpStream, now: Instant) -> io::Result<()> {
        let Some(off_ms) = &self.feed.reports_off_ms else {
            return Ok(());
        };
        for track in &self.tracks {
            let off_ms = off_ms.get(track.index).copied().unwrap_or(0);
            let elapsed = now - self.began;
            let off = Duration::from_millis(off_ms.unsigned_abs());
            let at = self.began_at + elapsed;
            let at = if off_ms < 0 {
                at.saturating_sub(off)
            } else {
                at + off
            };
            let media = elapsed.mul_f64(self.feed.speed);
            let ticks = media.as_micros() * u128::from(track.reel.clock_rate_hz) / 1_000_000;
            let ticks = u32::try_from(ticks & 0xffff_ffff).unwrap_or_default();
            let time = track.start.time.wrapping_add(ticks);
            let report = sender_report(track.start.ssrc, time, at, track.sent_packets);
            track.send_rtcp(&report, stream)?;
        }
        Ok(())
    }

    /// RTCP says that all sources end.
    pub(crate) fn say_goodbye(&self, stream: &mut TcpStream) -> io::Result<()> {
        for track in &self.tracks {
            track.send_rtcp(&goodbye(track.start.ssrc), stream)?;
        }
        Ok(())
    }
}

impl PlayingTrack {
    /// When the next access unit goes out, from the start of the session.
    fn due(&self, feed: &Feed) -> Duration {
        let media_us = u128::from(self.next) * u128::from(self.reel.unit_ticks) * 1_000_000
            / u128::from(self.reel.clock_rate_hz);
        let media = Duration::from_micros(u64::try_from(media_us).unwrap_or(u64::MAX));
        media.div_f64(feed.speed)
    }

    /// The next access unit, as the script wants it.
    fn take(&mut self, feed: &Feed) -> Vec<Unit> {
        let number = self.next;
        self.next += 1;
        let grown = self
            .larger
            .as_ref()
            .filter(|_| feed.grows_at.is_some_and(|at| number >= at));
        let reel = grown.unwrap_or(&self.reel);
        let unit = reel.unit(number);
        let sets = match unit.is_keyframe && feed.has_sets_in_band {
            true => &reel.sets[..],
            false => &[],
        };
        let ticks = (number * u64::from(reel.unit_ticks)) & 0xffff_ffff;
        let unit = Unit {
            track: self.index,
            number,
            is_keyframe: unit.is_keyframe,
            time: self
                .start
                .time
                .wrapping_add(u32::try_from(ticks).unwrap_or_default()),
            pieces: sets.iter().chain(&unit.pieces).cloned().collect(),
        };
        feed.unit_edits.iter().fold(vec![unit], |units, edit| {
            units.into_iter().flat_map(|unit| edit(unit)).collect()
        })
    }

    /// What the record holds of it; `None` if it shows nothing.
    fn describe(&self, unit: &Unit, run: u32) -> Option<SentUnit> {
        let normal_form = match self.content {
            Content::Video { codec, .. } => {
                let framed = unit.pieces.iter().flat_map(|nal| {
                    let length = u32::try_from(nal.len()).unwrap_or_default();
                    [&length.to_be_bytes()[..], nal].concat()
                });
                normalise(&framed.collect::<Vec<u8>>(), Format::LengthPrefixed(codec)).ok()?
            }
            _ => unit.pieces.concat(),
        };
        let is_video = matches!(self.content, Content::Video { .. });
        (!normal_form.is_empty()).then(|| SentUnit {
            track: if is_video { Track::Video } else { Track::Audio },
            run,
            number: u32::try_from(unit.number).unwrap_or(u32::MAX),
            is_keyframe: unit.is_keyframe,
            rtp_timestamp: unit.time,
            clock_rate_hz: self.reel.clock_rate_hz,
            sent_us: Utc::now().timestamp_micros(),
            normal_form_bytes: normal_form.len(),
            sha256: Fingerprint::of_normal_form(&normal_form),
        })
    }

    fn packets(&mut self, unit: Unit) -> Vec<Packet> {
        let payloads = payloads(&unit.pieces, self.content);
        let last = payloads.len().saturating_sub(1);
        let packets = payloads.into_iter().enumerate().map(|(index, payload)| {
            let sequence = self.sequence;
            self.sequence = sequence.wrapping_add(1);
            Packet {
                track: self.index,
                unit: unit.number,
                is_keyframe: unit.is_keyframe,
                ssrc: self.start.ssrc,
                sequence,
                time: unit.time,
                // G.711 marks the beginning of speech instead (RFC 3551 §4.1), which never pauses here.
                marker: index == last && !matches!(self.content, Content::G711 { .. }),
                payload_type: self.payload_type,
                payload,
                overtaken_by: 0,
                raw_before: vec![],
            }
        });
        packets.collect()
    }

    fn send(&mut self, packet: Packet, stream: &mut TcpStream) -> io::Result<()> {
        if packet.overtaken_by > 0 {
            self.held.push(packet);
            return Ok(());
        }
        self.write(&packet, stream)?;
        for held in &mut self.held {
            held.overtaken_by -= 1;
        }
        let (now, later) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|packet| packet.overtaken_by == 0);
        self.held = later;
        now.iter()
            .try_for_each(|packet: &Packet| self.write(packet, stream))
    }

    fn write(&mut self, packet: &Packet, stream: &mut TcpStream) -> io::Result<()> {
        self.sent_packets += 1;
        stream.write_all(&packet.raw_before)?;
        match &self.route {
            Route::Channels { rtp, .. } => stream.write_all(&interleaved(*rtp, &packet.bytes())),
            Route::Ports([(socket, to), _]) => send_datagram(socket, *to, &packet.bytes()),
        }
    }

    fn send_rtcp(&self, bytes: &[u8], stream: &mut TcpStream) -> io::Result<()> {
        match &self.route {
            Route::Channels { rtcp, .. } => stream.write_all(&interleaved(*rtcp, bytes)),
            Route::Ports([_, (socket, to)]) => send_datagram(socket, *to, bytes),
        }
    }
}

/// That nobody listens there is no concern of a camera's.
fn send_datagram(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    match socket.send_to(bytes, to) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}

impl Feed {
    /// Where a track begins.
    pub(crate) fn start(&self, index: usize) -> Start {
        self.starts
            .get(index)
            .copied()
            .unwrap_or_else(|| Start::of(index))
    }
}
