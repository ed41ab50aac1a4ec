// Which player to use, and loading its code only then.

import { recall, remember } from '../memory';
import type { EngineName, OpenAdapter } from './adapter';
import { nativeSupported, nativeTellsTime, openNative } from './native';

export const ENGINE_LABELS: Readonly<Record<EngineName, string>> = {
  hls: 'HLS',
  dash: 'DASH',
  native: 'Native HLS',
};

function isEngine(name: string | null): name is EngineName {
  return name === 'hls' || name === 'dash' || name === 'native';
}

/** The constructor of the Media Source Extensions; iPhones have the managed one only. */
export function mediaSource(): typeof MediaSource | undefined {
  const scope = globalThis as { MediaSource?: typeof MediaSource; ManagedMediaSource?: typeof MediaSource };
  return scope.MediaSource ?? scope.ManagedMediaSource;
}

function askedEngine(): string | null {
  return new URLSearchParams(location.search).get('player');
}

/** The players to offer in this browser, the best one first. */
export function usableEngines(video: HTMLVideoElement): EngineName[] {
  const engines: EngineName[] = mediaSource() ? ['hls', 'dash'] : [];
  const native = nativeTellsTime(video) || (nativeSupported(video) && (engines.length === 0 || askedEngine() === 'native'));
  return native ? [...engines, 'native'] : engines;
}

/** The player to use: `?player=` before the one chosen last time before the best one. */
export function chosenEngine(usable: readonly EngineName[]): EngineName | null {
  const asked = askedEngine();
  if (isEngine(asked) && usable.includes(asked)) return asked;
  const remembered = recall('player');
  if (isEngine(remembered) && usable.includes(remembered)) return remembered;
  return usable[0] ?? null;
}

/** Remembers a choice, and takes `?player=` out of the address so that it does not contradict it. */
export function rememberEngine(engine: EngineName): void {
  remember('player', engine);
  const url = new URL(location.href);
  if (url.searchParams.has('player')) {
    url.searchParams.delete('player');
    history.replaceState(null, '', url);
  }
}

/** Loads the code of a player; the two large ones are files of their own. */
export async function loadEngine(engine: EngineName): Promise<OpenAdapter> {
  switch (engine) {
    case 'hls':
      return (await import('./hls')).openHls;
    case 'dash':
      return (await import('./dash')).openDash;
    case 'native':
      return openNative;
  }
}
