// Keeps one day of one camera playing: opens the player, crosses gaps, follows the live edge, recovers.

import { serverUrl, type Day } from '../api';
import type { View } from '../time/bar';
import { gapExit, grownTo, playableAt, spanAt, stepFrom, type Span } from '../time/spans';
import type { Adapter, EngineName, Trouble } from './adapter';
import { Backoff } from './backoff';
import { loadEngine } from './engines';

/** Without progress for this long a player that wants to play counts as stuck. */
const STUCK_MS = 700;
/** Stuck for this long a picture is not live any more. */
const STALLED_MS = 4_000;
/** Stuck for this long where there is something to play: open the player again. */
const HOPELESS_MS = 10_000;
/** Further behind than this is not live. */
const LIVE_SLACK_MS = 8_000;
/** A viewer of the live picture who fell this far behind (sleep, outage) is brought back. */
const CATCH_UP_MS = 20_000;
/** A jump needs this long to show its effect. */
const JUMP_PAUSE_MS = 3_000;
/** Media this far past the live edge is in the player's list for certain: at least one segment is. */
const REACH_MS = 2_000;
const SERVER_RETRY_MS = 1_000;
/** A new day needs as much before a player can keep its distance from the live edge in it; the old one lasts so long. */
const ENOUGH_MS = 12_000;
/** A player that has not come over midnight by then will not by itself. */
const TOO_LONG_MS = 60_000;

function recordedMs(day: Day): number {
  return day.spans.reduce((sum, span) => sum + span.endMs - span.startMs, 0);
}

export class Session {
  adapter: Adapter | null = null;
  day: Day | null = null;
  /** What went wrong last, in words, until playback goes on. */
  trouble: string | null = null;
  /** The viewer wants the newest picture, wherever it is. */
  follow = true;
  /** The viewer wants it to play; the browser may not have begun yet. */
  wantsPlay = true;
  /** The live picture comes past the disk, as MPEG-TS: nothing can be written. */
  pastDisk = false;
  /** Without the server it is no use to open a player again; what is on the screen stays. */
  serverAnswers = true;

  private opening = 0;
  /** There has been a picture since the player was opened. */
  private begun = false;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff();
  private lastSeconds = -1;
  private progressAt = 0;
  private jumpedAt = -Infinity;
  private lastWallMs: number | null = null;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly cameraId: string,
    private engine: EngineName,
  ) {
    video.addEventListener('loadeddata', () => {
      this.begun = true;
    });
    video.addEventListener('canplay', () => {
      if (this.wantsPlay && video.paused) void this.play();
    });
    video.addEventListener('play', () => {
      this.wantsPlay = true;
    });
    video.addEventListener('pause', () => {
      // Also by a headset's button or the browser's own; not by the end of the day.
      if (!video.ended) this.wantsPlay = false;
    });
  }

  /** Opens `day` at `atMs`; `null`: at the live edge, or the beginning of a finished day. */
  open(day: Day, atMs: number | null): void {
    this.close();
    this.day = day;
    this.follow = day.today && atMs === null;
    this.pastDisk &&= this.follow;
    const pastDisk = this.pastDisk;
    this.lastWallMs = atMs;
    const turn = this.opening;
    // There is no MPEG-TS in DASH.
    const engine = pastDisk && this.engine === 'dash' ? 'hls' : this.engine;
    void loadEngine(engine).then(
      (openAdapter) => {
        if (turn !== this.opening) return;
        // By its date, also today: after midnight "today" would be another day's playlist. dash.js goes on in
        // that; a manifest that turns static sends it to times counted from 0, where it has nothing.
        const name = day.today && this.goesOn() ? 'today' : day.date;
        const folder = serverUrl(`${this.cameraId}/${pastDisk ? 'live' : `stream/${name}`}/`);
        const startWallMs = atMs === null ? null : playableAt(day.spans, atMs);
        const source = { folder, live: day.today, startWallMs, spans: () => (pastDisk ? [] : (this.day?.spans ?? [])) };
        this.adapter = openAdapter(this.video, source, (trouble) => this.onTrouble(trouble));
      },
      () => this.onTrouble({ kind: 'network', fatal: true, message: 'the player could not be loaded' }),
    );
  }

  /** Stops playing; what was planned is forgotten. */
  close(): void {
    this.opening += 1;
    clearTimeout(this.retryTimer);
    this.adapter?.destroy();
    this.adapter = null;
    this.begun = false;
    this.lastSeconds = -1;
    this.progressAt = performance.now();
  }

  /** Goes on with another player at the same instant. */
  switchTo(engine: EngineName): void {
    this.engine = engine;
    this.trouble = null;
    this.reopen();
  }

  /** Shows the live picture past the disk, or from the recording again. */
  goPastDisk(pastDisk: boolean): void {
    if (pastDisk === this.pastDisk || !this.day) return;
    this.pastDisk = pastDisk;
    this.trouble = null;
    this.open(this.day, null);
  }

  /** Takes in a newer list of what is recorded. At midnight the day on screen turns into a finished one. */
  update(days: readonly Day[]): void {
    const current = this.day;
    if (!current) return;
    const same = days.find((day) => day.date === current.date);
    if (same?.today === current.today) {
      this.day = same;
    } else if (current.today) {
      const wall = this.lastWallMs;
      const today = days.find((day) => day.today);
      if (!this.follow && same && wall !== null) this.open(same, wall);
      else if (today && this.goesOn() && (today.spans[0]?.startMs ?? Infinity) <= (wall ?? 0)) this.day = today;
      else if (today && recordedMs(today) >= (this.goesOn() ? TOO_LONG_MS : ENOUGH_MS)) this.open(today, null);
    }
  }

  /** The player goes on over midnight by itself. */
  private goesOn(): boolean {
    return this.engine === 'dash';
  }

  /** What is recorded of the day, up to what the player can already see. */
  spans(): Span[] {
    const spans = this.day?.spans ?? [];
    return this.day?.today && !this.pastDisk ? grownTo(spans, this.adapter?.liveEdge() ?? 0) : [...spans];
  }

  /** Plays from `wallMs`, or from the next recorded instant; from the live edge when that is later. */
  seek(wallMs: number): void {
    this.go(playableAt(this.spans(), wallMs), wallMs);
  }

  /** Moves by `deltaMs` from what is shown. */
  step(deltaMs: number): void {
    const wall = this.adapter?.wallNow() ?? null;
    if (wall !== null) this.go(stepFrom(this.spans(), wall, deltaMs), wall + deltaMs);
  }

  goLive(): void {
    const follows = this.follow;
    this.wantsPlay = true;
    this.follow = true;
    if (!this.begun) {
      // As a seek before the first picture.
      if (!follows && this.adapter && this.day) this.open(this.day, null);
      return;
    }
    const edge = this.adapter?.liveEdge() ?? null;
    if (edge === null) return;
    this.adapter?.seekToWall(edge);
    void this.play();
  }

  togglePlay(): void {
    if (this.video.paused) {
      this.wantsPlay = true;
      void this.play();
    } else {
      this.wantsPlay = false;
      this.follow = false;
      this.video.pause();
    }
  }

  /** How far behind the live edge the shown picture is, ms; `null` when there is no such thing. */
  behindMs(): number | null {
    const edge = this.adapter?.liveEdge() ?? null;
    const wall = this.adapter?.wallNow() ?? null;
    return edge === null || wall === null ? null : Math.max(0, edge - wall);
  }

  /** The shown picture is the newest there is. */
  isLive(): boolean {
    const behind = this.behindMs();
    return behind !== null && behind < LIVE_SLACK_MS && !this.video.paused && this.stuckMs() < STALLED_MS;
  }

  /** How long nothing has moved although it should, ms. */
  private stuckMs(): number {
    return performance.now() - this.progressAt;
  }

  /** Looks after playback; called a few times a second. */
  tick(): void {
    const adapter = this.adapter;
    const wall = adapter?.wallNow() ?? null;
    if (!adapter) return;
    const now = performance.now();
    if (wall === null || !this.begun) {
      // It never began. A hidden tab may take its time, and who pressed pause, too.
      if (document.hidden || !this.wantsPlay) this.progressAt = now;
      else if (this.stuckMs() > HOPELESS_MS) this.reopen();
      return;
    }
    this.lastWallMs = wall;
    const seconds = this.video.currentTime;
    const moved = seconds !== this.lastSeconds;
    // What was sought and has no picture yet may be paused, too, and may never get one.
    const rests = this.video.paused && (this.video.readyState >= 2 || !this.wantsPlay);
    if (moved || rests) this.progressAt = now;
    if (moved && this.lastSeconds >= 0 && !this.video.seeking) {
      this.trouble = null;
      this.backoff.reset();
    }
    this.lastSeconds = seconds;

    const stuckMs = this.stuckMs();
    const spans = this.spans();
    if (now - this.jumpedAt < JUMP_PAUSE_MS) return;
    const exit = this.pastDisk ? null : gapExit(spans, wall, stuckMs > STUCK_MS);
    const edge = adapter.liveEdge();
    // The server may know of a recording before the player's own list has it: then a moment later.
    const reachable = edge === null || (exit ?? 0) < edge + REACH_MS;
    if (exit !== null && reachable) {
      this.jumpedAt = now;
      adapter.seekToWall(this.follow && edge !== null ? Math.max(exit, edge) : exit);
    } else if (this.follow && !this.video.paused && edge !== null && edge - wall > CATCH_UP_MS) {
      this.jumpedAt = now;
      adapter.seekToWall(edge);
    } else if (stuckMs > HOPELESS_MS && (this.pastDisk || (spanAt(spans, wall)?.endMs ?? 0) - wall > HOPELESS_MS / 2)) {
      this.reopen();
    }
  }

  /** The whole day as the bar shows it. */
  dayView(): View | null {
    return this.day ? { fromMs: this.day.fromMs, toMs: this.day.toMs } : null;
  }

  private go(target: number | null, wantedMs: number): void {
    const adapter = this.adapter;
    if (!adapter || !this.day || target === null) return;
    const edge = adapter.liveEdge();
    if (edge !== null && (target >= edge || wantedMs >= edge)) {
      this.goLive();
      return;
    }
    this.follow = false;
    this.progressAt = performance.now();
    // Until its first picture is there a player goes to where it was told to begin, and would forget any other place;
    // and what is recorded is not in the live view.
    if (this.begun && !this.pastDisk) adapter.seekToWall(target);
    else this.open(this.day, target);
  }

  private async play(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError' || this.video.muted) return;
      // Browsers let a page begin by itself only without sound.
      this.video.muted = true;
      await this.video.play().catch(() => undefined);
    }
  }

  private onTrouble(trouble: Trouble): void {
    this.trouble =
      trouble.kind === 'network'
        ? 'The recording cannot be loaded. Trying again…'
        : `Playback failed (${trouble.message}). Trying again…`;
    if (!trouble.fatal) return;
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.reopen(), this.backoff.next());
  }

  private reopen(): void {
    if (!this.day) return;
    if (!this.serverAnswers) {
      clearTimeout(this.retryTimer);
      this.retryTimer = setTimeout(() => this.reopen(), SERVER_RETRY_MS);
      return;
    }
    this.open(this.day, this.follow ? null : this.lastWallMs);
  }
}
