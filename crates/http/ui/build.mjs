// Bundles the page: `node build.mjs OUT_DIR` writes OUT_DIR/*.html and OUT_DIR/assets/*.
// Every asset has its content's hash in its name, so that it can be cached for ever.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const outDir = resolve(process.argv[2] ?? join(root, 'dist'));
const assetDir = join(outDir, 'assets');

await rm(outDir, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { main: 'src/main.ts', description: 'src/description/main.ts', style: 'src/style.css' },
  outdir: assetDir,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['es2021', 'chrome100', 'firefox100', 'safari15'],
  minify: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // The player without DRM and reporting, which are of no use here.
  alias: { dashjs: './node_modules/dashjs/dist/modern/esm/dash.mediaplayer.min.js' },
});

/** Writes `text` under a name that carries its hash; returns that name. */
async function writeHashed(name, text) {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 8).toUpperCase();
  const extension = extname(name);
  const hashed = `${basename(name, extension)}-${hash}${extension}`;
  await mkdir(assetDir, { recursive: true });
  await writeFile(join(assetDir, hashed), text);
  return hashed;
}

/** The file that the entry point `source` became. */
function outputOf(source) {
  const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === source);
  if (!found) throw new Error(`no output for ${source}`);
  return basename(found[0]);
}

/** The licences of every package that is part of the bundle: they ask to travel with it. */
async function licences() {
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  // dash.js arrives as one file with its dependencies inside.
  const dash = JSON.parse(await readFile(join(root, 'node_modules/dashjs/package.json'), 'utf8'));
  for (const name of Object.keys(dash.dependencies)) packages.add(name);
  const texts = [];
  for (const name of [...packages].sort()) {
    const folder = join(root, 'node_modules', name);
    if (!existsSync(folder)) continue;
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(join(folder, file), 'utf8') : '';
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}

const names = {
  script: outputOf('src/main.ts'),
  description: outputOf('src/description/main.ts'),
  style: outputOf('src/style.css'),
  icon: await writeHashed('icon.svg', await readFile(join(root, 'src/icon.svg'))),
  licences: await writeHashed('licences.txt', await licences()),
};
// Filled in with each answer.
const later = ['root', 'problem', 'next'];
for (const page of ['index.html', 'api.html', 'login.html']) {
  const template = await readFile(join(root, 'src', page), 'utf8');
  const html = template.replace(/\{\{(\w+)\}\}/g, (mark, key) => {
    if (later.includes(key)) return mark;
    if (!(key in names)) throw new Error(`${page} asks for {{${key}}}`);
    return names[key];
  });
  await writeFile(join(outDir, page), html);
}
