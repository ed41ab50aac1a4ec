//! Players that follow the cameras all the time, and what is wrong with what they are told.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use dayreel_tests::{
    client::Client,
    followers::{PartsFollower, PatchFollower},
    rules::{Findings, Rule, hls::PART_LEAST},
};

/// A camera that is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) id: &'static str,
    pub(crate) has_sound: bool,
    /// Whether all that it sends arrives, when it should.
    pub(crate) is_regular: bool,
}

/// What a camera's followers were told.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    playlists: u64,
    patches: u32,
    manifests: u32,
    longest_patch_bytes: usize,
    /// What was wrong.
    pub(crate) complaints: Vec<String>,
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            playlists,
            patches,
            manifests,
            longest_patch_bytes,
            ..
        } = self;
        write!(
            f,
            "{playlists} playlists, {patches} patches of at most {longest_patch_bytes} bytes and {manifests} manifests"
        )
    }
}

impl Followed {
    fn note(&mut self, subject: Subject, findings: &Findings) {
        // Parts are what comes of pictures that are lost or late.
        let matters = |rule: Rule| subject.is_regular || rule != PART_LEAST;
        let findings = findings.all().iter().filter(|found| matters(found.rule));
        let complaints =
            findings.map(|found| format!("{}: {}: {}", subject.id, found.rule, found.what));
        self.complaints.extend(complaints);
    }
}

/// Follows the picture of a camera by parts and its manifests by patches until it is `over`.
pub(crate) fn follow(client: &Client, subject: Subject, over: &AtomicBool) -> Followed {
    let mut followed = Followed::default();
    if let Err(error) = try_follow(client, subject, over, &mut followed) {
        followed
            .complaints
            .push(format!("{}: {error:#}", subject.id));
    }
    followed
}

fn try_follow(
    client: &Client,
    subject: Subject,
    over: &AtomicBool,
    followed: &mut Followed,
) -> Result<()> {
    let folder = format!("/{}/stream/today/", subject.id);
    let path = format!("{folder}video.m3u8");
    let others = usize::from(subject.has_sound);
    let (mut parts, findings) = PartsFollower::start(client, path, "", others)?;
    followed.note(subject, &findings);
    let start = |query| PatchFollower::start(client, &folder, query);
    let mut manifests = [start("latency=low")?, start("")?];
    while !over.load(Ordering::Relaxed) {
        let findings = match parts.reload(client)? {
            Some(findings) => findings,
            None => parts.reread(client)?,
        };
        followed.note(subject, &findings);
        for manifest in &mut manifests {
            followed.note(subject, &manifest.refresh(client)?);
        }
    }
    followed.playlists = parts.answers;
    for manifest in &manifests {
        followed.patches += manifest.patches;
        followed.manifests += manifest.wholes + 1;
        followed.longest_patch_bytes = followed.longest_patch_bytes.max(manifest.longest_bytes);
    }
    Ok(())
}
