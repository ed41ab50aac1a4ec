// The steps of a run. Each takes the run's page and what the plan says, and resolves to what it saw.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const SAMPLE_MS = 1000;

/** Loads the stream and plays: done when half a second of it has passed. */
async function start({ page, run }) {
  const began = Date.now();
  if (run.player !== "page") {
    await page.evaluate((url) => {
      const video = document.querySelector("video");
      window.probe.adapter.load(url);
      video.autoplay = true;
    }, run.url);
  }
  await page.waitForFunction(() => window.probe);
  await page.evaluate(() => window.probe.plays(0.5));
  return { took_ms: Date.now() - began, sample: await sample(page) };
}

/** Looks on for `seconds` and reports stalls, progress of the picture and of the live edge. */
async function watch({ page, sleep }, { seconds }) {
  await page.evaluate(() => window.probe.resetStalls());
  const samples = [await sample(page)];
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    await sleep(Math.min(SAMPLE_MS, until - Date.now()));
    samples.push(await sample(page));
  }
  const [first, last] = [samples[0], samples.at(-1)];
  return {
    elapsed_s: (last.at_ms - first.at_ms) / 1000,
    progress_s: last.time_s - first.time_s,
    edge_progress_s: first.range && last.range ? last.range.end_s - first.range.end_s : null,
    ...(await page.evaluate(() => window.probe.stalls())),
    samples,
  };
}

/** Goes to `to`: "start", "live", {fraction} of what can be rewound, or {wall_ms}; Dayreel's page knows the last. */
async function seek({ page }, { to }) {
  const began = Date.now();
  // A page that has not started yet is asked as soon as it can be.
  await page.waitForFunction(() => window.probe && (window.probe.adapter.isOpen?.() ?? true));
  const found = await page.evaluate(async (to) => {
    const { probe } = window;
    const { adapter } = probe;
    if (to === "live") {
      const sample = await probe.seeks(() => adapter.goLive());
      return { asked: { time_s: null, wall_ms: null }, sample };
    }
    if (adapter.seekToWall) {
      // The page seeks on its own too, to keep up with the live edge: another seek than ours may end first.
      const isThere = ({ wall_ms }) => Math.abs(wall_ms - to.wall_ms) < 1000;
      const sample = await probe.seeks(() => adapter.seekToWall(to.wall_ms), isThere);
      return { asked: { time_s: null, wall_ms: to.wall_ms }, sample };
    }
    const { start_s, end_s } = adapter.range();
    const place =
      to === "start" ? start_s
      : to.fraction != null ? start_s + to.fraction * (end_s - start_s)
      : adapter.timeOf(to.wall_ms);
    const time_s = Math.min(Math.max(place, start_s), end_s);
    const sample = await probe.seeks(() => adapter.seek(time_s));
    if (to.wall_ms == null) {
      return { asked: { time_s, wall_ms: adapter.wallOf(time_s) }, sample };
    }
    // Known better from there, if there was a gap between.
    const better_s = adapter.timeOf(to.wall_ms);
    const asked = { time_s: better_s, wall_ms: to.wall_ms };
    if (Math.abs(better_s - time_s) < 1) {
      return { asked, sample };
    }
    return { asked, sample: await probe.seeks(() => adapter.seek(better_s)) };
  }, to);
  return { took_ms: Date.now() - began, ...found };
}

/** Plays on until the picture of wall time `wall_ms` has come, whatever lies between. */
async function playUntil({ page }, { wall_ms }) {
  const began = Date.now();
  await page.evaluate(() => window.probe.resetStalls());
  await page.evaluate(async (wall_ms) => {
    const { probe } = window;
    while ((probe.adapter.wallOf(document.querySelector("video").currentTime) ?? 0) < wall_ms) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await probe.plays(0.2);
  }, wall_ms);
  return {
    took_ms: Date.now() - began,
    ...(await page.evaluate(() => window.probe.stalls())),
    sample: await sample(page),
  };
}

/** Stops, writes the picture as luma (`NAME.gray`, one byte a pixel) and as seen (`NAME.png`), and plays on. */
async function picture({ page, path }, { name = "picture" }) {
  const { found, resume } = await page.evaluate(() => window.probe.picture());
  const { luma, ...rest } = found;
  const files = { gray: path(`${name}.gray`), png: path(`${name}.png`) };
  await writeFile(files.gray, Buffer.from(luma, "base64"));
  await page.locator("video").first().screenshot({ path: files.png });
  if (resume) {
    await page.evaluate(() => window.probe.resume());
  }
  return { ...rest, ...files };
}

/** Looks at the screen while it plays on: all pictures in `glances.gray`, and when each was shown. */
async function glance({ page, path }, { seconds, every_ms, width, height }) {
  const { at_ms, luma } = await page.evaluate(
    ([seconds, every_ms, size]) => window.probe.glances(seconds, every_ms, size),
    [seconds, every_ms, { width, height }],
  );
  const gray = path("glances.gray");
  await writeFile(gray, Buffer.from(luma, "base64"));
  return { at_ms, gray };
}

/** The page as a person sees it. */
async function screenshot({ page, path }, { name = "page", full_page = false }) {
  const png = path(`${name}.png`);
  await page.screenshot({ path: png, fullPage: full_page });
  return { png };
}

/** Presses what `selector` finds. */
async function click({ page }, { selector }) {
  await page.locator(selector).first().click();
  return {};
}

/** Presses the pointer at `from`, drags to `to` and lets go: fractions of the width of what `selector` finds. */
async function drag({ page }, { selector, from, to }) {
  const box = await page.locator(selector).first().boundingBox();
  const at = (fraction) => [box.x + fraction * box.width, box.y + box.height / 2];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at((from + to) / 2));
  await page.mouse.move(...at(to));
  await page.mouse.up();
  return {};
}

/** Waits until `selector` finds something that is on the page, and hands out its text and attributes. */
async function find({ page }, { selector }) {
  const element = page.locator(selector).first();
  await element.waitFor();
  return element.evaluate((node) => ({
    text: node.textContent.trim(),
    attributes: Object.fromEntries(Array.from(node.attributes, ({ name, value }) => [name, value])),
  }));
}

/** How wide the page is against its window: more than 1 scrolls sideways. */
async function overflow({ page }) {
  return page.evaluate(() => ({ ratio: document.documentElement.scrollWidth / window.innerWidth }));
}

/** Chooses each quality that the player lists, one after another, and plays a second of it. */
async function qualities({ page }) {
  const widths = await page.evaluate(() => window.probe.adapter.qualities());
  // And back again.
  for (const [index, width] of [...widths.entries(), [0, widths[0]]]) {
    await page.evaluate((index) => window.probe.adapter.choose(index), index);
    await page.waitForFunction((width) => document.querySelector("video").videoWidth === width, width);
    await page.evaluate(() => window.probe.plays(1));
  }
  return { widths };
}

/** Presses what `selector` finds, which downloads something, and keeps that as `NAME`. */
async function download({ page, path }, { selector, name }) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(selector).first().click()]);
  const file = path(name);
  await download.saveAs(file);
  return { file, called: download.suggestedFilename() };
}

/**
 * Shows `count` keyframes by themselves, in steps that go to and fro over what can be played, each when the one
 * before is there: how long each took, and all of them as pictures, `scrub-0.gray` and so on.
 */
async function scrub({ page, path }, { count }) {
  await page.evaluate(() => window.probe.beginScrub());
  const pictures = [];
  for (let nth = 0; nth < count; nth++) {
    // By the golden section: each is far from the one before, and all are spread out evenly.
    const fraction = ((nth + 1) * 0.618034) % 1;
    const { luma, ...rest } = await page.evaluate((fraction) => window.probe.scrub(fraction), fraction);
    const files = { gray: path(`scrub-${nth}.gray`), png: path(`scrub-${nth}.png`) };
    await writeFile(files.gray, Buffer.from(luma, "base64"));
    await page.locator("video").last().screenshot({ path: files.png });
    pictures.push({ ...rest, ...files });
  }
  return { pictures };
}

function sample(page) {
  return page.evaluate(() => window.probe.sample());
}

export const STEPS = { start, watch, seek, play_until: playUntil, picture, glance, screenshot, click, drag, find, overflow, qualities, download, scrub };

/** Where a run's files go. */
export function pathIn(out, run) {
  return (name) => join(out, `${run.name}-${name}`);
}
