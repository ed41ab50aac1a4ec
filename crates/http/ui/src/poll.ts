// Asking again and again, but only while somebody looks.

export interface Poll {
  /** Asks at once instead of at the next turn. */
  now(): void;
  stop(): void;
}

/**
 * Calls `step` at once and then `intervalMs` after each end of it, never twice at the same time, and not
 * while the tab is hidden; when it is shown again, at once. `step` handles its own errors.
 */
export function pollWhileVisible(step: (signal: AbortSignal) => Promise<void>, intervalMs: number): Poll {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  let again = false;

  async function run(): Promise<void> {
    clearTimeout(timer);
    if (controller.signal.aborted || document.hidden) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await step(controller.signal);
    } finally {
      busy = false;
      const delayMs = again ? 0 : intervalMs;
      again = false;
      if (!controller.signal.aborted) timer = setTimeout(() => void run(), delayMs);
    }
  }

  const shown = () => void run();
  document.addEventListener('visibilitychange', shown);
  void run();
  return {
    now: shown,
    stop() {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    },
  };
}
