// Watches one <video>: where it is, what it shows, and when it stood still without being asked to.

/** How often the position is read. A freeze is known to this precision. */
const TICK_MS = 100;
/** A picture is shown no longer than this: 10 a second are the fewest a test camera makes. */
const PICTURE_S = 0.1;
/** What a page may need to open another day. */
const REOPEN_DEADLINE_MS = 20_000;
/** What the compositor may be behind. */
const COMPOSITOR_DEADLINE_MS = 5000;

export class Probe {
  /** Errors the player reported through its own API. */
  playerErrors = [];
  /** Every stretch in which the element said `waiting`: `{from_ms, until_ms|null, time_s, seeking}`. */
  waits = [];
  /** What the player knows about its stream; null on a page whose player is not ours to ask. */
  adapter = null;

  #video;
  #frame = null;
  #progress = { time_s: 0, at_ms: performance.now() };
  #longestFreeze_ms = 0;
  #scrubbed = null;

  constructor(video) {
    this.#video = video;
    video.addEventListener("waiting", () => {
      this.waits.push({ from_ms: performance.now(), until_ms: null, time_s: video.currentTime, seeking: video.seeking });
    });
    for (const event of ["playing", "timeupdate", "pause"]) {
      video.addEventListener(event, () => this.#endWait());
    }
    setInterval(() => this.#tick(), TICK_MS);
    const presented = (_now, { mediaTime, presentedFrames }) => {
      this.#frame = { media_time_s: mediaTime, presented: presentedFrames };
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
  }

  /** Position, buffer, live edge and picture now; times in s on the element's timeline, wall times in ms since 1970. */
  sample() {
    const video = this.#video;
    const range = this.adapter?.range() ?? null;
    const quality = video.getVideoPlaybackQuality();
    return {
      at_ms: Math.round(performance.timeOrigin + performance.now()),
      time_s: video.currentTime,
      wall_ms: this.adapter?.wallOf(video.currentTime) ?? null,
      range,
      edge_wall_ms: range ? (this.adapter.wallOf(range.end_s) ?? null) : null,
      buffered: this.#buffered(),
      paused: video.paused,
      seeking: video.seeking,
      ended: video.ended,
      ready_state: video.readyState,
      rate: video.playbackRate,
      frame: this.#frame,
      frames_total: quality.totalVideoFrames,
      frames_dropped: quality.droppedVideoFrames,
      width: video.videoWidth,
      height: video.videoHeight,
      error: video.error ? `${video.error.code} ${video.error.message}` : null,
    };
  }

  /** Forgets the stalls so far: what follows is a new watch. */
  resetStalls() {
    this.waits = [];
    this.#longestFreeze_ms = 0;
    this.#progress = { time_s: this.#video.currentTime, at_ms: performance.now() };
  }

  /** Stalls since `resetStalls`, and the longest time the position did not move while it should have. */
  stalls() {
    this.#tick();
    return {
      waits: this.waits.map(({ from_ms, until_ms, time_s, seeking }) => ({
        time_s,
        seeking,
        duration_ms: Math.round((until_ms ?? performance.now()) - from_ms),
      })),
      longest_freeze_ms: Math.round(this.#longestFreeze_ms),
    };
  }

  /** Resolves when the element has played `advance_s` of media from here on, or from where it begins. */
  async plays(advance_s) {
    await this.until(() => !this.#video.seeking && this.#video.readyState >= 2);
    const from_s = this.#video.currentTime;
    await this.until(() => !this.#video.seeking && this.#video.currentTime >= from_s + advance_s);
  }

  /**
   * Runs `move`, which seeks; resolves when the element has sought to where `isThere` holds of its sample, and a
   * picture from there is on the screen, to the sample of the moment it arrived, before it played on.
   */
  async seeks(move, isThere = () => true) {
    const before = this.#frame?.presented ?? 0;
    const sought = new Promise((resolve) => {
      const look = () => {
        const sample = this.sample();
        if (isThere(sample)) {
          this.#video.removeEventListener("seeked", look);
          resolve(sample);
        }
      };
      this.#video.addEventListener("seeked", look);
    });
    move();
    const arrived = await sought;
    await this.until(() => !this.#video.seeking && (this.#frame?.presented ?? 0) > before);
    return arrived;
  }

  /**
   * Stops on a picture and hands it out: its media time, wall time and luma (one byte a pixel, base64). A page that
   * just then opens another day, as after midnight, is let go on and asked again.
   */
  async picture() {
    const patient_until_ms = performance.now() + REOPEN_DEADLINE_MS;
    for (;;) {
      const taken = await this.#take();
      const isKnown = !this.adapter || taken.found.wall_ms != null;
      if (isKnown || performance.now() > patient_until_ms) {
        return taken;
      }
      // What is loaded anew drops this; the next turn asks again.
      await this.resume().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  async #take() {
    const video = this.#video;
    const wasPaused = video.paused;
    video.pause();
    // The compositor may still owe the last picture, and on a busy machine be a second behind: it is through when two
    // of its turns brought none and the last is that of the position. A decoder that lags never gets there.
    const patient_until_ms = performance.now() + COMPOSITOR_DEADLINE_MS;
    for (let last = null, quiet = 0; quiet < 2; ) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const behind_s = Math.abs(video.currentTime - (this.#frame?.media_time_s ?? video.currentTime));
      const isThere = behind_s < PICTURE_S || performance.now() > patient_until_ms;
      quiet = isThere && this.#frame?.presented === last ? quiet + 1 : 0;
      last = this.#frame?.presented;
    }
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const media_time_s = this.#frame?.media_time_s ?? null;
    const found = {
      width: canvas.width,
      height: canvas.height,
      time_s: video.currentTime,
      media_time_s,
      wall_ms: media_time_s == null ? null : (this.adapter?.wallOf(media_time_s) ?? null),
      luma: await base64(new Blob([luma(data)])),
    };
    return { found, resume: !wasPaused };
  }

  /**
   * Looks at the screen about every `every_ms` while it plays on: when each picture was shown, in ms since 1970, and
   * the luma of all of them, one after the other, `width` × `height` bytes each.
   */
  async glances(seconds, every_ms, { width, height }) {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    const at_ms = [];
    const pictures = [];
    const until_ms = performance.now() + seconds * 1000;
    let next_ms = 0;
    while (performance.now() < until_ms) {
      const { expectedDisplayTime } = await new Promise((resolve) =>
        this.#video.requestVideoFrameCallback((_now, metadata) => resolve(metadata)),
      );
      if (expectedDisplayTime < next_ms) continue;
      next_ms = expectedDisplayTime + every_ms;
      context.drawImage(this.#video, 0, 0, width, height);
      pictures.push(luma(context.getImageData(0, 0, width, height).data));
      at_ms.push(performance.timeOrigin + expectedDisplayTime);
    }
    return { at_ms, luma: await base64(new Blob(pictures)) };
  }

  /** Opens a second <video>, which shows keyframes only. */
  beginScrub() {
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    this.#scrubbed = { video, keyframes: this.adapter.keyframes(video) };
  }

  /** The keyframe at `fraction` of what can be played, how long it took to come, and where it is. */
  async scrub(fraction) {
    const { video, keyframes } = this.#scrubbed;
    const { start_s, end_s } = this.adapter.range();
    const time_s = start_s + fraction * (end_s - start_s);
    const began_ms = performance.now();
    const shown = new Promise((resolve) => {
      const look = (_now, { mediaTime }) => {
        // One that was asked for before may come late.
        if (mediaTime <= time_s && keyframes.isNewest(mediaTime, time_s)) resolve(mediaTime);
        else video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);
    });
    keyframes.show(time_s);
    const media_time_s = await shown;
    const took_ms = performance.now() - began_ms;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const [width, height] = [canvas.width, canvas.height];
    const wall_ms = this.adapter.wallOf(media_time_s + 0.001);
    return { took_ms, width, height, media_time_s, wall_ms, luma: await base64(new Blob([luma(data)])) };
  }

  /** Goes on after `picture`. */
  async resume() {
    await this.#video.play();
  }

  #buffered() {
    const { buffered } = this.#video;
    return Array.from(buffered, (_, i) => [buffered.start(i), buffered.end(i)]);
  }

  #tick() {
    const video = this.#video;
    const now_ms = performance.now();
    if (video.currentTime !== this.#progress.time_s || video.paused || video.ended) {
      this.#progress = { time_s: video.currentTime, at_ms: now_ms };
    }
    this.#longestFreeze_ms = Math.max(this.#longestFreeze_ms, now_ms - this.#progress.at_ms);
  }

  #endWait() {
    const last = this.waits.at(-1);
    if (last && last.until_ms == null && !this.#video.seeking && this.#video.readyState >= 3) {
      last.until_ms = performance.now();
    }
  }

  /** Resolves when `condition` holds. Deadlines are the caller's: it closes the page. */
  until(condition) {
    return new Promise((resolve) => {
      const look = () => (condition() ? resolve() : setTimeout(look, TICK_MS / 4));
      look();
    });
  }
}

/** The luma of RGBA pixels, one byte a pixel. */
function luma(data) {
  const luma = new Uint8Array(data.length / 4);
  for (let i = 0; i < luma.length; i++) {
    // ITU-R BT.709 §3.2, in 1/256.
    luma[i] = (54 * data[4 * i] + 183 * data[4 * i + 1] + 19 * data[4 * i + 2]) >> 8;
  }
  return luma;
}

async function base64(blob) {
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}
