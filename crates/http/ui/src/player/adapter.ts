// What the page asks of a player, so that it does not matter which one it is.

import type { Span } from '../time/spans';

export type EngineName = 'hls' | 'dash' | 'native';

/** A player at work on a `<video>`. Times are wall times, Unix ms. */
export interface Adapter {
  readonly engine: EngineName;
  /** Moves to `wallMs`, which lies within a recorded span or at the live edge. */
  seekToWall(wallMs: number): void;
  /** The wall time of the picture that is shown; `null` while there is none. */
  wallNow(): number | null;
  /** Where "live" is: a few seconds before the newest picture; `null` on a finished day or while unknown. */
  liveEdge(): number | null;
  destroy(): void;
}

/** What to play. */
export interface Source {
  /** Absolute URL of the folder of the day's playlists, with a slash at its end. */
  readonly folder: string;
  /** The day still grows. */
  readonly live: boolean;
  /** Where to begin; `null`: at the live edge, or at the beginning of a finished day. */
  readonly startWallMs: number | null;
  /** What is recorded, as the server said last. */
  spans(): readonly Span[];
}

/** What a player reports. It first helps itself; `fatal` means that it gave up and has to be opened again. */
export interface Trouble {
  readonly kind: 'network' | 'media';
  readonly fatal: boolean;
  readonly message: string;
}

export type OpenAdapter = (video: HTMLVideoElement, source: Source, onTrouble: (trouble: Trouble) => void) => Adapter;
