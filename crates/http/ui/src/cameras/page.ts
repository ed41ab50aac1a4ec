// The list of all cameras.

import { ApiError, fetchCameras, fetchUser, serverUrl, type Camera } from '../api';
import { el, setText } from '../dom';
import { pollWhileVisible } from '../poll';
import { createCard, type Card } from './card';

const POLL_MS = 3_000;

export function showCameras(root: HTMLElement): void {
  document.title = 'Dayreel';
  const summary = el('p', { class: 'summary', 'aria-live': 'polite' });
  const notice = el('div', { class: 'notice', role: 'status' }, 'Loading the cameras…');
  const grid = el('div', { class: 'grid' });
  const logout = el(
    'form',
    { method: 'post', action: serverUrl('logout'), hidden: '' },
    el('button', { type: 'submit', class: 'logout' }, 'Log out'),
  );
  const mark = el('span', { class: 'mark', 'aria-hidden': 'true' });
  root.replaceChildren(
    el('header', { class: 'top' }, el('h1', { class: 'brand' }, mark, 'Dayreel'), summary, logout),
    el('main', {}, notice, grid),
    el('footer', { class: 'foot' }, el('a', { href: serverUrl('api/') }, 'API')),
  );
  // Who cannot be asked has nothing to log out of.
  void fetchUser().then(
    (user) => {
      logout.hidden = user === null;
      logout.title = user ?? '';
    },
    () => {},
  );

  const cards = new Map<string, Card>();

  function show(cameras: readonly Camera[]): void {
    for (const [id, card] of cards) {
      if (!cameras.some((camera) => camera.id === id)) {
        card.remove();
        cards.delete(id);
      }
    }
    for (const camera of cameras) {
      const known = cards.get(camera.id);
      if (known) {
        known.show(camera);
      } else {
        const card = createCard(camera);
        cards.set(camera.id, card);
        grid.append(card.element);
      }
    }
    const live = cameras.filter((camera) => camera.state === 'live').length;
    setText(summary, cameras.length === 0 ? '' : `${live} of ${cameras.length} live`);
    grid.classList.remove('unreachable');
    notice.hidden = cameras.length > 0;
    setText(notice, 'No camera is configured yet. Add a [[camera]] to the configuration and start Dayreel again.');
    document.documentElement.dataset['state'] = cameras.length > 0 ? 'ready' : 'empty';
  }

  function showProblem(message: string): void {
    notice.hidden = false;
    grid.classList.add('unreachable');
    setText(notice, `${message} Trying again…`);
    setText(summary, '');
    document.documentElement.dataset['state'] = 'unreachable';
  }

  document.documentElement.dataset['state'] = 'loading';
  pollWhileVisible(async (signal) => {
    try {
      show(await fetchCameras(signal));
    } catch (error) {
      showProblem(error instanceof ApiError ? error.message : 'The server sent something unexpected.');
    }
  }, POLL_MS);
}
