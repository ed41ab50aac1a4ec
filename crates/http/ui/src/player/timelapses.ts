// The films of the days that are over: a row of dates, and a player for the one that is chosen.

import { answeredUrl, fetchTimelapses, type Timelapse } from '../api';
import { el, icon, setAttribute } from '../dom';
import { filmWords } from '../words';

export interface Timelapses {
  readonly element: HTMLElement;
  /** Asks for the list; what is shown stays if there is no answer. */
  refresh(signal?: AbortSignal): Promise<void>;
}

export function createTimelapses(cameraId: string): Timelapses {
  const list = el('div', { class: 'days', role: 'group', 'aria-label': 'Timelapses' });
  const video = el('video', { controls: '', loop: '', muted: '', playsinline: '', preload: 'metadata' });
  const words = el('span', {});
  const save = el('a', { class: 'save', download: '' }, 'Download');
  const close = el('button', { type: 'button', class: 'control', 'aria-label': 'Close', title: 'Close' }, icon('close'));
  const stage = el('div', { class: 'film', hidden: '' }, video, el('div', { class: 'film-foot' }, words, save, close));
  const element = el('section', { class: 'timelapses', 'aria-label': 'Timelapses', hidden: '' }, el('h2', {}, 'Timelapses'), list, stage);
  let films: readonly Timelapse[] = [];
  let chosen: string | null = null;

  function show(film: Timelapse | null): void {
    chosen = film?.date ?? null;
    stage.hidden = film === null;
    for (const button of list.querySelectorAll('button')) setAttribute(button, 'aria-pressed', String(button.dataset['date'] === chosen));
    if (!film) {
      video.pause();
      video.removeAttribute('src');
      video.load();
      return;
    }
    // Paths of the server begin with a slash; the page may be under another path of a proxy.
    const url = answeredUrl(film.url);
    setAttribute(video, 'aria-label', `Timelapse of ${film.date}`);
    video.muted = true;
    video.src = url;
    save.href = url;
    setAttribute(save, 'download', `${cameraId}-${film.date}.mp4`);
    words.textContent = filmWords(film);
    void video.play().catch(() => undefined);
  }

  list.addEventListener('click', (event) => {
    const date = event.target instanceof HTMLElement ? event.target.dataset['date'] : undefined;
    const film = films.find((candidate) => candidate.date === date);
    if (film) show(film.date === chosen ? null : film);
  });
  close.addEventListener('click', () => show(null));

  return {
    element,
    async refresh(signal) {
      const found = await fetchTimelapses(cameraId, signal).catch(() => null);
      if (!found || found.map((film) => film.date).join() === films.map((film) => film.date).join()) return;
      films = found;
      element.hidden = films.length === 0;
      // The newest first: it is what people come back for.
      list.replaceChildren(
        ...films.map((film) => el('button', { type: 'button', 'data-date': film.date, 'aria-pressed': String(film.date === chosen) }, film.date)).reverse(),
      );
      if (chosen !== null && !films.some((film) => film.date === chosen)) show(null);
    },
  };
}
