// Player time <-> wall time through a list of fragments, as hls.js keeps it: each has its start on the
// player's timeline (seconds, gaps left out) and its EXT-X-PROGRAM-DATE-TIME (Unix ms, gaps included).

export interface Fragment {
  readonly start: number;
  readonly duration: number;
  readonly programDateTime: number | null;
}

/** The last fragment for which `isBefore` holds, given that it holds for a prefix; the first one otherwise. */
function lastBefore<F>(fragments: readonly F[], isBefore: (fragment: F) => boolean): F | undefined {
  let low = 0;
  let high = fragments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const fragment = fragments[middle];
    if (fragment !== undefined && isBefore(fragment)) low = middle + 1;
    else high = middle;
  }
  return fragments[Math.max(0, low - 1)];
}

/** The wall time (Unix ms) at `seconds` of the player; `null` without fragments or dates. */
export function wallOf(fragments: readonly Fragment[], seconds: number): number | null {
  const fragment = lastBefore(fragments, (f) => f.start <= seconds);
  if (!fragment || fragment.programDateTime === null) return null;
  return fragment.programDateTime + (seconds - fragment.start) * 1000;
}

/** The player's seconds at a wall time; within a gap: the start of what follows. */
export function secondsOf(fragments: readonly Fragment[], wallMs: number): number | null {
  const fragment = lastBefore(fragments, (f) => (f.programDateTime ?? 0) <= wallMs);
  if (!fragment || fragment.programDateTime === null) return null;
  const into = Math.max(0, (wallMs - fragment.programDateTime) / 1000);
  return fragment.start + Math.min(into, fragment.duration);
}
