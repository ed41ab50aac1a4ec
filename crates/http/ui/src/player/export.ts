// Downloads a stretch of the day that is on the screen.

import { ApiError, checkExport, serverUrl } from '../api';
import { el, setText } from '../dom';
import { clock } from '../time/clock';
import { byteSize } from '../words';

/** Who opens the form has just seen something: so much before the picture is offered. */
const OFFERED_MS = 60_000;
const CHANGES = 409;

/** What the page shows. */
export interface Shown {
  /** The local day, `2026-11-22`; `null` while there is none. */
  readonly date: string | null;
  /** When it begins, Unix ms. */
  readonly fromMs: number;
  /** When the picture was taken, Unix ms. */
  readonly wallMs: number | null;
  readonly zone: string;
}

/** The path of what lies between two times of the day `date`, `17:03` or `17:03:05`. An end before the beginning is one of the next day. */
export function exportPath(cameraId: string, date: string, from: string, to: string): string {
  const [begin, end] = [from, to].map((time) => (time.length === 5 ? `${time}:00` : time));
  const last = end! < begin! ? new Date(Date.parse(date) + 86_400_000).toISOString().slice(0, 10) : date;
  return `${encodeURIComponent(cameraId)}/export?from=${date}T${begin}&to=${last}T${end}`;
}

/** The times that a form is filled in with that is opened at this picture; `null` without one. */
export function offeredTimes({ fromMs, wallMs, zone }: Shown): { readonly from: string; readonly to: string } | null {
  if (wallMs === null) return null;
  return { from: clock(Math.max(fromMs, wallMs - OFFERED_MS), zone), to: clock(wallMs, zone) };
}

/** The form, closed. `shown` is asked when it is used. */
export function createExport(cameraId: string, shown: () => Shown): HTMLElement {
  const words = el('p', { role: 'status', hidden: '' });
  const [from, to] = [time('From'), time('To')];
  const submit = el('button', { type: 'submit', class: 'link' }, 'Download');
  const form = el('form', {}, from.element, to.element, submit, words);
  const element = el('details', { class: 'events export' }, el('summary', {}, 'Download a part of the day'), form);

  function time(name: string) {
    const input = el('input', { type: 'time', step: '1', required: '' });
    const here = el('button', { type: 'button', class: 'link', title: 'The time of the picture', 'aria-label': `${name}: the time of the picture` }, 'Here');
    here.addEventListener('click', () => {
      const { wallMs, zone } = shown();
      if (wallMs !== null) input.value = clock(wallMs, zone);
    });
    return { input, element: el('span', {}, el('label', {}, name, input), here) };
  }

  function say(text: string): void {
    words.hidden = false;
    setText(words, text);
  }

  async function download(date: string): Promise<void> {
    const path = exportPath(cameraId, date, from.input.value, to.input.value);
    try {
      const bytes = await checkExport(path);
      say(bytes === null ? 'The download begins.' : `The download begins: ${byteSize(bytes)}.`);
      save(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === CHANGES) {
        say('The camera changed its encoding in between: it is a ZIP file with a film of each part.');
        save(`${path}&split=zip`);
        return;
      }
      say(error instanceof ApiError ? error.message : 'The server sent something unexpected.');
    }
  }

  element.addEventListener('toggle', () => {
    const times = offeredTimes(shown());
    if (!element.open || !times || from.input.value || to.input.value) return;
    [from.input.value, to.input.value] = [times.from, times.to];
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const { date } = shown();
    if (date === null) return;
    submit.disabled = true;
    void download(date).finally(() => { submit.disabled = false; });
  });
  return element;
}

/** The browser shows how far it is, and goes on where it broke off. */
function save(path: string): void {
  el('a', { href: serverUrl(path), download: '' }).click();
}
