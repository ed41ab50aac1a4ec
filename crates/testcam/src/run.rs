//! One run of a camera's encoder: from the first client's DESCRIBE until the last client leaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gstreamer::{self as gst, glib::translate::IntoGlib as _, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_rtsp_server::{self as gst_rtsp_server, prelude::*};
use parking_lot::{Condvar, Mutex};

use crate::{
    Format, ParameterSets, PictureSettings, Record, Settings, Source, Track, VideoCodec,
    feed::feed,
    launch,
    looping::{LoopedAudio, LoopedVideo},
    media_file::MediaFile,
    picture::Pictures,
    sound::{self, Sound},
    tap::{Counting, Numbers, Tap},
    timeline::Timeline,
};

/// What outlives a run: the numbers go on, also over stop and start.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    next_run: Arc<AtomicU32>,
    next_picture: Arc<AtomicU32>,
    next_sound: Arc<AtomicU32>,
}

/// Everything needed to begin a run.
pub(crate) struct Programme {
    name: String,
    show: Show,
    parameter_sets: ParameterSets,
    counters: Counters,
    record: Option<Record>,
    running: Running,
}

enum Show {
    Picture(PictureSettings),
    File(Arc<MediaFile>),
}

impl Programme {
    /// Prepares what the settings ask for; a file is read here.
    ///
    /// # Errors
    /// If a plugin is missing, or the file cannot be used.
    pub(crate) fn new(
        settings: &Settings,
        counters: Counters,
        record: Option<Record>,
    ) -> Result<Self> {
        let show = match &settings.source {
            Source::Picture(picture) => Show::Picture(picture.clone()),
            Source::File(path) => Show::File(Arc::new(MediaFile::load(path)?)),
        };
        let programme = Self {
            name: settings.name.clone(),
            show,
            parameter_sets: settings.parameter_sets,
            counters,
            record,
            running: Running::default(),
        };
        launch::check_plugins(&programme.launch())?;
        Ok(programme)
    }

    /// The pipeline as text.
    pub(crate) fn launch(&self) -> String {
        match &self.show {
            Show::Picture(picture) => launch::picture(picture),
            Show::File(file) => launch::file(file.video.codec, file.audio.is_some()),
        }
    }

    /// The runs that are going on.
    pub(crate) fn running(&self) -> Running {
        self.running.clone()
    }

    /// Begins a run in the pipeline just built from [`Self::launch`].
    ///
    /// # Errors
    /// If that is not the pipeline it was.
    pub(crate) fn begin(&self, media: &gst_rtsp_server::RTSPMedia) -> Result<()> {
        let bin = media.element().downcast::<gst::Bin>();
        let bin = bin.ok().context("the pipeline is no bin")?;
        let timeline = Arc::new(Timeline::default());
        let run = self.counters.next_run.fetch_add(1, Ordering::Relaxed);
        let mut taps = vec![self.begin_video(&bin, run, &timeline)?];
        taps.extend(self.begin_audio(&bin, run, &timeline)?);
        media.connect_prepared(move |media| {
            for (stream, tap) in taps.iter().enumerate() {
                if let Some(pad) = rtp_src(media, stream) {
                    tap.watch_exit(&pad);
                }
            }
        });
        let running = self.running();
        running.add(Arc::clone(&timeline));
        let of_run = Arc::clone(&timeline);
        let finalized = (running.clone(), Arc::clone(&timeline));
        media.connect_unprepared(move |_| running.remove(&of_run));
        // One that never got as far as to be prepared.
        media.add_weak_ref_notify(move || finalized.0.remove(&finalized.1));
        media.connect_target_state(move |_, state| {
            if state == gst::State::Playing.into_glib() {
                timeline.play();
            }
        });
        Ok(())
    }

    fn begin_video(&self, bin: &gst::Bin, run: u32, timeline: &Arc<Timeline>) -> Result<Arc<Tap>> {
        let numbers = Numbers::default();
        let next = Arc::clone(&self.counters.next_picture);
        let appsrc = appsrc(bin, launch::PICTURES)?;
        let codec = match &self.show {
            Show::Picture(settings) => {
                let pictures = Pictures::new(settings, &self.name, next, numbers.clone())?;
                appsrc.set_caps(Some(&pictures.caps()?));
                feed(&appsrc, Arc::clone(timeline), pictures);
                settings.codec
            }
            Show::File(file) => {
                appsrc.set_caps(Some(&file.video.caps));
                let pictures = LoopedVideo {
                    file: Arc::clone(file),
                    made: 0,
                    next,
                    numbers: numbers.clone(),
                };
                feed(&appsrc, Arc::clone(timeline), pictures);
                file.video.codec
            }
        };
        let keeps_times = codec != VideoCodec::Mpeg4 || matches!(self.show, Show::File(_));
        let counting = match keeps_times {
            true => Counting::Pictures,
            false => Counting::PicturesInOrder,
        };
        self.tap(
            bin,
            "pay0",
            Tap {
                track: Track::Video,
                run,
                format: Format::of_video(codec),
                clock_rate_hz: 90_000,
                counting: counting(numbers),
                parameter_sets: self.parameter_sets,
                record: self.record.clone(),
                inside: Mutex::default(),
            },
        )
    }

    fn begin_audio(
        &self,
        bin: &gst::Bin,
        run: u32,
        timeline: &Arc<Timeline>,
    ) -> Result<Option<Arc<Tap>>> {
        let (clock_rate_hz, block) = match &self.show {
            Show::Picture(settings) => {
                let Some(codec) = settings.audio else {
                    return Ok(None);
                };
                feed(
                    &appsrc(bin, launch::SOUND)?,
                    Arc::clone(timeline),
                    Sound::new(codec),
                );
                (sound::shape(codec).0, sound::unit_samples(codec))
            }
            Show::File(file) => {
                let Some(audio) = &file.audio else {
                    return Ok(None);
                };
                let appsrc = appsrc(bin, launch::SOUND)?;
                appsrc.set_caps(Some(&audio.caps));
                let sound = LoopedAudio {
                    file: Arc::clone(file),
                    made: 0,
                };
                feed(&appsrc, Arc::clone(timeline), sound);
                (u32::try_from(audio.rate_hz)?, u32::try_from(audio.block)?)
            }
        };
        let tap = Tap {
            track: Track::Audio,
            run,
            format: Format::Raw,
            clock_rate_hz,
            counting: Counting::Units {
                next: Arc::clone(&self.counters.next_sound),
                made: AtomicU64::new(0),
                block: block.into(),
            },
            parameter_sets: self.parameter_sets,
            record: self.record.clone(),
            inside: Mutex::default(),
        };
        self.tap(bin, "pay1", tap).map(Some)
    }

    fn tap(&self, bin: &gst::Bin, payloader: &str, tap: Tap) -> Result<Arc<Tap>> {
        let payloader = bin.by_name(payloader).context("no payloader")?;
        let tap = Arc::new(tap);
        tap.watch_entry(&payloader)?;
        Ok(tap)
    }
}

fn appsrc(bin: &gst::Bin, name: &str) -> Result<gst_app::AppSrc> {
    let element = bin.by_name(name).context("no appsrc")?;
    element.downcast().ok().context("not an appsrc")
}

/// Where the RTP packets of a stream leave the pipeline for the clients' transports.
fn rtp_src(media: &gst_rtsp_server::RTSPMedia, stream: usize) -> Option<gst::Pad> {
    let pipeline = media.element().parent()?.downcast::<gst::Bin>().ok()?;
    let elements = pipeline.iterate_elements().into_iter().flatten();
    let rtpbin = elements
        .filter(|element| element.factory().is_some_and(|f| f.name() == "rtpbin"))
        .last()?;
    rtpbin.static_pad(&format!("send_rtp_src_{stream}"))
}

/// The runs that are going on: none, or the one that all clients share.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<(Mutex<Vec<Arc<Timeline>>>, Condvar)>);

impl Running {
    fn add(&self, timeline: Arc<Timeline>) {
        self.0.0.lock().push(timeline);
    }

    fn remove(&self, timeline: &Arc<Timeline>) {
        self.0
            .0
            .lock()
            .retain(|other| !Arc::ptr_eq(other, timeline));
        self.0.1.notify_all();
    }

    /// How many runs are going on.
    pub(crate) fn count(&self) -> usize {
        self.0.0.lock().len()
    }

    /// Nothing more is made, so that nothing is sent into connections that are being closed.
    pub(crate) fn halt(&self) {
        for timeline in self.0.0.lock().iter() {
            timeline.halt();
        }
    }

    /// Waits for the end of all. Whether it came within `timeout`.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut running = self.0.0.lock();
        while !running.is_empty() {
            if self.0.1.wait_until(&mut running, deadline).timed_out() {
                return running.is_empty();
            }
        }
        true
    }
}
