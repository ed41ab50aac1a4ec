// The page of `/api/`: what the API description says, for people.

import { fetchCameras, request, serverUrl } from '../api';
import { el } from '../dom';
import { examplePath, fieldsOf, sectionsOf, typeOf, type Answer, type Description, type Operation } from './operations';

function table(heads: readonly string[], rows: readonly (readonly string[])[]): HTMLElement | null {
  if (rows.length === 0) return null;
  const head = el('tr', {}, ...heads.map((text) => el('th', { scope: 'col' }, text)));
  const body = rows.map(([name = '', ...others]) => el('tr', {}, el('td', {}, el('code', {}, name)), ...others.map((text) => el('td', {}, text))));
  return el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, head), el('tbody', {}, ...body)));
}

function answer(description: Description, of: Answer): HTMLElement {
  const media = of.mediaType === null ? '' : ` (${of.mediaType}${of.schema && of.mediaType === 'application/json' ? `: ${typeOf(of.schema)}` : ''})`;
  const fields = of.schema && of.example !== undefined ? fieldsOf(description, of.schema) : [];
  return el(
    'li',
    {},
    el('code', {}, of.status),
    ` ${of.description}${media}`,
    of.example === undefined ? null : el('pre', {}, JSON.stringify(of.example, null, 2)),
    table(['Field', 'Type', ''], fields.map(([name, schema]) => [name, typeOf(schema), schema.description ?? ''])),
  );
}

function operation(description: Description, of: Operation, camera: string | null): HTMLElement {
  const url = serverUrl(examplePath(of, camera));
  const method = of.method === 'GET' ? '' : `-X ${of.method} `;
  const form = Object.keys(of.fields).map((name) => `-d ${name}=… `).join('');
  const rows = of.parameters.map((one) => [one.name, typeOf(one.schema), one.description + (one.required ? '' : ' (optional)')]);
  const fields = Object.entries(of.fields).map(([name, schema]) => [name, typeOf(schema), `${schema.description ?? ''} (form)`]);
  return el(
    'details',
    { class: 'operation', id: of.id },
    el('summary', {}, el('span', { class: 'method', 'data-method': of.method }, of.method), el('code', {}, of.path), el('span', { class: 'what' }, of.summary)),
    el('p', {}, of.description),
    table(['Parameter', 'Type', ''], [...rows, ...fields]),
    el('pre', {}, `curl ${method}${form}'${url}'`),
    of.method === 'GET' && !of.id.startsWith('make_') ? el('p', {}, el('a', { href: url, target: '_blank', rel: 'noopener' }, 'Open')) : null,
    el('ul', { class: 'answers' }, ...of.answers.map((one) => answer(description, one))),
  );
}

/** The description's own text: paragraphs, and a list. */
function about(text: string): HTMLElement {
  const lines = text.split('\n').filter((line) => line !== '');
  const items = lines.filter((line) => line.startsWith('- ')).map((line) => el('li', {}, line.slice(2)));
  const paragraphs = lines.filter((line) => !line.startsWith('- ')).map((line) => el('p', {}, line));
  return el('div', { class: 'about-api' }, ...paragraphs, el('ul', {}, ...items));
}

async function show(root: HTMLElement): Promise<void> {
  const description = (await (await request('api/openapi.json')).json()) as Description;
  // The examples are of a camera that is there, if one is.
  const camera = await fetchCameras().then((cameras) => cameras[0]?.id ?? null, () => null);
  const sections = sectionsOf(description).map(([name, operations]) =>
    el('section', {}, el('h2', {}, name), ...operations.map((of) => operation(description, of, camera))),
  );
  const title = el('h1', { class: 'brand' }, el('span', { class: 'mark', 'aria-hidden': 'true' }), `${description.info.title} ${description.info.version}: API`);
  const file = el('a', { class: 'summary', href: serverUrl('api/openapi.json') }, 'openapi.json');
  root.replaceChildren(el('header', { class: 'top' }, title, file), el('main', { class: 'api' }, about(description.info.description), ...sections));
  document.documentElement.dataset['state'] = 'ready';
}

const root = document.getElementById('app');
if (root) {
  void show(root).catch((error: unknown) => {
    root.replaceChildren(el('p', { class: 'notice', role: 'alert' }, error instanceof Error ? error.message : 'The description cannot be shown.'));
  });
}
