#!/usr/bin/env node
// Plays streams in real players and prints what happened, as JSON.
//
//   node play.mjs < plan.json
//   node play.mjs hls http://…/playlist.m3u8 dash http://…/manifest.mpd
//
// It judges nothing: it exits 0 whenever it could look, 1 when it could not (no browser, a bad plan).
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { launch } from "./src/browser.mjs";
import { checkPlan, planFromArguments } from "./src/plan.mjs";
import { serve } from "./src/server.mjs";
import { play } from "./src/session.mjs";
import { STEPS } from "./src/steps.mjs";

const args = process.argv.slice(2);
const plan = checkPlan(args.length > 0 ? planFromArguments(args) : JSON.parse(await text(process.stdin)), STEPS);
const out = plan.out ?? (await mkdtemp(join(tmpdir(), "players-")));
await mkdir(out, { recursive: true });

const server = await serve();
const browser = await launch(plan.browser);
try {
  // All at once: they share a browser, and a live edge needs no computer while it is waited for.
  const runs = await Promise.all(plan.runs.map((run) => play(browser, server.origin, run, { ...plan, out })));
  const report = `${JSON.stringify({ browser: browser.version(), out, runs })}\n`;
  // Also beside the pictures, for people.
  await writeFile(join(out, "report.json"), report);
  process.stdout.write(report);
} finally {
  await browser.close();
  server.close();
}
