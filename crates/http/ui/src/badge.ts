// The state of a camera as a small badge: a shape, a word and a colour.

import type { CameraState } from './api';
import { el, setAttribute, setText } from './dom';
import { stateWords } from './words';

export interface Badge {
  readonly element: HTMLElement;
  show(state: CameraState): void;
}

export function createBadge(): Badge {
  const word = el('span');
  // The dot's shape differs by state (style.css): colour is never the only sign.
  const element = el('span', { class: 'badge', 'data-state': 'unknown' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), word);
  return {
    element,
    show(state) {
      setAttribute(element, 'data-state', state);
      setText(word, stateWords(state).label);
    },
  };
}
