// What happened to the camera: a list that is asked for only while it is open.

import { fetchEvents } from '../api';
import { el } from '../dom';
import { eventWhen, eventWords } from '../words';

export interface Events {
  readonly element: HTMLElement;
  /** Asks for the list; what is shown stays if there is no answer. */
  refresh(signal?: AbortSignal): Promise<void>;
}

/** `zone` names the camera's time zone once it is known. */
export function createEvents(cameraId: string, zone: () => string): Events {
  const list = el('ol', {});
  const element = el('details', { class: 'events' }, el('summary', {}, 'Events'), list);
  let shown = '';

  async function refresh(signal?: AbortSignal): Promise<void> {
    if (!element.open) return;
    const found = await fetchEvents(cameraId, signal).catch(() => null);
    const key = JSON.stringify(found);
    if (!found || key === shown) return;
    shown = key;
    // The newest first: it is what people look for.
    const rows = found.map((event) => el('li', { 'data-kind': event.kind }, el('time', { datetime: event.last }, eventWhen(event, zone())), el('span', {}, eventWords(event))));
    list.replaceChildren(...rows.reverse());
  }

  element.addEventListener('toggle', () => void refresh());
  return { element, refresh };
}
