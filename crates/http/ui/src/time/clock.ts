// Wall times as people read them, in the time zone of a camera. All instants are Unix ms.

const formats = new Map<string, Intl.DateTimeFormat>();

function format(key: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${key} ${zone}`;
  let found = formats.get(name);
  if (!found) {
    // en-GB: the page speaks English and shows 24 hours, whatever the browser's own language.
    found = new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options });
    formats.set(name, found);
  }
  return found;
}

/** `zone` when this browser knows it, else UTC: a page with a wrong clock is better than none. */
export function knownZone(zone: string): string {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
    return zone;
  } catch {
    return 'UTC';
  }
}

/** `14:03:12` */
export function clock(ms: number, zone: string): string {
  return format('hms', zone, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(ms);
}

/** `14:03` */
export function hourMinute(ms: number, zone: string): string {
  return format('hm', zone, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(ms);
}

/** `Sun 22 Nov` */
export function dayLabel(ms: number, zone: string): string {
  const parts = format('day', zone, { weekday: 'short', day: 'numeric', month: 'short' }).formatToParts(ms);
  const part = (type: string) => parts.find((p) => p.type === type)?.value ?? '';
  return `${part('weekday')} ${part('day')} ${part('month')}`;
}

/** `2026-11-22` */
export function localDate(ms: number, zone: string): string {
  const parts = format('date', zone, { year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(ms);
  const part = (type: string) => parts.find((p) => p.type === type)?.value ?? '';
  return `${part('year')}-${part('month')}-${part('day')}`;
}

/** Minutes since local midnight by the clock on the wall, 0…1439. */
export function minuteOfDay(ms: number, zone: string): number {
  const [hours, minutes] = hourMinute(ms, zone).split(':');
  return Number(hours) * 60 + Number(minutes);
}

/** A length of time as `12 s`, `5 min`, `3 h`, `2 days`: one unit, rounded down. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** A length of time as `2:05` or `3:02:05`. */
export function stopwatch(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${Math.floor((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest.padStart(5, '0')}` : rest;
}
