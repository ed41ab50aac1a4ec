// Dayreel's own page, which shows its player to scripts as `window.dayreel`.

export function open(video) {
  const { dayreel } = window;
  return {
    version: null,
    range: () => null,
    isOpen: () => dayreel.session.adapter != null,
    wallOf(time_s) {
      const now_ms = dayreel.adapter?.wallNow() ?? null;
      return now_ms == null ? null : now_ms + (time_s - video.currentTime) * 1000;
    },
    seekToWall(wall_ms) {
      dayreel.session.seek(wall_ms);
    },
    goLive() {
      dayreel.session.goLive();
    },
  };
}
