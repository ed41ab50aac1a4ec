//! What a camera is told.

use std::time::Duration;

use dayreel_config::{OnLoss, SecretUrl, Transport, Trust};
use dayreel_core::CameraId;

/// The settings of one camera.
#[derive(Clone, Debug)]
pub struct CameraSettings {
    /// Its name, for logs and threads.
    pub id: CameraId,
    /// Where it is, with user and password.
    pub url: SecretUrl,
    /// How RTP travels.
    pub transport: Transport,
    /// Whose certificate is accepted over TLS.
    pub trust: Trust,
    /// What becomes of pictures that packets are missing for.
    pub on_loss: OnLoss,
    /// Whether sound is recorded.
    pub audio: bool,
    /// Target length of a segment; the first keyframe at or after it ends the segment.
    pub segment: Duration,
    /// When to give up and when to try again.
    pub timing: Timing,
}

/// When to give up on a camera and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the start of a session to its first access unit.
    pub connect: Duration,
    /// Without an access unit of the picture for so long, a camera is stalled; for twice as long, it is
    /// reconnected.
    pub silence: Duration,
    /// The longest that a picture is waited for instead, of a camera whose pictures are that far apart
    /// and that is heard otherwise.
    pub slow: Duration,
    /// The first wait before a reconnect; doubles with each that fails.
    pub retry_first: Duration,
    /// The longest wait before a reconnect.
    pub retry_most: Duration,
    /// The longest while nothing answers at all, so that a camera is found soon after it has booted:
    /// knocking costs a packet.
    pub retry_absent: Duration,
    /// The wait after a refused password, a wrong path or a camera without usable video.
    pub retry_failed: Duration,
    /// A session that delivered for so long starts the waits from the beginning.
    pub good_after: Duration,
    /// How long the end of a session may take before its pipeline is abandoned.
    pub teardown: Duration,
    /// The live view in MPEG-TS is made until so long after its last request.
    pub live_idle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            silence: Duration::from_secs(8),
            slow: Duration::from_secs(180),
            retry_first: Duration::from_secs(1),
            retry_most: Duration::from_secs(30),
            retry_absent: Duration::from_millis(1_200),
            retry_failed: Duration::from_secs(180),
            good_after: Duration::from_secs(10),
            teardown: Duration::from_secs(3),
            live_idle: Duration::from_secs(60),
        }
    }
}
