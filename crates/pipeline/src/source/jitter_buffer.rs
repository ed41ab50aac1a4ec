//! Datagrams in the order they were sent, each with the time it came with.
//!
//! ```text
//! packet + its time ─ rtpjitterbuffer ─ its time again ─▶ depayloader
//! ```
//!
//! `rtpjitterbuffer` makes times of its own. Where an RTP clock jumps it begins anew at 0 with the next packet
//! of that track: sound and picture, which jump together, would not be as far apart behind it as before.
//! What a jump means is for the media clock to say, which sees both tracks, and it has to see how far it is.

use std::sync::Weak;

use gstreamer as gst;
use gstreamer::{glib, prelude::*};

use crate::{Error, panics, session::Parts};

/// How long what is missing is waited for.
const LATENCY_MS: u32 = 500;

/// Puts packets in order before `track`. Returns where they go in.
///
/// # Errors
/// It does not fit or does not start.
pub(crate) fn build(
    pipeline: &gst::Pipeline,
    track: &gst::Pad,
    parts: Weak<Parts>,
) -> Result<gst::Pad, Error> {
    let buffer = gst::ElementFactory::make("rtpjitterbuffer")
        // By RTP durations it knows when what is missing is due.
        .property_from_str("mode", "none")
        .property("latency", LATENCY_MS)
        .build()?;
    pipeline.add(&buffer)?;
    let pad = |name| {
        let pad = buffer.static_pad(name);
        pad.ok_or_else(|| glib::bool_error!("the jitter buffer has no pad {name}"))
    };
    let behind = pad("src")?;
    panics::add_probe(&behind, gst::PadProbeType::BUFFER, parts, |_, info| {
        if let Some(gst::PadProbeData::Buffer(packet)) = &mut info.data {
            restore(packet);
        }
        gst::PadProbeReturn::Ok
    });
    behind
        .link(track)
        .map_err(|_| glib::bool_error!("the track does not fit the jitter buffer"))?;
    buffer.sync_state_with_parent()?;
    Ok(pad("sink")?)
}

/// Keeps the times of a track's packets. Used by the thread that reads it.
pub(crate) struct KeptTimes {
    /// Whose they are.
    mark: gst::Caps,
}

impl KeptTimes {
    pub(crate) fn new() -> Self {
        Self {
            mark: gst::Caps::new_empty_simple("timestamp/x-dayreel-rtp"),
        }
    }

    /// Keeps `time` for a packet, which has it again behind the jitter buffer.
    pub(crate) fn keep(&self, packet: &mut gst::BufferRef, time: gst::ClockTime) {
        gst::ReferenceTimestampMeta::add(packet, &self.mark, time, gst::ClockTime::NONE);
    }
}

/// Gives a packet the time that was kept for it.
fn restore(packet: &mut gst::Buffer) {
    let kept = packet.meta::<gst::ReferenceTimestampMeta>();
    let Some(time) = kept.map(|kept| kept.timestamp()) else {
        return;
    };
    let packet = packet.make_mut();
    if let Some(kept) = packet.meta_mut::<gst::ReferenceTimestampMeta>() {
        // Depayloaders would copy it. It can be removed: nobody has locked it.
        let _ = kept.remove();
    }
    packet.set_pts(time);
    packet.set_dts(gst::ClockTime::NONE);
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, channel},
        time::Duration,
    };

    use super::*;

    const PICTURE_MS: u64 = 40;

    fn packet(sequence: u16, rtp: u32, kept_ms: u64, arrived_ms: u64) -> gst::Buffer {
        let mut bytes = vec![0x80, 0x80 | 96];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(rtp.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0x65]);
        let mut packet = gst::Buffer::from_mut_slice(bytes);
        let buffer = packet.make_mut();
        let arrived = gst::ClockTime::from_mseconds(arrived_ms);
        buffer.set_pts(arrived);
        buffer.set_dts(arrived);
        KeptTimes::new().keep(buffer, gst::ClockTime::from_mseconds(kept_ms));
        packet
    }

    /// A jitter buffer that runs.
    struct Running {
        pipeline: gst::Pipeline,
        /// Where packets go in.
        pad: gst::Pad,
        /// Where they come out, and tell so.
        _track: gst::Pad,
        came: Receiver<gst::Buffer>,
    }

    fn started() -> Running {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let (sender, came) = channel();
        let track = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, packet| {
                sender.send(packet).unwrap();
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        track.set_active(true).unwrap();
        let entry = build(&pipeline, &track, Weak::new()).unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.link(&entry).unwrap();
        pad.set_active(true).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", "H264")
            .field("clock-rate", 90_000)
            .field("payload", 96)
            .build();
        pad.push_event(gst::event::StreamStart::new("rtp"));
        pad.push_event(gst::event::Caps::new(&caps));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        pad.push_event(gst::event::Segment::new(&segment));
        Running {
            pipeline,
            pad,
            _track: track,
            came,
        }
    }

    /// Behind a jump times began at 0 again.
    #[test]
    fn regression_a_jump_was_as_far_as_the_session_was_long() {
        let running = started();
        let order = [0, 1, 2, 4, 3, 5, 6, 7, 9, 8, 10, 11];
        for n in order {
            let sent_ms = u64::from(n) * PICTURE_MS;
            let rtp = 2_000_000 + u32::from(n) * 3_600;
            let (rtp, arrived_ms) = match n < 6 {
                true => (rtp, sent_ms),
                false => (rtp - 900_000, sent_ms + 3_000),
            };
            let packet = packet(n, rtp, 7_000 + sent_ms, arrived_ms);
            running.pad.push(packet).unwrap();
        }
        for n in 0..12 {
            let packet = running.came.recv_timeout(Duration::from_secs(30)).unwrap();
            let due = gst::ClockTime::from_mseconds(7_000 + n * PICTURE_MS);
            assert_eq!((packet.pts(), packet.dts()), (Some(due), None), "{n}");
            assert!(packet.meta::<gst::ReferenceTimestampMeta>().is_none());
        }
        running.pipeline.set_state(gst::State::Null).unwrap();
    }
}
