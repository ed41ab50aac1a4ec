//! What cameras do within H.264 and H.265: B-frames, open GOPs, several slices a picture, parameter sets that
//! are in the SDP only. Each is recorded byte for byte, and every picture is shown once and in order.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use dayreel_core::MediaTime;
use dayreel_testcam::{
    Camera, Format, Gop, ParameterSets, PatternReading, PictureSettings, Settings, Source, Track,
    VideoCodec,
};
use dayreel_tests::{
    client::Client,
    foreign::{Input, Limit, Packet, Stream, packets},
    numbers,
    process::{Server, Setup, wait_until},
    stage::{Day, match_sent},
};

const DEADLINE: Duration = Duration::from_secs(90);
const LIMIT: Limit = Limit {
    packets: None,
    deadline: DEADLINE,
};
/// Times in answers are rounded to it.
const MS_90K: i64 = 90;
/// What following the camera's clock may move an access unit at once: far less than one is long.
const OFF_BY_90K: u64 = 180;

/// A camera and what is odd about it.
struct Odd {
    id: String,
    picture: PictureSettings,
    camera: Camera,
}

impl Odd {
    fn start(
        id: &str,
        codec: VideoCodec,
        parameter_sets: ParameterSets,
        change: impl FnOnce(&mut PictureSettings),
    ) -> Result<Self> {
        let mut picture = PictureSettings {
            codec,
            // Rows of blocks for four slices.
            width: 320,
            height: 256,
            fps: 15,
            gop: Gop::Seconds(1.0),
            bitrate_kbps: 300,
            ..PictureSettings::default()
        };
        change(&mut picture);
        Ok(Self {
            id: format!("{codec:?}-{id}").to_lowercase(),
            picture: picture.clone(),
            camera: Camera::start(Settings {
                source: Source::Picture(picture),
                parameter_sets,
                ..Settings::default()
            })?,
        })
    }

    fn check(&self, client: &Client, folder: &Path) -> Result<()> {
        let enough = || {
            let day = Day::fetch(client, &self.id, "today").ok()?;
            (day.video.segments.len() >= 3).then_some(day)
        };
        let day = wait_until(DEADLINE, enough).context("it is not recorded")?;
        day.check(true)?.assert_none(&self.id);
        let packets = day.video.packets();
        let sent = self.camera.sent(Track::Video)?;
        let format = Format::LengthPrefixed(self.picture.codec);
        let found = match_sent(&sent, &packets, format, OFF_BY_90K)?;
        ensure!(found.before == 0, "{found:?}");

        for packet in &packets {
            let slices = slices(packet, self.picture.codec);
            ensure!(
                slices == self.picture.slices,
                "{slices} slices in a picture"
            );
        }
        let reordered = packets
            .iter()
            .filter(|packet| packet.pts_90k != packet.dts_90k);
        ensure!((reordered.count() > 0) == (self.picture.b_frames > 0));
        ensure!(
            packets
                .windows(2)
                .all(|pair| pair[0].dts_90k < pair[1].dts_90k)
        );

        let film = folder.join("film.mp4");
        let inits = day.video.inits.values().flatten();
        let bytes = inits.chain(day.video.segments.iter().flatten());
        fs::write(&film, bytes.copied().collect::<Vec<_>>())?;
        self.ensure_in_order(&film, &packets)?;
        self.check_export(client, &day, &film)?;

        let moment = client.get_json(&format!("/{}/moment/generate/4/0", self.id))?;
        let url = moment["url"].as_str().with_context(|| moment.to_string())?;
        fs::write(&film, client.get(url)?.expect(200)?.body)?;
        let shown = self.pictures(&film)?;
        ensure!(
            shown.len().abs_diff(4 * 15) <= 1,
            "{} pictures",
            shown.len()
        );
        numbers::ensure_in_order(&shown, shown.len())
    }

    /// From each of the first pictures of a segment on, where those of an open GOP refer to the segment before.
    fn check_export(&self, client: &Client, day: &Day, film: &Path) -> Result<()> {
        let fps = i64::from(self.picture.fps);
        let first = &day.video.media.segments[0];
        let length = TimeDelta::nanoseconds(first.duration_ns.cast_signed());
        let begin = first.program_date_time.context("no time")? + length;
        let begin_90k = MediaTime::wall_to_media(begin).ticks().cast_signed();
        let units = day.video.packets();
        let keyframe = units
            .iter()
            .min_by_key(|unit| unit.dts_90k.abs_diff(begin_90k));
        let keyframe = keyframe.context("nothing recorded")?;
        for picture in 0..4 {
            let from = begin + TimeDelta::milliseconds(picture * 1000 / fps);
            let to = from + TimeDelta::seconds(1);
            let [from_text, to_text] =
                [from, to].map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
            let path = format!("/{}/export?from={from_text}&to={to_text}", self.id);
            let answer = client.get(&path)?.expect(200)?;
            let shown_from = answer.header("x-export-from").context("no X-Export-From")?;
            let shown_from = DateTime::parse_from_rfc3339(shown_from)?.to_utc();
            let late = (shown_from - from).num_milliseconds();
            let most_late = i64::from(self.picture.b_frames) * 1000 / fps + 1;
            ensure!(late <= most_late, "{late} ms late");
            let shown_90k = MediaTime::wall_to_media(shown_from).ticks().cast_signed();
            fs::write(film, &answer.body)?;
            let packets = packets(Input::File(film), Stream::Video, LIMIT)?.packets;
            self.ensure_in_order(film, &packets)?;
            // What the first refer to that are shown is there, too.
            let begins_with_it = packets
                .first()
                .is_some_and(|first| first.data == keyframe.data);
            ensure!(
                !begins_with_it || shown_90k + MS_90K >= keyframe.pts_90k,
                "{shown_90k}, {}",
                keyframe.pts_90k
            );
        }
        Ok(())
    }

    /// Whether the pictures of a film, which are `packets`, follow one another from the first keyframe on. What is
    /// shown before it, in an open GOP, refers to what is not there.
    fn ensure_in_order(&self, film: &Path, packets: &[Packet]) -> Result<()> {
        let keyframe = packets.first().context("nothing recorded")?.pts_90k;
        let due = packets.iter().filter(|packet| packet.pts_90k >= keyframe);
        numbers::ensure_in_order(&self.pictures(film)?, due.count())
    }

    /// What the pictures of a film say. Where an open GOP is the first, decoders complain.
    fn pictures(&self, film: &Path) -> Result<Vec<Option<PatternReading>>> {
        match self.picture.open_gop {
            true => numbers::in_cut_file(film),
            false => numbers::in_file(film),
        }
    }
}

/// NAL units with a part of the picture.
fn slices(packet: &Packet, codec: VideoCodec) -> u32 {
    let (mut rest, mut count) = (packet.data.as_slice(), 0);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (nal, after) = after.split_at(length.min(after.len()));
        let header = nal.first().copied().unwrap_or(0);
        // ITU-T H.264 table 7-1, ITU-T H.265 table 7-1.
        let is_slice = match codec {
            VideoCodec::H264 => matches!(header & 0x1f, 1..=5),
            _ => header >> 1 & 0x3f < 32,
        };
        count += u32::from(is_slice);
        rest = after;
    }
    count
}

#[test]
fn b_frames_slices_and_parameter_sets_are_recorded_as_they_come() -> Result<()> {
    use ParameterSets::{EveryKeyframe, SdpOnly};
    use VideoCodec::{H264, H265};
    let b_frames_and_slices = |picture: &mut PictureSettings| {
        (picture.b_frames, picture.slices) = (2, 3);
    };
    let open_gop = |picture: &mut PictureSettings| {
        (picture.b_frames, picture.open_gop) = (2, true);
    };
    let cameras = [
        Odd::start("b", H264, EveryKeyframe, |picture| picture.b_frames = 3)?,
        Odd::start("slices", H264, EveryKeyframe, |picture| picture.slices = 4)?,
        Odd::start("sdp", H264, SdpOnly, b_frames_and_slices)?,
        Odd::start("b", H265, EveryKeyframe, |picture| picture.b_frames = 2)?,
        Odd::start("slices", H265, EveryKeyframe, |picture| picture.slices = 4)?,
        Odd::start("sdp", H265, SdpOnly, |picture| picture.b_frames = 3)?,
        Odd::start("open", H264, EveryKeyframe, open_gop)?,
        Odd::start("open", H265, EveryKeyframe, open_gop)?,
    ];
    let urls: Vec<_> = cameras
        .iter()
        .map(|odd| (odd.id.as_str(), odd.camera.url()))
        .collect();
    let urls = urls.iter().map(|(id, url)| (*id, url.as_str()));
    let server = Server::start(Setup::with_cameras(urls))?;
    let folder = tempfile::tempdir()?;
    for odd in &cameras {
        let checked = odd.check(&server.client(), folder.path());
        checked.with_context(|| format!("{}\n{}", odd.id, server.log().tail(10)))?;
    }
    Ok(())
}
