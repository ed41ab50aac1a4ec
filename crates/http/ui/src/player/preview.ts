// The picture over the bar: what the camera saw at the instant under the pointer.

import { serverUrl } from '../api';
import { el } from '../dom';

export interface Preview {
  readonly element: HTMLImageElement;
  /** Shows the keyframe next to `ms`, as soon as it is there. `stepMs`: how fine the pointer is. */
  show(ms: number, stepMs: number): void;
  hide(): void;
}

const WIDTH_PX = 240;
/** A pointer that passes by wants no picture. */
const REST_MS = 80;
/** Two instants that are nearer to each other than this have the same keyframe as a rule. */
const FINEST_MS = 1_000;

/** The address of the preview at `ms`: the same for all instants that differ by less than `stepMs`. */
export function previewPath(cameraId: string, ms: number, stepMs: number): string {
  const grid = Math.max(FINEST_MS, Math.round(stepMs));
  const time = new Date(Math.floor(ms / grid) * grid).toISOString();
  return `${cameraId}/frame/${time}?nearest=keyframe&width=${WIDTH_PX}`;
}

export function createPreview(cameraId: string): Preview {
  const element = el('img', { class: 'preview', alt: '', hidden: '', width: String(WIDTH_PX) });
  let wanted: string | null = null;
  let loading: string | null = null;
  let rest: ReturnType<typeof setTimeout> | undefined;

  // One request at a time: what the pointer has left meanwhile is never asked for.
  function load(): void {
    if (loading !== null || wanted === null || element.src === wanted) return;
    loading = wanted;
    element.src = wanted;
  }
  function ended(worked: boolean): void {
    element.hidden = !worked || wanted === null;
    loading = null;
    if (!worked && element.src === wanted) return;
    load();
  }
  element.addEventListener('load', () => ended(true));
  element.addEventListener('error', () => ended(false));

  return {
    element,
    show(ms, stepMs) {
      wanted = serverUrl(previewPath(cameraId, ms, stepMs));
      if (element.src === wanted && element.complete) element.hidden = element.naturalWidth === 0;
      clearTimeout(rest);
      rest = setTimeout(load, REST_MS);
    },
    hide() {
      wanted = null;
      clearTimeout(rest);
      element.hidden = true;
    },
  };
}
