// What was recorded and what was not: spans (unbroken recordings) and the gaps between them.

import type { View } from './bar';

/** An unbroken recording, Unix ms. Lists of spans are in order and do not overlap. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** What was not recorded, and why if anybody knows. Lists are in order and do not overlap. */
export interface Gap extends Span {
  /** `camera`, `network`, `disk`, `restart`, `clock`. */
  readonly cause: string | null;
}

/** Lands inside the first picture of a span although times arrive rounded to a ms: before it a player has nothing to show. */
const INTO_SPAN_MS = 40;
/** Players stop a little before the end of a span: their last picture is shown, the next one is missing. */
const EDGE_MS = 1_500;

/** The span that contains `ms`, if any. */
export function spanAt<S extends Span>(spans: readonly S[], ms: number): S | undefined {
  return spans.find((span) => span.startMs <= ms && ms < span.endMs);
}

/** `ms`, or the first picture of `span` if that is later. */
function within(span: Span, ms: number): number {
  return Math.max(span.startMs + INTO_SPAN_MS, ms);
}

/** The first span that starts after `ms`. */
export function nextSpan(spans: readonly Span[], ms: number): Span | undefined {
  return spans.find((span) => span.startMs > ms);
}

/** The holes of the view, from its start to `untilMs` (now, or the end of the day). */
export function gapsIn(view: View, spans: readonly Span[], untilMs: number): Span[] {
  const end = Math.min(view.toMs, untilMs);
  const gaps: Span[] = [];
  let from = view.fromMs;
  for (const span of spans) {
    if (span.startMs > from) gaps.push({ startMs: from, endMs: Math.min(span.startMs, end) });
    from = Math.max(from, span.endMs);
  }
  gaps.push({ startMs: from, endMs: end });
  return gaps.filter((gap) => gap.endMs > gap.startMs);
}

/**
 * The instant to play when `wantedMs` was asked for: itself where there is a recording, else the next
 * recorded instant, else the end of the last recording. `null` when nothing is recorded.
 */
export function playableAt(spans: readonly Span[], wantedMs: number): number | null {
  const at = spanAt(spans, wantedMs) ?? nextSpan(spans, wantedMs);
  if (at) return within(at, wantedMs);
  const last = spans[spans.length - 1];
  return last ? within(last, last.endMs - EDGE_MS) : null;
}

/** The instant `deltaMs` away from `fromMs`; a step that ends in a gap goes on to the recording behind it. */
export function stepFrom(spans: readonly Span[], fromMs: number, deltaMs: number): number | null {
  const wanted = fromMs + deltaMs;
  if (deltaMs >= 0 || spanAt(spans, wanted)) return playableAt(spans, wanted);
  const before = spans.filter((span) => span.endMs <= wanted).pop();
  return before ? within(before, before.endMs - EDGE_MS) : playableAt(spans, wanted);
}

/**
 * Where a player at `wallMs` has to jump so that it does not wait in a gap; `null`: nowhere.
 * `stuck`: it wants to play and does not get on, so standing just before a gap counts too.
 */
export function gapExit(spans: readonly Span[], wallMs: number, stuck: boolean): number | null {
  const at = spanAt(spans, wallMs);
  if (at && !(stuck && at.endMs - wallMs < EDGE_MS)) return null;
  const next = nextSpan(spans, wallMs);
  return next ? within(next, wallMs) : null;
}

/**
 * The wall time at `offsetMs` of a player that shows the spans without the gaps between them and starts at
 * `startMs` (native HLS does: its clock runs on across a discontinuity).
 */
export function wallAtOffset(spans: readonly Span[], startMs: number, offsetMs: number): number {
  let left = offsetMs;
  let wall = startMs;
  for (const span of spans) {
    if (span.endMs <= startMs) continue;
    const from = Math.max(span.startMs, startMs);
    wall = from + left;
    if (wall < span.endMs) return wall;
    left -= span.endMs - from;
  }
  return wall;
}

/** The inverse of `wallAtOffset`; a time in a gap is the start of the next span. */
export function offsetAtWall(spans: readonly Span[], startMs: number, wallMs: number): number {
  let offset = 0;
  let last: Span | undefined;
  for (const span of spans) {
    if (span.endMs <= startMs) continue;
    const from = Math.max(span.startMs, startMs);
    if (wallMs < span.endMs) return offset + Math.max(0, wallMs - from);
    offset += span.endMs - from;
    last = span;
  }
  return last ? offset + Math.max(0, wallMs - last.endMs) : Math.max(0, wallMs - startMs);
}

/** The spans with the last one drawn out to `untilMs`: it still grows while the list is seconds old. */
export function grownTo(spans: readonly Span[], untilMs: number): Span[] {
  const last = spans[spans.length - 1];
  if (!last || untilMs <= last.endMs) return [...spans];
  return [...spans.slice(0, -1), { startMs: last.startMs, endMs: untilMs }];
}
