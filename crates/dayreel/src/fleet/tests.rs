//! A panic in what one camera cannot do without: that camera is started anew, the others go on.

use std::thread;

use dayreel_config::EnvSource;
use dayreel_core::WallTime;
use dayreel_pipeline::CameraState;
use dayreel_testcam::{Camera as TestCamera, PictureSettings, Settings as CameraMade, Source};
use parking_lot::Mutex;

use super::*;

/// For what takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine's clock, which panics once when the thread of that name asks for the time.
#[derive(Debug, Default)]
struct PanickingClock(Mutex<Option<&'static str>>);

impl Clock for PanickingClock {
    fn now(&self) -> WallTime {
        let thread = thread::current();
        let mut victim = self.0.lock();
        let is_victim = victim
            .take_if(|victim| thread.name() == Some(*victim))
            .is_some();
        drop(victim);
        assert!(!is_victim, "the clock panics, as it was told to");
        SystemClock.now()
    }
}

/// No variables.
#[derive(Debug)]
struct NoEnv;

impl EnvSource for NoEnv {
    fn var(&self, _: &str) -> Option<std::ffi::OsString> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn system_timezone(&self) -> Option<String> {
        None
    }
}

fn camera() -> TestCamera {
    TestCamera::start(CameraMade {
        source: Source::Picture(PictureSettings::small()),
        ..CameraMade::default()
    })
    .unwrap()
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_camera_that_has_panicked_is_started_anew_and_the_others_go_on() {
    dayreel_pipeline::init().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _on_runtime = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let (mut first, second) = (camera(), camera());
    let file = folder.path().join("dayreel.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntimezone = \"UTC\"\n\
         [[camera]]\nid = \"first\"\nrtsp = \"{}\"\n\
         [[camera]]\nid = \"second\"\nrtsp = \"{}\"\n",
        first.url(),
        second.url()
    );
    std::fs::write(&file, text).unwrap();
    let loaded = dayreel_config::load(Some(&file), &NoEnv).unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    let clock = Arc::new(PanickingClock::default());
    let mut fleet = Fleet::start_at(store, &loaded.settings, None, clock.clone()).unwrap();
    let camera = |fleet: &Fleet, id: &str| {
        let mut running = fleet.running.iter();
        let found = running.find(|one| one.config.id.as_str() == id);
        Arc::clone(&found.unwrap().camera)
    };
    let is_live = |camera: &Camera| camera.status().state == CameraState::Live;
    let (before, other) = (camera(&fleet, "first"), camera(&fleet, "second"));
    wait("both are live", || is_live(&before) && is_live(&other));
    assert!(!fleet.is_broken());

    *clock.0.lock() = Some("camera first");
    first.stop().unwrap();
    wait("its supervisor panics", || before.has_panicked());
    first.restart().unwrap();
    wait("it has run long enough", || fleet.is_broken());
    fleet.mend();
    assert!(!fleet.is_broken());
    let anew = camera(&fleet, "first");
    assert!(!Arc::ptr_eq(&before, &anew));
    wait("it is live again", || is_live(&anew));
    assert!(Arc::ptr_eq(&other, &camera(&fleet, "second")));
    assert_eq!(other.status().reconnects, 0);
    // What happened before is not forgotten.
    let begun = anew
        .events()
        .iter()
        .filter(|one| one.code == "live")
        .count();
    assert!(begun >= 2, "{:?}", anew.events());
    assert_eq!(fleet.shutdown(Instant::now() + PATIENCE), 0);
}
