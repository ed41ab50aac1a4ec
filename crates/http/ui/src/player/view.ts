// The elements of the player's page; what they do is in page.ts.

import { serverUrl } from '../api';
import { createBadge } from '../badge';
import { el, icon, setAttribute } from '../dom';
import type { EngineName } from './adapter';
import { ENGINE_LABELS } from './engines';

function button(className: string, label: string, ...children: (Node | string)[]): HTMLButtonElement {
  return el('button', { type: 'button', class: className, 'aria-label': label, title: label }, ...children);
}

/** What others make and the page has a place for. */
interface Parts {
  readonly bar: HTMLElement;
  readonly moment: { readonly button: HTMLButtonElement; readonly element: HTMLElement };
  readonly download: HTMLElement;
  readonly timelapses: HTMLElement;
  readonly events: HTMLElement;
}

/** Builds the page of `cameraId` with its parts in their places. */
export function createView(cameraId: string, engines: readonly EngineName[], { bar, moment, download, timelapses, events }: Parts) {
  const badge = createBadge();
  const video = el('video', { playsinline: '', preload: 'auto', 'aria-label': `Picture of ${cameraId}` });
  const spinner = el('div', { class: 'spinner', hidden: '', 'aria-hidden': 'true' });
  const bigPlay = button('big-play', 'Play', icon('play'));
  bigPlay.hidden = true;
  const message = el('p', { class: 'overlay', role: 'status', hidden: '' });

  const play = button('control', 'Play', icon('play'));
  const back = button('control text', 'Back 10 seconds', '−10 s');
  const forward = button('control text', 'Forward 10 seconds', '+10 s');
  const live = el('button', { type: 'button', class: 'live-button' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span', {}, 'Live'));
  const behind = el('span', { class: 'behind' });
  const time = el('time', { class: 'time' });
  const date = el('span', { class: 'date' });
  const mute = button('control', 'Mute', icon('sound'));
  const full = button('control', 'Full screen', icon('full'));

  const controls = el(
    'div',
    { class: 'controls' },
    el('div', { class: 'group' }, play, back, forward, live),
    el('div', { class: 'now' }, time, el('span', { class: 'under' }, date, behind)),
    el('div', { class: 'group end' }, moment.button, mute, full),
  );
  const picture = el('div', { class: 'screen' }, video, spinner, bigPlay, message);
  const stage = el('section', { class: 'stage', 'aria-label': 'Player' }, picture, el('div', { class: 'panel' }, controls, bar));

  const days = el('div', { class: 'days', role: 'group', 'aria-label': 'Day' });
  const facts = el('dl', { class: 'details' });
  const choices = engines.map((engine) => {
    const choice = el('button', { type: 'button', 'data-engine': engine }, ENGINE_LABELS[engine]);
    return { engine, choice };
  });
  const enginePicker = el('div', { class: 'segmented', role: 'group', 'aria-label': 'Player' }, ...choices.map(({ choice }) => choice));

  const header = el(
    'header',
    { class: 'top narrow' },
    el('a', { class: 'back', href: serverUrl(''), 'aria-label': 'All cameras', title: 'All cameras' }, icon('back')),
    el('h1', {}, cameraId),
    badge.element,
  );
  const main = el(
    'main',
    { class: 'player' },
    stage,
    moment.element,
    days,
    download,
    timelapses,
    el('section', { class: 'about', 'aria-label': 'About the camera' }, facts, el('div', { class: 'choice' }, el('span', {}, 'Player'), enginePicker)),
    events,
  );

  return {
    header, main, badge, video, spinner, bigPlay, message, play, back, forward, live, behind, time, date,
    mute, full, controls, picture, stage, days, facts, choices,
    /** Gives a button another icon and label, if they changed. */
    relabel(target: HTMLButtonElement, name: 'play' | 'pause' | 'sound' | 'mute', label: string) {
      if (target.dataset['icon'] !== name) {
        target.dataset['icon'] = name;
        target.replaceChildren(icon(name));
      }
      setAttribute(target, 'aria-label', label);
      setAttribute(target, 'title', label);
    },
  };
}

export type PlayerView = ReturnType<typeof createView>;
