//! Rules of the multivariant playlist.

use std::collections::HashMap;

use m3u8_rs::{AlternativeMediaType, parse_master_playlist_res};

use super::{
    AVERAGE_BANDWIDTH, BANDWIDTH, CODECS, FRAME_RATE, GROUPS, I_FRAME_STREAM, RESOLUTION,
    SAME_TARGET, SECOND_PARSER, SYNTAX, VARIANTS,
    attributes::{Attributes, attributes},
    reader::Media,
};
use crate::rules::{Findings, codec};

/// A multivariant playlist as its lines say it.
#[derive(Clone, Debug, Default)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF` with its URI.
    pub variants: Vec<(Attributes, String)>,
    /// `EXT-X-MEDIA`.
    pub renditions: Vec<Attributes>,
    /// `EXT-X-I-FRAME-STREAM-INF`.
    pub i_frames: Vec<Attributes>,
}

/// Bit rates of a media playlist's segments, bit/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BitRates {
    /// The largest of any run of segments that lasts 0.5 to 1.5 target durations.
    pub peak_bps: u64,
    /// All bytes by all seconds.
    pub average_bps: u64,
}

/// The bit rates of `media`, whose segments have these sizes (in order).
pub fn bit_rates(media: &Media, sizes_bytes: &[u64]) -> BitRates {
    let rate = |bytes: u64, ns: u64| {
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        u64::try_from(bits / u128::from(ns.max(1))).unwrap_or(u64::MAX)
    };
    let target_ns = media.target_duration_s.unwrap_or(0) * 1_000_000_000;
    let sized: Vec<(u64, u64)> = media
        .segments
        .iter()
        .map(|segment| segment.duration_ns)
        .zip(sizes_bytes.iter().copied())
        .collect();
    let mut peak_bps = 0;
    for start in 0..sized.len() {
        let (mut ns, mut bytes) = (0, 0);
        for (duration_ns, size_bytes) in &sized[start..] {
            ns += duration_ns;
            bytes += size_bytes;
            if ns * 2 > target_ns * 3 {
                break;
            }
            if ns * 2 >= target_ns {
                peak_bps = peak_bps.max(rate(bytes, ns));
            }
        }
    }
    let (ns, bytes) = sized.iter().fold((0, 0), |(ns, bytes), (more_ns, more)| {
        (ns + more_ns, bytes + more)
    });
    BitRates {
        peak_bps,
        average_bps: rate(bytes, ns),
    }
}

/// Checks `text`. `rates` holds the bit rates of the media playlists by their URI as written;
/// without an entry `BANDWIDTH` is checked for presence only.
pub fn check(text: &str, rates: &HashMap<String, BitRates>) -> (Multivariant, Findings) {
    let (list, mut findings) = read(text);
    findings.extend(second_parser(text, &list));
    findings.check(!list.variants.is_empty(), VARIANTS, || {
        "no variant".to_owned()
    });
    for rendition in &list.renditions {
        findings.extend(rendition_rules(rendition, &list));
    }
    for (variant, uri) in &list.variants {
        findings.extend(variant_rules(variant, uri, &list, rates));
    }
    for frames in &list.i_frames {
        findings.extend(i_frame_rules(frames, rates));
    }
    (list, findings)
}

/// Checks media playlists, with their names, that one multivariant playlist lists.
pub fn same_target(playlists: &[(&str, &Media)]) -> Findings {
    let mut findings = Findings::default();
    let targets = playlists.iter().map(|(_, media)| media.target_duration_s);
    let is_same = targets.clone().min() == targets.max();
    findings.check(is_same, SAME_TARGET, || {
        let told = playlists
            .iter()
            .map(|(name, media)| format!("{name} {:?} s", media.target_duration_s));
        told.collect::<Vec<_>>().join(", ")
    });
    findings
}

fn read(text: &str) -> (Multivariant, Findings) {
    let mut list = Multivariant::default();
    let mut findings = Findings::default();
    let mut pending = None;
    findings.check(text.lines().next() == Some("#EXTM3U"), SYNTAX, || {
        "the first line is not #EXTM3U".to_owned()
    });
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(value) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            findings.check(pending.is_none(), VARIANTS, || {
                format!("line {number}: no URI before")
            });
            pending = attributes(value);
            findings.check(pending.is_some(), SYNTAX, || {
                format!("line {number}: {line}")
            });
        } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA:") {
            let rendition = attributes(value);
            findings.check(rendition.is_some(), SYNTAX, || {
                format!("line {number}: {line}")
            });
            list.renditions.extend(rendition);
        } else if let Some(value) = line.strip_prefix("#EXT-X-I-FRAME-STREAM-INF:") {
            let frames = attributes(value);
            findings.check(frames.is_some(), SYNTAX, || {
                format!("line {number}: {line}")
            });
            list.i_frames.extend(frames);
        } else if line.starts_with("#EXTINF") || line.starts_with("#EXT-X-TARGETDURATION") {
            // RFC 8216 §4.1: a playlist is either multivariant or media.
            findings.check(false, SYNTAX, || {
                format!("line {number}: a media playlist's {line}")
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            match pending.take() {
                Some(variant) => list.variants.push((variant, line.to_owned())),
                None => findings.check(false, VARIANTS, || {
                    format!("line {number}: {line:?} without EXT-X-STREAM-INF")
                }),
            }
        }
    }
    findings.check(pending.is_none(), VARIANTS, || {
        "the last variant has no URI".to_owned()
    });
    (list, findings)
}

fn second_parser(text: &str, list: &Multivariant) -> Findings {
    let mut findings = Findings::default();
    match parse_master_playlist_res(text.as_bytes()) {
        Err(error) => {
            let error = format!("{error:.200}");
            findings.check(false, SECOND_PARSER, || error);
        }
        Ok(second) => {
            let variants = |is_i_frame| {
                let all = second.variants.iter();
                all.filter(move |variant| variant.is_i_frame == is_i_frame)
            };
            let uris: Vec<_> = variants(false).map(|variant| &variant.uri).collect();
            let ours: Vec<_> = list.variants.iter().map(|(_, uri)| uri).collect();
            let (theirs, frames) = (variants(true).count(), list.i_frames.len());
            findings.check(theirs == frames, SECOND_PARSER, || {
                format!("{theirs} I-frame playlists, read here {frames}")
            });
            findings.check(uris == ours, SECOND_PARSER, || {
                format!("{uris:?}, read here {ours:?}")
            });
            let sounds = |media_type: &AlternativeMediaType| {
                matches!(media_type, AlternativeMediaType::Audio)
            };
            let theirs = second
                .alternatives
                .iter()
                .filter(|media| sounds(&media.media_type));
            let ours = list
                .renditions
                .iter()
                .filter(|media| media.get("TYPE") == Some("AUDIO"));
            let (theirs, ours) = (theirs.count(), ours.count());
            findings.check(theirs == ours, SECOND_PARSER, || {
                format!("{theirs} audio renditions, read here {ours}")
            });
        }
    }
    findings
}

fn rendition_rules(rendition: &Attributes, list: &Multivariant) -> Findings {
    let mut findings = Findings::default();
    let complete = rendition.unquoted("TYPE").is_some()
        && rendition.quoted("GROUP-ID").is_some()
        && rendition.quoted("NAME").is_some();
    let key = |media: &Attributes| {
        ["TYPE", "GROUP-ID", "NAME"].map(|name| media.get(name).map(str::to_owned))
    };
    let same = list
        .renditions
        .iter()
        .filter(|other| key(other) == key(rendition));
    findings.check(complete && same.count() == 1, VARIANTS, || {
        format!("{rendition:?}")
    });
    findings
}

fn i_frame_rules(frames: &Attributes, rates: &HashMap<String, BitRates>) -> Findings {
    /// Of a variant that has more than I-frames (RFC 8216 §4.3.4.3).
    const OTHERS: [&str; 4] = ["FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"];
    let mut findings = Findings::default();
    let uri = frames.quoted("URI");
    let peak_bps = uri
        .and_then(|uri| rates.get(uri))
        .map(|rates| rates.peak_bps);
    let bandwidth = frames
        .unquoted("BANDWIDTH")
        .and_then(|text| text.parse::<u64>().ok());
    let codecs: Vec<&str> = frames.quoted("CODECS").unwrap_or("").split(',').collect();
    let shows = codecs
        .iter()
        .all(|codec| codec::is_rfc6381(codec) && codec::is_video(codec));
    let is_sized = frames.unquoted("RESOLUTION").is_some();
    let has_others = OTHERS.iter().any(|name| frames.get(name).is_some());
    let covers = bandwidth.is_some_and(|bps| bps > 0 && bps >= peak_bps.unwrap_or(0));
    findings.check(
        uri.is_some() && covers && shows && is_sized && !has_others,
        I_FRAME_STREAM,
        || format!("{frames:?}, the I-frames peak at {peak_bps:?} bit/s"),
    );
    findings
}

fn variant_rules(
    variant: &Attributes,
    uri: &str,
    list: &Multivariant,
    rates: &HashMap<String, BitRates>,
) -> Findings {
    let mut findings = Findings::default();
    let codecs: Vec<&str> = variant.quoted("CODECS").unwrap_or("").split(',').collect();
    for codec in &codecs {
        findings.check(codec::is_rfc6381(codec), CODECS, || {
            format!("{uri}: {codec:?}")
        });
    }
    let shows = codecs.iter().any(|codec| codec::is_video(codec));
    let sounds = codecs.iter().any(|codec| codec::is_audio(codec));

    let resolution = variant
        .unquoted("RESOLUTION")
        .and_then(|text| text.split_once('x'));
    let pixels = |text: &str| text.parse::<u32>().is_ok_and(|pixels| pixels > 0);
    let sized = resolution.is_some_and(|(width, height)| pixels(width) && pixels(height));
    findings.check(sized || !shows, RESOLUTION, || {
        format!("{uri}: {resolution:?}")
    });

    let rate = variant.unquoted("FRAME-RATE");
    let timed = rate.is_some_and(|text| {
        let decimals = text
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        decimals <= 3 && text.parse::<f64>().is_ok_and(|fps| fps > 0.0)
    });
    findings.check(timed || !shows, FRAME_RATE, || format!("{uri}: {rate:?}"));

    let mut uris = vec![uri];
    if let Some(group) = variant.quoted("AUDIO") {
        let members = list.renditions.iter().filter(|media| {
            media.get("TYPE") == Some("AUDIO") && media.quoted("GROUP-ID") == Some(group)
        });
        let before = uris.len();
        uris.extend(members.filter_map(|media| media.quoted("URI")));
        findings.check(uris.len() > before, GROUPS, || {
            format!("{uri}: no rendition in {group:?}")
        });
        findings.check(sounds, CODECS, || {
            format!("{uri}: none for the sound of {group:?}")
        });
    }

    let number = |name| {
        variant
            .unquoted(name)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let known: Option<Vec<BitRates>> = uris.iter().map(|uri| rates.get(*uri).copied()).collect();
    let known = known.unwrap_or_default();
    let peak_bps: u64 = known.iter().map(|rates| rates.peak_bps).sum();
    let average_bps: u64 = known.iter().map(|rates| rates.average_bps).sum();
    let bandwidth = number("BANDWIDTH");
    findings.check(
        bandwidth.is_some_and(|bandwidth| bandwidth > 0 && bandwidth >= peak_bps),
        BANDWIDTH,
        || format!("{uri}: {bandwidth:?}, the segments peak at {peak_bps} bit/s"),
    );
    // An estimate while the day grows: a quarter off is still an average.
    let average = number("AVERAGE-BANDWIDTH");
    let near = |average: u64| {
        average_bps == 0 || (average * 4 >= average_bps * 3 && average * 4 <= average_bps * 5)
    };
    findings.check(
        average.is_some_and(|average| near(average) && Some(average) <= bandwidth),
        AVERAGE_BANDWIDTH,
        || format!("{uri}: {average:?}, the segments' is {average_bps} bit/s"),
    );
    findings
}
