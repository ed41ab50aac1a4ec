// Shaka Player, without its low latency: with it, 5.2.12 on a busy machine once landed elsewhere in a long day of HLS than
// it was told. It tells HLS from DASH by itself.
import { script } from "../script.js";

export async function open(video, report) {
  await script("/vendor/shaka.js");
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.configure("streaming.lowLatencyMode", false);
  await player.attach(video);
  player.addEventListener("error", ({ detail }) => {
    report({
      fatal: detail.severity === shaka.util.Error.Severity.CRITICAL,
      code: `${detail.category}.${detail.code}`,
      message: `${detail.message ?? ""} ${(detail.data ?? []).join("; ")}`,
    });
  });
  // Shaka tells the wall time of one position only, the playhead's. In HLS its timeline leaves gaps out, so
  // that this holds up to the next gap; `seek` in steps.mjs asks again when it is there.
  const zero_ms = () => {
    const now = player.getPlayheadTimeAsDate();
    return now == null ? null : now.getTime() - video.currentTime * 1000;
  };
  return {
    version: shaka.Player.version,
    load(url) {
      player.load(url).catch((error) => {
        report({ fatal: true, code: `${error.category}.${error.code}`, message: `${error.message ?? error} ${(error.data ?? []).join("; ")}` });
      });
    },
    range() {
      const { start, end } = player.seekRange();
      return end > start ? { start_s: start, end_s: end } : null;
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
      video.currentTime = time_s;
    },
    goLive() {
      player.goToLive();
    },
  };
}
