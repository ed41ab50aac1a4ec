//! Good playlists, written by hand and by ffmpeg, pass; each rule has an example that breaks it.

use std::{collections::HashMap, fs, path::Path};

use super::{
    media::{Expected, check},
    multivariant::BitRates,
    reader::{decimal_ns, read},
    *,
};
use crate::rules::{Findings, assert_each_is_caught};

/// Start of the first segment: 2026-11-22T17:00:00Z.
const START_S: u64 = 1_795_366_800;

/// Today with `segments` segments of 4 s.
fn today(segments: u64) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
         #EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MAP:URI=\"../v-0123456789abcdef.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:00:00.000Z\n",
    );
    for segment in 0..segments {
        text += &format!("#EXTINF:4.00000,\n{}\n", name(segment));
    }
    text
}

fn name(segment: u64) -> String {
    format!("../v-{}.m4s", (START_S + 4 * segment) * 90_000)
}

/// `today(20)` as a delta update for a client of the day that has `skipped` of them.
fn delta(skipped: u64) -> String {
    let full = today(20);
    let (header, _) = full.split_once("#EXT-X-MAP").unwrap();
    let (_, rest) = full
        .split_once(&format!("{}\n", name(skipped - 1)))
        .unwrap();
    format!("{header}#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n{rest}")
}

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Sound\",DEFAULT=YES,URI=\"audio.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1100000,AVERAGE-BANDWIDTH=900000,\
    CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1920x1080,FRAME-RATE=25.000,AUDIO=\"audio\"\n\
    video.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.640028\",RESOLUTION=1920x1080,\
    URI=\"keyframes.m3u8\"\n";

fn rates() -> HashMap<String, BitRates> {
    let rates = |peak_bps, average_bps| BitRates {
        peak_bps,
        average_bps,
    };
    HashMap::from([
        ("video.m3u8".to_owned(), rates(1_000_000, 800_000)),
        ("audio.m3u8".to_owned(), rates(100_000, 100_000)),
        ("keyframes.m3u8".to_owned(), rates(300_000, 200_000)),
    ])
}

const INDEX: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n\
    #EXT-X-INDEPENDENT-SEGMENTS\n\
    #EXT-X-MAP:URI=\"video-17.mp4\",BYTERANGE=\"100@0\"\n\
    #EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:59:56.000Z\n#EXTINF:4.0,\n#EXT-X-BYTERANGE:400@100\n\
    video-17.mp4\n\
    #EXT-X-MAP:URI=\"video-18.mp4\",BYTERANGE=\"100@0\"\n\
    #EXT-X-PROGRAM-DATE-TIME:2026-11-22T18:00:00.000Z\n#EXTINF:4.0,\n#EXT-X-BYTERANGE:400@100\n\
    video-18.mp4\n#EXTINF:4.0,\n#EXT-X-BYTERANGE:300@500\nvideo-18.mp4\n";

/// A folder with the files of [`INDEX`].
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, bytes) in [("video-17.mp4", 500), ("video-18.mp4", 800)] {
        fs::write(folder.path().join(file), vec![7; bytes]).unwrap();
    }
    folder
}

fn index(text: &str, folder: &Path) -> Findings {
    super::index::check(text, folder).1
}

fn live(text: &str) -> Findings {
    check(text, Expected::TODAY).1
}

fn reload(old: &str, new: &str) -> Findings {
    super::reload::check(&read(old).0, &read(new).0)
}

fn multivariant(text: &str) -> Findings {
    super::multivariant::check(text, &rates()).1
}

/// Segments of 4 s, whose parts of 1 s are listed from the third on, and two parts of a fifth.
fn parts() -> String {
    let mut text = today(2).replace(
        "CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0\n",
        "CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0\n#EXT-X-PART-INF:PART-TARGET=1.0\n",
    );
    for segment in 2..5 {
        let parts = if segment == 4 { 2 } else { 4 };
        for part in 0..parts {
            let independent = if part == 0 { ",INDEPENDENT=YES" } else { "" };
            let name = part_name(segment, part);
            text += &format!("#EXT-X-PART:DURATION=1.0,URI=\"{name}\"{independent}\n");
        }
        if segment < 4 {
            text += &format!("#EXTINF:4.0,\n{}\n", name(segment));
        }
    }
    let next = part_name(4, 2);
    text + &format!(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"audio.m3u8\",LAST-MSN=4,LAST-PART=1\n"
    )
}

fn part_name(segment: u64, part: u64) -> String {
    format!("../v-{}.part.m4s", (START_S + 4 * segment + part) * 90_000)
}

/// `parts` with one more.
fn parts_later() -> String {
    let (hint, next) = (part_name(4, 2), part_name(4, 3));
    parts().replace(
        &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}\""),
        &format!(
            "#EXT-X-PART:DURATION=1.0,URI=\"{hint}\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\""
        ),
    )
}

fn low_latency(text: &str) -> Findings {
    super::low_latency::check(text, 1).1
}

fn parts_reload(new: &str) -> Findings {
    let read = |text: &str| super::low_latency::read(text).0;
    super::low_latency::check_reload(&read(&parts()), &read(new))
}

/// The keyframes of `today(20)`.
fn keyframes() -> String {
    today(20)
        .replace("../v-1", "../k-1")
        .replace("VERSION:9\n", "VERSION:9\n#EXT-X-I-FRAMES-ONLY\n")
}

fn of_keyframes(from: &str, to: &str) -> Findings {
    let text = keyframes();
    assert!(text.contains(from), "{from:?} is not in the example");
    super::keyframes::check(&text.replacen(from, to, 1), Expected::TODAY).1
}

/// What is wrong with them as the keyframes of `segments`.
fn keyframes_of(segments: &str) -> Findings {
    super::keyframes::of_segments(&read(&keyframes()).0, &read(segments).0, 2)
}

#[test]
fn good_keyframes_pass() {
    of_keyframes("", "").assert_none("keyframes");
    keyframes_of(&today(20)).assert_none("keyframes of the same segments");
    keyframes_of(&today(22)).assert_none("keyframes of a moment before");
}

/// What is wrong with a whole segment of ffmpeg's in the place of its keyframe.
fn segment_for_keyframe() -> Findings {
    let folder = tempfile::tempdir().unwrap();
    crate::foreign::make_hls(folder.path(), dayreel_testcam::VideoCodec::H264).unwrap();
    let [init, segment] =
        ["init.mp4", "v0.m4s"].map(|name| fs::read(folder.path().join(name)).unwrap());
    let init = crate::rules::cmaf::init::check(&init, None).0.unwrap();
    let frame = &read(&keyframes()).0.segments[0];
    super::keyframes::fragment(frame, &segment, &segment, &init)
}

#[test]
fn good_parts_pass() {
    low_latency(&parts()).assert_none("parts");
    low_latency(&parts_later()).assert_none("parts, later");
    parts_reload(&parts()).assert_none("the same again");
    parts_reload(&parts_later()).assert_none("a part later");
    let (list, _) = super::low_latency::read(&parts_later());
    assert_eq!(list.newest(), (4, 3));
}

#[test]
fn good_playlists_pass() {
    live(&today(20)).assert_none("today");
    let finished = today(20).replace("CAN-SKIP-UNTIL=24.0,", "") + "#EXT-X-ENDLIST\n";
    check(&finished, Expected::FINISHED)
        .1
        .assert_none("a finished day");
    reload(&today(20), &today(23)).assert_none("a reload");
    super::delta::check(&today(18), &delta(14), &today(20)).assert_none("a delta update");
    super::delta::check(&today(18), &today(20), &today(20)).assert_none("a full answer");
    let dated = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:00:56.000Z\n#EXTINF";
    let dated = delta(14).replacen("#EXTINF", dated, 1);
    super::delta::check(&today(18), &dated, &today(20)).assert_none("a dated delta update");
    multivariant(MULTIVARIANT).assert_none("a multivariant playlist");
    index(INDEX, folder().path()).assert_none("an index");
}

#[test]
fn a_hole_is_a_discontinuity_with_a_date() {
    let later: String = (900..910)
        .map(|segment| format!("#EXTINF:4.00000,\n{}\n", name(segment)))
        .collect();
    let date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T18:00:00.000Z";
    let good = format!("{}#EXT-X-DISCONTINUITY\n{date}\n{later}", today(10));
    live(&good).assert_none("a day with a hole");
}

/// Ten segments, `missing` that are not there, and from the thirteenth on ten more.
fn with_gap(missing: u64) -> String {
    let gap = |n| format!("#EXT-X-GAP\n#EXTINF:4.00000,\n{}\n", name(n));
    let missing = (10..10 + missing).map(gap);
    let later = (13..23).map(|n| format!("#EXTINF:4.00000,\n{}\n", name(n)));
    today(10) + &missing.chain(later).collect::<String>()
}

#[test]
fn a_hole_may_be_segments_that_are_not_there() {
    let good = with_gap(3);
    live(&good).assert_none("a day with a gap");
    reload(&today(10), &good).assert_none("a reload");
    let (media, _) = read(&good);
    assert_eq!((media.segments.len(), media.listed()), (20, 23));
    assert_eq!(media.numbers()[9..11], [9, 13]);
    let (header, _) = good.split_once("#EXT-X-MAP").unwrap();
    for skipped in [5, 10] {
        let (_, rest) = good
            .split_once(&format!("{}\n", name(skipped - 1)))
            .unwrap();
        let delta = format!("{header}#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n{rest}");
        super::delta::check(&today(10), &delta, &good).assert_none("a delta update");
    }
}

#[test]
fn each_broken_playlist_is_caught() {
    let good = today(20);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from:?} is not in the example");
        good.replacen(from, to, 1)
    };
    let listed = |from: &str, to: &str| multivariant(&MULTIVARIANT.replacen(from, to, 1));
    let folder = folder();
    let indexed = |from: &str, to: &str| index(&INDEX.replacen(from, to, 1), folder.path());
    let without_first = good
        .replacen(&format!("#EXTINF:4.00000,\n{}\n", name(0)), "", 1)
        .replacen("SEQUENCE:0", "SEQUENCE:1", 1)
        .replace("17:00:00.000Z", "17:00:04.000Z");
    let with_break = good.replacen("#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF", 1);
    let event =
        |text: &str| text.replacen("#EXT-X-MAP", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MAP", 1);
    let updated = |old: &str, delta: &str| super::delta::check(old, delta, &good);
    let other_map = format!(
        "#EXT-X-MAP:URI=\"../v-fedcba9876543210.mp4\"\n#EXTINF:4.00000,\n{}",
        name(1)
    );
    let second = format!("#EXTINF:4.00000,\n{}", name(1));

    let of_parts = |from: &str, to: &str| low_latency(&parts().replacen(from, to, 1));

    let examples = [
        (SYNTAX, live(&with("#EXTM3U\n", ""))),
        (SYNTAX, live(&with("#EXTINF:4.00000,", "#EXTINF:4.00000"))),
        (SYNTAX, live(&with("#EXTINF:4.00000,", "#EXTINF:-4,"))),
        (
            SYNTAX,
            live(&with("VERSION:9\n", "VERSION:9\n#EXT-X-VERSION:9\n")),
        ),
        (
            SYNTAX,
            live(&with(
                "MAP:URI=\"../v-0123456789abcdef.mp4\"",
                "MAP:URI=../x.mp4",
            )),
        ),
        (SYNTAX, live(&with("T17:00:00.000Z", " 17:00"))),
        (SYNTAX, live(&format!("{good}#EXTINF:4.00000,\n"))),
        (SYNTAX, live(good.trim_end())),
        (
            SYNTAX,
            live(&with("#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-MEDIA-SEQUENCE:+0")),
        ),
        (
            SECOND_PARSER,
            super::media::second_parser(&good, &read(&today(19)).0),
        ),
        (
            SECOND_PARSER,
            super::media::second_parser(&with("4.00000", "3.9"), &read(&good).0),
        ),
        (
            SECOND_PARSER,
            super::media::second_parser("no playlist", &read(&good).0),
        ),
        (VERSION, live(&with("VERSION:9", "VERSION:5"))),
        (
            TARGET_DURATION,
            live(&with("TARGETDURATION:4", "TARGETDURATION:3")),
        ),
        (
            TARGET_DURATION,
            live(&with("EXTINF:4.00000", "EXTINF:4.50000")),
        ),
        (
            TARGET_DURATION,
            live(&with("#EXT-X-TARGETDURATION:4\n", "")),
        ),
        (MAP, live(&with("#EXT-X-MAP", "#EXT-X-NO-MAP"))),
        (DISCONTINUITY, live(&with(&second, &other_map))),
        (DISCONTINUITY, live(&with_gap(2))),
        (NAMES_ADVANCE, live(&with_gap(4))),
        (
            GAP,
            live(&with_gap(3).replacen("#EXT-X-GAP", "#EXT-X-DISCONTINUITY\n#EXT-X-GAP", 1)),
        ),
        (
            TARGET_DURATION,
            live(&with_gap(3).replacen("GAP\n#EXTINF:4.0", "GAP\n#EXTINF:4.6", 1)),
        ),
        (
            SYNTAX,
            live(&format!("{good}#EXT-X-GAP\n#EXTINF:4.0,\n{}\n", name(20))),
        ),
        (
            SAME_TARGET,
            super::multivariant::same_target(&[
                ("video", &read(&good).0),
                (
                    "audio",
                    &read(&with("TARGETDURATION:4", "TARGETDURATION:5")).0,
                ),
            ]),
        ),
        (
            DISCONTINUITY,
            live(&with(&format!("#EXTINF:4.00000,\n{}\n", name(9)), "")),
        ),
        (
            NEEDLESS_DISCONTINUITY,
            live(&with(&second, &format!("#EXT-X-DISCONTINUITY\n{second}"))),
        ),
        (
            DATE_PRESENT,
            live(&with(
                "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:00:00.000Z\n",
                "",
            )),
        ),
        (
            DATE_ADVANCES,
            live(&with(
                &second,
                &format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:00:04.100Z\n{second}"),
            )),
        ),
        (
            DATE_IS_MEDIA_TIME,
            live(&with("T17:00:00.000Z", "T17:00:01.000Z")),
        ),
        // An hour of rounding every EXTINF down by 1 ms.
        (
            DATE_IS_MEDIA_TIME,
            live(&today(900).replace("EXTINF:4.00000", "EXTINF:3.999")),
        ),
        (
            NAMES_ADVANCE,
            live(&with("EXTINF:4.00000", "EXTINF:4.20000")),
        ),
        (NAMES_ADVANCE, live(&with(&name(3), "../segment-3.m4s"))),
        (LISTED_ONCE, live(&with(&name(3), &name(2)))),
        (
            INDEPENDENT,
            live(&with("#EXT-X-INDEPENDENT-SEGMENTS\n", "")),
        ),
        (END_LIST, live(&format!("{good}#EXT-X-ENDLIST\n"))),
        (END_LIST, check(&good, Expected::FINISHED).1),
        (END_LIST, live(&event(&good).replace("EVENT", "VOD"))),
        (
            CAN_SKIP_UNTIL,
            live(&with("CAN-SKIP-UNTIL=24.0", "CAN-SKIP-UNTIL=23.9")),
        ),
        (CAN_SKIP_UNTIL, live(&with("CAN-SKIP-UNTIL=24.0,", ""))),
        (HOLD_BACK, live(&with("HOLD-BACK=12.0", "HOLD-BACK=11.9"))),
        (RELOAD_SEQUENCE, reload(&without_first, &good)),
        (RELOAD_APPENDS, reload(&good, &today(19))),
        (
            RELOAD_APPENDS,
            reload(&good, &with("EXTINF:4.00000", "EXTINF:4.00001")),
        ),
        (
            RELOAD_TARGET,
            reload(&good, &with("TARGETDURATION:4", "TARGETDURATION:5")),
        ),
        (RELOAD_DISCONTINUITIES, reload(&with_break, &without_first)),
        (RELOAD_TYPE, reload(&event(&good), &event(&without_first))),
        (
            RELOAD_TYPE,
            reload(&format!("{good}#EXT-X-ENDLIST\n"), &today(21)),
        ),
        (
            RELOAD_WINDOW,
            reload(
                &today(3),
                &today(3)
                    .replacen(&format!("#EXTINF:4.00000,\n{}\n", name(0)), "", 1)
                    .replacen("SEQUENCE:0", "SEQUENCE:1", 1),
            ),
        ),
        (
            DELTA_VERSION,
            updated(&today(18), &delta(14).replace("VERSION:9", "VERSION:8")),
        ),
        (DELTA_BOUNDARY, updated(&today(18), &delta(15))),
        (
            DATE_ADVANCES,
            updated(
                &today(18),
                &delta(14).replacen(
                    "#EXTINF",
                    "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T17:00:55Z\n#EXTINF",
                    1,
                ),
            ),
        ),
        (DELTA_APPLIES, updated(&today(12), &delta(14))),
        (
            DELTA_EQUALS_FULL,
            updated(&today(18), &delta(14).replace("=14", "=13")),
        ),
        (
            DELTA_EQUALS_FULL,
            updated(&today(18), &delta(14).replace("EXTINF:4", "EXTINF:3")),
        ),
        (DELTA_EQUALS_FULL, updated(&today(18), &today(19))),
        (I_FRAMES_ONLY, of_keyframes("#EXT-X-I-FRAMES-ONLY\n", "")),
        (I_FRAMES_ONLY, of_keyframes("VERSION:9", "VERSION:4")),
        (I_FRAMES_ONLY, of_keyframes("../k-", "../v-")),
        (
            I_FRAMES_ONLY,
            of_keyframes("#EXTINF", "#EXT-X-PART:DURATION=1.0,URI=\"x\"\n#EXTINF"),
        ),
        (I_FRAMES_MATCH, keyframes_of(&today(16))),
        (I_FRAMES_MATCH, keyframes_of(&with_break)),
        (
            I_FRAMES_MATCH,
            keyframes_of(&with("EXTINF:4.00000", "EXTINF:3.96000")),
        ),
        (
            I_FRAMES_MATCH,
            keyframes_of(&with("v-0123456789abcdef", "v-fedcba9876543210")),
        ),
        (ONE_I_FRAME, segment_for_keyframe()),
        (I_FRAME_STREAM, listed(",URI=\"keyframes.m3u8\"", "")),
        (
            I_FRAME_STREAM,
            listed("BANDWIDTH=300000", "BANDWIDTH=299999"),
        ),
        (
            I_FRAME_STREAM,
            listed("CODECS=\"avc1.640028\"", "CODECS=\"avc1.640028,mp4a.40.2\""),
        ),
        (
            I_FRAME_STREAM,
            listed(",RESOLUTION=1920x1080,URI", ",FRAME-RATE=25.000,URI"),
        ),
        (
            I_FRAME_STREAM,
            listed("1920x1080,URI", "1920x1080,AUDIO=\"audio\",URI"),
        ),
        (
            VARIANTS,
            multivariant(&MULTIVARIANT.replace("video.m3u8\n", "")),
        ),
        (VARIANTS, listed("NAME=\"Sound\",", "")),
        (VARIANTS, listed("#EXT-X-STREAM", "#EXT-X-NO-STREAM")),
        (CODECS, listed("avc1.640028", "h264")),
        (CODECS, listed("CODECS=\"avc1.640028,mp4a.40.2\",", "")),
        (CODECS, listed(",mp4a.40.2", "")),
        (RESOLUTION, listed("RESOLUTION=1920x1080,", "")),
        (RESOLUTION, listed("1920x1080", "1920*1080")),
        (FRAME_RATE, listed("FRAME-RATE=25.000,", "")),
        (FRAME_RATE, listed("25.000", "25.00001")),
        (BANDWIDTH, listed("BANDWIDTH=1100000", "BANDWIDTH=1099999")),
        (BANDWIDTH, listed("BANDWIDTH=1100000,", "")),
        (AVERAGE_BANDWIDTH, listed("AVERAGE-BANDWIDTH=900000,", "")),
        (AVERAGE_BANDWIDTH, listed("=900000", "=500000")),
        (AVERAGE_BANDWIDTH, listed("=900000", "=1100001")),
        (GROUPS, listed("AUDIO=\"audio\"\n", "AUDIO=\"other\"\n")),
        (RANGES, indexed("300@500", "301@500")),
        (RANGES, indexed("300@500", "300@499")),
        (RANGES, indexed("100@0\"", "600@0\"")),
        (
            RANGES,
            index(
                &INDEX.replace("video-17.mp4", "../video-17.mp4"),
                folder.path(),
            ),
        ),
        (INDEX_FORM, indexed("#EXT-X-BYTERANGE:400@100\n", "")),
        (INDEX_FORM, indexed(",BYTERANGE=\"100@0\"", "")),
        (
            INDEX_FORM,
            indexed("#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEP"),
        ),
        (
            DISCONTINUITY,
            indexed(
                "video-18.mp4\",BYTERANGE=\"100@0",
                "video-18.mp4\",BYTERANGE=\"99@0",
            ),
        ),
        (BLOCK_RELOAD, of_parts("CAN-BLOCK-RELOAD=YES,", "")),
        (
            PART_DURATION,
            of_parts("PART-TARGET=1.0", "PART-TARGET=0.9"),
        ),
        (PART_LEAST, of_parts("PART-TARGET=1.0", "PART-TARGET=1.2")),
        (PART_HOLD_BACK, of_parts("HOLD-BACK=3.0", "HOLD-BACK=1.9")),
        (PART_SUM, of_parts("#EXTINF:4.0,", "#EXTINF:3.0,")),
        (PART_INDEPENDENT, of_parts(",INDEPENDENT=YES", "")),
        (PARTS_RECENT, of_parts("DURATION:4", "DURATION:1")),
        (
            HINT,
            of_parts(
                &format!("TYPE=PART,URI=\"{}", part_name(4, 2)),
                &format!("TYPE=PART,URI=\"{}", part_name(4, 1)),
            ),
        ),
        (REPORT, of_parts(",LAST-MSN=4", "")),
        (
            HINT_COMES_TRUE,
            parts_reload(&parts_later().replace(&part_name(4, 2), &part_name(9, 9))),
        ),
        (
            PARTS_STAY,
            parts_reload(&parts_later().replace(&part_name(4, 1), &part_name(9, 9))),
        ),
    ];
    assert_each_is_caught(RULES, &examples);
}

#[test]
fn bit_rates_peak_over_half_to_one_and_a_half_target_durations() {
    let (media, _) = read(&today(4));
    let rates = super::multivariant::bit_rates(&media, &[1000, 5000, 1000, 1000]);
    assert_eq!(rates.peak_bps, 10_000);
    assert_eq!(rates.average_bps, 4000);
}

#[test]
fn decimals_are_exact() {
    assert_eq!(decimal_ns("4"), Some((4_000_000_000, 0)));
    assert_eq!(decimal_ns("0.000011"), Some((11_000, 6)));
    for bad in [
        "",
        ".5",
        "4.",
        "-1",
        "1e3",
        "1.0000000001",
        "+1",
        "99999999999999999999",
    ] {
        assert_eq!(decimal_ns(bad), None, "{bad}");
    }
}

/// ffmpeg's HLS muxer: what another packager writes must pass too.
#[test]
fn a_playlist_of_ffmpeg_passes() {
    let folder = tempfile::tempdir().unwrap();
    crate::foreign::make_hls(folder.path(), dayreel_testcam::VideoCodec::H264).unwrap();
    let text = fs::read_to_string(folder.path().join("video.m3u8")).unwrap();
    let expected = Expected {
        epoch_names: false,
        ..Expected::FINISHED
    };
    let (media, findings) = check(&text, expected);
    assert!(media.segments.len() > 2, "{text}");
    findings.assert_none("ffmpeg's playlist");
}
