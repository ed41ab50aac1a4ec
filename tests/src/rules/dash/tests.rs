//! Good MPDs, written by hand and by ffmpeg, pass; each rule has an example that breaks it.

use std::{env, fs, path::PathBuf};

use super::{
    manifest::{Expected, check, same_as_hls},
    *,
};
use crate::rules::{Findings, assert_each_is_caught, hls};

/// 2026-11-22T17:00:00Z in 1/90000 s since the Unix epoch.
const START: u64 = 1_795_366_800 * 90_000;

const TODAY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011"
 minBufferTime="PT4S" maxSegmentDuration="PT4S" type="dynamic"
 availabilityStartTime="1970-01-01T00:00:00Z" publishTime="2026-11-22T17:00:40.000Z"
 minimumUpdatePeriod="PT4S" timeShiftBufferDepth="PT86400S"><Period id="0"
 start="PT1795366800S"><AdaptationSet id="1" contentType="video" mimeType="video/mp4"
 segmentAlignment="true" startWithSAP="1"><Representation id="video" codecs="avc1.640028"
 bandwidth="4000000" width="1920" height="1080" frameRate="25"><SegmentTemplate timescale="90000"
 presentationTimeOffset="161583012000000" initialization="../v-0123456789abcdef.mp4"
 media="../v-$Time$.m4s"><SegmentTimeline><S t="161583012000000" d="360000" r="4"/>
<S t="161583017400000" d="360000" r="4"/></SegmentTimeline></SegmentTemplate></Representation>
</AdaptationSet><AdaptationSet id="2" contentType="audio" mimeType="audio/mp4"
 segmentAlignment="true" startWithSAP="1"><Representation id="audio" codecs="mp4a.40.2"
 bandwidth="64000" audioSamplingRate="48000"><AudioChannelConfiguration
 schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="1"/>
<SegmentTemplate timescale="90000" presentationTimeOffset="161583012000000"
 initialization="../a-0123456789abcdef.mp4" media="../a-$Time$.m4s"><SegmentTimeline>
<S t="161583011990000" d="360000" r="3"/></SegmentTimeline></SegmentTemplate></Representation>
</AdaptationSet></Period><UTCTiming schemeIdUri="urn:mpeg:dash:utc:direct:2014"
 value="2026-11-22T17:00:41Z"/></MPD>
"#;

/// A set of the keyframes of [`TODAY`].
const TRICK: &str = r#"<AdaptationSet id="4" contentType="video" mimeType="video/mp4" segmentAlignment="true"
 startWithSAP="1"><EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/><Representation
 id="keyframes" codecs="avc1.640028" bandwidth="4000000" width="1920" height="1080" frameRate="1/4"
 maxPlayoutRate="100" codingDependency="false"><SegmentTemplate timescale="90000"
 presentationTimeOffset="161583012000000" initialization="../v-0123456789abcdef.mp4" media="../k-$Time$.m4s">
<SegmentTimeline><S t="161583012000000" d="360000" r="4"/><S t="161583017400000" d="360000" r="4"/>
</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet>"#;

/// [`TODAY`] with [`TRICK`].
fn with_trick_mode() -> String {
    TODAY.replace("</Period>", &format!("{TRICK}</Period>"))
}

/// [`TODAY`] when the day was over.
fn finished() -> String {
    TODAY
        .replace(
            "type=\"dynamic\"",
            "type=\"static\" mediaPresentationDuration=\"PT80S\"",
        )
        .replace("availabilityStartTime=\"1970-01-01T00:00:00Z\"", "")
        .replace(
            "minimumUpdatePeriod=\"PT4S\" timeShiftBufferDepth=\"PT86400S\"",
            "",
        )
        .replace("PT1795366800S", "PT0S")
}

/// [`TODAY`] with the codec changed at 17:01:20.
fn two_periods() -> String {
    let (head, tail) = TODAY.split_once("<Period id=\"0\"").unwrap();
    let (period, tail) = tail.split_once("</Period>").unwrap();
    let later = period
        .replace("PT1795366800S", "PT1795366880S")
        .replace("161583012000000", "161583019200000")
        .replace("161583017400000", "161583024600000")
        .replace("161583011990000", "161583019200000")
        .replace("0123456789abcdef", "fedcba9876543210");
    format!("{head}<Period id=\"0\"{period}</Period><Period id=\"1\"{later}</Period>{tail}")
}

fn playlist(first: u64, count: u64) -> hls::reader::Media {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n\
         #EXT-X-MAP:URI=\"../v-0123456789abcdef.mp4\"\n",
    );
    for number in first..first + count {
        // The sixth begins 40 s after the fifth ends.
        let start = START + number * 360_000 + if number < 5 { 0 } else { 3_600_000 };
        text += &format!("#EXTINF:4.00000,\n../v-{start}.m4s\n");
    }
    let (media, findings) = hls::reader::read(&text);
    findings.assert_none("the playlist");
    media
}

fn live(text: &str) -> Findings {
    check(text, Expected::TODAY).1
}

fn compared(playlist: &hls::reader::Media) -> Findings {
    let (_, listed) = check(TODAY, Expected::TODAY).0.unwrap();
    same_as_hls(&listed, "video", playlist, 1)
}

fn updated(new: &str) -> Findings {
    let read = |text: &str| check(text, Expected::TODAY).0.unwrap();
    update::check(&read(TODAY), &read(new))
}

/// A schema that knows nothing but an MPD with a Period: enough to see that xmllint is asked.
fn small_schema(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("small.xsd");
    let text = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
        targetNamespace="urn:mpeg:dash:schema:mpd:2011" elementFormDefault="qualified">
        <xs:element name="MPD"><xs:complexType><xs:sequence>
        <xs:element name="Period" maxOccurs="unbounded"/>
        </xs:sequence></xs:complexType></xs:element></xs:schema>"#;
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn good_manifests_pass() {
    live(TODAY).assert_none("today");
    live(&two_periods()).assert_none("two Periods");
    live(&with_trick_mode()).assert_none("trick mode");
    check(&finished(), Expected::FINISHED)
        .1
        .assert_none("a finished day");
    compared(&playlist(0, 10)).assert_none("the same in HLS");
    compared(&playlist(0, 11)).assert_none("HLS one segment further");
    let later = TODAY.replace("17:00:40", "17:00:44").replace(
        "t=\"161583017400000\" d=\"360000\" r=\"4\"",
        "t=\"161583017400000\" d=\"360000\" r=\"5\"",
    );
    updated(&later).assert_none("an update");
    updated(&two_periods()).assert_none("an update with a new Period");
}

#[test]
fn today_lists_the_hole_as_an_explicit_time() {
    let (_, listed) = check(TODAY, Expected::TODAY).0.unwrap();
    let urls: Vec<&str> = listed[0]
        .segments
        .iter()
        .map(|segment| &segment.url[..])
        .collect();
    assert_eq!(urls.len(), 10);
    assert_eq!(urls[4], "../v-161583013440000.m4s");
    assert_eq!(urls[5], "../v-161583017400000.m4s");
}

/// [`TODAY`] published so many s after the start of its newest segment of the picture, which is so many s long.
fn early(published_s: u64, newest_s: u64) -> String {
    const NEWEST_S: u64 = 76;
    TODAY
        .replace(
            "$Time$.m4s\"><",
            "$Time$.m4s\" availabilityTimeOffset=\"3\"><",
        )
        .replace(
            "<S t=\"161583017400000\" d=\"360000\" r=\"4\"/>",
            &format!(
                "<S t=\"161583017400000\" d=\"360000\" r=\"3\"/><S d=\"{}\"/>",
                newest_s * 90_000
            ),
        )
        .replace(
            "17:00:40.000Z",
            &format!("17:01:{:02}.000Z", NEWEST_S + published_s - 60),
        )
}

#[test]
fn what_was_expected_may_become_shorter_until_it_is_overdue() {
    let changed = |published_s, before_s, after_s| {
        let read = |text: &str| check(text, Expected::TODAY).0.unwrap();
        let (old, new) = (early(published_s, before_s), early(9, after_s));
        update::check(&read(&old), &read(&new)).breaks(UPDATE_SEGMENTS)
    };
    assert!(!changed(1, 4, 3), "it was expected");
    assert!(!changed(7, 4, 3), "it may still come");
    assert!(changed(8, 4, 3), "it is overdue");
}

#[test]
fn regression_what_is_before_a_short_segment_was_taken_for_expected() {
    let read = |text: &str| check(text, Expected::TODAY).0.unwrap();
    let complete = early(2, 1);
    let listed = read(&complete);
    update::check(&listed, &listed).assert_none("an update that changes nothing");
    let lost = read(&complete.replace("r=\"3\"/><S d", "r=\"2\"/><S d"));
    let findings = update::check(&listed, &lost);
    assert!(findings.breaks(UPDATE_SEGMENTS));
}

/// Runs with the real schema where it is there, and says where it is not.
#[test]
fn examples_are_valid_against_the_schema() {
    for (name, text) in [
        ("today", TODAY),
        ("a finished day", &finished()),
        ("two Periods", &two_periods()),
        ("trick mode", &with_trick_mode()),
    ] {
        schema::validate(text).unwrap().assert_valid(name);
    }
    if env::var_os(schema::SCHEMA_PATH).is_some() {
        let bad = TODAY.replace("bandwidth=\"4000000\"", "");
        let schema::Validation::Ran { findings, .. } = schema::validate(&bad).unwrap() else {
            panic!("the schema is there");
        };
        assert!(findings.breaks(SCHEMA));
    }
}

#[test]
fn each_broken_manifest_is_caught() {
    let broken = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from:?} is not in the example");
        text.replacen(from, to, 1)
    };
    let with = |from: &str, to: &str| live(&broken(TODAY, from, to));
    let fixed = |from: &str, to: &str| check(&broken(&finished(), from, to), Expected::FINISHED).1;
    let later = |from: &str, to: &str| updated(&broken(TODAY, from, to));
    let folder = tempfile::tempdir().unwrap();
    let small = small_schema(&folder);
    let twice = two_periods();
    let trick = with_trick_mode();
    let patched = |from: &str, to: &str| patch::check(&identified(), &broken(PATCH, from, to)).1;
    let of_trick = |from: &str, to: &str| live(&broken(&trick, from, to));

    let examples = [
        (PARSES, live("<MPD")),
        (PARSES, with("schema:mpd:2011", "schema:mpd:1999")),
        (
            ROOT,
            with("profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"", ""),
        ),
        (ROOT, with("minBufferTime=\"PT4S\"", "")),
        (
            ROOT,
            with(
                "maxSegmentDuration=\"PT4S\"",
                "maxSegmentDuration=\"PT3.9S\"",
            ),
        ),
        (TYPE, with("type=\"dynamic\"", "type=\"static\"")),
        (
            TYPE,
            with("availabilityStartTime=\"1970-01-01T00:00:00Z\"", ""),
        ),
        (TYPE, with("publishTime=\"2026-11-22T17:00:40.000Z\"", "")),
        (TYPE, with("minimumUpdatePeriod=\"PT4S\"", "")),
        (
            TYPE,
            with("type=", "mediaPresentationDuration=\"PT9S\" type="),
        ),
        (
            TYPE,
            fixed(
                "type=\"static\"",
                "type=\"static\" minimumUpdatePeriod=\"PT4S\"",
            ),
        ),
        (EPOCH, with("1970-01-01T00:00:00Z", "2026-11-22T00:00:00Z")),
        (TIME_SHIFT, with("timeShiftBufferDepth=\"PT86400S\"", "")),
        (TIME_SHIFT, with("PT86400S", "PT60S")),
        (UTC_TIMING, with("utc:direct:2014", "utc:sundial:2014")),
        (UTC_TIMING, with("value=\"2026-11-22T17:00:41Z\"", "")),
        (DURATION, fixed("mediaPresentationDuration=\"PT80S\"", "")),
        (DURATION, fixed("PT80S", "PT79S")),
        (PERIODS, with("<Period id=\"0\"", "<Period")),
        (PERIODS, with(" start=\"PT1795366800S\"", "")),
        (
            PERIODS,
            live(&broken(&twice, "<Period id=\"1\"", "<Period id=\"0\"")),
        ),
        (
            PERIODS,
            live(&broken(&twice, "PT1795366880S", "PT1795366800S")),
        ),
        (IDS, with("id=\"2\" contentType", "id=\"1\" contentType")),
        (
            IDS,
            with("Representation id=\"audio\"", "Representation id=\"video\""),
        ),
        (REPRESENTATION, with("bandwidth=\"4000000\"", "")),
        (
            REPRESENTATION,
            with("mimeType=\"video/mp4\"", "mimeType=\"video/mp2t\""),
        ),
        (CODECS, with("codecs=\"avc1.640028\"", "codecs=\"avc1\"")),
        (CODECS, with("codecs=\"mp4a.40.2\"", "")),
        (PRESENTATION, with("width=\"1920\"", "")),
        (PRESENTATION, with("frameRate=\"25\"", "frameRate=\"25.0\"")),
        (PRESENTATION, with("audioSamplingRate=\"48000\"", "")),
        (ALIGNED, with("segmentAlignment=\"true\"", "")),
        (ALIGNED, with("startWithSAP=\"1\"", "startWithSAP=\"3\"")),
        (TEMPLATE, with("v-$Time$", "v-$Number$")),
        (
            TEMPLATE,
            with("initialization=\"../v-0123456789abcdef.mp4\"", ""),
        ),
        (
            TEMPLATE,
            with("<S t=\"161583011990000\" d=\"360000\" r=\"3\"/>", ""),
        ),
        (TIMELINE, with("t=\"161583012000000\" d", "d")),
        (
            TIMELINE,
            with("t=\"161583017400000\"", "t=\"161583013700000\""),
        ),
        (TIMELINE, with("d=\"360000\" r=\"4\"", "d=\"0\" r=\"4\"")),
        (TIMELINE, with("r=\"3\"", "r=\"-1\"")),
        (
            OFFSET,
            with("presentationTimeOffset=\"161583012000000\"", ""),
        ),
        (
            OFFSET,
            with("<S t=\"161583011990000\"", "<S t=\"161583011000000\""),
        ),
        (
            OFFSET,
            live(&broken(
                &twice,
                "t=\"161583017400000\"",
                "t=\"161583019200000\"",
            )),
        ),
        (
            TRICK_MODE,
            of_trick("trickmode\" value=\"1\"", "trickmode\" value=\"2\""),
        ),
        (
            TRICK_MODE,
            of_trick("trickmode\" value=\"1\"", "trickmode\" value=\"4\""),
        ),
        (
            TRICK_MODE,
            of_trick("trickmode\" value=\"1\"", "trickmode\""),
        ),
        (TRICK_MODE, of_trick("codingDependency=\"false\"", "")),
        (TRICK_MODE, of_trick("maxPlayoutRate=\"100\"", "")),
        (SAME_AS_HLS, compared(&playlist(0, 8))),
        (SAME_AS_HLS, compared(&playlist(1, 10))),
        (SCHEMA, schema::validate_with(TODAY, &small).unwrap()),
        (SCHEMA, schema::validate_with("no XML", &small).unwrap()),
        (UPDATE_ROOT, later("17:00:40.000Z", "17:00:39.000Z")),
        (UPDATE_ROOT, later("1970-01-01", "1970-01-02")),
        (UPDATE_IDS, later("<Period id=\"0\"", "<Period id=\"9\"")),
        (
            UPDATE_IDS,
            later(
                "presentationTimeOffset=\"161583012000000\"",
                "presentationTimeOffset=\"1\"",
            ),
        ),
        (
            UPDATE_IDS,
            later("Representation id=\"audio\"", "Representation id=\"sound\""),
        ),
        (UPDATE_SEGMENTS, later("r=\"3\"", "r=\"2\"")),
        (
            UPDATE_SEGMENTS,
            later("d=\"360000\" r=\"4\"", "d=\"359999\" r=\"4\""),
        ),
        (PATCH_ROOT, patched("mpdId=\"today\"", "")),
        (PATCH_ROOT, patched("17:00:40.000Z", "17:00:39.000Z")),
        (PATCH_ROOT, patched("17:00:44.000Z", "17:00:40.000Z")),
        (PATCH_ROOT, patched("mpd-patch:2020", "mpd:2011")),
        (PATCH_APPLIES, patched("S[2]", "S[3]")),
        (PATCH_APPLIES, patched("[@id='2']", "")),
        (PATCH_APPLIES, patched("/@publishTime", "/@published")),
    ];
    assert_each_is_caught(RULES, &examples);
}

/// Of [`identified`].
const PATCH: &str = r#"<Patch xmlns="urn:mpeg:dash:schema:mpd-patch:2020" mpdId="today"
 originalPublishTime="2026-11-22T17:00:40.000Z" publishTime="2026-11-22T17:00:44.000Z"><replace
 sel="/MPD/@publishTime">2026-11-22T17:00:44.000Z</replace><replace
 sel="/MPD/Period[@id='0']/AdaptationSet[@id='1']/Representation/SegmentTemplate/SegmentTimeline/S[2]"><S
 t="161583017400000" d="360000" r="5"/></replace><add
 sel="/MPD/Period[@id='0']/AdaptationSet[@id='2']/Representation/SegmentTemplate/SegmentTimeline"><S
 d="350000"/></add></Patch>"#;

/// [`TODAY`] with an id that a patch can name.
fn identified() -> String {
    TODAY.replace("type=\"dynamic\"", "type=\"dynamic\" id=\"today\"")
}

#[test]
fn a_patch_changes_what_it_selects_and_nothing_else() {
    let (made, findings) = patch::check(&identified(), PATCH);
    findings.assert_none(PATCH);
    let timeline = |text: &str| {
        let (before, after) = text.rsplit_once("r=\"4\"/></SegmentTimeline>").unwrap();
        let after = after.replacen("r=\"3\"/>", "r=\"3\"/><S\n d=\"350000\"/>", 1);
        format!("{before}r=\"5\"/></SegmentTimeline>{after}")
    };
    let expected = timeline(&identified())
        .replace("<S t=\"161583017400000\"", "<S\n t=\"161583017400000\"")
        .replace("17:00:40.000Z", "17:00:44.000Z");
    assert_eq!(made.unwrap(), expected);
    let whole = Expected {
        live: true,
        epoch: true,
    };
    check(&expected, whole).1.assert_none("what a patch made");
}

/// ffmpeg's DASH muxer: what another packager writes must pass too.
#[test]
fn a_manifest_of_ffmpeg_passes() {
    let folder = tempfile::tempdir().unwrap();
    crate::foreign::make_dash(folder.path(), dayreel_testcam::VideoCodec::H264).unwrap();
    let text = fs::read_to_string(folder.path().join("manifest.mpd")).unwrap();
    // Its muxer (5.1) leaves the audio out of the maximum, which this list finds.
    let text = text.replace(
        "maxSegmentDuration=\"PT2.0S\"",
        "maxSegmentDuration=\"PT2.1S\"",
    );
    let expected = Expected {
        live: false,
        epoch: false,
    };
    let (read, findings) = check(&text, expected);
    findings.assert_none("ffmpeg's manifest");
    let (_, listed) = read.unwrap();
    let video = &listed[0];
    assert_eq!(video.segments.len(), 5);
    for segment in &video.segments {
        assert!(
            folder.path().join(&segment.url).is_file(),
            "{}",
            segment.url
        );
    }
    assert!(folder.path().join(&video.init).is_file());
    schema::validate(&text)
        .unwrap()
        .assert_valid("ffmpeg's manifest");
}
