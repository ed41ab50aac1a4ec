// The geometry of the bar: which instant is where. A view is the stretch of time that the bar shows.

import { hourMinute, localDate, minuteOfDay } from './clock';

/** A stretch of time, Unix ms, `fromMs < toMs`. */
export interface View {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Tick {
  readonly ms: number;
  readonly label: string;
}

const MINUTE_MS = 60_000;
const STEPS_MIN = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720];

/** Where `ms` is in the view: 0 at its start, 1 at its end, beyond that outside. */
export function fractionAt(view: View, ms: number): number {
  return (ms - view.fromMs) / (view.toMs - view.fromMs);
}

/** The instant at `fraction` of the view; fractions outside 0…1 are taken as its ends. */
export function timeAt(view: View, fraction: number): number {
  const inside = Math.min(1, Math.max(0, fraction));
  return view.fromMs + inside * (view.toMs - view.fromMs);
}

export function clampTo(view: View, ms: number): number {
  return Math.min(view.toMs, Math.max(view.fromMs, ms));
}

/** A view of `lengthMs` around `centreMs` that stays within `day`; the whole day when that is shorter. */
export function zoomed(day: View, centreMs: number, lengthMs: number): View {
  if (lengthMs >= day.toMs - day.fromMs) return day;
  const from = Math.min(Math.max(centreMs - lengthMs / 2, day.fromMs), day.toMs - lengthMs);
  return { fromMs: from, toMs: from + lengthMs };
}

/**
 * Labelled ticks at round local times, at most `most` of them. On the day the clocks change the hour that
 * is missing has no tick and the hour that comes twice has two.
 */
export function ticks(view: View, zone: string, most: number): Tick[] {
  const lengthMin = (view.toMs - view.fromMs) / MINUTE_MS;
  const step = STEPS_MIN.find((candidate) => lengthMin / candidate <= most) ?? 720;
  // Offsets of zones are multiples of 15 minutes, so round local times are on that grid in UTC too.
  const gridMs = Math.min(step, 15) * MINUTE_MS;
  const found: Tick[] = [];
  for (let ms = Math.ceil(view.fromMs / gridMs) * gridMs; ms <= view.toMs; ms += gridMs) {
    if (minuteOfDay(ms, zone) % step === 0) found.push({ ms, label: hourMinute(ms, zone) });
  }
  return found;
}

/** The local day that contains `ms`, 23 to 25 hours long: found by asking the calendar, not by adding hours. */
export function localDay(ms: number, zone: string): View {
  const date = localDate(ms, zone);
  const isDay = (at: number) => localDate(at, zone) === date;
  // Between an instant of the day and one outside it, halve until the border is known to the ms.
  const border = (inside: number, outside: number) => {
    let [yes, no] = [inside, outside];
    while (Math.abs(yes - no) > 1) {
      const middle = Math.floor((yes + no) / 2);
      if (isDay(middle)) yes = middle;
      else no = middle;
    }
    return Math.max(yes, no);
  };
  return { fromMs: border(ms, ms - 26 * 3_600_000), toMs: border(ms, ms + 26 * 3_600_000) };
}
