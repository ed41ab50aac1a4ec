// Building elements without a framework and without inline styles (the content security policy forbids them).

type Child = Node | string | null;

/** An element with attributes (an empty string sets a bare one) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/** Sets the text only when it changed, so that nothing is laid out or read aloud again for nothing. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute only when it changed. */
export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const ICONS = {
  play: 'M8 5.1v13.8a1 1 0 0 0 1.5.9l11-6.9a1 1 0 0 0 0-1.8l-11-6.9A1 1 0 0 0 8 5.1z',
  pause: 'M7 4h3a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm7 0h3a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1z',
  sound: 'M4 9h3.5L12 5v14l-4.5-4H4zM15 8.200a5 5 0 0 1 0 7.600l-1-1.200a3.5 3.5 0 0 0 0-5.200zM17.3 5.500a8.5 8.5 0 0 1 0 13l-1-1.200a7 7 0 0 0 0-10.600z',
  mute: 'M4 9h3.500L12 5v14l-4.5-4H4zM15 9.7 16.1 8.6 18 10.5 19.9 8.6 21 9.7 19.1 11.6 21 13.5 19.9 14.6 18 12.7 16.1 14.6 15 13.5 16.9 11.600z',
  full: 'M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z',
  back: 'M15.5 4.5 17 6l-6 6 6 6-1.5 1.500L8 12z',
  close: 'M6.4 5 12 10.600 17.600 5 19 6.400 13.400 12 19 17.600 17.600 19 12 13.400 6.400 19 5 17.600 10.600 12 5 6.400z',
  moment: 'M12 3a9 9 0 1 0 9 9h-2a7 7 0 1 1-7-7zm3 .6v2.100a7 7 0 0 1 3.300 3.300h2.100A9 9 0 0 0 15 3.600zM12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z',
  camera: 'M4 6h11a2 2 0 0 1 2 2v2.300l4-2.300v8l-4-2.300V16a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2z',
} as const;

/** One of the page's icons; decoration only, the words are beside it or in a label. */
export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}
