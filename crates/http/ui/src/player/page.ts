// The page of one camera: what the player, the camera and the viewer do to each other.

import { ApiError, fetchCamera, fetchDays, serverNowMs, serverUrl, type Camera, type Day } from '../api';
import { el, setAttribute, setText } from '../dom';
import { recall, remember } from '../memory';
import { pollWhileVisible, type Poll } from '../poll';
import { localDay } from '../time/bar';
import { clock, dayLabel, knownZone, localDate, stopwatch } from '../time/clock';
import { grownTo, type Span } from '../time/spans';
import { cannotPlay, stateWords, troubleLine } from '../words';
import type { EngineName } from './adapter';
import { createBar } from './bar';
import { chosenEngine, mediaSource, rememberEngine, usableEngines } from './engines';
import { createEvents } from './events';
import { createExport } from './export';
import { showDays, showFacts } from './facts';
import { listenToKeys } from './keys';
import { createMoment } from './moment';
import { goesPastDisk } from './path';
import { createPreview } from './preview';
import { Session } from './session';
import { createTimelapses } from './timelapses';
import { createView } from './view';

const CAMERA_POLL_MS = 3_000;
const DAYS_POLL_MS = 15_000;
const TICK_MS = 250;
const SPINNER_AFTER_MS = 600;
const POSTER_WIDTH_PX = 1280;
const POSTER_REFRESH_MS = 10_000;
/** The recording of a camera that works is this old at most: what it makes now is on its way. */
const IN_THE_WORKS_MS = 30_000;

/** For tests and scripts: `window.dayreel`. Times are Unix ms. */
interface Hooks {
  readonly adapter: Session['adapter'];
  readonly session: Session;
  readonly video: HTMLVideoElement;
}

export function showCamera(root: HTMLElement, cameraId: string): void {
  document.title = `${cameraId} – Dayreel`;
  const engines = usableEngines(document.createElement('video'));
  let engine = chosenEngine(engines);
  const bar = createBar({
    seek: (wallMs) => session.seek(wallMs),
    step: (deltaMs) => session.step(deltaMs),
    live: () => session.goLive(),
  }, createPreview(cameraId));
  const timelapses = createTimelapses(cameraId);
  const events = createEvents(cameraId, () => zone());
  const moment = createMoment(cameraId, () => zone());
  const download = createExport(cameraId, () => ({
    date: session.day?.date ?? null,
    fromMs: session.day?.fromMs ?? 0,
    wallMs: session.adapter?.wallNow() ?? null,
    zone: zone(),
  }));
  const view = createView(cameraId, engines, { bar: bar.element, moment, download, timelapses: timelapses.element, events: events.element });
  root.replaceChildren(view.header, view.main);
  const session = new Session(view.video, cameraId, engine ?? 'hls');
  const { video } = view;

  let camera: Camera | null = null;
  let days: Day[] = [];
  let serverProblem: string | null = null;
  let waitingSince: number | null = null;
  let askAgainAt = 0;
  let posterAgainAt = 0;
  let daysPoll: Poll | null = null;
  let ticker: ReturnType<typeof setInterval> | undefined;
  const zone = () => knownZone(camera?.timezone ?? 'UTC');

  video.muted = recall('muted') !== 'false';
  const hooks: Hooks = { get adapter() { return session.adapter; }, session, video };
  Object.assign(window, { dayreel: hooks });

  /** Why this camera cannot be played at all here, or `null`. */
  function unplayable(): string | null {
    if (engine === null) return 'This browser can play neither HLS nor DASH.';
    const codec = camera?.video?.codec;
    if (!codec || session.day?.today === false) return null;
    const type = `video/mp4; codecs="${codec}"`;
    const supported = engine === 'native' ? video.canPlayType(type) !== '' : mediaSource()?.isTypeSupported(type);
    return supported ? null : cannotPlay(codec);
  }

  /** A still picture until the video plays; where it cannot be played, a new one now and then. */
  function showPoster(): void {
    if (!camera || camera.last_frame_age_s === null || performance.now() < posterAgainAt) return;
    posterAgainAt = unplayable() === null ? Infinity : performance.now() + POSTER_REFRESH_MS;
    video.poster = serverUrl(`${cameraId}/frame/?width=${POSTER_WIDTH_PX}&at=${Date.now()}`);
  }

  function openDay(day: Day): void {
    session.close();
    session.day = day;
    session.trouble = null;
    session.wantsPlay = true;
    if (day.spans.length > 0 && unplayable() === null) session.open(day, null);
    showAbout();
    tick();
  }

  /** From the recording, or past a disk that cannot be written. */
  function choosePath(): void {
    const today = days.find((day) => day.today);
    if (!camera || !session.day?.today || unplayable() !== null) return;
    session.goPastDisk(goesPastDisk({
      pastDisk: session.pastDisk,
      live: camera.state === 'live',
      recordingError: camera.recording_error_code,
      follows: session.follow,
      recordedUntilMs: today?.spans.at(-1)?.endMs ?? 0,
      nowMs: serverNowMs(),
    }));
  }

  function chooseEngine(next: EngineName): void {
    engine = next;
    rememberEngine(next);
    if (session.adapter && unplayable() === null) session.switchTo(next);
    else if (session.day) openDay(session.day);
    showEngine();
  }

  function showEngine(): void {
    document.documentElement.dataset['engine'] = engine ?? 'none';
    for (const { engine: name, choice } of view.choices) setAttribute(choice, 'aria-pressed', String(name === engine));
  }

  function showAbout(): void {
    showDays(view.days, days, session.day?.date, zone());
    if (camera) showFacts(view.facts, camera, days.find((day) => day.today));
  }

  /** What to say over the picture, the most important first; `null` when all is well. */
  function messageNow(): string | null {
    const reason = unplayable();
    if (reason) return reason;
    if (serverProblem) return `${serverProblem} Trying again…`;
    const away = camera && camera.state !== 'live' && session.day?.today !== false ? camera : null;
    if (away) return [stateWords(away.state).sentence, away.last_error?.message].filter(Boolean).join('\n');
    if (camera?.recording_error && session.day?.today !== false) return troubleLine(camera, session.pastDisk);
    if (session.trouble) return session.trouble;
    if (camera && days.length > 0 && session.day?.spans.length === 0) return 'Nothing is recorded yet.';
    return null;
  }

  function showPlayback(): void {
    const wall = session.adapter?.wallNow() ?? null;
    const now = performance.now();
    const waits = !video.paused && (video.readyState < 3 || video.seeking);
    const opens = session.adapter !== null && video.readyState < 2;
    waitingSince = waits || opens ? (waitingSince ?? now) : null;
    const message = messageNow();
    view.message.hidden = message === null;
    setText(view.message, message ?? '');
    view.spinner.hidden = message !== null || waitingSince === null || now - waitingSince < SPINNER_AFTER_MS;
    view.bigPlay.hidden = !(video.paused && video.readyState >= 2);

    view.play.disabled = view.back.disabled = view.forward.disabled = view.live.disabled = session.adapter === null;
    view.relabel(view.play, video.paused ? 'play' : 'pause', video.paused ? 'Play' : 'Pause');
    const silent = camera?.video != null && camera.audio === null;
    view.mute.disabled = silent;
    view.relabel(view.mute, silent || video.muted ? 'mute' : 'sound', silent ? 'This camera has no sound' : video.muted ? 'Sound on' : 'Sound off');

    const live = session.isLive() && camera?.state === 'live';
    const behind = session.behindMs();
    view.live.dataset['live'] = String(live);
    setAttribute(view.live, 'aria-label', live ? 'Live: this is the newest picture' : 'Go to the live picture');
    const late = !live && behind !== null && behind > 1000;
    setText(view.behind, live ? 'live' : late ? `${stopwatch(behind)} behind` : '');
    setText(view.time, wall === null ? '––:––:––' : clock(wall, zone()));
    if (wall !== null) setAttribute(view.time, 'datetime', new Date(wall).toISOString());
    setText(view.date, wall === null ? '' : dayLabel(wall, zone()));

    const root = document.documentElement.dataset;
    root['live'] = String(live);
    root['state'] = unplayable() ? 'unsupported'
      : session.trouble ? 'trouble'
      : !session.adapter ? 'waiting'
      : waits || opens ? 'buffering'
      : video.paused ? 'paused' : 'playing';

    if (!camera) return;
    const today = session.day?.today !== false;
    const nowMs = Math.max(serverNowMs(), session.adapter?.liveEdge() ?? 0);
    const day = session.dayView() ?? localDay(nowMs, zone());
    bar.show({ day, zone: zone(), spans: drawnSpans(nowMs), gaps: session.day?.gaps ?? [], untilMs: today ? Math.min(nowMs, day.toMs) : day.toMs, positionMs: wall, live });
  }

  /** The recording as the bar draws it: up to now while the camera delivers. */
  function drawnSpans(nowMs: number): Span[] {
    const spans = session.spans();
    const last = spans[spans.length - 1];
    const grows = camera?.state === 'live' && session.day?.today && last && nowMs - last.endMs < IN_THE_WORKS_MS;
    return grows ? grownTo(spans, nowMs) : spans;
  }

  function tick(): void {
    session.tick();
    showPlayback();
    const now = performance.now();
    if (session.day?.today && serverNowMs() > session.day.toMs && now > askAgainAt) {
      // Midnight has passed: what was today is a finished day.
      askAgainAt = now + CAMERA_POLL_MS;
      daysPoll?.now();
    }
  }

  function goLive(): void {
    const today = days.find((day) => day.today);
    if (today && session.day?.date !== today.date) openDay(today);
    else session.goLive();
  }

  async function toggleFullScreen(): Promise<void> {
    const old = video as HTMLVideoElement & { webkitEnterFullscreen?: () => void };
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (view.stage.requestFullscreen) await view.stage.requestFullscreen().catch(() => undefined);
    // iPhones put only the video itself on the full screen.
    else old.webkitEnterFullscreen?.();
  }

  function toggleMute(): void {
    if (view.mute.disabled) return;
    video.muted = !video.muted;
    remember('muted', String(video.muted));
    showPlayback();
  }

  view.play.addEventListener('click', () => session.togglePlay());
  view.bigPlay.addEventListener('click', () => session.togglePlay());
  video.addEventListener('click', () => session.togglePlay());
  view.back.addEventListener('click', () => session.step(-10_000));
  view.forward.addEventListener('click', () => session.step(10_000));
  view.live.addEventListener('click', goLive);
  view.mute.addEventListener('click', toggleMute);
  view.full.addEventListener('click', () => void toggleFullScreen());
  view.days.addEventListener('click', (event) => {
    const date = event.target instanceof HTMLElement ? event.target.dataset['date'] : undefined;
    const day = days.find((candidate) => candidate.date === date);
    if (day) openDay(day);
  });
  for (const { engine: name, choice } of view.choices) choice.addEventListener('click', () => chooseEngine(name));
  for (const event of ['play', 'pause', 'seeking', 'seeked', 'playing', 'waiting']) video.addEventListener(event, showPlayback);
  listenToKeys(view.stage, {
    toggle: () => session.togglePlay(), step: (ms) => session.step(ms), live: goLive,
    mute: toggleMute, full: () => void toggleFullScreen(),
  });

  const cameraPoll = pollWhileVisible(async (signal) => {
    try {
      const next = await fetchCamera(cameraId, signal);
      const changed = camera !== null && camera.state !== next.state;
      const learnt = camera !== null && camera.video === null && next.video !== null;
      camera = next;
      serverProblem = null;
      session.serverAnswers = true;
      view.badge.show(next.state);
      showAbout();
      showPoster();
      if (learnt && session.day && !session.adapter) openDay(session.day);
      choosePath();
      if (!daysPoll) daysPoll = pollWhileVisible(askForDays, DAYS_POLL_MS);
      else if (changed) daysPoll.now();
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        leave();
        return;
      }
      session.serverAnswers = error instanceof ApiError && error.status !== 0;
      serverProblem = error instanceof ApiError ? error.message : 'The server sent something unexpected.';
    }
    showPlayback();
  }, CAMERA_POLL_MS);

  async function askForDays(signal: AbortSignal): Promise<void> {
    try {
      days = await fetchDays(cameraId, signal);
    } catch {
      // The other poll says what is wrong with the server; this one keeps what it knows.
      return;
    }
    session.update(days);
    void timelapses.refresh(signal);
    void events.refresh(signal);
    const today = days.find((day) => day.today) ?? emptyToday(zone());
    if (!session.day) openDay(today);
    else if (session.day.today && !session.adapter && !session.trouble && today.spans.length > 0) openDay(today);
    choosePath();
    showAbout();
  }

  /** The camera is gone from the configuration, or never was in it. */
  function leave(): void {
    cameraPoll.stop();
    daysPoll?.stop();
    clearInterval(ticker);
    session.close();
    const link = el('a', { href: serverUrl('') }, 'All cameras');
    root.replaceChildren(el('main', {}, el('div', { class: 'notice', role: 'alert' }, `There is no camera “${cameraId}”. `, link)));
    document.documentElement.dataset['state'] = 'unknown';
  }

  showEngine();
  ticker = setInterval(tick, TICK_MS);
}

/** Today as the calendar has it, for a camera that has recorded nothing at all. */
function emptyToday(zone: string): Day {
  const now = serverNowMs();
  return { date: localDate(now, zone), today: true, bytes: 0, spans: [], gaps: [], ...localDay(now, zone) };
}
