// Times of a DASH manifest, from the object that dash.js keeps: Period, AdaptationSet and Representation are
// arrays, attributes are numbers (ISO/IEC 23009-1 §5.3.9.6 for the timeline itself).

/** How a manifest relates to the wall clock. Media time is Unix time, so its segments say so. */
export interface ManifestTimes {
  /** The wall time of presentation time 0, seconds since 1970: 0 in a live manifest. */
  readonly originS: number;
  /** Where the last segment ends, seconds since 1970. */
  readonly endS: number;
  /** Length of the last segment, seconds. */
  readonly lastDurationS: number;
}

interface TimelineEntry {
  readonly t?: number;
  readonly d: number;
  readonly r?: number;
}

interface Template {
  readonly timescale?: number;
  readonly presentationTimeOffset?: number;
  readonly SegmentTimeline?: { readonly S?: readonly TimelineEntry[] };
}

interface Period {
  readonly start?: number;
  readonly AdaptationSet?: readonly {
    readonly SegmentTemplate?: Template;
    readonly Representation?: readonly { readonly SegmentTemplate?: Template }[];
  }[];
}

function templateOf(period: Period | undefined): Template | undefined {
  const set = period?.AdaptationSet?.[0];
  return set?.Representation?.[0]?.SegmentTemplate ?? set?.SegmentTemplate;
}

/** The times of a manifest, by the first track of its Periods; `null` for one without segments. */
export function manifestTimes(manifest: object | null): ManifestTimes | null {
  const periods = (manifest as { readonly Period?: readonly Period[] } | null)?.Period ?? [];
  const first = templateOf(periods[0]);
  const template = templateOf(periods[periods.length - 1]);
  const entries = template?.SegmentTimeline?.S ?? [];
  const last = entries[entries.length - 1];
  if (!first || !template || !last) return null;
  // Only what follows the last explicit `t` counts towards the end.
  let begin = entries.length - 1;
  while (begin > 0 && entries[begin]?.t === undefined) begin -= 1;
  let end = entries[begin]?.t ?? 0;
  for (const entry of entries.slice(begin)) end += entry.d * ((entry.r ?? 0) + 1);
  const timescale = template.timescale ?? 1;
  return {
    originS: (first.presentationTimeOffset ?? 0) / (first.timescale ?? 1) - (periods[0]?.start ?? 0),
    endS: end / timescale,
    lastDurationS: last.d / timescale,
  };
}
