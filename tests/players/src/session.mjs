// One run: a browser context of its own, one page, its steps in order, and everything the page complained about.
import { readFile } from "node:fs/promises";
import { PLAYERS } from "./plan.mjs";
import { STEPS, pathIn } from "./steps.mjs";

const STEP_DEADLINE_S = 45;
const PAGE = new URL("../page/", import.meta.url);

/** Does the run and resolves to its report; what goes wrong in the page is in the report, not thrown. */
export async function play(browser, origin, run, { out, deadline_s }) {
  const until = Date.now() + deadline_s * 1000;
  const context = await browser.newContext({ viewport: run.viewport, ...run.context });
  const report = { name: run.name, player: run.player, url: run.url, version: null, steps: [], error: null };
  const complaints = { console: [], page_errors: [], failed_requests: [], player_errors: [] };
  try {
    const page = await context.newPage();
    listen(page, complaints);
    await open(page, origin, run);
    report.version = await page.evaluate(() => window.probe?.adapter?.version ?? null);
    for (const step of run.steps) {
      const allowed_s = step.deadline_s ?? STEP_DEADLINE_S + (step.seconds ?? 0);
      const found = await within(Math.min(allowed_s, (until - Date.now()) / 1000), () =>
        STEPS[step.do]({ page, run, path: pathIn(out, run), sleep }, step),
      );
      report.steps.push({ do: step.do, ...found });
    }
    complaints.player_errors = await page.evaluate(() => window.probe?.playerErrors ?? []);
  } catch (error) {
    report.error = `${run.steps[report.steps.length]?.do ?? "open"}: ${error.message}`;
    report.last = await lastWords(context);
    complaints.player_errors = report.last?.player_errors ?? [];
  } finally {
    await context.close();
  }
  return { ...report, ...complaints };
}

async function open(page, origin, run) {
  const player = PLAYERS[run.player];
  if (player) {
    await page.goto(`${origin}/page/player.html?player=${player}`);
    await page.waitForFunction(() => window.probe);
    return;
  }
  // The product's page brings its own player: only the probe is added, as soon as there is a <video>.
  const [probe, adapter] = await Promise.all(
    ["probe.js", "adapters/dayreel.js"].map((name) => readFile(new URL(name, PAGE), "utf8")),
  );
  await page.addInitScript(`{
    ${probe.replace("export class", "class")}
    ${adapter.replace("export function", "function")}
    const look = () => {
      const video = document.querySelector("video");
      if (!video || !window.dayreel) {
        setTimeout(look, 20);
        return;
      }
      window.probe = new Probe(video);
      window.probe.adapter = open(video);
    };
    look();
  }`);
  await page.goto(run.url);
}

function listen(page, complaints) {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      complaints.console.push({ type: message.type(), text: message.text(), url: message.location().url });
    }
  });
  page.on("pageerror", (error) => complaints.page_errors.push(String(error)));
  page.on("requestfailed", (request) => {
    complaints.failed_requests.push({ url: request.url(), status: null, reason: request.failure()?.errorText ?? "" });
  });
  page.on("response", (response) => {
    if (response.status() >= 400) {
      complaints.failed_requests.push({ url: response.url(), status: response.status(), reason: response.statusText() });
    }
  });
}

/** Where the player was when a step ran out of time. */
async function lastWords(context) {
  try {
    return await within(5, () =>
      context.pages()[0].evaluate(() => ({
        sample: window.probe?.sample(),
        stalls: window.probe?.stalls(),
        player_errors: window.probe?.playerErrors ?? [],
      })),
    );
  } catch {
    return null;
  }
}

/** Rejects when `work` takes longer; the page it hangs in is closed by the caller. */
function within(seconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${Math.round(seconds)} s`)), seconds * 1000);
  });
  return Promise.race([work(), late]).finally(() => clearTimeout(timer));
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
