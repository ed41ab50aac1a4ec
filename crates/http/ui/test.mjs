// Bundles test/*.test.ts and runs them with node's own test runner.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const outdir = mkdtempSync(join(tmpdir(), 'dayreel-ui-test-'));
try {
  const sources = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'));
  if (sources.length === 0) throw new Error('no tests found');
  await build({
    absWorkingDir: root,
    entryPoints: sources.map((name) => `test/${name}`),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node18',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const built = readdirSync(outdir).map((name) => join(outdir, name));
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...built], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(outdir, { recursive: true, force: true });
}
