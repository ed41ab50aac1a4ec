// MPEG-DASH through dash.js. Media time is Unix time, but a finished day is presented from 0. In a dynamic
// manifest dash.js waits in real time at a gap; the session seeks over it (session.ts).

import { MediaPlayer, type ErrorEvent, type MediaPlayerClass, type MediaPlayerSettingClass } from 'dashjs';
import { serverNowMs, serverUrl } from '../api';
import type { OpenAdapter, Source } from './adapter';
import { manifestTimes, type ManifestTimes } from './manifest';

const SETTINGS: MediaPlayerSettingClass = {
  debug: { logLevel: 0 },
  streaming: {
    delay: { useSuggestedPresentationDelay: true },
    buffer: {
      bufferToKeep: 60,
      bufferTimeDefault: 20,
      bufferTimeAtTopQuality: 30,
      bufferTimeAtTopQualityLongForm: 30,
    },
    liveCatchup: { enabled: false },
    // Only used when the manifest has no UTCTiming; never a foreign server.
    utcSynchronization: {
      defaultTimingSource: { scheme: 'urn:mpeg:dash:utc:http-head:2014', value: serverUrl('healthz') },
    },
    lastBitrateCachingInfo: { enabled: false },
    lastMediaSettingsCachingInfo: { enabled: false },
    text: { defaultEnabled: false },
  },
};

/** Codes of dash.js (its Errors.js) for what the browser could not decode; 1…5 are those of MediaError. */
const MEDIA_CODES = new Set([1, 2, 3, 4, 5, 20, 21, 23, 32, 34]);
/** Codes that do not end playback: clock synchronisation and subtitles. */
const HARMLESS_CODES = new Set([16, 33]);
const TIMES_CACHE_MS = 1_000;
/** A recording that ended this long ago is not just a list that is seconds old. */
const AWAY_MS = 20_000;
const BEFORE_END_MS = 3_000;

/** Where to begin: counted from 1970 on a live day, from the first segment of a finished one. */
function startSeconds(source: Source): number {
  const spans = source.spans();
  const last = spans[spans.length - 1];
  if (source.startWallMs !== null) {
    const originMs = source.live ? 0 : (spans[0]?.startMs ?? 0);
    return (source.startWallMs - originMs) / 1000;
  }
  // While the camera is away "live" by the clock is a place without media, where dash.js would stay for ever.
  const away = source.live && last !== undefined && serverNowMs() - last.endMs > AWAY_MS;
  return away ? Math.max(last.startMs, last.endMs - BEFORE_END_MS) / 1000 : NaN;
}

export const openDash: OpenAdapter = (video, source, onTrouble) => {
  const player: MediaPlayerClass = MediaPlayer().create();
  player.updateSettings(SETTINGS);
  /** Seconds from the end of the manifest to where dash.js plays "live"; later seeks change its own figure. */
  let liveDelay: number | null = null;

  const onError = (event: ErrorEvent) => {
    const error = event.error;
    const code = typeof error === 'object' ? error.code : 0;
    if (HARMLESS_CODES.has(code)) return;
    // dash.js retries by itself; what arrives here has used up its tries.
    const message = typeof error === 'object' ? error.message : String(error);
    onTrouble({ kind: MEDIA_CODES.has(code) ? 'media' : 'network', fatal: true, message });
  };
  const onStart = () => {
    liveDelay ??= player.getTargetLiveDelay();
  };
  player.on('error', onError);
  player.on('streamInitialized', onStart);

  let known: ManifestTimes | null = null;
  let knownAt = -Infinity;
  function times(): ManifestTimes | null {
    const now = performance.now();
    // What is not known yet is asked for every time: a seek that found nothing would be lost.
    if (player.isReady() && (!known || now - knownAt > TIMES_CACHE_MS)) {
      knownAt = now;
      const fresh = manifestTimes(player.getManifest());
      // A day that has ended while it was watched has a manifest whose times begin at 0: the player's go on since 1970.
      known = fresh && known ? { ...fresh, originS: known.originS } : fresh;
    }
    return known;
  }

  player.initialize(video, undefined, false);
  player.attachSource(`${source.folder}manifest.mpd`, startSeconds(source));

  return {
    engine: 'dash',
    seekToWall(wallMs) {
      const manifest = times();
      if (manifest) player.seekToPresentationTime(wallMs / 1000 - manifest.originS);
    },
    wallNow() {
      const manifest = times();
      if (!manifest || video.readyState === 0) return null;
      const seconds = video.currentTime + manifest.originS;
      // Until it has gone to where it starts, a live day stands at 1970.
      return seconds > 1 ? seconds * 1000 : null;
    },
    liveEdge() {
      const manifest = times();
      if (!source.live || liveDelay === null || !manifest) return null;
      const end = player.getDvrWindow().end;
      // dash.js takes the clock for the end, also when the camera is away: the manifest knows better.
      return end ? Math.min(end + manifest.originS - liveDelay, manifest.endS - manifest.lastDurationS) * 1000 : null;
    },
    destroy() {
      // What has begun in it is told even then, when it can be asked no more.
      player.off('error', onError);
      player.off('streamInitialized', onStart);
      player.destroy();
    },
  };
};
