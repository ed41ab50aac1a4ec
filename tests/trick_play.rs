//! Trick play: the keyframes of a day by themselves, each of which is one picture, and the right one.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_core::MediaTime;
use dayreel_testcam::{Gop, PatternReading, PictureSettings, Source, VideoCodec};
use dayreel_tests::{
    clip::pictures,
    make_day::{self, Media, Served},
    process::wait_until,
    rules::hls::{
        self, delta,
        media::start_90k,
        reader::{Segment, read},
    },
    stage::{CAMERA, Day, Stage, picture},
};

/// Until something is as it should be.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is decoded of `media`, which needs `init`.
fn decoded(folder: &Path, init: &[u8], media: &[&[u8]]) -> Result<Vec<PatternReading>> {
    let file = folder.join("decoded.mp4");
    fs::write(&file, [&[init], media].concat().concat())?;
    pictures(&file)
}

/// Decodes all keyframes that were fetched of `day`: one picture each. Those of one init segment together, as a
/// player does.
fn keyframes_of(day: &Day) -> Result<Vec<(&Segment, PatternReading)>> {
    let folder = tempfile::tempdir()?;
    let mut shown = Vec::new();
    let frames = day.keyframes.fragments.iter();
    let frames: Vec<_> = frames
        .map(|(index, bytes)| (&day.keyframes.media.segments[*index], bytes.as_slice()))
        .collect();
    for run in frames.chunk_by(|(one, _), (next, _)| one.map == next.map) {
        let map = run.first().and_then(|(frame, _)| frame.map.as_ref());
        let init = map.and_then(|map| day.video.inits.get(&map.uri));
        let media: Vec<_> = run.iter().map(|(_, bytes)| *bytes).collect();
        let read = decoded(folder.path(), init.context("no init segment")?, &media)?;
        ensure!(read.len() == run.len(), "{} of {}", read.len(), run.len());
        shown.extend(run.iter().map(|(frame, _)| *frame).zip(read));
    }
    Ok(shown)
}

/// Pictures that refer to later ones, so that keyframes are shown later than they are decoded; a keyframe every
/// second: segments of two have two.
fn reordered(codec: VideoCodec) -> PictureSettings {
    PictureSettings {
        audio: None,
        b_frames: 2,
        gop: Gop::Seconds(1.0),
        ..picture(codec)
    }
}

#[test]
fn each_keyframe_of_today_is_the_first_picture_of_its_segment_over_a_gap_and_a_new_codec()
-> Result<()> {
    let mut stage = Stage::recorded(reordered(VideoCodec::H264), 2, 3)?;
    stage.camera.restart_with(|_| ())?;
    let client = stage.server.client();
    let path = format!("/{CAMERA}/stream/today/video.m3u8");
    // So many breaks are listed, and two segments behind the last.
    let wait_for = |breaks: usize| {
        let found = wait_until(PATIENCE, || {
            let (media, _) = read(&client.get_text(&path).ok()?);
            let broken = |segment: &Segment| segment.discontinuities > 0;
            let last = media.segments.iter().rposition(broken)?;
            let count = media.segments.iter().filter(|one| broken(one)).count();
            (count >= breaks && media.segments.len() >= last + 3).then_some(())
        });
        found.with_context(|| format!("no {breaks} breaks:\n{}", stage.server.log().tail(40)))
    };
    wait_for(1)?;
    let other = Source::Picture(reordered(VideoCodec::H265));
    stage
        .camera
        .restart_with(|changed| changed.source = other)?;
    wait_for(2)?;

    let day = Day::fetch(&client, CAMERA, "today")?;
    day.check(true)?
        .assert_none("a day with a gap and two codecs");
    let folder = tempfile::tempdir()?;
    let shown = keyframes_of(&day)?;
    ensure!(shown.len() >= 7, "{} keyframes", shown.len());
    let maps: std::collections::BTreeSet<_> = day.video.inits.keys().collect();
    ensure!(maps.len() == 2, "{maps:?}");
    for ((segment, bytes), (frame, reading)) in day
        .video
        .media
        .segments
        .iter()
        .zip(&day.video.segments)
        .zip(&shown)
    {
        ensure!(start_90k(&segment.uri) == start_90k(&frame.uri));
        let map = segment.map.as_ref().context("no map")?;
        let whole = decoded(folder.path(), &day.video.inits[&map.uri], &[bytes])?;
        let first = whole.first().context("no picture")?;
        ensure!(
            first.frame_number == reading.frame_number,
            "{}: {first:?}, {reading:?}",
            frame.uri
        );
    }
    Ok(())
}

#[test]
fn each_keyframe_of_a_day_that_is_over_is_the_picture_of_its_time() -> Result<()> {
    let served = Served::start(Media::default(), 26.0)?;
    let client = served.server.client();
    let date = served.today().before(1).to_string();
    let day = Day::fetch(&client, make_day::CAMERA, &date)?;
    day.check(false)?.assert_none("yesterday");
    let listed = day.keyframes.media.segments.len();
    ensure!(listed == day.video.media.segments.len() && listed > 900);
    let shown = keyframes_of(&day)?;
    ensure!(shown.len() > 300, "{} keyframes", shown.len());
    for (frame, reading) in shown {
        let start = MediaTime::from_ticks(start_90k(&frame.uri).context("no start")?);
        let due = served.media.number_at(start.media_to_wall());
        ensure!(reading.frame_number == due, "{}: {reading:?}", frame.uri);
    }
    Ok(())
}

#[test]
fn who_follows_the_keyframes_waits_for_the_next_one_and_gets_what_is_new() -> Result<()> {
    let stage = Stage::recorded(reordered(VideoCodec::H264), 1, 8)?;
    let client = stage.server.client();
    let path = |query: &str| format!("/{CAMERA}/stream/today/keyframes.m3u8{query}");
    let old = client.get_text(&path(""))?;
    let (media, _) = hls::keyframes::check(&old, hls::media::Expected::TODAY);
    let next = media.media_sequence + u64::try_from(media.segments.len())?;
    let delta = client.get_text(&path(&format!("?_HLS_msn={next}&_HLS_skip=YES")))?;
    let (newer, _) = read(&delta);
    ensure!(
        newer.skipped_segments.is_some_and(|skipped| skipped > 0),
        "{delta}"
    );
    let skipped = newer.media_sequence + newer.skipped_segments.unwrap_or(0);
    ensure!(
        skipped + u64::try_from(newer.segments.len())? > next,
        "{delta}"
    );
    let whole = client.get_text(&path(""))?;
    // It may have got longer meanwhile.
    let until = newer.segments.last().context("no keyframe")?;
    let (whole, _) = whole.split_once(&until.uri).context("it is not listed")?;
    delta::check(&old, &delta, &format!("{whole}{}\n", until.uri)).assert_none(&delta);

    for query in ["?_HLS_part=0", "?_HLS_msn=0&_HLS_part=0"] {
        let refused = client.get(&path(query))?.expect(400)?.text()?;
        ensure!(refused.contains("without parts"), "{refused}");
    }
    let far = client.get(&path("?_HLS_msn=999999999999"))?.expect(400)?;
    ensure!(far.text()?.contains("too far ahead"));
    client.get(&path("?_HLS_skip=NO"))?.expect(400)?;
    Ok(())
}
