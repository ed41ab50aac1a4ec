// HLS by the browser itself (Safari, where there are no Media Source Extensions). Its clock starts at the
// playlist's first segment and leaves gaps out, so wall times come from the recorded spans.

import { offsetAtWall, wallAtOffset } from '../time/spans';
import type { OpenAdapter } from './adapter';

/** How far behind the newest picture a browser plays: three segments and a little (RFC 8216 §6.3.3). */
const LIVE_DELAY_S = 10;

/** Safari tells the wall time of `currentTime` 0. */
type WithStartDate = HTMLVideoElement & { getStartDate?: () => Date };

export const openNative: OpenAdapter = (video, source, onTrouble) => {
  let wantedMs = source.startWallMs;

  function startMs(): number | null {
    const date = (video as WithStartDate).getStartDate?.().getTime() ?? NaN;
    if (Number.isFinite(date)) return date;
    // Others begin a finished day at its start, and a live one wherever they like.
    return source.live ? null : (source.spans()[0]?.startMs ?? null);
  }

  function seek(wallMs: number): void {
    const start = startMs();
    if (start === null || video.readyState === 0) wantedMs = wallMs;
    else video.currentTime = offsetAtWall(source.spans(), start, wallMs) / 1000;
  }

  const onMetadata = () => {
    if (wantedMs !== null) seek(wantedMs);
    wantedMs = null;
  };
  const onError = () => {
    const network = video.error?.code === MediaError.MEDIA_ERR_NETWORK;
    onTrouble({ kind: network ? 'network' : 'media', fatal: true, message: video.error?.message ?? 'playback failed' });
  };
  video.addEventListener('loadedmetadata', onMetadata);
  video.addEventListener('error', onError);
  video.src = `${source.folder}playlist.m3u8`;

  return {
    engine: 'native',
    seekToWall: seek,
    wallNow() {
      const start = startMs();
      return start === null || video.readyState === 0 ? null : wallAtOffset(source.spans(), start, video.currentTime * 1000);
    },
    liveEdge() {
      const start = startMs();
      const ranges = video.seekable;
      if (!source.live || start === null || ranges.length === 0) return null;
      const edge = Math.max(0, ranges.end(ranges.length - 1) - LIVE_DELAY_S);
      return wallAtOffset(source.spans(), start, edge * 1000);
    },
    destroy() {
      video.removeEventListener('loadedmetadata', onMetadata);
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
};

/** Whether this browser plays HLS by itself. */
export function nativeSupported(video: HTMLVideoElement): boolean {
  return video.canPlayType('application/vnd.apple.mpegurl') !== '';
}

/** Whether it also says which wall time it shows: without that there is no seeking in a live day. */
export function nativeTellsTime(video: HTMLVideoElement): boolean {
  return nativeSupported(video) && 'getStartDate' in video;
}
