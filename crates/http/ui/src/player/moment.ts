// The moment button: keeps the last seconds, and shows what was kept.

import { answeredUrl, ApiError, deleteMoment, generateMoment, type Moment } from '../api';
import { el, icon, setAttribute } from '../dom';
import { clock } from '../time/clock';
import { byteSize, missingWords } from '../words';

/** Who has seen something needs some seconds to press a button. */
const LENGTH_S = 10;
const KEEP = `Keep the last ${LENGTH_S} seconds`;

/** The button, and the place for what it makes. `zone` is the camera's. */
export function createMoment(cameraId: string, zone: () => string) {
  const button = el('button', { type: 'button', class: 'control', 'aria-label': KEEP, title: KEEP }, icon('moment'));
  const element = el('section', { class: 'moment', 'aria-label': 'Moment', 'aria-live': 'polite', hidden: '' });

  function show(...children: (Node | string)[]): void {
    element.hidden = false;
    element.replaceChildren(...children);
  }

  function showKept(moment: Moment): void {
    const at = clock(Date.parse(moment.start), zone());
    const cut = moment.starts_late ?? moment.ends_early;
    const facts = [`${at} · ${Number(moment.duration_s.toFixed(1))} s · ${byteSize(moment.bytes)}`];
    if (cut) facts.push(missingWords(cut));
    if (moment.gif_error) facts.push(`No GIF: ${moment.gif_error}.`);
    // Another moment gets the same address.
    const gif = moment.gif_url && answeredUrl(`${moment.gif_url}?of=${encodeURIComponent(moment.url)}`);
    const name = `${cameraId}_${moment.time.slice(0, 19).replace('T', '_').replaceAll(':', '-')}`;
    const remove = el('button', { type: 'button', class: 'link' }, 'Delete');
    remove.addEventListener('click', () => void forget(moment, remove));
    show(
      gif ? el('img', { class: 'moment-picture', src: gif, alt: `The ${moment.duration_s} seconds from ${at} on` }) : '',
      el(
        'div',
        { class: 'moment-text' },
        el('strong', {}, 'Kept'),
        el('p', {}, facts.join(' — ')),
        el(
          'div',
          { class: 'moment-links' },
          el('a', { class: 'link', href: answeredUrl(moment.url), target: '_blank', rel: 'noopener' }, 'Watch'),
          el('a', { class: 'link', href: answeredUrl(moment.url), download: `${name}.mp4` }, 'Save MP4'),
          gif ? el('a', { class: 'link', href: gif, download: `${name}.gif` }, 'Save GIF') : null,
          remove,
        ),
      ),
    );
  }

  async function keep(): Promise<void> {
    button.disabled = true;
    setAttribute(button, 'aria-busy', 'true');
    show(el('p', { class: 'moment-text' }, `Keeping the last ${LENGTH_S} seconds…`));
    try {
      showKept(await generateMoment(cameraId, LENGTH_S));
    } catch (error) {
      show(el('p', { class: 'moment-text error' }, words(error)));
    }
    button.disabled = false;
    button.removeAttribute('aria-busy');
  }

  async function forget(moment: Moment, remove: HTMLButtonElement): Promise<void> {
    remove.disabled = true;
    try {
      await deleteMoment(moment);
      element.hidden = true;
      element.replaceChildren();
    } catch (error) {
      remove.disabled = false;
      remove.after(el('span', { class: 'error' }, words(error)));
    }
  }

  button.addEventListener('click', () => void keep());
  return { button, element };
}

function words(error: unknown): string {
  return error instanceof ApiError ? error.message : 'The server sent something unexpected.';
}
