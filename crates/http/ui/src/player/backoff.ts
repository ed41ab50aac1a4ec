// How long to wait before the next try.

const FIRST_MS = 1_000;
const MOST_MS = 15_000;

/** Delays that double from 1 s to 15 s; `reset` after something worked. */
export class Backoff {
  private nextMs = FIRST_MS;

  /** The delay before the next try, ms. */
  next(): number {
    const delayMs = this.nextMs;
    this.nextMs = Math.min(MOST_MS, delayMs * 2);
    return delayMs;
  }

  reset(): void {
    this.nextMs = FIRST_MS;
  }
}
