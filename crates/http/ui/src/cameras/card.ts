// One camera on the list: its picture, state and facts.

import { request, serverNowMs, serverUrl, type Camera } from '../api';
import { createBadge } from '../badge';
import { el, icon, setText } from '../dom';
import { pollWhileVisible } from '../poll';
import { clock, dayLabel, duration, knownZone, localDate } from '../time/clock';
import { stateWords, troubleLine, videoLine } from '../words';

const FRAME_INTERVAL_MS = 10_000;
const FRAME_WIDTH_PX = 640;
/** A picture older than this says so. */
const OLD_FRAME_MS = 15_000;

export interface Card {
  readonly element: HTMLElement;
  show(camera: Camera): void;
  remove(): void;
}

export function createCard(first: Camera): Card {
  let camera = first;
  let frameMs: number | null = null;
  let frameUrl = '';
  let onScreen = true;

  const picture = el('img', { alt: '', decoding: 'async', hidden: '' });
  const age = el('span', { class: 'age', hidden: '' });
  const empty = el('div', { class: 'no-picture' }, icon('camera'), el('span', {}, 'No picture yet'));
  const badge = createBadge();
  const facts = el('p', { class: 'facts' });
  const error = el('p', { class: 'error', hidden: '' });
  const element = el(
    'a',
    { class: 'card', href: serverUrl(`${camera.id}/`), 'data-camera': camera.id },
    el('div', { class: 'picture' }, empty, picture, age),
    el('div', { class: 'card-text' }, el('div', { class: 'card-head' }, el('h2', {}, camera.id), badge.element), facts, error),
  );

  function showAge(): void {
    if (frameMs === null) return;
    const zone = knownZone(camera.timezone);
    const now = serverNowMs();
    const old = camera.state !== 'live' || now - frameMs > OLD_FRAME_MS;
    element.classList.toggle('away', old);
    age.hidden = !old;
    const sameDay = localDate(frameMs, zone) === localDate(now, zone);
    const time = sameDay ? clock(frameMs, zone) : `${dayLabel(frameMs, zone)}, ${clock(frameMs, zone)}`;
    setText(age, `${time} · ${duration(now - frameMs)} ago`);
  }

  /** Fetches the newest picture; a camera that is away keeps the last one. */
  async function refresh(signal: AbortSignal): Promise<void> {
    const away = camera.state !== 'live' && (frameMs !== null || camera.last_frame_age_s === null);
    if (away || !onScreen) return;
    try {
      const response = await request(`${camera.id}/frame/?width=${FRAME_WIDTH_PX}`, signal);
      const taken = Date.parse(response.headers.get('x-frame-time') ?? '');
      const url = URL.createObjectURL(await response.blob());
      picture.src = url;
      await picture.decode();
      URL.revokeObjectURL(frameUrl);
      frameUrl = url;
      frameMs = Number.isFinite(taken) ? taken : serverNowMs();
      picture.hidden = false;
      empty.hidden = true;
      showAge();
    } catch {
      // The state and the age beside the picture say what is wrong; the next turn tries again.
    }
  }

  const poll = pollWhileVisible(refresh, FRAME_INTERVAL_MS);
  const watcher = new IntersectionObserver(([entry]) => {
    const was = onScreen;
    onScreen = entry?.isIntersecting ?? true;
    if (onScreen && !was) poll.now();
  }, { rootMargin: '200px' });
  watcher.observe(element);

  function show(next: Camera): void {
    const cameBack = camera.state !== 'live' && next.state === 'live';
    camera = next;
    badge.show(next.state);
    setText(facts, videoLine(next) || stateWords(next.state).sentence);
    const trouble = troubleLine(next);
    error.hidden = trouble === '';
    setText(error, trouble);
    element.setAttribute('aria-label', `${next.id}: ${stateWords(next.state).label}. Open the player.`);
    showAge();
    if (cameBack) poll.now();
  }
  show(first);

  return {
    element,
    show,
    remove() {
      poll.stop();
      watcher.disconnect();
      URL.revokeObjectURL(frameUrl);
      element.remove();
    },
  };
}
