// What is known about the camera and its days, below the player.

import type { Camera, Day } from '../api';
import { el } from '../dom';
import { dayLabel, stopwatch } from '../time/clock';
import { audioLine, byteSize, videoLine } from '../words';

/** Fills the list of facts; does nothing when they are the same as before. */
export function showFacts(list: HTMLElement, camera: Camera, today: Day | undefined): void {
  const rows: [string, string][] = [
    ['Picture', videoLine(camera) || 'unknown so far'],
    ['Sound', camera.video ? audioLine(camera) : 'unknown so far'],
    ['Recorded today', `${stopwatch(camera.recorded_today_s * 1000)} · ${byteSize(camera.bytes_today)}`],
    ['Time zone', camera.timezone],
  ];
  if (camera.reconnects > 0) rows.push(['Reconnects', String(camera.reconnects)]);
  if (today && today.spans.length > 1) rows.push(['Gaps today', String(today.spans.length - 1)]);
  const next = rows.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)));
  replaceIfChanged(list, next);
}

/** Shows a button for each kept day, the newest first, named by `data-date`; nothing when there is only one. */
export function showDays(list: HTMLElement, days: readonly Day[], shown: string | undefined, zone: string): void {
  const buttons = [...days].reverse().map((day) => {
    const label = day.today ? 'Today' : dayLabel(day.fromMs, zone);
    const button = el('button', { type: 'button', 'data-date': day.date, 'aria-pressed': String(day.date === shown) }, label);
    button.disabled = day.spans.length === 0 && !day.today;
    return button;
  });
  const focused = list.querySelector<HTMLElement>(':focus')?.dataset['date'];
  replaceIfChanged(list, buttons);
  buttons.find((button) => button.isConnected && button.dataset['date'] === focused)?.focus();
  list.hidden = days.length < 2;
}

/** Leaves alone what is the same, so that a press or the focus is not lost in between. */
function replaceIfChanged(parent: HTMLElement, next: readonly Element[]): void {
  const same = next.length === parent.childElementCount && next.every((child, i) => child.isEqualNode(parent.children[i] ?? null));
  if (!same) parent.replaceChildren(...next);
}
