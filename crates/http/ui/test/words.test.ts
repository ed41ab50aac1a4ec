import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Camera } from '../src/api';
import { Backoff } from '../src/player/backoff';
import { manifestTimes } from '../src/player/manifest';
import { secondsOf, wallOf } from '../src/player/timeline';
import { clock, dayLabel, duration, knownZone, localDate, stopwatch } from '../src/time/clock';
import { audioLine, bitRate, byteSize, cannotPlay, codecName, eventWhen, eventWords, missingWords, notRecorded, stateWords, troubleLine, videoLine } from '../src/words';

const camera: Camera = {
  id: 'door', state: 'live', since: '2026-11-22T17:00:00Z', last_error: null, reconnects: 0,
  video: { codec: 'avc1.640028', converted_from: null, width: 1920, height: 1080, fps: 29.97, bitrate_bps: 4_000_000, gop_s: 2 },
  audio: { codec: 'mp4a.40.2', sample_rate_hz: 48_000, channels: 2, converted_from: null },
  last_frame_age_s: 0.04, dropped_frames: 0, recording_error: null, recording_error_code: null, recorded_today_s: 10, bytes_today: 10, timezone: 'Europe/Berlin',
};

test('a camera is described in one line, with what is known', () => {
  assert.equal(videoLine(camera), '1920 × 1080 · H.264 · 30 fps · 4.0 Mbit/s');
  assert.equal(videoLine({ ...camera, video: { ...camera.video!, converted_from: 'MJPEG' } }), '1920 × 1080 · H.264 from MJPEG · 30 fps · 4.0 Mbit/s');
  assert.equal(videoLine({ ...camera, video: null }), '');
  assert.equal(videoLine({ ...camera, video: { ...camera.video!, fps: null, bitrate_bps: null } }), '1920 × 1080 · H.264');
  assert.equal(audioLine(camera), 'AAC, 48 kHz, stereo');
  const speech = { codec: 'mp4a.40.2', sample_rate_hz: 16_000, channels: 1, converted_from: 'G.711 A-law' };
  assert.equal(audioLine({ ...camera, audio: speech }), 'AAC from G.711 A-law, 16 kHz, mono');
  assert.equal(audioLine({ ...camera, audio: null }), 'No sound');
});

test('what is wrong with a camera, or with recording it, is said', () => {
  assert.equal(troubleLine(camera), '');
  const error = { code: 'timeout', message: 'no answer' };
  assert.equal(troubleLine({ ...camera, state: 'reconnecting', last_error: error }), 'no answer');
  // An old error is no news while it is live; a full disk is.
  assert.equal(troubleLine({ ...camera, last_error: error }), '');
  assert.equal(troubleLine({ ...camera, recording_error: 'the disk is full' }), 'Not recorded: the disk is full');
  assert.equal(troubleLine({ ...camera, recording_error: 'the disk is full' }, true), 'Live, but not recorded: the disk is full');
});

test('an event says when it was last, and how often', () => {
  const event = { time: '2026-11-22T16:00:00Z', last: '2026-11-22T16:03:05Z', times: 1, kind: 'state', code: 'camera_refused', message: 'refused' };
  assert.equal(eventWhen(event, 'Europe/Berlin'), 'Sun 22 Nov 17:03:05');
  assert.equal(eventWords(event), 'refused');
  assert.equal(eventWords({ ...event, times: 3 }), 'refused (3 times)');
});

test('codecs, rates and sizes have everyday names', () => {
  assert.deepEqual(['hvc1.1.6.L93', 'hev1.1', 'avc3.1', 'vp09.0'].map(codecName), ['H.265', 'H.265', 'H.264', 'vp09.0']);
  assert.deepEqual([bitRate(4_200_000), bitRate(640_000)], ['4.2 Mbit/s', '640 kbit/s']);
  assert.deepEqual([byteSize(1_234_000_000), byteSize(5_600_000), byteSize(900)], ['1.2 GB', '6 MB', '1 kB']);
  assert.match(cannotPlay('hvc1.1.6.L93'), /cannot play H\.265/);
});

test('a state that this page does not know is shown as it is', () => {
  assert.equal(stateWords('stalled').label, 'No picture');
  assert.equal(stateWords('asleep' as Camera['state']).label, 'asleep');
});

test('times are those of the camera’s zone, on a 24-hour clock', () => {
  const ms = Date.parse('2026-11-22T23:03:05Z');
  assert.equal(clock(ms, 'Europe/Berlin'), '00:03:05');
  assert.equal(localDate(ms, 'Europe/Berlin'), '2026-11-23');
  assert.equal(dayLabel(ms, 'Europe/Berlin'), 'Mon 23 Nov');
  assert.equal(dayLabel(ms, 'UTC'), 'Sun 22 Nov');
  assert.equal(knownZone('Mars/Olympus'), 'UTC');
});

test('lengths of time are short', () => {
  assert.deepEqual([-5, 12_000, 300_000, 7_200_000, 200_000_000].map(duration), ['0 s', '12 s', '5 min', '2 h', '2 days']);
  assert.deepEqual([5_000, 125_000, 10_925_000].map(stopwatch), ['0:05', '2:05', '3:02:05']);
});

test('fragments translate between the player’s seconds and the wall, leaving gaps out', () => {
  const fragments = [
    { start: 0, duration: 4, programDateTime: 1_000_000 },
    { start: 4, duration: 4, programDateTime: 1_004_000 },
    { start: 8, duration: 4, programDateTime: 1_068_000 },
  ];
  assert.equal(wallOf(fragments, 5), 1_005_000);
  assert.equal(wallOf(fragments, 9), 1_069_000);
  assert.equal(secondsOf(fragments, 1_005_000), 5);
  assert.equal(secondsOf(fragments, 1_069_000), 9);
  assert.equal(secondsOf(fragments, 1_030_000), 8, 'in the gap: what follows');
  assert.equal(secondsOf(fragments, 900_000), 0);
  assert.equal(wallOf([], 5), null);
  assert.equal(wallOf([{ start: 0, duration: 4, programDateTime: null }], 1), null);
});

test('tries are further and further apart, up to a limit, and close again after success', () => {
  const backoff = new Backoff();
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => backoff.next()), [1000, 2000, 4000, 8000, 15000, 15000]);
  backoff.reset();
  assert.equal(backoff.next(), 1000);
});

test('a manifest ends where its last run of segments ends, not after the sum of all', () => {
  const S = [{ t: 900, d: 180, r: 2 }, { t: 9000, d: 180, r: 1 }, { d: 90 }];
  const manifest = { Period: [{ AdaptationSet: [{ Representation: [{ SegmentTemplate: { timescale: 90, SegmentTimeline: { S } } }] }] }] };
  assert.deepEqual(manifestTimes(manifest), { originS: 0, endS: (9000 + 360 + 90) / 90, lastDurationS: 1 });
  assert.equal(manifestTimes(null), null);
  assert.equal(manifestTimes({ Period: [] }), null);
});

test('a live manifest counts from 1970, a finished one from its first segment', () => {
  const S = [{ t: 161577504000000, d: 360000 }];
  const SegmentTemplate = { timescale: 90000, presentationTimeOffset: 161577504000000, SegmentTimeline: { S } };
  const from = (start: number) => manifestTimes({ Period: [{ start, AdaptationSet: [{ SegmentTemplate }] }] });
  assert.equal(from(1795305600)?.originS, 0);
  assert.equal(from(0)?.originS, 1795305600);
  assert.equal(from(0)?.endS, 1795305604);
});

test('what is missing of a moment is said in words, and a new word as it is', () => {
  for (const word of ['gap', 'format_change', 'not_held', 'nothing_newer']) assert.match(missingWords(word), / /, word);
  assert.equal(missingWords('eclipse'), 'eclipse');
});

test('a gap says its cause, and nothing of one that nobody knows', () => {
  for (const cause of ['camera', 'network', 'disk', 'restart', 'clock']) assert.match(notRecorded(cause), /^not recorded: /, cause);
  assert.equal(notRecorded(null), 'not recorded');
  assert.equal(notRecorded('eclipse'), 'not recorded');
});
