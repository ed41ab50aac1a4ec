// Chromium as a fresh profile without a window, a GPU or a word to anybody outside.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  // Whatever a player would fetch from elsewhere (a time server, say) fails the same way on every machine.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/** The Chromium to use: the plan's, `$CHROMIUM`, or the first one installed. Throws with the cure if there is none. */
export function findBrowser(asked) {
  const candidates = [asked ?? process.env.CHROMIUM ?? CANDIDATES].flat();
  const found = candidates.find((path) => existsSync(path));
  if (!found) {
    throw new Error(`no Chromium at ${candidates.join(", ")}: apt-get install chromium`);
  }
  return found;
}

/** Starts it with a profile of its own, which goes away with it. */
export function launch(asked) {
  return chromium.launch({ executablePath: findBrowser(asked), headless: true, args: FLAGS });
}
