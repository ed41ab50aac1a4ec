// What the browser remembers of this page. Storage can be forbidden; then nothing is remembered.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`dayreel.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`dayreel.${key}`, value);
  } catch {
    // The choice lasts as long as the page.
  }
}
