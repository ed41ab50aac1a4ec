//! The sample tables of a track (ISO/IEC 14496-12 §8.6, §8.7): when, how long, how large, where.

use std::ops::Range;

use mp4_atom::{
    Ctts, CttsEntry, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry,
};

use super::Sample;

/// When a sample is decoded and shown, in ticks of its track's timescale since the track's first
/// decode time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) dts: u64,
    /// Shown this much after it is decoded.
    pub(super) offset: i64,
}

/// A track's samples in the file.
pub(super) struct Tables {
    pub(super) timings: Vec<Timing>,
    /// End of the last sample.
    pub(super) duration: u64,
    /// Neighbours in the file, ascending.
    pub(super) chunks: Vec<Range<usize>>,
}

impl Tables {
    /// Samples that are decoded at `timings`, the last for `last_duration`, and lie in the file as
    /// `chunks`.
    pub(super) fn new(timings: Vec<Timing>, last_duration: u64, chunks: Vec<Range<usize>>) -> Self {
        let last = timings.last().map_or(0, |last| last.dts);
        Self {
            timings,
            duration: last + last_duration.max(1),
            chunks,
        }
    }

    /// The boxes, for chunks that begin at `offsets`.
    pub(super) fn boxes(&self, stsd: Stsd, samples: &[Sample], offsets: Vec<u32>) -> Stbl {
        let keyframes = samples.iter().filter(|sample| sample.is_keyframe).count();
        let numbered = samples.iter().zip(1_u32..);
        Stbl {
            stsd,
            stts: self.durations(),
            ctts: self.offsets(),
            // Without the box every sample is one that a decoder can begin at.
            stss: (keyframes < samples.len()).then(|| Stss {
                entries: numbered
                    .filter(|(sample, _)| sample.is_keyframe)
                    .map(|(_, number)| number)
                    .collect(),
            }),
            stsc: self.chunk_lengths(),
            stsz: Stsz {
                samples: StszSamples::Different {
                    sizes: samples
                        .iter()
                        .map(|sample| small(sample.bytes.len()))
                        .collect(),
                },
            },
            stco: Some(Stco { entries: offsets }),
            ..Stbl::default()
        }
    }

    fn durations(&self) -> Stts {
        let ends = self.timings.iter().skip(1).map(|timing| timing.dts);
        let ends = ends.chain([self.duration]);
        let mut entries: Vec<SttsEntry> = Vec::new();
        for (timing, end) in self.timings.iter().zip(ends) {
            let sample_delta = small(end.saturating_sub(timing.dts));
            match entries
                .last_mut()
                .filter(|last| last.sample_delta == sample_delta)
            {
                Some(last) => last.sample_count += 1,
                None => entries.push(SttsEntry {
                    sample_count: 1,
                    sample_delta,
                }),
            }
        }
        Stts { entries }
    }

    fn offsets(&self) -> Option<Ctts> {
        let mut entries: Vec<CttsEntry> = Vec::new();
        for timing in &self.timings {
            match entries
                .last_mut()
                .filter(|last| last.sample_offset == timing.offset)
            {
                Some(last) => last.sample_count += 1,
                None => entries.push(CttsEntry {
                    sample_count: 1,
                    sample_offset: timing.offset,
                }),
            }
        }
        let is_needed = entries.iter().any(|entry| entry.sample_offset != 0);
        is_needed.then_some(Ctts { entries })
    }

    fn chunk_lengths(&self) -> Stsc {
        let mut entries: Vec<StscEntry> = Vec::new();
        for (chunk, number) in self.chunks.iter().zip(1_u32..) {
            let samples_per_chunk = small(chunk.len());
            if entries
                .last()
                .is_none_or(|last| last.samples_per_chunk != samples_per_chunk)
            {
                entries.push(StscEntry {
                    first_chunk: number,
                    samples_per_chunk,
                    sample_description_index: 1,
                });
            }
        }
        Stsc { entries }
    }
}

/// As 32 bits: what does not fit has been refused before ([`super::mux::Mux::new`]).
pub(super) fn small<T: TryInto<u32>>(number: T) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
