// The bar over a day: what is recorded, what is missing, where the player is. A slider for mouse, touch
// and keyboard.

import { el, setAttribute, setText } from '../dom';
import { clampTo, fractionAt, ticks, timeAt, zoomed, type View } from '../time/bar';
import { clock, dayLabel } from '../time/clock';
import { gapsIn, spanAt, type Gap, type Span } from '../time/spans';
import { notRecorded } from '../words';
import type { Preview } from './preview';

export interface BarActions {
  seek(wallMs: number): void;
  step(deltaMs: number): void;
  live(): void;
}

/** What the bar shows. Times are Unix ms. */
export interface BarState {
  readonly day: View;
  readonly zone: string;
  readonly spans: readonly Span[];
  /** Why there is nothing, where that is known. */
  readonly gaps: readonly Gap[];
  /** Up to here there could be a recording: now, or the end of a finished day. */
  readonly untilMs: number;
  readonly positionMs: number | null;
  readonly live: boolean;
}

export interface Bar {
  readonly element: HTMLElement;
  show(state: BarState): void;
}

const ZOOMS: readonly { label: string; lengthMs: number }[] = [
  { label: 'Day', lengthMs: Infinity },
  { label: '2 h', lengthMs: 2 * 3_600_000 },
  { label: '10 min', lengthMs: 600_000 },
];
/** Room for one label of a tick. */
const TICK_PX = 64;
/** A finger that rests this long while dragging wants to see what is there. */
const DWELL_MS = 350;

const KEY_STEPS_S: Readonly<Record<string, number>> = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10 };

export function createBar(actions: BarActions, preview: Preview): Bar {
  const recorded = el('div', { class: 'layer' });
  const until = el('div', { class: 'until' });
  const track = el('div', { class: 'track' }, recorded, until);
  const head = el('div', { class: 'head', hidden: '' });
  const pointer = el('div', { class: 'pointer', hidden: '' });
  const caption = el('span', {});
  const bubble = el('div', { class: 'bubble', hidden: '' }, preview.element, caption);
  const slider = el(
    'div',
    { class: 'slider', role: 'slider', tabindex: '0', 'aria-label': 'Time of day', 'aria-orientation': 'horizontal' },
    track,
    pointer,
    head,
    bubble,
  );
  const scale = el('div', { class: 'scale', 'aria-hidden': 'true' });
  const zoomButtons = ZOOMS.map(({ label }) => el('button', { type: 'button', 'aria-pressed': 'false' }, label));
  const zoomGroup = el('div', { class: 'segmented', role: 'group', 'aria-label': 'Length of the bar' }, ...zoomButtons);
  const element = el('div', { class: 'bar' }, slider, scale, el('div', { class: 'bar-foot' }, zoomGroup));

  let state: BarState | null = null;
  let view: View = { fromMs: 0, toMs: 1 };
  let lengthMs = Infinity;
  let drawn = '';
  let dragMs: number | null = null;
  let dwell: ReturnType<typeof setTimeout> | undefined;

  const at = (clientX: number) => {
    const box = slider.getBoundingClientRect();
    return timeAt(view, (clientX - box.left) / box.width);
  };
  const place = (target: HTMLElement, ms: number) => {
    target.style.left = `${fractionAt(view, ms) * 100}%`;
  };

  function pickView(now: BarState): View {
    const position = dragMs === null ? now.positionMs : null;
    const sameDay = now.day.fromMs <= view.fromMs && view.toMs <= now.day.toMs;
    const sameLength = Math.abs(Math.min(lengthMs, now.day.toMs - now.day.fromMs) - (view.toMs - view.fromMs)) < 1;
    if (sameDay && sameLength) {
      const where = position === null ? 0.5 : fractionAt(view, position);
      if (where >= 0 && where <= 0.97) return view;
      if (view.toMs === now.day.toMs && where <= 1) return view;
    }
    return zoomed(now.day, position ?? now.untilMs, lengthMs);
  }

  function draw(now: BarState): void {
    const width = slider.clientWidth;
    const ends = now.spans.map((span) => `${span.startMs}-${Math.round(span.endMs / 1000)}`).join();
    const key = [view.fromMs, view.toMs, width, Math.round(now.untilMs / 1000), now.zone, ends].join();
    if (key === drawn || width === 0) return;
    drawn = key;
    const block = (kind: string, span: Span) => {
      const from = Math.max(0, fractionAt(view, span.startMs));
      const to = Math.min(1, fractionAt(view, span.endMs));
      if (to <= 0 || from >= 1 || to <= from) return null;
      const part = el('div', { class: kind });
      part.style.left = `${from * 100}%`;
      part.style.width = `${(to - from) * 100}%`;
      return part;
    };
    const parts = [
      ...gapsIn(now.day, now.spans, now.untilMs).map((gap) => block('gap', gap)),
      ...now.spans.map((span) => block('span', span)),
    ];
    recorded.replaceChildren(...parts.filter((part) => part !== null));
    place(until, clampTo(view, now.untilMs));
    until.hidden = now.untilMs >= view.toMs || now.untilMs <= view.fromMs;
    const marks = ticks(view, now.zone, Math.max(2, Math.floor(width / TICK_PX))).map(({ ms, label }) => {
      const mark = el('span', {}, label);
      place(mark, ms);
      const where = fractionAt(view, ms);
      if (where < 0.02) mark.className = 'first';
      if (where > 0.98) mark.className = 'last';
      return mark;
    });
    scale.replaceChildren(...marks);
  }

  function showBubble(ms: number): void {
    if (!state) return;
    place(pointer, ms);
    place(bubble, ms);
    pointer.hidden = bubble.hidden = false;
    const where = fractionAt(view, ms);
    bubble.dataset['side'] = where < 0.12 ? 'start' : where > 0.88 ? 'end' : 'middle';
    const cause = spanAt(state.gaps, ms)?.cause ?? null;
    const missing = ms > state.untilMs ? 'not yet' : spanAt(state.spans, ms) ? '' : notRecorded(cause);
    if (missing) preview.hide();
    else preview.show(ms, (view.toMs - view.fromMs) / Math.max(1, slider.clientWidth));
    setText(caption, clock(ms, state.zone) + (missing && ` · ${missing}`));
  }

  function hideBubble(): void {
    pointer.hidden = bubble.hidden = true;
    preview.hide();
  }

  function describe(now: BarState): void {
    const shown = dragMs ?? now.positionMs;
    const seconds = (ms: number) => String(Math.round((ms - now.day.fromMs) / 1000));
    setAttribute(slider, 'aria-valuemin', '0');
    setAttribute(slider, 'aria-valuemax', seconds(now.day.toMs));
    setAttribute(slider, 'aria-valuenow', shown === null ? '0' : seconds(clampTo(now.day, shown)));
    const words = shown === null ? 'nothing playing' : `${dayLabel(shown, now.zone)}, ${clock(shown, now.zone)}`;
    setAttribute(slider, 'aria-valuetext', now.live ? `${words}, live` : words);
  }

  function show(next: BarState): void {
    state = next;
    view = pickView(next);
    draw(next);
    const position = dragMs ?? next.positionMs;
    head.hidden = position === null || fractionAt(view, position) < -0.001 || fractionAt(view, position) > 1.001;
    if (position !== null) place(head, position);
    head.classList.toggle('live', next.live);
    describe(next);
  }

  slider.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || !state) return;
    slider.setPointerCapture(event.pointerId);
    dragMs = at(event.clientX);
    slider.classList.add('dragging');
    showBubble(dragMs);
    show(state);
  });
  slider.addEventListener('pointermove', (event) => {
    const ms = at(event.clientX);
    if (dragMs !== null && state) {
      dragMs = ms;
      show(state);
      clearTimeout(dwell);
      dwell = setTimeout(() => dragMs !== null && actions.seek(dragMs), DWELL_MS);
    }
    if (dragMs !== null || event.pointerType === 'mouse') showBubble(ms);
  });
  const endDrag = (seek: boolean) => (event: PointerEvent) => {
    if (dragMs === null) return;
    clearTimeout(dwell);
    const target = dragMs;
    dragMs = null;
    slider.classList.remove('dragging');
    if (event.pointerType !== 'mouse') hideBubble();
    if (seek) actions.seek(target);
    if (state) show(seek ? { ...state, positionMs: target } : state);
  };
  slider.addEventListener('pointerup', endDrag(true));
  slider.addEventListener('pointercancel', endDrag(false));
  slider.addEventListener('pointerleave', () => dragMs === null && hideBubble());
  slider.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !state) return;
    const step = KEY_STEPS_S[event.key];
    if (step !== undefined) actions.step(step * (event.shiftKey ? 6 : 1) * 1000);
    else if (event.key === 'PageDown' || event.key === 'PageUp') actions.step(event.key === 'PageUp' ? 600_000 : -600_000);
    else if (event.key === 'Home') actions.seek(state.day.fromMs);
    else if (event.key === 'End') actions.live();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function setZoom(index: number): void {
    lengthMs = ZOOMS[index]?.lengthMs ?? Infinity;
    zoomButtons.forEach((button, i) => setAttribute(button, 'aria-pressed', String(i === index)));
    if (state) show(state);
  }
  zoomButtons.forEach((button, index) => button.addEventListener('click', () => setZoom(index)));
  setZoom(0);
  new ResizeObserver(() => state && show(state)).observe(slider);

  return { element, show };
}
