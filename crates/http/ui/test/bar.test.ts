import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clampTo, fractionAt, localDay, ticks, timeAt, zoomed } from '../src/time/bar';

const HOUR = 3_600_000;
const BERLIN = 'Europe/Berlin';
const utc = (text: string) => Date.parse(text);

test('a fraction and its instant are each other’s inverse, and the ends hold', () => {
  const view = { fromMs: utc('2026-11-21T23:00:00Z'), toMs: utc('2026-11-22T23:00:00Z') };
  assert.equal(fractionAt(view, utc('2026-11-22T11:00:00Z')), 0.5);
  assert.equal(timeAt(view, 0.5), utc('2026-11-22T11:00:00Z'));
  assert.equal(timeAt(view, -3), view.fromMs);
  assert.equal(timeAt(view, 7), view.toMs);
  assert.equal(clampTo(view, view.toMs + 1), view.toMs);
});

test('a local day is 24 hours long, but 23 and 25 on the days the clocks change', () => {
  const hours = (noon: string) => {
    const day = localDay(utc(noon), BERLIN);
    return (day.toMs - day.fromMs) / HOUR;
  };
  assert.equal(hours('2026-11-22T11:00:00Z'), 24);
  assert.equal(hours('2026-03-29T11:00:00Z'), 23);
  assert.equal(hours('2026-10-25T11:00:00Z'), 25);
});

test('a local day begins at local midnight, also for the instants at its borders', () => {
  const day = { fromMs: utc('2026-11-21T23:00:00Z'), toMs: utc('2026-11-22T23:00:00Z') };
  assert.deepEqual(localDay(day.fromMs, BERLIN), day);
  assert.deepEqual(localDay(day.toMs - 1, BERLIN), day);
  assert.equal(localDay(day.toMs, BERLIN).fromMs, day.toMs);
  assert.equal(localDay(utc('2026-11-22T11:00:00Z'), 'Asia/Kathmandu').fromMs, utc('2026-11-21T18:15:00Z'));
});

test('the ticks of a plain day are its hours, from midnight to midnight', () => {
  const found = ticks(localDay(utc('2026-11-22T11:00:00Z'), BERLIN), BERLIN, 24);
  assert.equal(found.length, 25);
  assert.deepEqual(found.slice(0, 3).map((tick) => tick.label), ['00:00', '01:00', '02:00']);
  assert.equal(found[24]?.label, '00:00');
});

test('the hour that is missing in spring has no tick, the hour that comes twice in autumn has two', () => {
  const labels = (noon: string) => ticks(localDay(utc(noon), BERLIN), BERLIN, 25).map((tick) => tick.label);
  const spring = labels('2026-03-29T11:00:00Z');
  assert.deepEqual(spring.slice(0, 4), ['00:00', '01:00', '03:00', '04:00']);
  const autumn = labels('2026-10-25T11:00:00Z');
  assert.deepEqual(autumn.slice(1, 5), ['01:00', '02:00', '02:00', '03:00']);
});

test('a narrow bar has fewer ticks, at round local hours', () => {
  const day = localDay(utc('2026-11-22T11:00:00Z'), BERLIN);
  const found = ticks(day, BERLIN, 6);
  assert.deepEqual(found.map((tick) => tick.label), ['00:00', '04:00', '08:00', '12:00', '16:00', '20:00', '00:00']);
  assert.ok(ticks(day, 'Asia/Kathmandu', 12).every((tick) => tick.label.endsWith(':00')));
});

test('ten minutes have a tick a minute', () => {
  const view = { fromMs: utc('2026-11-22T11:00:30Z'), toMs: utc('2026-11-22T11:10:30Z') };
  const found = ticks(view, BERLIN, 10);
  assert.equal(found.length, 10);
  assert.equal(found[0]?.label, '12:01');
});

test('a zoomed view is around its centre but never outside the day', () => {
  const day = { fromMs: 0, toMs: 24 * HOUR };
  assert.deepEqual(zoomed(day, 12 * HOUR, 2 * HOUR), { fromMs: 11 * HOUR, toMs: 13 * HOUR });
  assert.deepEqual(zoomed(day, 0, 2 * HOUR), { fromMs: 0, toMs: 2 * HOUR });
  assert.deepEqual(zoomed(day, 24 * HOUR, 2 * HOUR), { fromMs: 22 * HOUR, toMs: 24 * HOUR });
  assert.equal(zoomed(day, 0, Infinity), day);
});
