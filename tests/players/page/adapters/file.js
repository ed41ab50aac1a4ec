// No player but the browser: a file as the source of the <video>.
export async function open(video, report) {
  video.addEventListener("error", () => {
    report({ fatal: true, code: String(video.error?.code), message: String(video.error?.message ?? "") });
  });
  return {
    version: navigator.userAgent,
    load(url) {
      // Its pictures are read, and it comes from another origin.
      video.crossOrigin = "anonymous";
      video.src = url;
    },
    range() {
      return Number.isFinite(video.duration) ? { start_s: 0, end_s: video.duration } : null;
    },
    // A file has no wall time: that since its beginning.
    wallOf: (time_s) => time_s * 1000,
    timeOf: (wall_ms) => wall_ms / 1000,
    // What is asked for is looked at to the picture: it must not play on before it is.
    seek(time_s) {
      video.pause();
      video.currentTime = time_s;
    },
    goLive() {
      this.seek(video.duration);
    },
  };
}
