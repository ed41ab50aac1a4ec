// Serves the player page and the players' own builds on loopback, from an origin that is not the stream's.
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const VENDOR = {
  "/vendor/hls.js": "node_modules/hls.js/dist/hls.min.js",
  "/vendor/dash.js": "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
  "/vendor/shaka.js": "node_modules/shaka-player/dist/shaka-player.compiled.js",
};
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8" };

/** Starts the server on a port the system chooses; resolves to its origin and a function that stops it. */
export function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = VENDOR[pathname] ?? (/^\/page\/[\w/-]+\.(html|js)$/.test(pathname) ? pathname.slice(1) : null);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const stream = createReadStream(fileURLToPath(new URL(file, ROOT)));
    stream.on("open", () => {
      response.writeHead(200, { "Content-Type": TYPES[file.split(".").at(-1)] });
      stream.pipe(response);
    });
    stream.on("error", () => response.writeHead(404).end());
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      resolve({ origin: `http://127.0.0.1:${server.address().port}`, close: () => server.closeAllConnections() ?? server.close() });
    });
  });
}
