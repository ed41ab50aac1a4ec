//! The cameras: GStreamer's server, and scripts where a server cannot be told to fail so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chrono::Utc;
use dayreel_testcam::{
    AudioCodec, Camera, Format, PictureSettings, Record, SentUnit, Settings, Source, Track,
    VideoCodec,
    scripted::{Command, Script, ScriptedCamera},
};
use dayreel_tests::stage::camera_identity;

use crate::{
    fault::{Fault, Kind},
    following::Subject,
};

/// Calm between two faults of a camera, s: of the first, and how much longer that of each further
/// camera is, so that faults of different cameras meet in ever different ways.
const CALM_S: u64 = 45;
const MORE_S: u64 = 7;
/// RTP ticks of a picture's second, and how far the clock jumps.
const JUMP_S: i32 = 10;

/// A camera, what has been done to it, and what is done next.
pub(crate) struct Watched {
    pub(crate) id: &'static str,
    pub(crate) video: VideoCodec,
    pub(crate) audio: Option<AudioCodec>,
    /// Further lines of its table in the configuration.
    settings: &'static str,
    make: Make,
    /// In turn.
    kinds: &'static [Kind],
    pub(crate) faults: Vec<Fault>,
    calm: Duration,
    now: Now,
}

enum Make {
    Server(Box<Camera>),
    Script(ScriptedCamera, Arc<Dials>),
}

/// What the script of a camera looks at.
#[derive(Default)]
struct Dials {
    not_found: AtomicBool,
    full: AtomicBool,
    loses: AtomicBool,
    /// Of RTP time, s.
    ahead_s: AtomicI32,
}

#[derive(Clone, Copy)]
enum Now {
    CalmUntil(Instant),
    FailsUntil(Instant),
}

/// All eight, started.
///
/// # Errors
/// One does not start.
pub(crate) fn all() -> Result<Vec<Watched>> {
    use AudioCodec::{Aac, Alaw, Mulaw, Opus};
    use Kind::{ClockJumps, Full, Goodbye, Hangs, HangsUp, Loss, NotFound, Silent};
    use VideoCodec::{H264, H265, Mjpeg};
    let (tcp, tls) = ("", "tls_verify = false\n");
    let (udp, udp_drop) = (
        "transport = \"udp\"\n",
        "transport = \"udp\"\non_loss = \"drop\"\n",
    );
    let cameras = [
        Watched::server("h264-tcp", H264, Some(Aac), tcp),
        Watched::server("h265-tcp", H265, Some(Alaw), tcp),
        Watched::server("mjpeg-tcp", Mjpeg, None, tcp),
        Watched::server("h264-http", H264, Some(Aac), "transport = \"http\"\n"),
        Watched::server("h264-tls", H264, Some(Opus), tls),
        Watched::script(
            "h264-udp",
            H264,
            Some(Aac),
            udp,
            &[Loss, ClockJumps, Silent],
        ),
        Watched::script(
            "h265-udp",
            H265,
            Some(Mulaw),
            udp_drop,
            &[Loss, Full, Goodbye],
        ),
        Watched::script(
            "h264-odd",
            H264,
            Some(Aac),
            tcp,
            &[HangsUp, ClockJumps, Silent, NotFound, Hangs, Goodbye, Full],
        ),
    ];
    cameras
        .into_iter()
        .zip(0..)
        .map(|(camera, index)| {
            let mut camera = camera?;
            camera.calm = Duration::from_secs(CALM_S + MORE_S * index);
            let first = Duration::from_secs(30 + 5 * index);
            camera.now = Now::CalmUntil(Instant::now() + first);
            Ok(camera)
        })
        .collect()
}

impl Watched {
    fn server(
        id: &'static str,
        video: VideoCodec,
        audio: Option<AudioCodec>,
        settings: &'static str,
    ) -> Result<Self> {
        let small = PictureSettings::small();
        let picture = match video {
            // Blocks of 8 pixels.
            VideoCodec::Mjpeg => PictureSettings {
                height: 96,
                fps: 10,
                ..small
            },
            _ => small,
        };
        let identity = camera_identity(settings)?;
        let camera = Camera::start(Settings {
            source: Source::Picture(PictureSettings {
                codec: video,
                audio,
                ..picture
            }),
            identity,
            ..Settings::default()
        })?;
        let make = Make::Server(Box::new(camera));
        Ok(Self::new(id, (video, audio), settings, make, &[Kind::Away]))
    }

    fn script(
        id: &'static str,
        video: VideoCodec,
        audio: Option<AudioCodec>,
        settings: &'static str,
        kinds: &'static [Kind],
    ) -> Result<Self> {
        let dials = Arc::new(Dials::default());
        let mut script = Script::new(video, audio)?;
        let looks = Arc::clone(&dials);
        script.rewrite("DESCRIBE", move |_, reply| {
            if looks.not_found.load(Ordering::Relaxed) {
                reply.refuse("404 Not Found");
            } else if looks.full.load(Ordering::Relaxed) {
                reply.refuse("453 Not Enough Bandwidth");
            }
        });
        let looks = Arc::clone(&dials);
        script.edit_times(move |unit| {
            let rate_hz = match (unit.track, audio) {
                (0, _) => 90_000,
                (_, Some(AudioCodec::Aac)) => 48_000,
                _ => 8_000,
            };
            let ahead_s = looks.ahead_s.load(Ordering::Relaxed);
            unit.time.wrapping_add_signed(ahead_s * rate_hz)
        });
        let looks = Arc::clone(&dials);
        script.edit_packets(move |packet| {
            match looks.loses.load(Ordering::Relaxed) && packet.sequence % 31 == 3 {
                true => vec![],
                false => vec![packet],
            }
        });
        let make = Make::Script(ScriptedCamera::start(script)?, dials);
        Ok(Self::new(id, (video, audio), settings, make, kinds))
    }

    fn new(
        id: &'static str,
        (video, audio): (VideoCodec, Option<AudioCodec>),
        settings: &'static str,
        make: Make,
        kinds: &'static [Kind],
    ) -> Self {
        Self {
            id,
            video,
            audio,
            settings,
            make,
            kinds,
            faults: vec![],
            calm: Duration::ZERO,
            now: Now::CalmUntil(Instant::now()),
        }
    }

    /// As players see it.
    pub(crate) fn subject(&self) -> Subject {
        let is_irregular = |kind: &Kind| matches!(kind, Kind::Loss | Kind::ClockJumps);
        Subject {
            id: self.id,
            has_sound: self.audio.is_some(),
            is_regular: !self.kinds.iter().any(is_irregular),
        }
    }

    /// Its table in the configuration.
    pub(crate) fn table(&self) -> String {
        let url = match &self.make {
            Make::Server(camera) => camera.url(),
            Make::Script(camera, _) => camera.url(),
        };
        let (id, settings) = (self.id, self.settings);
        format!("[[camera]]\nid = \"{id}\"\nrtsp = \"{url}\"\n{settings}")
    }

    /// How its access units are framed where they are recorded as they came; `None` where they are
    /// encoded anew.
    pub(crate) fn format(&self, track: Track) -> Option<Format> {
        match track {
            Track::Video if self.video == VideoCodec::Mjpeg => None,
            Track::Video => Some(Format::LengthPrefixed(self.video)),
            Track::Audio => (self.audio == Some(AudioCodec::Aac)).then_some(Format::Raw),
        }
    }

    /// What it has sent.
    ///
    /// # Errors
    /// It remembers nothing.
    pub(crate) fn sent(&self, track: Track) -> Result<Vec<SentUnit>> {
        let record: &Record = match &self.make {
            Make::Server(camera) => camera.record().context("no record")?,
            Make::Script(camera, _) => camera.record(),
        };
        Ok(record.units(track))
    }

    /// Ends the fault of the moment when it is time, or begins the next one if the camera `is_live`
    /// and can recover in the time that is `left`.
    ///
    /// # Errors
    /// A camera does not come back.
    pub(crate) fn step(&mut self, is_live: bool, left: Duration) -> Result<()> {
        let now = Instant::now();
        match self.now {
            Now::FailsUntil(end) if now >= end => self.end_fault(),
            Now::CalmUntil(end) if now >= end && is_live => {
                let n = self.faults.len();
                let kind = self.kinds[n % self.kinds.len()];
                let duration = kind.duration(u32::try_from(n)?);
                let recovery = kind.recovery().unwrap_or_default().to_std()?;
                if left >= duration + recovery {
                    self.begin_fault(kind)?;
                    self.now = Now::FailsUntil(now + duration);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin_fault(&mut self, kind: Kind) -> Result<()> {
        let now = Utc::now();
        self.faults.push(Fault {
            kind,
            from: now,
            to: now,
        });
        match (&mut self.make, kind) {
            (Make::Server(camera), _) => camera.stop()?,
            (Make::Script(camera, dials), kind) => {
                let on = |dial: &AtomicBool| dial.store(true, Ordering::Relaxed);
                match kind {
                    Kind::Loss => on(&dials.loses),
                    Kind::NotFound => on(&dials.not_found),
                    Kind::Full => on(&dials.full),
                    Kind::ClockJumps => dials.ahead_s.store(JUMP_S, Ordering::Relaxed),
                    Kind::Silent | Kind::Hangs | Kind::HangsUp | Kind::Goodbye | Kind::Away => {}
                }
                let command = match kind {
                    Kind::Loss | Kind::ClockJumps => None,
                    Kind::Silent => Some(Command::FallSilent),
                    Kind::Hangs => Some(Command::Hang),
                    Kind::Goodbye => Some(Command::SayGoodbye),
                    Kind::HangsUp | Kind::Away | Kind::NotFound | Kind::Full => {
                        Some(Command::Close)
                    }
                };
                if let Some(command) = command {
                    camera.command(command);
                }
            }
        }
        Ok(())
    }

    /// Ends the fault of the moment, if there is one.
    ///
    /// # Errors
    /// A camera does not come back.
    pub(crate) fn end_fault(&mut self) -> Result<()> {
        let (Now::FailsUntil(_), Some(fault)) = (self.now, self.faults.last_mut()) else {
            return Ok(());
        };
        match &mut self.make {
            Make::Server(camera) => camera.restart()?,
            Make::Script(_, dials) => {
                dials.not_found.store(false, Ordering::Relaxed);
                dials.full.store(false, Ordering::Relaxed);
                dials.loses.store(false, Ordering::Relaxed);
                dials.ahead_s.store(0, Ordering::Relaxed);
            }
        }
        fault.to = Utc::now();
        println!("{:10} {fault}", self.id);
        self.now = Now::CalmUntil(Instant::now() + self.calm);
        Ok(())
    }
}
