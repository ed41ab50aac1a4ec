//! Exports: what is recorded between two times, as one MP4.

use std::{fs, ops::Range, path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use dayreel_archive::{CameraArchive, Export, ExportZip, Exported, Gaps};
use dayreel_core::{MediaTime, TICKS_PER_SECOND, WallTime};
use dayreel_testcam::pattern;
use dayreel_tests::{
    clip::pictures,
    foreign::{Input, Limit, Packet, Stream, packets},
    make_day::{CAMERA, Film, Media, Served, Simulation},
    process::{Server, Setup, run_within},
    rules::cmaf::boxes::walk,
};

const LIMIT: Limit = Limit {
    packets: None,
    deadline: Duration::from_secs(60),
};
/// Times in answers are rounded to it.
const MS_90K: i64 = 90;

fn rfc3339(time: WallTime) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn path_of(from: WallTime, to: WallTime) -> String {
    format!("/{CAMERA}/export?from={}&to={}", rfc3339(from), rfc3339(to))
}

/// By how much the times of `part` differ from those of `whole`, which has it somewhere, access unit
/// by access unit: by the same for all of it.
fn shift_of(part: &[Packet], whole: &[Packet]) -> Result<i64> {
    let first = part.first().context("no access units")?;
    let begin = whole.iter().position(|one| one.data == first.data);
    let begin = begin.context("the first access unit was not recorded")?;
    let shift = whole[begin].pts_90k - first.pts_90k;
    ensure_shifted(part, whole, shift)?;
    Ok(shift)
}

/// Whether `part` is what `whole` has `shift` later.
fn ensure_shifted(part: &[Packet], whole: &[Packet], shift: i64) -> Result<()> {
    let first = part.first().context("no access units")?.pts_90k + shift;
    let begin = whole.iter().position(|one| one.pts_90k == first);
    let begin = begin.context("nothing was recorded where it begins")?;
    for (number, one) in part.iter().enumerate() {
        let recorded = whole.get(begin + number).context("more than recorded")?;
        ensure!(one.data == recorded.data, "access unit {number} is another");
        let moved = recorded.pts_90k - one.pts_90k;
        ensure!(moved == shift, "{number}: {moved} instead of {shift}");
    }
    Ok(())
}

#[test]
fn an_export_is_what_was_recorded_between_two_times() -> Result<()> {
    let media = Media {
        fps: 25,
        audio: true,
        ..Media::default()
    };
    let served = Served::start(media, 0.05)?;
    let client = served.server.client();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("export.mp4");
    // Live, so it has no end: 80 s and more.
    let recorded = |track: &str, stream, count| {
        let url = served
            .server
            .url(&format!("/{CAMERA}/stream/today/{track}.m3u8"));
        let limit = Limit {
            packets: Some(count),
            ..LIMIT
        };
        anyhow::Ok(packets(Input::Hls(&url), stream, limit)?.packets)
    };
    let video = recorded("video", Stream::Video, 2000)?;
    let audio = recorded("audio", Stream::Audio, 4000)?;
    let begin = served.period.from + TimeDelta::seconds(8);
    for (from_ms, length_ms) in [
        (0, 1000),
        (1234, 4000),
        (3990, 4020),
        (17, 60_000),
        (40, 1001),
    ] {
        let from = begin + TimeDelta::milliseconds(from_ms);
        let to = from + TimeDelta::milliseconds(length_ms);
        let answer = client.get(&path_of(from, to))?.expect(200)?;
        ensure!(answer.header("content-type") == Some("video/mp4"));
        let named = answer.header("content-disposition").context("no name")?;
        let local = from.with_timezone(&served.zone).format("%Y-%m-%d_%H-%M-%S");
        ensure!(
            named == format!("attachment; filename=\"{CAMERA}_{local}.mp4\""),
            "{named}"
        );
        fs::write(&file, &answer.body)?;

        let seen = packets(Input::File(&file), Stream::Video, LIMIT)?;
        let heard = packets(Input::File(&file), Stream::Audio, LIMIT)?;
        ensure!(seen.complaints.is_empty(), "{}", seen.complaints);
        let shift = shift_of(&seen.packets, &video).context("picture")?;
        ensure_shifted(&heard.packets, &audio, shift).context("sound")?;

        // What is shown begins with the picture of `from`, and the header says so.
        let shown = answer.header("x-export-from").context("no X-Export-From")?;
        let shown = DateTime::parse_from_rfc3339(shown)?.to_utc();
        let zero_90k = MediaTime::wall_to_media(shown).ticks().cast_signed();
        ensure!((zero_90k - shift).abs() <= MS_90K, "{zero_90k}, {shift}");
        let mut times: Vec<_> = seen.packets.iter().map(|one| one.pts_90k).collect();
        times.sort_unstable();
        let pictures = pictures(&file)?;
        ensure!(pictures.len() == times.len());
        let number_before = |end_90k: i64| {
            let next = times.partition_point(|time| *time < end_90k);
            let last = next.checked_sub(1).context("nothing before")?;
            anyhow::Ok(pictures[last].frame_number)
        };
        ensure!(number_before(MS_90K)? == served.media.number_at(from));
        let duration_90k = length_ms * MS_90K + (from - shown).num_milliseconds() * MS_90K;
        let last = to - TimeDelta::milliseconds(1);
        ensure!(number_before(duration_90k - MS_90K / 2)? == served.media.number_at(last));
        // Neither a GOP before nor a chunk behind that is not needed.
        ensure!(times[0] > -4 * 90_000 && times[times.len() - 1] < duration_90k + 45_000);
        let sounds = heard.packets.first().zip(heard.packets.last());
        let (first, last) = sounds.context("no sound")?;
        ensure!(first.pts_90k <= times[0] && times[0] - first.pts_90k < 46_080);
        ensure!(last.pts_90k + 1920 >= duration_90k);
    }
    Ok(())
}

#[test]
fn any_range_of_an_export_is_the_same_bytes() -> Result<()> {
    let media = Media {
        audio: true,
        ..Media::default()
    };
    let served = Served::start(media, 0.05)?;
    let client = served.server.client();
    let from = served.period.from + TimeDelta::milliseconds(9_900);
    let path = path_of(from, from + TimeDelta::seconds(40));
    let whole = client.get(&path)?.expect(200)?;
    let len = whole.body.len();
    let tag = whole.header("etag").context("no ETag")?.to_owned();
    let head = client.head(&path)?.expect(200)?;
    ensure!(head.header("content-length") == Some(&*len.to_string()) && head.body.is_empty());
    let (boxes, torn) = walk(&whole.body);
    ensure!(torn.is_none(), "torn at {torn:?}");
    // Around every box, where what is patched begins and ends, and in the middle of each.
    let mut begins: Vec<_> = boxes
        .iter()
        .flat_map(|one| {
            [
                one.offset,
                one.offset + 20,
                one.offset + one.bytes.len() / 2,
            ]
        })
        .collect();
    begins.extend([1, len - 1]);
    for begin in begins {
        for length in [1, 1000, len] {
            let last = (begin + length - 1).min(len - 1);
            let part = client.request(
                "GET",
                &path,
                &[
                    ("range", &format!("bytes={begin}-{last}")),
                    ("if-range", &tag),
                ],
            )?;
            let part = part.expect(206)?;
            ensure!(part.body == whole.body[begin..=last], "{begin} to {last}");
        }
    }
    client.get_range(&path, &format!("{len}-"))?.expect(416)?;
    client
        .request("GET", &path, &[("if-none-match", &tag)])?
        .expect(304)?;
    Ok(())
}

/// It cost a processor.
#[test]
fn regression_archives_were_gzipped() -> Result<()> {
    let served = Served::start(Media::default(), 0.05)?;
    let client = served.server.client();
    let gzipped = |path: &str| {
        let answer = client.get_gzip(path)?.expect(200)?;
        let encoding = answer.header("content-encoding").map(str::to_owned);
        anyhow::Ok((answer, encoding))
    };
    let playlist = format!("/{CAMERA}/stream/today/video.m3u8");
    ensure!(gzipped(&playlist)?.1.as_deref() == Some("gzip"));
    let from = served.period.from;
    let zip = format!("{}&split=zip", path_of(from, from + TimeDelta::seconds(20)));
    let (zip, encoding) = gzipped(&zip)?;
    ensure!(encoding.is_none(), "{encoding:?}");
    ensure!(zip.body.starts_with(b"PK"));
    Ok(())
}

#[test]
fn a_whole_day_is_one_file_in_which_players_find_their_way() -> Result<()> {
    let served = Served::start(Media::default(), 26.0)?;
    let day = served.today().before(1);
    let client = served.server.client();
    let answer = client.get(&path_of(day.start(), day.end()))?.expect(200)?;
    let first = answer.header("x-export-from").context("no X-Export-From")?;
    let first = DateTime::parse_from_rfc3339(first)?.to_utc();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("day.mp4");
    fs::write(&file, &answer.body)?;
    let hours = (day.end() - first).num_seconds() / 3600;
    ensure!(hours > 1, "{hours}");
    let size = (served.media.width, served.media.height);
    for position in (0..hours).map(TimeDelta::hours) {
        // Into the first GOP, the second, and a later one.
        for more_s in [2, 7, 1801] {
            let position = position + TimeDelta::seconds(more_s);
            let shown = picture_at(&file, position, size);
            let shown = shown.with_context(|| format!("at {position}"))?;
            let due = served.media.number_at(first + position);
            ensure!(
                shown.abs_diff(due) <= 1,
                "{position}: {shown} instead of {due}"
            );
        }
    }
    Ok(())
}

/// The number of the picture that ffmpeg finds at `position`.
fn picture_at(file: &Path, position: TimeDelta, size: (u32, u32)) -> Result<u32> {
    let mut ffmpeg = Command::new("ffmpeg");
    let position = format!("{}ms", position.num_milliseconds());
    ffmpeg
        .args(["-nostdin", "-loglevel", "error", "-ss", &position, "-i"])
        .arg(file);
    ffmpeg.args(["-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
    let output = run_within(ffmpeg, LIMIT.deadline, "apt-get install ffmpeg")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (width, height) = size;
    let reading = pattern::read(&output.stdout, width, height, usize::try_from(width)?);
    Ok(reading.context("an unclear picture")?.frame_number)
}

/// What is exported, as a file.
fn written(export: Export, file: &Path) -> Result<Arc<Export>> {
    let export = Arc::new(export);
    let pieces: Vec<_> = export
        .read(0..export.len_bytes())
        .collect::<Result<_, _>>()?;
    fs::write(file, pieces.concat())?;
    Ok(export)
}

fn whole(archive: &CameraArchive, asked: &Range<MediaTime>, gaps: Gaps) -> Result<Export> {
    match archive.export(asked, gaps)? {
        Exported::Whole(export) => Ok(export),
        other => anyhow::bail!("{other:?}"),
    }
}

/// A segment of 4 s, 8 s of nothing, a segment, and after another 8 s one that is larger.
#[test]
fn gaps_are_closed_or_kept_and_encodings_are_not_mixed() -> Result<()> {
    let data = tempfile::tempdir()?;
    let media = Media {
        audio: true,
        ..Media::default()
    };
    let film = Film::encode(media.clone())?;
    let larger = Film::encode(Media {
        width: 320,
        height: 180,
        ..media
    })?;
    let begin = Utc
        .with_ymd_and_hms(2026, 11, 22, 12, 0, 0)
        .single()
        .context("a time")?;
    let zone = chrono_tz::Tz::UTC;
    let mut camera = Simulation::start(data.path(), CAMERA, zone, begin, &film)?;
    let gap = TimeDelta::seconds(12);
    camera.segment()?;
    camera.reconnect(begin + gap)?;
    camera.segment()?;
    let camera = camera.restart(true, data.path(), begin + gap * 2)?;
    drop(camera);
    let mut camera = Simulation::start(data.path(), CAMERA, zone, begin + gap * 2, &larger)?;
    camera.segment()?;
    let camera = camera.restart(true, data.path(), begin + gap * 3)?;

    let media_time = |seconds: i64| MediaTime::wall_to_media(begin + TimeDelta::seconds(seconds));
    let file = data.path().join("export.mp4");
    // The simulated sound lasts 3.467 s longer than the picture: a gap begins where both are missing.
    for (gaps, again_s) in [(Gaps::Close, 6.467), (Gaps::Keep, 11.0)] {
        let asked = media_time(1)..media_time(15);
        let export = written(whole(camera.archive(), &asked, gaps)?, &file)?;
        ensure!(*export.shown() == asked, "{:?}", export.shown());
        let video = packets(Input::File(&file), Stream::Video, LIMIT)?.packets;
        let audio = packets(Input::File(&file), Stream::Audio, LIMIT)?.packets;
        let jump = video
            .windows(2)
            .find(|pair| pair[1].pts_90k - pair[0].pts_90k > 90_000);
        let jump = jump.context("the picture has no jump")?;
        ensure!(seconds(jump[0].pts_90k) < 3.0);
        ensure!(
            (seconds(jump[1].pts_90k) - again_s).abs() < 0.001,
            "{jump:?}"
        );
        // The sound goes on with the picture.
        let at = audio.iter().position(|one| one.pts_90k == jump[1].pts_90k);
        let at = at.with_context(|| format!("{gaps:?}: no sound at {again_s}"))?;
        let silence_90k = audio[at].pts_90k - audio[at - 1].pts_90k - 1920;
        let due_90k = if gaps == Gaps::Keep { 408_000 } else { 0 };
        ensure!(silence_90k == due_90k, "{gaps:?}: {silence_90k}");
        // 3 s of each, and the lead-in.
        ensure!(pictures(&file)?.len() >= 30);
    }
    let asked = media_time(13)..media_time(26);
    let changes = camera.archive().export(&asked, Gaps::Close)?;
    let Exported::Changes(changes) = changes else {
        anyhow::bail!("{changes:?}");
    };
    let due = media_time(24).ticks();
    ensure!(!changes.is_empty());
    for change in &changes {
        ensure!(
            change.ticks().abs_diff(due) < TICKS_PER_SECOND / 10,
            "{change:?}"
        );
    }
    // As the refusal says: each part by itself.
    let last = *changes.last().context("no change")?;
    written(
        whole(camera.archive(), &(media_time(13)..changes[0]), Gaps::Close)?,
        &file,
    )?;
    ensure!(pictures(&file)?.len() >= 15);
    written(
        whole(camera.archive(), &(last..media_time(26)), Gaps::Close)?,
        &file,
    )?;
    ensure!(pictures(&file)?.len() >= 10);

    // Or all in one.
    let parts = camera.archive().export_split(&asked, Gaps::Close)?;
    ensure!(parts.len() == 2, "{} parts", parts.len());
    let lengths: Vec<_> = parts.iter().map(Export::len_bytes).collect();
    let zip = ExportZip::new(["a.mp4", "b.mp4"].map(str::to_owned).into_iter().zip(parts));
    let pieces: Vec<_> = zip.collect::<Result<_, _>>()?;
    let zipped = data.path().join("export.zip");
    fs::write(&zipped, pieces.concat())?;
    let mut unzip = Command::new("unzip");
    unzip.arg("-q").arg(&zipped).arg("-d").arg(data.path());
    let output = run_within(unzip, LIMIT.deadline, "apt-get install unzip")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for (name, len_bytes, least) in [("a.mp4", lengths[0], 15), ("b.mp4", lengths[1], 10)] {
        let file = data.path().join(name);
        ensure!(fs::metadata(&file)?.len() == len_bytes, "{name}");
        ensure!(pictures(&file)?.len() >= least, "{name}");
    }

    let nothing = camera
        .archive()
        .export(&(media_time(5)..media_time(11)), Gaps::Close)?;
    ensure!(
        matches!(
            nothing,
            Exported::Nothing { before: Some(before), after: Some(after) }
                if before == media_time(4) && after == media_time(12)
        ),
        "{nothing:?}"
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "days")]
fn seconds(ticks_90k: i64) -> f64 {
    ticks_90k as f64 / 90_000.0
}

#[test]
fn everything_wrong_is_refused_with_what_is_allowed() -> Result<()> {
    let server = Server::start(Setup::without_camera(CAMERA))?;
    let client = server.client();
    let queries = [
        "",
        "?from=00:00:00",
        "?to=00:00:00",
        "?from=now&to=00:00:00",
        "?from=00:00:00&to=later",
        "?from=00:00:00&to=",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:00:00Z",
        "?from=2001-01-01T00:00:01Z&to=2001-01-01T00:00:00Z",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:00:00.5Z",
        "?from=2001-01-01T00:00:00Z&to=2001-01-02T01:00:01Z",
        "?from=2001-01-01T00:00:00Z&to=2002-01-01T00:00:00Z",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:01:00Z&gaps=open",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:01:00Z&split=tar",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:01:00Z&split=zip",
        "?from=2001-01-01T00:00:00Z&to=2001-01-01T00:01:00Z",
        "?from=2001-01-01T00:00:00&to=2001-01-01T00:01:00&gaps=keep",
        "?from=2001-01-01T00:00:00+01:00&to=2001-01-01T00:01:00+01:00&gaps=close",
        "?from=00:00:00&from=00:00:01&to=00:00:02",
    ];
    let mut requests: Vec<_> = queries.map(|query| ("GET", query)).into();
    requests.push(("POST", "?from=00:00:00&to=00:00:02"));
    let said = client.refusals(&format!("/{CAMERA}/export"), requests)?;
    let future = format!("/{CAMERA}/export?from=2001-01-01T00:00:00Z&to=2999-01-01T00:00:00Z");
    let future = client.get(&future)?.expect(400)?.text()?;
    ensure!(
        future.contains("to: \\\"2999-01-01T00:00:00Z\\\" is in the future; it is 20"),
        "{future}"
    );
    let expected = include_str!("golden/export-refusals.txt");
    ensure!(said == expected, "said:\n{said}\nexpected:\n{expected}");
    Ok(())
}
