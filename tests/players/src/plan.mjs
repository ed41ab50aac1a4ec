// What a plan may say. A plan is JSON:
//   { out, deadline_s, browser, runs: [{ name, player, url, viewport, steps: [{ do, deadline_s, … }] }] }
// `out` is the folder of the pictures, `deadline_s` bounds each run, `player` is one of:
export const PLAYERS = {
  hls: "hls",
  "hls-catching-up": "hls-catching-up",
  "hls-plain": "hls-plain",
  dash: "dash",
  "shaka-hls": "shaka",
  "shaka-dash": "shaka",
  file: "file",
  page: null,
};

/** What every start on a live day must survive: the edge for 30 s, its beginning, its middle, the edge again. */
const DEFAULT_STEPS = [
  { do: "start" },
  { do: "watch", seconds: 30 },
  { do: "seek", to: "start" },
  { do: "picture", name: "start" },
  { do: "seek", to: { fraction: 0.5 } },
  { do: "picture", name: "middle" },
  { do: "seek", to: "live" },
  { do: "watch", seconds: 3 },
];

/** Checks a parsed plan and fills in its defaults. Throws an `Error` that names the run. */
export function checkPlan(plan, steps) {
  if (!Array.isArray(plan.runs) || plan.runs.length === 0) {
    throw new Error("the plan has no runs");
  }
  const names = new Set();
  const runs = plan.runs.map((run, index) => {
    const name = run.name ?? `${run.player}-${index}`;
    const fail = (what) => {
      throw new Error(`run ${name}: ${what}`);
    };
    if (names.has(name) || !/^[\w.-]+$/.test(name)) fail("its name must be a file name no other run has");
    names.add(name);
    if (!(run.player in PLAYERS)) fail(`player must be one of ${Object.keys(PLAYERS).join(", ")}`);
    if (!URL.canParse(run.url)) fail("it has no URL");
    const wanted = run.steps ?? DEFAULT_STEPS;
    for (const step of wanted) {
      if (!(step.do in steps)) fail(`no step ${step.do}: there are ${Object.keys(steps).join(", ")}`);
    }
    return { viewport: { width: 1280, height: 720 }, ...run, name, steps: wanted };
  });
  return { deadline_s: 180, out: null, ...plan, runs };
}

/** The plan of the short form on the command line: `PLAYER URL [PLAYER URL]…`. */
export function planFromArguments(args) {
  const runs = [];
  for (let i = 0; i + 1 < args.length; i += 2) {
    runs.push({ player: args[i], url: args[i + 1] });
  }
  return { runs };
}
