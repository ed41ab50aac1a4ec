//! Pipelines that hang in a change of state are left behind and replaced, and leave nothing when they
//! go on. The timestamper of H.264 is replaced by an element that waits where it is told to.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod common;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{
    Given, Recorded, deadline, settings,
    usage::{usage, usage_at_rest},
};
use dayreel_core::TrackKind;
use dayreel_pipeline::{CameraSettings, CameraState, CameraStatus, Timing};
use dayreel_testcam::{
    VideoCodec,
    scripted::{Command, Script, ScriptedCamera},
};
use gstreamer::{self as gst, StateChange, glib, prelude::*};

use hanging::GATE;

/// The most pipelines that a camera leaves behind before it begins no new one.
const MOST_LEFT: usize = 4;

/// An element that passes on what it gets, with decode times, and hangs in changes of state.
mod hanging {
    use std::{
        sync::{Condvar, LazyLock, Mutex},
        time::Duration,
    };

    use gstreamer::{self as gst, StateChange, glib, prelude::*, subclass::prelude::*};

    /// Where elements wait.
    pub(super) static GATE: Gate = Gate {
        state: Mutex::new(State {
            closed: None,
            waiting: 0,
        }),
        changed: Condvar::new(),
    };

    pub(super) struct Gate {
        state: Mutex<State>,
        changed: Condvar,
    }

    struct State {
        /// The change that hangs.
        closed: Option<StateChange>,
        waiting: usize,
    }

    impl Gate {
        /// Elements hang in this change from now on; none: those that do go on.
        pub(super) fn set(&self, closed: Option<StateChange>) {
            self.state.lock().unwrap().closed = closed;
            self.changed.notify_all();
        }

        /// Waits until so many hang, for a minute. How many do.
        pub(super) fn wait_for(&self, count: usize) -> usize {
            let state = self.state.lock().unwrap();
            let most = Duration::from_secs(60);
            let waited = self
                .changed
                .wait_timeout_while(state, most, |state| state.waiting != count);
            waited.unwrap().0.waiting
        }

        pub(super) fn waiting(&self) -> usize {
            self.state.lock().unwrap().waiting
        }

        fn pass(&self, change: StateChange) {
            let mut state = self.state.lock().unwrap();
            if state.closed != Some(change) {
                return;
            }
            state.waiting += 1;
            self.changed.notify_all();
            let mut state = self
                .changed
                .wait_while(state, |state| state.closed == Some(change))
                .unwrap();
            state.waiting -= 1;
            drop(state);
            self.changed.notify_all();
        }
    }

    pub(super) struct Imp {
        sink: gst::Pad,
        src: gst::Pad,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "DayreelTestHanging";
        type Type = super::Hanging;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = class.pad_template("sink").unwrap();
            let sink = gst::Pad::builder_from_template(&sink)
                .chain_function(|_, parent, mut unit| {
                    let pts = unit.pts();
                    unit.make_mut().set_dts(pts);
                    let element = parent.unwrap().downcast_ref::<super::Hanging>().unwrap();
                    element.imp().src.push(unit)
                })
                .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION)
                .build();
            let src = class.pad_template("src").unwrap();
            Self {
                sink,
                src: gst::Pad::from_template(&src),
            }
        }
    }

    impl ObjectImpl for Imp {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink, &self.src] {
                self.obj().add_pad(pad).unwrap();
            }
        }
    }

    impl GstObjectImpl for Imp {}

    impl ElementImpl for Imp {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                let author = "Dayreel";
                gst::subclass::ElementMetadata::new("Hanging", "Filter", "Hangs", author)
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let any = gst::Caps::new_any();
                let ways = [
                    ("sink", gst::PadDirection::Sink),
                    ("src", gst::PadDirection::Src),
                ];
                let template = |(name, way)| {
                    gst::PadTemplate::new(name, way, gst::PadPresence::Always, &any).unwrap()
                };
                ways.map(template).into()
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            change: StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            GATE.pass(change);
            self.parent_change_state(change)
        }
    }
}

glib::wrapper! {
    pub(crate) struct Hanging(ObjectSubclass<hanging::Imp>) @extends gst::Element, gst::Object;
}

/// One test after the other: they count what the program has.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    dayreel_pipeline::init().unwrap();
    let kind = Hanging::static_type();
    gst::Element::register(None, "h264timestamper", gst::Rank::NONE, kind).unwrap();
    guard
}

fn camera() -> ScriptedCamera {
    ScriptedCamera::start(Script::new(VideoCodec::H264, None).unwrap()).unwrap()
}

fn hasty(camera: &ScriptedCamera) -> CameraSettings {
    let settings = settings(&camera.url());
    CameraSettings {
        timing: Timing {
            connect: Duration::from_secs(3),
            teardown: Duration::from_millis(600),
            retry_first: Duration::from_millis(10),
            retry_most: Duration::from_millis(20),
            ..settings.timing
        },
        ..settings
    }
}

fn live_after(recorded: &Recorded, reconnects: u64) {
    let is_live = |status: &CameraStatus| {
        status.state == CameraState::Live && status.reconnects >= reconnects
    };
    let live = recorded.camera.wait_until(deadline(), is_live);
    assert!(live.is_some(), "{:?}", recorded.camera.status());
}

/// Until something is recorded of a connection that begins after this.
fn is_recorded_anew(recorded: &Recorded) {
    recorded.until(|given| matches!(given, Given::Init(TrackKind::Video, _)));
    recorded.until(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
}

#[test]
fn a_pipeline_that_hangs_at_its_end_is_replaced() {
    let _alone = alone();
    let camera = camera();
    let recorded = Recorded::start(hasty(&camera));
    live_after(&recorded, 0);
    is_recorded_anew(&recorded);
    let before = usage();

    GATE.set(Some(StateChange::PausedToReady));
    camera.command(Command::Close);
    assert_eq!(GATE.wait_for(1), 1);
    live_after(&recorded, 1);
    is_recorded_anew(&recorded);
    assert_eq!(GATE.waiting(), 1, "the one before has not gone on");

    GATE.set(None);
    assert_eq!(GATE.wait_for(0), 0);
    let after = usage_at_rest(Some(before));
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "{before:?} {after:?}"
    );
    recorded.end();
}

#[test]
fn a_pipeline_that_hangs_at_its_start_is_replaced() {
    let _alone = alone();
    let before = usage_at_rest(None);
    let camera = camera();
    GATE.set(Some(StateChange::ReadyToPaused));
    let recorded = Recorded::start(hasty(&camera));
    assert_eq!(GATE.wait_for(1), 1);
    let is_replaced = |status: &CameraStatus| status.reconnects >= 1;
    let replaced = recorded.camera.wait_until(deadline(), is_replaced);
    assert!(replaced.is_some(), "{:?}", recorded.camera.status());

    GATE.set(None);
    live_after(&recorded, 1);
    is_recorded_anew(&recorded);
    recorded.end();
    drop(camera);
    let after = usage_at_rest(Some(before));
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "{before:?} {after:?}"
    );
}

/// Where they all hang, no more are begun; and when they go on, the camera does.
#[test]
fn only_a_few_pipelines_are_left_behind() {
    let _alone = alone();
    let camera = camera();
    let recorded = Recorded::start(hasty(&camera));
    GATE.set(Some(StateChange::PausedToReady));
    for left in 0..MOST_LEFT {
        live_after(&recorded, u64::try_from(left).unwrap());
        camera.command(Command::Close);
        assert_eq!(GATE.wait_for(left + 1), left + 1);
    }
    let still_waits = |status: &CameraStatus| status.state == CameraState::Live;
    let moment = std::time::Instant::now() + Duration::from_secs(3);
    let live = recorded.camera.wait_until(moment, still_waits);
    assert!(live.is_none(), "{live:?}");

    GATE.set(None);
    live_after(&recorded, u64::try_from(MOST_LEFT).unwrap());
    recorded.end();
}
