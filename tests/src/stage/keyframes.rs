//! The keyframes of a day, as the server shows them for trick play.

use anyhow::{Context, Result};

use super::{Rendition, day::resolve};
use crate::{
    client::Client,
    rules::{
        Findings, cmaf,
        hls::{self, multivariant::BitRates, reader::Media},
    },
};

/// Of a long list so many are looked at, and those around its breaks.
const LOOKED_AT: usize = 400;

/// The I-frame playlist, and what it lists.
#[derive(Clone, Debug)]
pub struct Keyframes {
    /// The playlist.
    pub playlist: String,
    /// What it lists.
    pub media: Media,
    /// Fragments by their index in the playlist.
    pub fragments: Vec<(usize, Vec<u8>)>,
}

impl Keyframes {
    /// Gets what `playlist`, which was served at `path`, lists.
    pub(super) fn fetch(client: &Client, path: &str, playlist: String) -> Result<Self> {
        let (media, _) = hls::reader::read(&playlist);
        let listed = &media.segments;
        let step = listed.len().div_ceil(LOOKED_AT).max(1);
        let breaks = |index: usize| listed.get(index).is_some_and(|one| one.discontinuities > 0);
        let is_looked_at = |index: &usize| {
            let index = *index;
            index.is_multiple_of(step)
                || index + 1 == listed.len()
                || breaks(index)
                || breaks(index + 1)
        };
        let fetch = |index: usize| -> Result<(usize, Vec<u8>)> {
            let uri = &listed[index].uri;
            let path = resolve(path, uri).with_context(|| format!("{uri} leaves the server"))?;
            let answer = client
                .get(&path)?
                .expect(200)
                .with_context(|| path.clone())?;
            Ok((index, answer.body))
        };
        let fragments = (0..listed.len()).filter(is_looked_at).map(fetch);
        Ok(Self {
            fragments: fragments.collect::<Result<_>>()?,
            playlist,
            media,
        })
    }

    /// Checks the playlist and what it lists against `video`, the segments that they are of, which may be up to
    /// `slack` further at its end.
    pub(super) fn check(
        &self,
        expected: hls::media::Expected,
        video: &Rendition,
        slack: usize,
    ) -> Findings {
        let (_, mut findings) = hls::keyframes::check(&self.playlist, expected);
        findings.extend(hls::keyframes::of_segments(
            &self.media,
            &video.media,
            slack,
        ));
        for (index, bytes) in &self.fragments {
            let frame = &self.media.segments[*index];
            let start = hls::media::start_90k(&frame.uri);
            let same =
                |segment: &hls::reader::Segment| hls::media::start_90k(&segment.uri) == start;
            let segment = video.media.segments.iter().position(same);
            let map = frame.map.as_ref().and_then(|map| video.inits.get(&map.uri));
            let init = map.and_then(|init| cmaf::init::check(init, None).0);
            // One that is younger than the segments is looked at next time.
            if let (Some(segment), Some(init)) = (segment, init) {
                let segment = &video.segments[segment];
                findings.extend(hls::keyframes::fragment(frame, bytes, segment, &init));
            }
        }
        findings
    }

    /// Bit rates of all of them; `None` if only some were looked at.
    pub(super) fn bit_rates(&self) -> Option<BitRates> {
        let sizes = self.fragments.iter();
        let sizes = sizes.map(|(_, bytes)| u64::try_from(bytes.len()).unwrap_or(0));
        let sizes: Vec<_> = sizes.collect();
        let is_all = sizes.len() == self.media.segments.len();
        is_all.then(|| hls::multivariant::bit_rates(&self.media, &sizes))
    }
}
