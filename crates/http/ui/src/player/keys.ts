// Keys of the player's page, and controls that step aside on the full screen.

export interface KeyActions {
  toggle(): void;
  step(deltaMs: number): void;
  live(): void;
  mute(): void;
  full(): void;
}

const IDLE_MS = 3_000;

/** Space or K plays and pauses, arrows step, M mutes, F fills the screen, L goes live. */
export function listenToKeys(stage: HTMLElement, actions: KeyActions): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    // A focused button has its own meaning of the space bar.
    const onButton = event.target instanceof HTMLElement && event.target.closest('button, a, input, select') !== null;
    if (onButton && (event.key === ' ' || event.key === 'Enter')) return;
    switch (event.key) {
      case ' ':
      case 'k':
        actions.toggle();
        break;
      case 'ArrowLeft':
        actions.step(event.shiftKey ? -60_000 : -10_000);
        break;
      case 'ArrowRight':
        actions.step(event.shiftKey ? 60_000 : 10_000);
        break;
      case 'l':
      case 'End':
        actions.live();
        break;
      case 'm':
        actions.mute();
        break;
      case 'f':
        actions.full();
        break;
      default:
        return;
    }
    event.preventDefault();
  });

  let timer: ReturnType<typeof setTimeout> | undefined;
  const wake = () => {
    stage.classList.remove('idle');
    clearTimeout(timer);
    timer = setTimeout(() => stage.classList.add('idle'), IDLE_MS);
  };
  for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) stage.addEventListener(event, wake);
}
