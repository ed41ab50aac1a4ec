// hls.js, with the settings it ships with.
import { script } from "../script.js";

/** More than the element's time, in whole microseconds, can be below what was asked for; less than a picture. */
const ROUNDING_S = 0.001;

export async function open(video, report, settings = {}) {
  await script("/vendor/hls.js");
  const hls = new Hls(settings);
  hls.on(Hls.Events.ERROR, (_event, data) => {
    report({ fatal: data.fatal, code: data.details, message: String(data.error?.message ?? data.reason ?? "") });
  });
  const details = () => hls.latestLevelDetails;
  // A fragment says which stretch of the video element's time it fills and when its first picture was taken.
  const dated = () => details()?.fragments.filter((fragment) => fragment.programDateTime) ?? [];
  // So shortly before the start of a fragment hls.js loads nothing before it, and steps over what lacks.
  const clear = (time_s) => {
    const { fragments, fragmentHint } = details();
    const next = [...fragments, ...(fragmentHint ? [fragmentHint] : [])].find(({ start }) => start > time_s);
    return next && next.start - time_s <= hls.config.maxFragLookUpTolerance ? next.start + ROUNDING_S : time_s;
  };
  return {
    version: Hls.version,
    load(url) {
      hls.loadSource(url);
      hls.attachMedia(video);
    },
    range() {
      const known = details();
      if (!known) return null;
      // Sound may begin after the picture, be it by the rounding of times as large as the Unix time. Before
      // the start of one of its playlists hls.js loads the live edge instead, and the picture never comes.
      const starts = [known, hls.audioTracks[hls.audioTrack]?.details].map((track) => track?.fragmentStart ?? 0);
      return { start_s: Math.max(...starts) + ROUNDING_S, end_s: known.edge };
    },
    wallOf(time_s) {
      const fragment = dated().findLast(({ start }) => start <= time_s);
      return fragment ? fragment.programDateTime + (time_s - fragment.start) * 1000 : null;
    },
    timeOf(wall_ms) {
      const fragment = dated().findLast(({ programDateTime }) => programDateTime <= wall_ms);
      return fragment ? fragment.start + (wall_ms - fragment.programDateTime) / 1000 : null;
    },
    seek(time_s) {
      video.currentTime = clear(time_s);
    },
    // Its I-frame player, which is another instance with a <video> of its own.
    keyframes(other) {
      const player = hls.createIFramePlayer();
      player.attachMedia(other);
      player.on(Hls.Events.ERROR, (_event, data) => report({ fatal: data.fatal, code: data.details, message: "keyframes" }));
      return {
        show: (time_s) => player.loadMediaAt(time_s),
        isNewest(shown_s, time_s) {
          const frames = player.latestLevelDetails?.fragments ?? [];
          const wanted = frames.findLast(({ start }) => start <= time_s);
          return wanted != null && shown_s >= wanted.start - 0.01;
        },
      };
    },
    qualities: () => hls.levels.map(({ width }) => width),
    choose(index) {
      hls.nextLevel = index;
    },
    goLive() {
      video.currentTime = clear(hls.liveSyncPosition ?? details().edge);
    },
  };
}
