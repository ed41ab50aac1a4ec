// What the numbers and codes of the API mean, in words.

import type { Camera, CameraEvent, CameraState } from './api';
import { clock, dayLabel } from './time/clock';

interface StateWords {
  /** One or two words for a badge. */
  readonly label: string;
  /** A sentence for a person who wonders what is going on. */
  readonly sentence: string;
}

const STATES: Readonly<Record<CameraState, StateWords>> = {
  live: { label: 'Live', sentence: 'The camera is recording.' },
  connecting: { label: 'Connecting', sentence: 'Connecting to the camera…' },
  stalled: { label: 'No picture', sentence: 'The camera is connected but sends no picture.' },
  reconnecting: { label: 'Reconnecting', sentence: 'The camera does not answer. Trying again…' },
  failed: { label: 'Failed', sentence: 'The camera cannot be used.' },
};

/** The words for a state; a state that a newer server invents is shown as it is. */
export function stateWords(state: CameraState): StateWords {
  return STATES[state] ?? { label: state, sentence: `The camera is ${state}.` };
}

/** `H.264` for `avc1.640028`, and so on; unknown codecs by their own name. */
export function codecName(codec: string): string {
  if (/^avc[13]/.test(codec)) return 'H.264';
  if (/^(hvc1|hev1)/.test(codec)) return 'H.265';
  if (/^av01/.test(codec)) return 'AV1';
  if (/^mp4a/.test(codec)) return 'AAC';
  if (/^opus$/i.test(codec)) return 'Opus';
  return codec;
}

/** `4.0 Mbit/s`, `640 kbit/s` */
export function bitRate(bps: number): string {
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

/** `1.2 GB`, `340 MB` */
export function byteSize(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.round(bytes / 1e3)} kB`;
}

/** `1920 × 1080 · H.264 · 25 fps · 4.0 Mbit/s`; empty while the camera has said nothing about itself. */
export function videoLine(camera: Camera): string {
  const video = camera.video;
  if (!video) return '';
  const from = video.converted_from ? ` from ${video.converted_from}` : '';
  const parts = [`${video.width} × ${video.height}`, `${codecName(video.codec)}${from}`];
  if (video.fps) parts.push(`${Number(video.fps.toFixed(1))} fps`);
  if (video.bitrate_bps) parts.push(bitRate(video.bitrate_bps));
  return parts.join(' · ');
}

/** What is wrong with a camera, or with recording it; empty if nothing is. `pastDisk`: the picture is live all the same. */
export function troubleLine(camera: Camera, pastDisk = false): string {
  if (camera.state !== 'live') return camera.last_error?.message ?? '';
  if (camera.recording_error === null) return '';
  return `${pastDisk ? 'Live, but not recorded' : 'Not recorded'}: ${camera.recording_error}`;
}

/** `AAC, 48 kHz, stereo` */
export function audioLine(camera: Camera): string {
  const audio = camera.audio;
  if (!audio) return 'No sound';
  const channels = audio.channels === 1 ? 'mono' : audio.channels === 2 ? 'stereo' : `${audio.channels} channels`;
  const from = audio.converted_from ? ` from ${audio.converted_from}` : '';
  return `${codecName(audio.codec)}${from}, ${Number((audio.sample_rate_hz / 1000).toFixed(1))} kHz, ${channels}`;
}

/** `Sun 22 Nov 17:03:05`: when an event was last, in the time zone of the camera. */
export function eventWhen(event: CameraEvent, zone: string): string {
  const ms = Date.parse(event.last);
  return `${dayLabel(ms, zone)} ${clock(ms, zone)}`;
}

/** What happened, and how often if that was more than once. */
export function eventWords(event: CameraEvent): string {
  return event.times > 1 ? `${event.message} (${event.times} times)` : event.message;
}

/** Why this browser cannot show a codec, and what helps. */
export function cannotPlay(codec: string): string {
  const name = codecName(codec);
  if (name === 'H.265') {
    return 'This browser cannot play H.265 (HEVC) video. Try Safari, or Chrome or Edge on a device that decodes H.265 in hardware, or let the camera send H.264.';
  }
  return `This browser cannot play ${name} video (${codec}).`;
}

/** `2026-11-21 · 60 s · 42 MB` */
export function filmWords(film: { readonly date: string; readonly duration_s: number; readonly bytes: number }): string {
  return `${film.date} · ${Math.round(film.duration_s)} s · ${byteSize(film.bytes)}`;
}

/** That nothing is recorded of an instant, and why if the cause is known. */
export function notRecorded(cause: string | null): string {
  switch (cause) {
    case 'camera': return 'not recorded: the camera sent nothing';
    case 'network': return 'not recorded: the camera could not be reached';
    case 'disk': return 'not recorded: the disk was in trouble';
    case 'restart': return 'not recorded: the server did not run';
    case 'clock': return 'not recorded: the clock was set, or the machine slept';
    default: return 'not recorded';
  }
}

/** Why a moment is shorter than it was to be. */
export function missingWords(word: string): string {
  switch (word) {
    case 'gap': return 'the camera was away for the rest';
    case 'format_change': return 'the camera changed its picture format';
    case 'not_held': return 'nothing older is held';
    case 'nothing_newer': return 'nothing newer has come';
    default: return word;
  }
}
