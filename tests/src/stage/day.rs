//! Everything that the server shows of a day, and every rule it has to obey.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::Keyframes;
use crate::{
    client::Client,
    foreign::Packet,
    rules::{
        Findings, cmaf, dash,
        hls::{
            self,
            multivariant::{BitRates, bit_rates},
            reader::Media,
        },
    },
};

/// The documents of a day as they were at one moment, and the media they list.
#[derive(Clone, Debug)]
pub struct Day {
    /// Multivariant playlist.
    pub multivariant: String,
    /// MPD.
    pub manifest: String,
    /// The pictures.
    pub video: Rendition,
    /// The sound, if the multivariant playlist names any.
    pub audio: Option<Rendition>,
    /// The sub-stream, if the multivariant playlist names it.
    pub preview: Option<Rendition>,
    /// The keyframes of the pictures.
    pub keyframes: Keyframes,
    /// What the documents were asked with.
    query: String,
}

/// One track.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// Media playlist.
    pub playlist: String,
    /// What it lists.
    pub media: Media,
    /// Init segments by their URI in the playlist.
    pub inits: HashMap<String, Vec<u8>>,
    /// Media segments in the order of the playlist.
    pub segments: Vec<Vec<u8>>,
}

impl Day {
    /// Gets the documents of `day` (`today`, a date, …) and everything they list.
    ///
    /// # Errors
    /// Anything listed is not there.
    pub fn fetch(client: &Client, camera: &str, day: &str) -> Result<Self> {
        Self::fetch_with(client, camera, day, "")
    }

    /// The same for the last `seconds` of today.
    ///
    /// # Errors
    /// Anything listed is not there.
    pub fn fetch_window(client: &Client, camera: &str, seconds: u32) -> Result<Self> {
        Self::fetch_with(client, camera, "today", &format!("?window={seconds}"))
    }

    fn fetch_with(client: &Client, camera: &str, day: &str, query: &str) -> Result<Self> {
        let path = |file: &str| format!("/{camera}/stream/{day}/{file}{query}");
        // The documents in one go, then the media, which takes longer: the multivariant playlist
        // after the media playlists, because what it says of bandwidth must cover them.
        let video = client.get_text(&path("video.m3u8"))?;
        let audio = client.get(&path("audio.m3u8"))?;
        let preview = client.get(&path("preview.m3u8"))?;
        let keyframes = client.get_text(&path("keyframes.m3u8"))?;
        let multivariant = client.get_text(&path("playlist.m3u8"))?;
        let manifest = client.get_text(&path("manifest.mpd"))?;
        let audio = match multivariant.contains(&format!("URI=\"audio.m3u8{query}\"")) {
            true => Some(audio.expect(200)?.text()?),
            false => None,
        };
        let preview = match multivariant.contains(&format!("\npreview.m3u8{query}\n")) {
            true => Some(preview.expect(200)?.text()?),
            false => None,
        };
        let preview = preview.map(|text| Rendition::fetch(client, &path("preview.m3u8"), text));
        let audio = audio.map(|text| Rendition::fetch(client, &path("audio.m3u8"), text));
        Ok(Self {
            video: Rendition::fetch(client, &path("video.m3u8"), video)?,
            audio: audio.transpose()?,
            preview: preview.transpose()?,
            keyframes: Keyframes::fetch(client, &path("keyframes.m3u8"), keyframes)?,
            multivariant,
            manifest,
            query: query.to_owned(),
        })
    }

    /// Checks every document and segment. `live`: it is today.
    ///
    /// # Errors
    /// `xmllint` cannot be run although the schema is named.
    pub fn check(&self, live: bool) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut rates = HashMap::new();
        let listed = match live {
            true if self.query.is_empty() => hls::media::Expected::TODAY,
            true => hls::media::Expected::WINDOW,
            false => hls::media::Expected::FINISHED,
        };
        let renditions = [
            ("video", Some(&self.video)),
            ("audio", self.audio.as_ref()),
            ("preview", self.preview.as_ref()),
        ];
        for (track, rendition) in renditions {
            let Some(rendition) = rendition else { continue };
            findings.extend(rendition.check(listed, &self.multivariant));
            rates.insert(format!("{track}.m3u8{}", self.query), rendition.bit_rates());
        }
        // The documents are some requests apart: a segment or two may have come to their ends.
        let slack = if live { 3 } else { 0 };
        findings.extend(self.keyframes.check(listed, &self.video, slack));
        let of_keyframes = format!("keyframes.m3u8{}", self.query);
        let is_offered = self
            .multivariant
            .contains(&format!("URI=\"{of_keyframes}\""));
        findings.check(is_offered, hls::I_FRAME_STREAM, || "missing".to_owned());
        rates.extend(
            self.keyframes
                .bit_rates()
                .map(|rates| (of_keyframes, rates)),
        );
        findings.extend(hls::multivariant::check(&self.multivariant, &rates).1);
        let listed = renditions
            .iter()
            .filter_map(|(track, rendition)| Some((*track, &rendition.as_ref()?.media)));
        let listed: Vec<_> = listed.collect();
        findings.extend(hls::multivariant::same_target(&listed));

        let expected = match live {
            true => dash::manifest::Expected::TODAY,
            false => dash::manifest::Expected::FINISHED,
        };
        let (read, more) = dash::manifest::check(&self.manifest, expected);
        findings.extend(more);
        for (track, rendition) in renditions {
            if let (Some((_, listed)), Some(rendition)) = (&read, rendition) {
                let media = &rendition.media;
                findings.extend(dash::manifest::same_as_hls(listed, track, media, slack));
            }
        }
        if let Some((_, listed)) = &read {
            let media = &self.keyframes.media;
            let same = dash::manifest::same_as_hls(listed, "keyframes", media, slack);
            findings.extend(same);
        }
        let validation = dash::schema::validate(&self.manifest)?;
        eprintln!("manifest: {validation}");
        if let dash::schema::Validation::Ran {
            findings: complaints,
            ..
        } = validation
        {
            findings.extend(complaints);
        }
        Ok(findings)
    }
}

impl Rendition {
    /// Gets what `playlist`, which was served at `path`, lists.
    fn fetch(client: &Client, path: &str, playlist: String) -> Result<Self> {
        let (media, _) = hls::reader::read(&playlist);
        let get = |uri: &str| -> Result<Vec<u8>> {
            let path = resolve(path, uri).with_context(|| format!("{uri} leaves the server"))?;
            Ok(client
                .get(&path)?
                .expect(200)
                .with_context(|| path.clone())?
                .body)
        };
        let mut inits = HashMap::new();
        for map in media
            .segments
            .iter()
            .filter_map(|segment| segment.map.as_ref())
        {
            if !inits.contains_key(&map.uri) {
                inits.insert(map.uri.clone(), get(&map.uri)?);
            }
        }
        let segments = media.segments.iter().map(|segment| get(&segment.uri));
        let segments = segments.collect::<Result<_>>()?;
        Ok(Self {
            playlist,
            inits,
            segments,
            media,
        })
    }

    /// Bit rates of its segments.
    pub fn bit_rates(&self) -> BitRates {
        let sizes = self
            .segments
            .iter()
            .map(|bytes| u64::try_from(bytes.len()).unwrap_or(0));
        bit_rates(&self.media, &sizes.collect::<Vec<_>>())
    }

    /// The segments box by box, in order; segments without an init segment are left out.
    pub fn read_segments(&self) -> (Vec<cmaf::segment::Segment>, Findings) {
        let mut findings = Findings::default();
        let mut read: Vec<cmaf::segment::Segment> = Vec::new();
        // Where the running span began.
        let mut span = 0;
        for (listed, bytes) in self.media.segments.iter().zip(&self.segments) {
            let map = listed.map.as_ref().and_then(|map| self.inits.get(&map.uri));
            let Some(init) = map.and_then(|init| cmaf::init::check(init, None).0) else {
                continue;
            };
            let unit_ns = 10_u64.pow(9 - u32::try_from(listed.decimals.min(9)).unwrap_or(9));
            let expected = cmaf::segment::Expected {
                start: hls::media::start_90k(&listed.uri),
                // EXTINF is off by half its last decimal at most, and a tick.
                duration: Some((ticks(listed.duration_ns), ticks(unit_ns / 2) + 1)),
            };
            let (segment, more) = cmaf::segment::check(bytes, &init, expected);
            findings.extend(more);
            // What comes behind a break or a gap is of another muxer, which counts from the beginning.
            if listed.discontinuities > 0 || !listed.gaps_ns.is_empty() {
                findings.extend(cmaf::segment::ascending(&read[span..]));
                span = read.len();
            }
            read.push(segment);
        }
        findings.extend(cmaf::segment::ascending(&read[span..]));
        (read, findings)
    }

    /// Its access units, cut out of the segments by the boxes alone, without ffmpeg.
    pub fn packets(&self) -> Vec<Packet> {
        let (read, _) = self.read_segments();
        let signed = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX);
        let packets = |(segment, bytes): (&cmaf::segment::Segment, &Vec<u8>)| {
            let cut = |sample: &cmaf::segment::Sample| Packet {
                pts_90k: signed(sample.dts) + sample.composition,
                dts_90k: signed(sample.dts),
                duration_90k: sample.duration.into(),
                data: bytes.get(sample.bytes.clone()).unwrap_or_default().to_vec(),
            };
            segment.samples.iter().map(cut).collect::<Vec<_>>()
        };
        read.iter().zip(&self.segments).flat_map(packets).collect()
    }

    fn check(&self, expected: hls::media::Expected, multivariant: &str) -> Findings {
        let (_, mut findings) = hls::media::check(&self.playlist, expected);
        for (uri, bytes) in &self.inits {
            let codec = cmaf::init::check(bytes, None)
                .0
                .map_or(String::new(), |init| init.codec);
            // The multivariant playlist lists it among the others.
            let listed = [format!("\"{codec}"), format!(",{codec}")];
            let claimed = listed.iter().any(|codec| multivariant.contains(codec));
            let claim = if claimed {
                codec.as_str()
            } else {
                "none that is listed"
            };
            findings.extend(cmaf::init::check(bytes, Some(claim)).1);
            let name = uri.rsplit('/').next().unwrap_or_default();
            let named = name.len() == 22 && name.ends_with(".mp4");
            findings.check(named, hls::MAP, || {
                format!("{uri} is not named by its hash")
            });
        }
        findings.extend(self.read_segments().1);
        findings
    }
}

/// ns as 1/90000 s, rounded.
fn ticks(ns: u64) -> u64 {
    let ticks = (u128::from(ns) * 90_000 + 500_000_000) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The path of `uri`, which a document at `path` refers to. Only relative paths: playlists that
/// name a host could not be served behind a proxy.
pub(super) fn resolve(path: &str, uri: &str) -> Option<String> {
    if uri.contains(':') || uri.starts_with('/') {
        return None;
    }
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in uri.split('/') {
        match part {
            ".." => {
                folders.pop().filter(|folder| !folder.is_empty())?;
            }
            part => folders.push(part),
        }
    }
    Some(folders.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_resolve_within_the_server() {
        let at = "/cam/stream/today/video.m3u8";
        assert_eq!(
            resolve(at, "../v-1.m4s").as_deref(),
            Some("/cam/stream/v-1.m4s")
        );
        assert_eq!(
            resolve(at, "audio.m3u8").as_deref(),
            Some("/cam/stream/today/audio.m3u8")
        );
        for bad in ["http://x/", "/v-1.m4s", "../../../../x"] {
            assert_eq!(resolve(at, bad), None, "{bad}");
        }
    }

    #[test]
    fn nanoseconds_round_to_ticks() {
        assert_eq!(ticks(1_000_000_000), 90_000);
        assert_eq!(ticks(11_112), 1);
        assert_eq!(ticks(5_000), 0);
    }
}
