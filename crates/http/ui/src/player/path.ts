// Which way the live picture comes: from the recording, or past the disk (MPEG-TS from memory).

/** What decides. Times are Unix ms. */
export interface Situation {
  /** Past the disk is the way now. */
  readonly pastDisk: boolean;
  /** The camera delivers. */
  readonly live: boolean;
  /** Why nothing can be written, or `null`. */
  readonly recordingError: string | null;
  /** The viewer looks at the newest picture of today. */
  readonly follows: boolean;
  /** Where the recording ends. */
  readonly recordedUntilMs: number;
  readonly nowMs: number;
}

/** A recording that ends this long ago goes on. */
const FRESH_MS = 15_000;

/**
 * While nothing can be written, today's playlist stands still: then past the disk. Back when recording goes on
 * and has come far enough that there is something to play at its end.
 */
export function goesPastDisk(now: Situation): boolean {
  if (now.recordingError !== null) return now.pastDisk || (now.live && now.follows);
  return now.pastDisk && now.nowMs - now.recordedUntilMs > FRESH_MS;
}
