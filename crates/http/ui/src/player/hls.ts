// HLS through hls.js. It crosses gaps by itself: on its timeline they do not exist.

import Hls, { type ErrorData, type HlsConfig } from 'hls.js';
import { offsetAtWall } from '../time/spans';
import type { OpenAdapter, Source } from './adapter';
import { Backoff } from './backoff';
import { secondsOf, wallOf } from './timeline';

const CONFIG: Partial<HlsConfig> = {
  // Who is further behind the live edge than the server advises catches up by playing on a little faster.
  maxLiveSyncPlaybackRate: 1.1,
  // The day can be rewound without end; what the browser holds is bounded.
  backBufferLength: 60,
  maxBufferLength: 30,
  maxMaxBufferLength: 60,
  // Begins with the camera's own picture; whether the preview is needed shows on the way.
  testBandwidth: false,
  // Fragmented MP4 passes through untouched, so a worker has nothing to do.
  enableWorker: false,
};

const MEDIA_RECOVERY_MS = 5_000;

/** Where to begin on the timeline of hls.js, which starts at 0 and leaves gaps out; -1: its own choice. */
function startSeconds(source: Source): number {
  const spans = source.spans();
  const first = spans[0];
  if (source.startWallMs === null || !first) return -1;
  return offsetAtWall(spans, first.startMs, source.startWallMs) / 1000;
}

export const openHls: OpenAdapter = (video, source, onTrouble) => {
  const hls = new Hls({ ...CONFIG, startPosition: startSeconds(source) });
  const url = `${source.folder}playlist.m3u8`;
  const backoff = new Backoff();
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let lastMediaRecovery = -Infinity;

  const fragments = () => hls.latestLevelDetails?.fragments ?? [];

  // Sought before the start of one of its playlists, hls.js loads the live edge and shows nothing;
  // and with times since 1970 a start is off by some rounding.
  const earliest = () => {
    const playlists = [hls.latestLevelDetails, hls.audioTracks[hls.audioTrack]?.details];
    return 0.001 + Math.max(0, ...playlists.map((playlist) => playlist?.fragmentStart ?? 0));
  };

  function seek(wallMs: number): void {
    const seconds = secondsOf(fragments(), wallMs);
    if (seconds !== null) video.currentTime = Math.max(seconds, earliest());
  }

  // The start was worked out from the recorded spans; the playlist knows it exactly.
  const onPicture = () => {
    if (source.startWallMs !== null) seek(source.startWallMs);
  };
  video.addEventListener('loadeddata', onPicture, { once: true });
  hls.on(Hls.Events.MANIFEST_PARSED, (_event, { firstLevel }) => {
    hls.startLevel = firstLevel;
  });
  hls.on(Hls.Events.FRAG_BUFFERED, () => backoff.reset());
  hls.on(Hls.Events.ERROR, (_event, data) => {
    if (data.fatal) recover(data);
  });

  function recover(data: ErrorData): void {
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      onTrouble({ kind: 'network', fatal: false, message: data.details });
      clearTimeout(retryTimer);
      retryTimer = setTimeout(() => {
        // Without a playlist there is nothing to go on with; otherwise what is buffered stays.
        if (fragments().length === 0) hls.loadSource(url);
        else hls.startLoad();
      }, backoff.next());
      return;
    }
    const now = performance.now();
    const canRecover = data.type === Hls.ErrorTypes.MEDIA_ERROR && now - lastMediaRecovery > MEDIA_RECOVERY_MS;
    onTrouble({ kind: 'media', fatal: !canRecover, message: data.details });
    if (canRecover) {
      lastMediaRecovery = now;
      hls.recoverMediaError();
    }
  }

  hls.loadSource(url);
  hls.attachMedia(video);

  return {
    engine: 'hls',
    seekToWall: seek,
    wallNow() {
      return video.readyState === 0 ? null : wallOf(fragments(), video.currentTime);
    },
    liveEdge() {
      const seconds = hls.latestLevelDetails?.live ? hls.liveSyncPosition : null;
      return seconds === null ? null : wallOf(fragments(), seconds);
    },
    destroy() {
      clearTimeout(retryTimer);
      video.removeEventListener('loadeddata', onPicture);
      hls.destroy();
    },
  };
};
