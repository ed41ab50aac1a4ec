//! The boxes of a moment, byte by byte, by the rules that QuickTime players hold files to: the QuickTime
//! File Format (QTFF) and ISO/IEC 14496-12, -14 and -15. Read here once more, not by the code that writes.

use anyhow::{Context as _, Result, ensure};
use chrono::DateTime;
use dayreel_testcam::{AudioCodec, Gop, PictureSettings, VideoCodec};
use dayreel_tests::stage::{CAMERA, Stage};

/// From 1904, where times in boxes begin (14496-12 §8.2.2.3), to 1970.
const EPOCH_S: u64 = 2_082_844_800;
/// 1 in 16.16 bits.
const ONE: u32 = 0x0001_0000;
/// Turns and moves nothing: 1, 1 in 16.16 and 1 in 2.30 bits (14496-12 §8.2.2.2, QTFF "Matrices").
const MATRIX: [u32; 9] = [ONE, 0, 0, 0, ONE, 0, 0, 0, 0x4000_0000];
const SIZE: (u32, u32) = (320, 180);

/// A box: its kind, where its content begins in the file, and that content.
#[derive(Clone, Copy)]
struct Atom<'f> {
    kind: [u8; 4],
    at: usize,
    body: &'f [u8],
}

/// The boxes that `bytes`, which begin at `at`, consist of.
fn atoms(mut bytes: &[u8], mut at: usize) -> Result<Vec<Atom<'_>>> {
    let mut found = vec![];
    while !bytes.is_empty() {
        let length = usize::try_from(u32_at(bytes, 0)?)?;
        let kind = bytes.get(4..8).context("half a box")?.try_into()?;
        ensure!(length >= 8, "a box of {length} bytes");
        let body = bytes.get(8..length).context("a box beyond its parent")?;
        found.push(Atom {
            kind,
            at: at + 8,
            body,
        });
        (bytes, at) = (&bytes[length..], at + length);
    }
    Ok(found)
}

impl<'f> Atom<'f> {
    /// The one box of each kind on the way down; `skip` bytes of fields come before the first.
    fn at(self, path: &str) -> Result<Atom<'f>> {
        path.split('/').try_fold(self, |parent, kind| {
            let skip = match &parent.kind {
                b"stsd" | b"dref" => 8,
                // 14496-12 §12.1.3.2 and §12.2.3.2: the fields of sample entries.
                b"avc1" | b"hvc1" => 78,
                b"mp4a" => 28,
                _ => 0,
            };
            let inside = parent.body.get(skip..).context("a short box")?;
            let inside = atoms(inside, parent.at + skip)?.into_iter();
            let mut fitting = inside.filter(|atom| atom.kind == kind.as_bytes());
            let found = fitting.next().with_context(|| format!("no {kind}"))?;
            ensure!(fitting.next().is_none(), "two {kind}");
            Ok(found)
        })
    }

    fn u16(self, at: usize) -> Result<u16> {
        let bytes = self.body.get(at..at + 2).context("a short box")?;
        Ok(u16::from_be_bytes(bytes.try_into()?))
    }

    fn u32(self, at: usize) -> Result<u32> {
        u32_at(self.body, at)
    }

    /// 0 or 1: how wide the times are (14496-12 §4.2.2).
    fn version(self) -> u8 {
        self.body[0]
    }

    fn flags(self) -> Result<u32> {
        Ok(self.u32(0)? & 0xff_ffff)
    }

    /// Fields behind version and flags, of which `wide` are of 32 bits in version 0 and of 64 in version
    /// 1, the others of 32 in both.
    fn times(self, wide: [bool; 5]) -> Result<([u64; 5], usize)> {
        let (mut fields, mut at) = ([0; 5], 4);
        for (field, wide) in fields.iter_mut().zip(wide) {
            if wide && self.version() == 1 {
                *field = u64::from(self.u32(at)?) << 32;
                at += 4;
            }
            *field |= u64::from(self.u32(at)?);
            at += 4;
        }
        Ok((fields, at))
    }

    fn matrix(self, at: usize) -> Result<[u32; 9]> {
        let mut matrix = [0; 9];
        for (nth, field) in matrix.iter_mut().enumerate() {
            *field = self.u32(at + 4 * nth)?;
        }
        Ok(matrix)
    }

    /// The entries of a table, `fields` numbers of 32 bits each.
    fn table(self, fields: usize) -> Result<Vec<Vec<u32>>> {
        let entries = usize::try_from(self.u32(4)?)?;
        ensure!(self.body.len() == 8 + 4 * fields * entries, "other entries");
        let entry = |nth| (0..fields).map(move |field| self.u32(8 + 4 * (nth * fields + field)));
        (0..entries).map(|nth| entry(nth).collect()).collect()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..at + 4).context("a short box")?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}

#[test]
fn a_moment_obeys_the_rules_of_quicktime() -> Result<()> {
    for (codec, b_frames) in [
        (VideoCodec::H264, 0),
        (VideoCodec::H264, 2),
        (VideoCodec::H265, 0),
    ] {
        let picture = PictureSettings {
            codec,
            b_frames,
            width: SIZE.0,
            height: SIZE.1,
            gop: Gop::Seconds(2.0),
            bitrate_kbps: 400,
            audio: Some(AudioCodec::Aac),
            ..PictureSettings::default()
        };
        let stage = Stage::recorded(picture, 2, 4)?;
        let client = stage.server.client();
        let made = client.get_json(&format!("/{CAMERA}/moment/generate/4/1"))?;
        let url = made["url"].as_str().context("no address")?;
        let file = client.get(url)?.expect(200)?.body;
        let start = made["start"].as_str().context("no start")?;
        let start_s = DateTime::parse_from_rfc3339(start)?.timestamp();
        judge(
            &file,
            codec,
            b_frames > 0,
            u64::try_from(start_s)? + EPOCH_S,
        )
        .with_context(|| format!("{codec:?}, {b_frames} B-frames"))?;
    }
    Ok(())
}

fn judge(file: &[u8], codec: VideoCodec, is_reordered: bool, start_s: u64) -> Result<()> {
    let whole = atoms(file, 0)?;
    let kinds: Vec<_> = whole.iter().map(|atom| atom.kind).collect();
    // QTFF "Fast start": a player that loads from a network needs the movie before the media.
    ensure!(kinds == [*b"ftyp", *b"moov", *b"mdat"], "{kinds:?}");
    let [ftyp, moov, mdat] = whole[..] else {
        anyhow::bail!("other boxes")
    };
    let entry = match codec {
        VideoCodec::H265 => "hvc1",
        _ => "avc1",
    };
    // 14496-12 §4.3: the major brand is one of the compatible ones; `mp42` (14496-14 §4) is what
    // QuickTime players look for.
    let brands: Vec<_> = ftyp.body.chunks_exact(4).collect();
    ensure!(brands[2..].contains(&brands[0]), "{brands:?}");
    for brand in ["isom", "mp42", entry] {
        ensure!(brands[2..].contains(&brand.as_bytes()), "no {brand}");
    }

    // 14496-12 §8.2.2, QTFF "Movie header atoms".
    let mvhd = moov.at("mvhd")?;
    let ([created_s, modified_s, timescale, duration, rate], at) =
        mvhd.times([true, true, false, true, false])?;
    ensure!(created_s == start_s && modified_s == start_s, "{created_s}");
    ensure!(timescale == 90_000 && rate == u64::from(ONE), "{timescale}");
    ensure!(mvhd.u16(at)? == 0x0100, "the volume is not 1");
    ensure!(mvhd.matrix(at + 12)? == MATRIX, "a matrix");
    ensure!(mvhd.u32(at + 72)? == 3, "the next track is not the third");
    ensure!(duration.abs_diff(4 * timescale) <= 3_600, "{duration}");

    let inside = atoms(moov.body, moov.at)?;
    let traks: Vec<_> = inside.iter().filter(|atom| &atom.kind == b"trak").collect();
    ensure!(traks.len() == 2, "{} tracks", traks.len());
    let mut lies = vec![];
    for (trak, id) in traks.into_iter().zip(1_u32..) {
        let is_picture = id == 1;
        header(*trak, id, is_picture, duration, created_s)
            .with_context(|| format!("track {id}"))?;
        let lie = media(
            *trak,
            entry,
            is_picture,
            is_reordered,
            (duration, timescale),
        );
        lies.extend(lie.with_context(|| format!("track {id}"))?);
    }
    // 14496-12 §8.7.5: offsets are in the file, and the samples fill the media data, without overlap.
    lies.sort_unstable();
    let mut at = mdat.at;
    for (begin, length) in lies {
        ensure!(begin == at, "a sample at {begin} instead of {at}");
        at += length;
    }
    ensure!(at == file.len(), "{at} of {}", file.len());
    Ok(())
}

/// 14496-12 §8.3.2 and §8.6.6, QTFF "Track header atoms" and "Edit atoms".
fn header(trak: Atom<'_>, id: u32, is_picture: bool, duration: u64, created_s: u64) -> Result<()> {
    let tkhd = trak.at("tkhd")?;
    ensure!(tkhd.flags()? & 3 == 3, "not enabled, or not in the movie");
    let (fields, at) = tkhd.times([true, true, false, false, true])?;
    ensure!(
        fields == [created_s, created_s, id.into(), 0, duration],
        "{fields:?}"
    );
    // Behind 8 reserved bytes: layer, alternate group, volume.
    let volume = if is_picture { 0 } else { 0x0100 };
    ensure!(
        (tkhd.u16(at + 8)?, tkhd.u16(at + 10)?, tkhd.u16(at + 12)?) == (0, 0, volume),
        "layer, group, volume"
    );
    ensure!(tkhd.matrix(at + 16)? == MATRIX, "a matrix");
    let size = (tkhd.u32(at + 52)?, tkhd.u32(at + 56)?);
    let shown = if is_picture { SIZE } else { (0, 0) };
    ensure!(size == (shown.0 << 16, shown.1 << 16), "{size:?}");

    let elst = trak.at("edts/elst")?;
    ensure!(elst.u32(4)? == 1, "more than one edit");
    let mdhd = trak.at("mdia/mdhd")?;
    let ([.., timescale, length, _], _) = mdhd.times([true, true, false, true, false])?;
    let (length_s, media_s, rate) = match elst.version() {
        0 => (
            u64::from(elst.u32(8)?),
            u64::from(elst.u32(12)?),
            elst.u32(16)?,
        ),
        _ => {
            let wide = |at| Ok::<_, anyhow::Error>(u64::from(elst.u32(at)?) << 32);
            let length = wide(8)? | u64::from(elst.u32(12)?);
            let media = wide(16)? | u64::from(elst.u32(20)?);
            (length, media, elst.u32(24)?)
        }
    };
    ensure!(length_s == duration, "the edit lasts {length_s}");
    ensure!(rate == ONE, "the edit plays at {rate:#x}");
    // The edit is in times of composition, which end later than those of decoding where pictures are out of
    // order (§8.6.1.3); it does not end outside the media, but for an access unit of sound.
    let offsets = match trak.at("mdia/minf/stbl/ctts") {
        Ok(ctts) => ctts.table(2)?,
        Err(_) => vec![],
    };
    let latest = offsets.iter().map(|entry| entry[1]).max().unwrap_or(0);
    let ends = media_s as f64 / timescale as f64 + duration as f64 / 90_000.0;
    let lasts = (length + u64::from(latest)) as f64 / timescale as f64;
    ensure!(ends <= lasts + 0.065, "it ends at {ends} of {lasts} s");
    Ok(())
}

/// 14496-12 §8.4 to §8.7. Returns where each chunk of samples lies: offset and length.
fn media(
    trak: Atom<'_>,
    entry: &str,
    is_picture: bool,
    is_reordered: bool,
    (duration, timescale): (u64, u64),
) -> Result<Vec<(usize, usize)>> {
    let mdia = trak.at("mdia")?;
    let mdhd = mdia.at("mdhd")?;
    let ([.., clock, length, language], _) = mdhd.times([true, true, false, true, false])?;
    ensure!(clock == if is_picture { 90_000 } else { 48_000 }, "{clock}");
    // §8.4.2.3: three letters of 5 bits each.
    ensure!(language >> 16 == 0x55c4, "the language is not und");
    // §8.4.3: a C string; QTFF has another form, with a component type instead of the zero.
    let hdlr = mdia.at("hdlr")?;
    let handler = if is_picture { b"vide" } else { b"soun" };
    ensure!(
        hdlr.u32(4)? == 0 && &hdlr.body[8..12] == handler,
        "the handler"
    );
    let name = hdlr.body.get(24..).context("no name")?;
    ensure!(name.len() > 1 && name.iter().position(|byte| *byte == 0) == Some(name.len() - 1));

    let minf = mdia.at("minf")?;
    match is_picture {
        // §12.1.2.2: its flags are 1.
        true => ensure!(minf.at("vmhd")?.flags()? == 1, "the flags of vmhd"),
        false => ensure!(minf.at("smhd")?.flags()? == 0, "the flags of smhd"),
    }
    // §8.7.2: the media is in this file.
    ensure!(minf.at("dinf/dref")?.u32(4)? == 1 && minf.at("dinf/dref/url ")?.flags()? == 1);

    let stbl = minf.at("stbl")?;
    ensure!(stbl.at("stsd")?.u32(4)? == 1, "more than one sample entry");
    match is_picture {
        true => picture_entry(stbl.at("stsd")?, entry)?,
        false => sound_entry(stbl.at("stsd/mp4a")?)?,
    }
    let stsz = stbl.at("stsz")?;
    ensure!(stsz.u32(4)? == 0, "all samples are of one size");
    let samples = usize::try_from(stsz.u32(8)?)?;
    let sizes: Vec<u32> = (0..samples)
        .map(|nth| stsz.u32(12 + 4 * nth))
        .collect::<Result<_>>()?;
    // §8.6.1.2: every sample has a duration, and their sum is that of the media.
    let stts = stbl.at("stts")?.table(2)?;
    let counted: u32 = stts.iter().map(|entry| entry[0]).sum();
    ensure!(usize::try_from(counted)? == samples, "{counted} durations");
    let lasts: u64 = stts
        .iter()
        .map(|entry| u64::from(entry[0]) * u64::from(entry[1]))
        .sum();
    ensure!(
        lasts == length && lasts * timescale >= duration * clock - clock * 6_000,
        "{lasts}"
    );
    let ctts = stbl.at("ctts");
    match is_picture && is_reordered {
        true => {
            let ctts = ctts?;
            let offsets = ctts.table(2)?;
            let counted: u32 = offsets.iter().map(|entry| entry[0]).sum();
            ensure!(usize::try_from(counted)? == samples, "{counted} offsets");
            // §8.6.1.3: version 0 has no negative offsets; QuickTime 7 knows no other.
            let is_negative = offsets.iter().any(|entry| entry[1] > i32::MAX as u32);
            ensure!(
                !is_negative || ctts.version() == 1,
                "negative offsets in version 0"
            );
        }
        false => ensure!(ctts.is_err(), "offsets of samples in order"),
    }
    match is_picture {
        true => {
            // §8.6.2: ascending numbers from 1 on; the first sample can be decoded by itself.
            let stss: Vec<_> = stbl.at("stss")?.table(1)?.concat();
            ensure!(stss[0] == 1 && stss.is_sorted_by(|a, b| a < b), "{stss:?}");
        }
        false => ensure!(stbl.at("stss").is_err(), "sound begins anywhere"),
    }
    // §8.7.4: chunks, and how many samples each has.
    let stsc = stbl.at("stsc")?.table(3)?;
    let stco = stbl.at("stco")?.table(1)?.concat();
    ensure!(stsc[0][0] == 1, "{stsc:?}");
    let (mut lies, mut sizes) = (vec![], sizes.into_iter());
    for (offset, number) in stco.iter().zip(1..) {
        let runs = stsc.iter().take_while(|run| run[0] <= number);
        let run = runs.last().context("a chunk of nothing")?;
        ensure!(run[2] == 1, "another sample entry");
        let length: u32 = sizes.by_ref().take(usize::try_from(run[1])?).sum();
        lies.push((usize::try_from(*offset)?, usize::try_from(length)?));
    }
    ensure!(sizes.next().is_none(), "a sample in no chunk");
    Ok(lies)
}

/// 14496-12 §12.1.3 and §12.1.4, 14496-15 §5.4.2 and §8.4.1.
fn picture_entry(stsd: Atom<'_>, kind: &str) -> Result<()> {
    let entry = stsd.at(kind)?;
    ensure!(entry.u16(6)? == 1, "the data reference");
    let size = (u32::from(entry.u16(24)?), u32::from(entry.u16(26)?));
    ensure!(size == SIZE, "{size:?}");
    // 72 dpi both ways, one picture a sample, 24 bits without a colour table.
    ensure!(
        (entry.u32(28)?, entry.u32(32)?) == (0x0048_0000, 0x0048_0000),
        "dpi"
    );
    ensure!((entry.u16(40)?, entry.u16(74)?, entry.u16(76)?) == (1, 0x18, 0xffff));
    entry.at(if kind == "hvc1" { "hvcC" } else { "avcC" })?;
    // §12.1.5: QuickTime takes what says nothing for BT.601.
    let colr = entry.at("colr")?;
    ensure!(
        colr.body.starts_with(b"nclx") && colr.body.len() == 11,
        "{:?}",
        colr.body
    );
    // §12.1.4: square where there is none.
    ensure!(entry.at("pasp").is_err(), "a pixel aspect");
    Ok(())
}

/// 14496-12 §12.2.3, 14496-14 §5.6 (§3.1.2 for what descriptors hold in files).
fn sound_entry(entry: Atom<'_>) -> Result<()> {
    ensure!(entry.u16(6)? == 1, "the data reference");
    // Version 0 of QTFF's sound description: mono, 16 bits, the rate in 16.16 bits.
    ensure!((entry.u16(8)?, entry.u16(16)?, entry.u16(18)?) == (0, 1, 16));
    ensure!(entry.u32(24)? == 48_000 << 16, "the rate");
    let esds = entry.at("esds")?.body.get(4..).context("a short box")?;
    // 14496-1 §7.2.6.5: ES descriptor, number 0 in a file, no flags.
    let es = descriptor(esds, 3)?.0;
    ensure!(es.starts_with(&[0, 0]) && es[2] & 0xe0 == 0, "{es:?}");
    // §7.2.6.6: MPEG-4 audio, an audio stream, upstream no, a reserved 1.
    let (config, rest) = descriptor(&es[3..], 4)?;
    ensure!(config[..2] == [0x40, 0x15], "{config:?}");
    // §7.2.6.7, 14496-3 §1.6.2.1: AAC-LC, 48 kHz, one channel.
    let specific = descriptor(&config[13..], 5)?.0;
    ensure!(specific.starts_with(&[0x11, 0x88]), "{specific:?}");
    // §7.3.2.3: predefined 2, MP4 files.
    ensure!(descriptor(rest, 6)?.0 == [2], "{rest:?}");
    Ok(())
}

/// The content of the descriptor `tag`, whose length has 7 bits a byte (14496-1 §8.3.3), and the rest.
fn descriptor(bytes: &[u8], tag: u8) -> Result<(&[u8], &[u8])> {
    ensure!(
        bytes.first() == Some(&tag),
        "no descriptor {tag}: {bytes:?}"
    );
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at).context("a short descriptor")?;
        (length, at) = (length << 7 | usize::from(byte & 0x7f), at + 1);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let content = bytes.get(at..at + length).context("a short descriptor")?;
    Ok((content, &bytes[at + length..]))
}
