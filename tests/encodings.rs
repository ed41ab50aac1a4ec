//! What cameras do within H.264 and H.265: B-frames, several slices a picture, parameter sets that are
//! in the SDP only. Each is recorded byte for byte, and every picture is shown once and in order.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::{
    Camera, Format, Gop, ParameterSets, PictureSettings, Settings, Source, Track, VideoCodec,
};
use dayreel_tests::{
    client::Client,
    clip,
    foreign::Packet,
    process::{Server, Setup, wait_until},
    stage::{Day, match_sent},
};

const DEADLINE: Duration = Duration::from_secs(90);
/// What following the camera's clock may move an access unit at once: far less than one is long.
const OFF_BY_90K: u64 = 180;

/// A camera and what is odd about it.
struct Odd {
    id: String,
    codec: VideoCodec,
    b_frames: u32,
    slices: u32,
    camera: Camera,
}

impl Odd {
    fn start(
        codec: VideoCodec,
        b_frames: u32,
        slices: u32,
        parameter_sets: ParameterSets,
    ) -> Result<Self> {
        Ok(Self {
            id: format!("{codec:?}-{b_frames}-{slices}-{parameter_sets:?}").to_lowercase(),
            codec,
            b_frames,
            slices,
            camera: Camera::start(Settings {
                source: Source::Picture(PictureSettings {
                    codec,
                    // Rows of blocks for four slices.
                    width: 320,
                    height: 256,
                    fps: 15,
                    gop: Gop::Seconds(1.0),
                    bitrate_kbps: 300,
                    b_frames,
                    slices,
                    ..PictureSettings::default()
                }),
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
        let format = Format::LengthPrefixed(self.codec);
        let found = match_sent(&sent, &packets, format, OFF_BY_90K)?;
        ensure!(found.before == 0, "{found:?}");

        for packet in &packets {
            let slices = slices(packet, self.codec);
            ensure!(slices == self.slices, "{slices} slices in a picture");
        }
        let reordered = packets
            .iter()
            .filter(|packet| packet.pts_90k != packet.dts_90k);
        ensure!((reordered.count() > 0) == (self.b_frames > 0));
        ensure!(
            packets
                .windows(2)
                .all(|pair| pair[0].dts_90k < pair[1].dts_90k)
        );

        let film = folder.join("film.mp4");
        let inits = day.video.inits.values().flatten();
        let bytes = inits.chain(day.video.segments.iter().flatten());
        fs::write(&film, bytes.copied().collect::<Vec<_>>())?;
        let shown = clip::pictures(&film)?;
        ensure!(shown.len() == packets.len(), "{} pictures", shown.len());
        for pair in shown.windows(2) {
            ensure!(pair[1].frame_number == pair[0].frame_number + 1, "{pair:?}");
        }

        let moment = client.get_json(&format!("/{}/moment/generate/4/0", self.id))?;
        let url = moment["url"].as_str().with_context(|| moment.to_string())?;
        fs::write(&film, client.get(url)?.expect(200)?.body)?;
        let shown = clip::pictures(&film)?;
        ensure!(
            shown.len().abs_diff(4 * 15) <= 1,
            "{} pictures",
            shown.len()
        );
        for pair in shown.windows(2) {
            ensure!(pair[1].frame_number == pair[0].frame_number + 1, "{pair:?}");
        }
        Ok(())
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
    let cameras = [
        Odd::start(H264, 3, 1, EveryKeyframe)?,
        Odd::start(H264, 0, 4, EveryKeyframe)?,
        Odd::start(H264, 2, 3, SdpOnly)?,
        Odd::start(H265, 2, 1, EveryKeyframe)?,
        Odd::start(H265, 0, 4, EveryKeyframe)?,
        Odd::start(H265, 3, 1, SdpOnly)?,
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
