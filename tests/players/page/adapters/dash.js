// dash.js, with the settings it ships with.
import { script } from "../script.js";

export async function open(video, report) {
  await script("/vendor/dash.js");
  const player = dashjs.MediaPlayer().create();
  player.initialize();
  player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_ERROR } });
  player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => {
    report({ fatal: true, code: String(error?.code ?? error), message: String(error?.message ?? "") });
  });
  // ISO/IEC 23009-1 §5.3.1.2: media presentation time counts from availabilityStartTime.
  const zero_ms = () => {
    const start = player.getManifest()?.availabilityStartTime;
    return start == null ? null : new Date(start).getTime();
  };
  return {
    version: player.getVersion(),
    load(url) {
      player.attachView(video);
      player.attachSource(url);
    },
    range() {
      const { start, end } = player.getDvrWindow() ?? {};
      return Number.isFinite(end) && end > 0 ? { start_s: start, end_s: end } : null;
    },
    wallOf(time_s) {
      const zero = zero_ms();
      return zero == null ? null : zero + time_s * 1000;
    },
    timeOf(wall_ms) {
      const zero = zero_ms();
      return zero == null ? null : (wall_ms - zero) / 1000;
    },
    seek(time_s) {
      player.seekToPresentationTime(time_s);
    },
    // Its keyframes are elsewhere, so each is a track and not a representation.
    qualities: () => player.getTracksFor("video").map(({ bitrateList }) => bitrateList[0].width),
    choose(index) {
      player.setCurrentTrack(player.getTracksFor("video")[index]);
    },
    goLive() {
      player.seekToOriginalLive();
    },
  };
}
